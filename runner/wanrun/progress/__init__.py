"""Progress of a run: drawn live at a terminal, one plain line per event elsewhere. Hears events, knows no engine."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol, TextIO

from wanrun.progress.plain import PlainLines

if TYPE_CHECKING:
    from collections.abc import Callable

    from wanrun.events import Event


class View(Protocol):
    """Shows a run while it lasts."""

    def __call__(self, event: Event) -> None:
        """Show one event."""

    def __enter__(self) -> View:
        """Begin to show."""
        ...

    def __exit__(self, *exc_info: object) -> None:
        """Leave the screen as it should stay."""


def view_for(
    stream: TextIO | None = None, *, quiet: bool = False, live: bool = True, clean: Callable[[str], str] = str
) -> View:
    """Return the view that fits where the text goes: live at a terminal, plain lines elsewhere or if quiet.

    `live` False gives plain lines everywhere; `clean` makes text fit for a terminal.
    """
    stream = stream or sys.stderr
    if not quiet and live and stream.isatty():
        from wanrun.progress.live import LiveView, console_on  # here, since it takes long to load

        console = console_on(stream)
        if console.is_terminal and not console.is_dumb_terminal:
            return LiveView(console, clean=clean)
    return PlainLines(stream, quiet=quiet, clean=clean)
