"""A run drawn live at a terminal, by rich."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import contextmanager
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, TextIO

from rich.cells import cell_len, set_cell_size
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from wanrun.events import EventName
from wanrun.progress.plain import ATTENTION, STYLES
from wanrun.streams import silence
from wanrun.words import line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wanrun.events import Event

RUNNING_SHOWN = 8  #: jobs, below the bar


class _Stage(StrEnum):
    """Where a job under way is, as the live display counts it, in the order in which it says so."""

    RUNNING = "running"
    QUEUED = "queued"
    DELIVERING = "delivering"
    UNSURE = "unsure"


_STAGES = {
    EventName.JOB_SUBMITTED: _Stage.QUEUED,
    EventName.JOB_ADOPTED: _Stage.QUEUED,
    EventName.JOB_UNSURE: _Stage.UNSURE,
    EventName.JOB_RUNNING: _Stage.RUNNING,
    EventName.JOB_FETCHED: _Stage.DELIVERING,
}
#: After these, this run has nothing more to do for the job; of several sinks, others may follow.
_ENDS = frozenset(
    {
        EventName.JOB_DONE,
        EventName.JOB_FAILED,
        EventName.JOB_HELD,
        EventName.JOB_BLOCKED,
        EventName.JOB_LOST,
        EventName.DELIVERY_FAILED,
        EventName.WAITING,  # of one job: left for another run
    }
)
#: Lines that stay above the live display.
_KEPT = ATTENTION | {EventName.JOB_RETRIED, EventName.JOB_UNSURE, EventName.JOB_ADOPTED}


def console_on(stream: TextIO) -> Console:
    """Return a console that draws on a stream what it is given, and takes nothing in it for markup."""
    return Console(file=stream, highlight=False, markup=False, emoji=False)


class LiveView:
    """A bar, what is under way below it, and what stays to be read above it.

    It appears when there is something to do. It is drawn from a thread of its own four times a second, so whatever is
    drawn is copied first.
    """

    def __init__(
        self, console: Console, *, clean: Callable[[str], str] = str, now: Callable[[], float] = time.time
    ) -> None:
        self._console, self._clean, self._now = console, clean, now
        self._stages: dict[str, tuple[_Stage, float]] = {}  # job -> stage, since when
        self._over: set[str] = set()
        self._open = 0
        self._pause: tuple[str, float] = ("", 0.0)  # what is waited for, until when
        self._bar = Progress(
            TextColumn("jobs"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
        )
        self._task = self._bar.add_task("")
        self._live = Live(console=console, get_renderable=self.frame, refresh_per_second=4, transient=True)

    def __enter__(self) -> LiveView:
        return self

    def __exit__(self, *exc_info: object) -> None:
        with self._unheard():
            self._live.stop()

    def __call__(self, event: Event) -> None:
        with self._unheard():
            self._show(event)

    @contextmanager
    def _unheard(self) -> Iterator[None]:
        """Say no more to a terminal that is gone; the run goes on until it is told to stop."""
        try:
            yield
        except OSError:
            silence(self._console.file)  # type: ignore[arg-type]  # rich calls any text stream so

    def _show(self, event: Event) -> None:
        if event.name is EventName.RUN_STARTED:
            self._start(event.data["open"])
        elif event.job is not None:
            self._move(event.job, event)
        elif event.name is EventName.WAITING:
            self._pause = (line(event) or "", event.at + _number(event.data["seconds"]))
            return
        if event.name in _KEPT:
            text = Text(self._clean(line(event) or ""), style=STYLES.get(event.name, ""))
            self._console.print(text, soft_wrap=True)

    def _start(self, count: object) -> None:
        self._open = int(_number(count))
        self._over.clear()  # what was told before is not among the open jobs
        if self._open:
            self._bar.update(self._task, total=self._open, completed=0)
            self._live.start()

    def _move(self, job: str, event: Event) -> None:
        if event.name in _STAGES:
            self._stages[job] = (_STAGES[event.name], event.at)
        elif event.name in _ENDS or event.name is EventName.JOB_RETRIED:
            self._stages.pop(job, None)
        if event.name in _ENDS:
            self._over.add(job)
            self._bar.update(self._task, completed=len(self._over))

    def frame(self) -> Group:
        """Return what is drawn now, below the lines that stay."""
        stages, now = dict(self._stages), self._now()
        running = [(job, since) for job, (stage, since) in stages.items() if stage is _Stage.RUNNING]
        rows = [Text(self._row(job, now - since), style="dim") for job, since in running[:RUNNING_SHOWN]]
        words, until = self._pause
        pause = [Text(f"  {self._clean(words)}", style="yellow", no_wrap=True)] if now < until else []
        return Group(self._bar, *rows, Text(f"  {self._counts(stages)}", style="dim"), *pause)

    def _row(self, job: str, seconds: float) -> str:
        taken = f"  {timedelta(seconds=max(0, int(seconds)))}  "
        return taken + shortened(self._clean(job), self._console.width - len(taken))

    def _counts(self, stages: dict[str, tuple[_Stage, float]]) -> str:
        counts = Counter(stage for stage, _ in stages.values())
        parts = [f"{counts[stage]} {stage}" for stage in _Stage if counts[stage]]
        waiting = self._open - len(self._over) - len(stages)
        return ", ".join([*parts, f"{waiting} waiting"] if waiting > 0 else parts)


def shortened(text: str, cells: int) -> str:
    """Return a text that fills at most so many cells of a terminal, its middle left out if need be."""
    if cell_len(text) <= cells:
        return text
    half = max(0, cells - 1) // 2
    return f"{set_cell_size(text, half).rstrip()}\u2026{set_cell_size(text[::-1], half).rstrip()[::-1]}"


def _number(value: object) -> float:
    return value if isinstance(value, (int, float)) else 0
