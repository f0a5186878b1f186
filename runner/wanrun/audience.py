"""Who hears the events of a run: our own listeners, and the observers of plugins, none of which can end a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wanrun.errors import WanrunError

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
            except WanrunError as exc:  # as its guard words it: a plugin's bug must not cost a run that is paid for
                self._observers.remove(observer)
                self._say(f"{exc}; it hears no more of this run")
