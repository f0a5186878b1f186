"""Progress of a run: drawn live at a terminal, one plain line per event elsewhere. Hears events, knows no engine."""

from __future__ import annotations

import sys
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from wanrun.events import EventName
from wanrun.words import line

if TYPE_CHECKING:
    from collections.abc import Callable

    from wanrun.events import Event

SHOWN_JOBS = 8  #: that are under way, below the bar

#: What an event makes of its job, as the live display counts it; an empty text: it is no longer under way.
_STAGES = {
    EventName.JOB_PREPARED: "waiting to be submitted",
    EventName.JOB_SUBMITTED: "queued",
    EventName.JOB_RUNNING: "running",
    EventName.JOB_RETRIED: "to be made anew",
    EventName.JOB_FETCHED: "delivering",
    EventName.DELIVERY_FAILED: "",
    EventName.JOB_DONE: "",
    EventName.JOB_FAILED: "",
    EventName.JOB_HELD: "",
    EventName.JOB_LOST: "",
}
_ENDS = (EventName.JOB_DONE, EventName.JOB_FAILED, EventName.JOB_HELD, EventName.JOB_LOST)
_STYLES = {
    EventName.DELIVERED: "green",
    EventName.JOB_FAILED: "red",
    EventName.DELIVERY_FAILED: "red",
    EventName.JOB_LOST: "bold red",
    EventName.JOB_HELD: "yellow",
    EventName.WAITING: "yellow",
    EventName.RUN_STOPPING: "yellow",
}
_KEPT = frozenset(_STYLES) | {EventName.JOB_RETRIED}  # lines that stay above the live display


class View(Protocol):
    """Shows a run while it lasts."""

    def __call__(self, event: Event) -> None:
        """Show one event."""

    def __enter__(self) -> View:
        """Begin to show."""
        ...

    def __exit__(self, *exc_info: object) -> None:
        """Leave the screen as it should stay."""


def view_for(stream: TextIO | None = None, *, quiet: bool = False, clean: Callable[[str], str] = str) -> View:
    """Return the view that fits where the text goes: live at a terminal, plain lines elsewhere, errors only if quiet.

    `clean` makes text fit for a terminal.
    """
    stream = stream or sys.stderr
    console = Console(file=stream, highlight=False, markup=False, emoji=False)
    if quiet or not console.is_terminal or console.is_dumb_terminal:
        return PlainLines(stream, quiet=quiet, clean=clean)
    return LiveView(console, clean=clean)


class PlainLines:
    """Each event worth it as one line with the time, for logs and CI."""

    def __init__(self, stream: TextIO, *, quiet: bool, clean: Callable[[str], str]) -> None:
        self._stream, self._quiet, self._clean = stream, quiet, clean

    def __enter__(self) -> PlainLines:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stream.flush()

    def __call__(self, event: Event) -> None:
        text = line(event)
        if text is None or (self._quiet and _STYLES.get(event.name, "green") == "green"):
            return
        at = datetime.fromtimestamp(event.at, UTC).astimezone()
        print(f"{at:%H:%M:%S} {self._clean(text)}", file=self._stream, flush=True)


class LiveView:
    """A bar, what is under way below it, and what stays to be read above it."""

    def __init__(self, console: Console, *, clean: Callable[[str], str]) -> None:
        self._console, self._clean = console, clean
        self._stages: dict[str, str] = {}
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
        )
        self._task = self._bar.add_task("jobs", total=None)
        self._live = Live(console=console, get_renderable=self._draw, refresh_per_second=4, transient=True)

    def __enter__(self) -> LiveView:
        self._live.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._live.stop()

    def __call__(self, event: Event) -> None:
        if event.name is EventName.RUN_STARTED:
            self._bar.update(self._task, total=_whole(event.data["open"]))
        if event.job is not None and event.name in _STAGES:
            self._moved(event.job, event.name)
        text = line(event)
        if text is not None and event.name in _KEPT:
            self._console.print(Text(self._clean(text), style=_STYLES.get(event.name, "")), soft_wrap=True)

    def _moved(self, job: str, name: EventName) -> None:
        stage = _STAGES[name]
        if stage:
            self._stages[job] = stage
        else:
            self._stages.pop(job, None)
        if name in _ENDS:
            self._bar.advance(self._task)

    def _draw(self) -> Group:
        counts = Counter(self._stages.values())
        summary = ", ".join(f"{count} {stage}" for stage, count in counts.items())
        rows = [Text(f"  {self._clean(job)}  {stage}", style="dim") for job, stage in self._shown()]
        return Group(self._bar, *rows, Text(f"  {summary}" if summary else "", style="dim"))

    def _shown(self) -> list[tuple[str, str]]:
        running = [(job, stage) for job, stage in self._stages.items() if stage == "running"]
        return running[:SHOWN_JOBS]


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0
