"""Each event worth it as a plain line, and which events need attention."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, TextIO

from wanrun.events import EventName
from wanrun.streams import silence
from wanrun.words import line

if TYPE_CHECKING:
    from collections.abc import Callable

    from wanrun.events import Event

#: How an event that needs attention is drawn where colours are seen.
STYLES = {
    EventName.JOB_FAILED: "red",
    EventName.DELIVERY_FAILED: "red",
    EventName.JOB_BLOCKED: "yellow",
    EventName.JOB_LOST: "bold red",
    EventName.JOB_HELD: "yellow",
    EventName.RESULT_EXPIRING: "yellow",
    EventName.WAITING: "yellow",
    EventName.NOTIFY_FAILED: "yellow",
    EventName.RUN_STOPPING: "yellow",
}
ATTENTION = frozenset(STYLES)  #: what a quiet run still says


class PlainLines:
    """Each event worth it as one line with the time, for logs and CI; only what needs attention if quiet."""

    def __init__(self, stream: TextIO, *, quiet: bool, clean: Callable[[str], str]) -> None:
        self._stream, self._quiet, self._clean = stream, quiet, clean

    def __enter__(self) -> PlainLines:
        return self

    def __exit__(self, *exc_info: object) -> None:
        pass

    def __call__(self, event: Event) -> None:
        text = line(event)
        if text is None or (self._quiet and event.name not in ATTENTION):
            return
        at = datetime.fromtimestamp(event.at, UTC).astimezone()
        try:
            print(f"{at:%H:%M:%S} {self._clean(text)}", file=self._stream, flush=True)
        except OSError:  # nobody reads the log any more; the run goes on
            silence(self._stream)
