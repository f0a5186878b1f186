"""Events as one line each, in words for people; what a line says is the same at a terminal and in a log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wanrun.events import Event, EventName

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_LINES: dict[EventName, Callable[[Event], str]] = {
    EventName.JOB_SUBMITTED: lambda event: f"submitted as task {event.data['task']}",
    EventName.JOB_RUNNING: lambda _: "running",
    EventName.RESULT_EXPIRING: lambda event: f"not fetched yet, and gone in {hours(event.data['seconds'])}",
    EventName.JOB_FETCHED: lambda event: f"fetched, {megabytes(event.data['bytes'])}",
    EventName.DELIVERED: lambda event: f"delivered to {event.data['place']}",
    EventName.DELIVERY_FAILED: lambda event: f"not delivered to {event.data['sink']}: {event.data['message']}",
    EventName.JOB_FAILED: lambda event: f"failed: {event.data['message']}{_code(event)}",
    EventName.JOB_UNSURE: lambda event: (
        f"unsure: {event.data['message']}. Its task is looked for, nothing is sent again"
    ),
    EventName.JOB_ADOPTED: lambda event: f"found as task {event.data['task']}: {event.data['message']}",
    EventName.JOB_RETRIED: lambda event: f"tried anew: {event.data['message']}{_code(event)}",
    EventName.JOB_HELD: lambda event: f"held: {event.data['message']}. A task may exist, so nothing is sent again",
    EventName.JOB_BLOCKED: lambda event: f"blocked: {event.data['message']}",
    EventName.JOB_LOST: lambda event: f"lost: {event.data['message']}",
    EventName.WAITING: lambda event: _waiting(event),
    EventName.NOTIFIED: lambda event: (
        f"{'would have told' if event.data['rehearsed'] else 'told'} {event.data['sink']}: {event.data['message']}"
    ),
    EventName.NOTIFY_FAILED: lambda event: f"{event.data['sink']} was not told: {event.data['message']}",
    EventName.RUN_STOPPING: lambda event: f"stopping: {event.data['reason']}",
}

#: What a log of a run shows; preparing and done say nothing that the lines around them do not.
WORTH_A_LINE = frozenset(_LINES)


def line(event: Event) -> str | None:
    """Return an event as one line, the job's address first; None for an event that is not worth one."""
    if event.name not in _LINES:
        return None
    words = " ".join(_LINES[event.name](event).split())  # a service's message may have lines of its own
    return f"{event.job}: {words}" if event.job else words


def megabytes(count: object) -> str:
    """Return a number of bytes as people read it."""
    size = float(count) if isinstance(count, (int, float)) else 0.0
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.0f} kB"


def files_words(sizes: Sequence[int]) -> str:
    """Return how many files there are, and of what size together, from the bytes of each."""
    count = "1 file" if len(sizes) == 1 else f"{len(sizes)} files"
    return f"{count}, {megabytes(sum(sizes))}"


def hours(seconds: object) -> str:
    """Return a span of seconds as people read it."""
    span = float(seconds) if isinstance(seconds, (int, float)) else 0.0
    return f"{span / 3600:.1f} h" if span >= 5400 else f"{max(1, round(span / 60))} min"


def _code(event: Event) -> str:
    code = event.data.get("code")
    return f" ({code})" if code else ""


def _waiting(event: Event) -> str:
    seconds = event.data.get("seconds")
    pause = f"waiting {seconds:.0f} s: " if isinstance(seconds, (int, float)) and seconds else ""
    return f"{pause}{event.data['reason']}"
