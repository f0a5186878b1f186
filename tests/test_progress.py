"""What a run shows while it lasts: plain lines exactly, and the live view as a terminal of 80 columns has it."""

from __future__ import annotations

import io
import os
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from wanrun.events import Event, EventName
from wanrun.progress import view_for
from wanrun.progress.live import LiveView, shortened
from wanrun.progress.plain import ATTENTION, PlainLines
from wanrun.words import WORTH_A_LINE, line, megabytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

AT = 1_780_000_000.0
CLOCK = f"{datetime.fromtimestamp(AT, UTC).astimezone():%H:%M:%S}"
JOB = "spring/coat"
LINES: dict[EventName, tuple[dict[str, Any], str | None]] = {
    EventName.RUN_STARTED: ({"jobs": 3, "open": 2}, None),
    EventName.JOB_PREPARED: ({}, None),
    EventName.JOB_SUBMITTED: ({"task": "0385dc79"}, "spring/coat: submitted as task 0385dc79"),
    EventName.JOB_RUNNING: ({}, "spring/coat: running"),
    EventName.JOB_FETCHED: ({"bytes": 1_843_200, "sha256": "ab"}, "spring/coat: fetched, 1.8 MB"),
    EventName.DELIVERED: (
        {"sink": "disk", "place": "/out/coat.mp4", "bytes": 9},
        "spring/coat: delivered to /out/coat.mp4",
    ),
    EventName.DELIVERY_FAILED: (
        {"sink": "disk", "message": "/out/coat.mp4: disk full", "conflict": False},
        "spring/coat: not delivered to disk: /out/coat.mp4: disk full",
    ),
    EventName.JOB_DONE: ({}, None),
    EventName.JOB_FAILED: (
        {"stage": "task", "message": "inappropriate\n  content", "code": "DataInspectionFailed"},
        "spring/coat: failed: inappropriate content (DataInspectionFailed)",
    ),
    EventName.RESULT_EXPIRING: (
        {"task": "t-1", "gone_at": "2026-03-01T12:20:00Z", "seconds": 12228},
        "spring/coat: not fetched yet, and gone in 3.4 h",
    ),
    EventName.JOB_UNSURE: (
        {"message": "create: no answer in 60 s"},
        "spring/coat: unsure: create: no answer in 60 s. Its task is looked for, nothing is sent again",
    ),
    EventName.JOB_ADOPTED: (
        {"task": "t-1", "message": "no other task of that time has its prompt"},
        "spring/coat: found as task t-1: no other task of that time has its prompt",
    ),
    EventName.JOB_RETRIED: (
        {"stage": "task", "message": "oops", "code": None},
        "spring/coat: tried anew: oops",
    ),
    EventName.JOB_HELD: (
        {"message": "create: no answer in 60 s"},
        "spring/coat: held: create: no answer in 60 s. A task may exist, so nothing is sent again",
    ),
    EventName.JOB_BLOCKED: (
        {"message": "spring/night, which it chains from, is failed: no"},
        "spring/coat: blocked: spring/night, which it chains from, is failed: no",
    ),
    EventName.JOB_LOST: (
        {"message": "the service no longer keeps it"},
        "spring/coat: lost: the service no longer keeps it",
    ),
    EventName.WAITING: (
        {"what": "creates", "reason": "create: slow (429)", "seconds": 7.6},
        "waiting 8 s: create: slow (429)",
    ),
    EventName.NOTIFIED: (
        {"sink": "team", "events": ["run_finished"], "message": "spring: 1 done", "rehearsed": False},
        "told team: spring: 1 done",
    ),
    EventName.NOTIFY_FAILED: (
        {"sink": "team", "events": ["run_finished"], "message": "the webhook answered 404"},
        "team was not told: the webhook answered 404",
    ),
    EventName.RUN_STOPPING: (
        {"reason": "interrupted; the state is saved"},
        "stopping: interrupted; the state is saved",
    ),
    EventName.RUN_FINISHED: ({"exit_code": 0, "states": {}}, None),
}
OF_NO_JOB = {
    EventName.RUN_STARTED,
    EventName.WAITING,
    EventName.NOTIFIED,
    EventName.NOTIFY_FAILED,
    EventName.RUN_STOPPING,
    EventName.RUN_FINISHED,
}


def event(name: EventName, job: str | None = JOB, *, at: float = AT, **data: Any) -> Event:
    """Return an event with its usual data."""
    return Event(name, at, "run-1", None if name in OF_NO_JOB else job, {**LINES[name][0], **data})


def test_every_event_is_in_the_table() -> None:
    """Whoever adds an event says here how it reads."""
    assert set(LINES) == set(EventName)
    assert {name for name, (_, words) in LINES.items() if words} == WORTH_A_LINE


@pytest.mark.parametrize("name", EventName)
def test_the_words_of_an_event(name: EventName) -> None:
    """One line each, the job's address first, whatever lines a service's message has."""
    assert line(event(name)) == LINES[name][1]


def test_a_result_left_for_another_run_names_its_job() -> None:
    """Waiting without a pause says only why."""
    left = Event(EventName.WAITING, AT, "run-1", JOB, {"what": "downloads", "reason": "left for later", "seconds": 0})

    assert line(left) == "spring/coat: left for later"


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 kB"), (99_999, "100 kB"), (100_000, "0.1 MB"), (123_456_789, "123.5 MB")]
)
def test_sizes_read_well(count: int, words: str) -> None:
    """Megabytes from a tenth on."""
    assert megabytes(count) == words


def test_a_rehearsal_says_that_nobody_was_told() -> None:
    """With `--emulator` a message would have been sent."""
    assert line(event(EventName.NOTIFIED, rehearsed=True)) == "would have told team: spring: 1 done"


def plain(*events: Event, **options: Any) -> list[str]:
    """Return the plain lines of events."""
    stream = io.StringIO()
    with view_for(stream, **options) as view:
        for each in events:
            view(each)
    return stream.getvalue().splitlines()


def test_plain_lines_carry_the_time() -> None:
    """Where there is no terminal, each event worth it is one line with this machine's wall clock."""
    lines = plain(*map(event, EventName))

    assert lines == [f"{CLOCK} {LINES[name][1]}" for name in EventName if LINES[name][1]]


def test_quiet_lines_are_those_that_need_attention() -> None:
    """A quiet run says what went wrong or has to wait, and nothing else."""
    lines = plain(*map(event, EventName), quiet=True)

    assert lines == [f"{CLOCK} {LINES[name][1]}" for name in EventName if name in ATTENTION]


def test_plain_lines_are_cleaned() -> None:
    """What the terminal must not get is taken out by the one who knows how."""
    (shown,) = plain(event(EventName.JOB_FAILED, message="\x1b[31mred"), clean=lambda text: text.replace("\x1b", "?"))

    assert "\x1b" not in shown
    assert "?[31mred" in shown


def test_a_log_that_nobody_reads_ends_nothing() -> None:
    """`wanrun ... 2>&1 | head -1` goes on to its end."""
    reader, writer = os.pipe()
    os.close(reader)

    with os.fdopen(writer, "w") as stream, PlainLines(stream, quiet=False, clean=str) as view:
        view(event(EventName.JOB_RUNNING))
        view(event(EventName.JOB_RUNNING))


def test_a_full_disk_under_the_log_ends_nothing() -> None:
    """The run is paying for things; its log is not worth stopping it."""
    with open("/dev/full", "w") as stream, PlainLines(stream, quiet=False, clean=str) as view:  # noqa: PTH123  # no Path
        view(event(EventName.JOB_RUNNING))


class Screen:
    """A live view on a terminal of 80 columns that is only text, and a clock to set."""

    def __init__(self, width: int = 80) -> None:
        self.now = AT
        self.written = io.StringIO()
        self.console = Console(file=self.written, force_terminal=True, width=width, height=24, color_system=None)
        self.view = LiveView(self.console, clean=lambda text: text.replace("\x1b", "?"), now=lambda: self.now)

    def show(self, *events: Event) -> None:
        """Let the view hear events."""
        for each in events:
            self.view(each)

    @property
    def frame(self) -> list[str]:
        """The lines that are drawn now, without the bar's own clock."""
        paper = Console(file=io.StringIO(), width=self.console.width, color_system=None)
        with paper.capture() as capture:
            paper.print(self.view.frame())
        return [row.rstrip() for row in capture.get().splitlines()]

    @property
    def kept(self) -> str:
        """All that was written, without escape sequences."""
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.written.getvalue())


@pytest.fixture
def screen() -> Iterator[Screen]:
    """Return a screen that shows a run of three open jobs."""
    made = Screen()
    with made.view:
        made.show(event(EventName.RUN_STARTED, jobs=3, open=3))
        yield made


def test_the_bar_counts_and_the_running_are_named(screen: Screen) -> None:
    """One job over, one running for 65 s, one not begun."""
    screen.show(
        event(EventName.JOB_SUBMITTED, "spring/one"),
        event(EventName.JOB_DONE, "spring/one"),
        event(EventName.JOB_SUBMITTED, "spring/two"),
        event(EventName.JOB_RUNNING, "spring/two"),
    )
    screen.now = AT + 65

    bar, row, counts = screen.frame
    assert re.fullmatch(r"jobs .* 1/3 0:00:0\d", bar)
    assert row == "  0:01:05  spring/two"
    assert counts == "  1 running, 1 waiting"


def test_the_stages_are_counted_in_one_order(screen: Screen) -> None:
    """The words do not change places while the numbers change."""
    screen.show(
        event(EventName.JOB_SUBMITTED, "s/1"),
        event(EventName.JOB_FETCHED, "s/2"),
        event(EventName.JOB_RUNNING, "s/3"),
    )
    assert screen.frame[-1] == "  1 running, 1 queued, 1 delivering"

    screen.show(event(EventName.JOB_RUNNING, "s/1"), event(EventName.JOB_RETRIED, "s/3"))
    assert screen.frame[-1] == "  1 running, 1 delivering, 1 waiting"

    screen.show(event(EventName.JOB_UNSURE, "s/3"))
    assert screen.frame[-1] == "  1 running, 1 delivering, 1 unsure"


def test_long_and_wide_addresses_keep_to_one_line(screen: Screen) -> None:
    """Their middle is left out; what tells the jobs of a matrix apart stands at the end."""
    screen.show(
        event(EventName.JOB_RUNNING, "spring/" + "very-long-" * 12 + "1"),
        event(EventName.JOB_RUNNING, "весна/" + "日本語アニメ風" * 12 + "2"),
    )

    _, *rows, _ = screen.frame
    assert len(rows) == 2
    assert [row[-1] for row in rows] == ["1", "2"]
    assert all("\u2026" in row and 75 <= cell_len(row) <= 80 for row in rows)


def test_a_narrow_terminal_is_not_overflown() -> None:
    """Every line of the frame fits 30 columns."""
    screen = Screen(width=30)
    with screen.view:
        screen.show(event(EventName.RUN_STARTED, open=9), event(EventName.JOB_RUNNING, "spring/" + "x" * 99))
        screen.show(event(EventName.WAITING, reason="create: " + "slow " * 20, seconds=5))

        assert all(cell_len(row) <= 30 for row in screen.frame)


def test_no_more_running_jobs_are_named_than_fit_below_a_bar(screen: Screen) -> None:
    """A pool of accounts may run hundreds; the counts say how many."""
    screen.show(*(event(EventName.JOB_RUNNING, f"s/{number}") for number in range(50)))

    assert len(screen.frame) == 1 + 8 + 1
    assert screen.frame[-1] == "  50 running"


def test_a_pause_is_shown_while_it_lasts_and_then_gone(screen: Screen) -> None:
    """Throttling comes and goes; it does not fill the screen."""
    screen.show(event(EventName.WAITING, seconds=8))
    assert screen.frame[-1] == "  waiting 8 s: create: slow (429)"

    screen.now = AT + 9
    assert screen.frame[-1] == "  3 waiting"
    assert screen.kept.count("slow") <= 40  # only ever redrawn


def test_what_needs_attention_stays_above(screen: Screen) -> None:
    """Failures are printed once, whole, to be read afterwards; deliveries are not."""
    screen.show(event(EventName.JOB_FAILED, message="no " * 60), event(EventName.DELIVERED), event(EventName.JOB_HELD))
    screen.view.__exit__(None, None, None)

    assert screen.kept.count("spring/coat: failed: " + "no " * 60 + "(DataInspectionFailed)") == 1
    assert screen.kept.count("A task may exist, so nothing is sent again") == 1
    assert "delivered" not in screen.kept


def test_foreign_text_cannot_drive_the_terminal(screen: Screen) -> None:
    """Addresses and messages pass the cleaner on their way to the screen; markup in them is only text."""
    screen.show(
        event(EventName.JOB_RUNNING, "s/\x1b[31m[bold]x[/bold] :smile:"),
        event(EventName.JOB_FAILED, message="\x1b]0;title\x07 [red]"),
        event(EventName.WAITING, reason="\x1b[2J", seconds=5),
    )

    assert "s/?[31m[bold]x[/bold] :smile:" in screen.frame[1]
    assert "?]0;title" in screen.kept
    assert "\x1b]0" not in screen.written.getvalue()
    assert "\x1b[31m" not in screen.written.getvalue()


def test_a_failed_delivery_ends_the_job_once(screen: Screen) -> None:
    """Of three sinks two fail and one succeeds: that is still one job that is over."""
    failed = event(EventName.DELIVERY_FAILED)
    screen.show(event(EventName.JOB_FETCHED), failed, failed, event(EventName.DELIVERED))

    assert " 1/3 " in screen.frame[0]
    assert screen.frame[-1] == "  2 waiting"


def test_nothing_to_do_draws_nothing() -> None:
    """A second run of a finished batch leaves no bar on the screen."""
    screen = Screen()
    with screen.view:
        screen.show(event(EventName.RUN_STARTED, jobs=3, open=0), event(EventName.RUN_FINISHED))

    assert screen.written.getvalue() == ""


def test_a_view_that_never_began_ends_well() -> None:
    """A spec with an error ends the command before the run starts."""
    screen = Screen()
    with screen.view:
        pass

    assert screen.written.getvalue() == ""


@pytest.mark.parametrize(
    ("text", "cells", "expected"),
    [
        ("short", 5, "short"),
        ("abcdefghij", 7, "abc\u2026hij"),
        ("abcdefghij", 6, "ab\u2026ij"),
        ("日本語日本語", 7, "日\u2026語"),
        ("abc", 1, "\u2026"),
        ("abc", 0, "\u2026"),
    ],
)
def test_texts_are_shortened_in_the_middle(text: str, cells: int, expected: str) -> None:
    """Both ends stay, in cells of a terminal and not in characters."""
    assert shortened(text, cells) == expected


def test_the_view_fits_where_the_text_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Live at a terminal; plain lines in a file, on a dumb terminal, when quiet, and beside events on the screen."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    leader, follower = os.openpty()
    with os.fdopen(follower, "w") as terminal, (tmp_path / "log").open("w") as file:
        assert isinstance(view_for(terminal), LiveView)
        assert isinstance(view_for(terminal, quiet=True), PlainLines)
        assert isinstance(view_for(terminal, live=False), PlainLines)
        assert isinstance(view_for(file), PlainLines)
        monkeypatch.setenv("TERM", "dumb")
        assert isinstance(view_for(terminal), PlainLines)
    os.close(leader)
