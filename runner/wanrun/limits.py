"""How fast: an even spacing of calls on trio's clock, which a throttling answer can stretch."""

from __future__ import annotations

import math

import trio

SPACING = 1.1  #: times the interval that the rate itself would give


class RateLimiter:
    """Lets calls through evenly spaced at `per_second`, in the order they came.

    Even spacing, without bursts, and a tenth wider than asked: the service counts arrivals in any one second, and a
    little jitter on the way would put one too many inside it.
    """

    def __init__(self, per_second: float) -> None:
        if not per_second > 0:
            raise ValueError("per_second must be more than 0")
        self._interval_seconds = SPACING / per_second
        self._next_at = -math.inf
        self._turn = trio.Lock()  # trio's lock is fair: first come, first through

    async def wait(self) -> None:
        """Return when the next call may leave."""
        async with self._turn:
            await trio.lowlevel.checkpoint()
            while self._next_at > trio.current_time():  # noqa: ASYNC110  # it may be slowed down while we sleep
                await trio.sleep_until(self._next_at)
            self._next_at = trio.current_time() + self._interval_seconds

    def slow_down(self, seconds: float) -> None:
        """Let nothing through for `seconds` from now; a longer pause that is already on stays."""
        self._next_at = max(self._next_at, trio.current_time() + seconds)
