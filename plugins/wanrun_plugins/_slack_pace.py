"""How fast Slack is told things, over all threads of a process."""

from __future__ import annotations

import math
import time
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable

MESSAGE_SECONDS = 1.05  #: from one message to the next in a channel: Slack takes one a second


class Pace:
    """At most one message a second to each channel, from whichever thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._free_at: dict[Hashable, float] = {}  # on the clock that all threads share

    def take_turn(self, turn: Hashable) -> float:
        """Take a turn, such as that of a channel, if it is free, and return 0; else the seconds until it may be."""
        with self._lock:
            now = time.monotonic()
            wait = self._free_at.get(turn, -math.inf) - now
            if wait > 0:
                return wait
            self._free_at[turn] = now + MESSAGE_SECONDS
        return 0

    def answered(self, turn: Hashable) -> None:
        """Count the second from Slack's answer on, since what is late on its way comes closer to what follows."""
        with self._lock:
            self._free_at[turn] = time.monotonic() + MESSAGE_SECONDS
