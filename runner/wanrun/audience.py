"""Who hears the events of a run: our own listeners, and the observers of plugins, none of which can end a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from wanrun.events import Event


class Audience:
    """Passes each event on, in order; a plugin's observer that raises is reported once and hears no more."""

    def __init__(
        self,
        own: Iterable[Callable[[Event], None]],
        observers: Iterable[Callable[[Event], None]],
        *,
        say: Callable[[str], None],
    ) -> None:
        self._own, self._observers, self._say = list(own), list(observers), say

    def hear(self, event: Event) -> None:
        """Tell everybody of one event."""
        for listener in self._own:
            listener(event)
        for observer in list(self._observers):
            try:
                observer(event)
            except Exception as exc:  # a plugin's bug must not cost a run that is being paid for
                self._observers.remove(observer)
                self._say(f"the observer {_name(observer)} broke down and hears no more: {type(exc).__name__}: {exc}")


def _name(observer: Callable[[Event], None]) -> str:
    kind = type(observer)
    return str(getattr(observer, "__qualname__", f"{kind.__module__}.{kind.__qualname__}"))
