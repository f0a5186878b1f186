"""How fast: calls evenly spaced on trio's clock, never too many in any window, slowed down by a throttling answer."""

from __future__ import annotations

import math
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

ANSWER_SECONDS = 5.0  #: after which a call that has no answer yet is taken to have arrived


class _Call:
    """One call: when it left, and when its answer came."""

    def __init__(self) -> None:
        self.answered = trio.Event()
        self._arrived_by = trio.current_time() + ANSWER_SECONDS

    def answer(self) -> None:
        self._arrived_by = min(self._arrived_by, trio.current_time())
        self.answered.set()

    async def arrival(self) -> float:
        """Return a time by which the service had the call, once there is one."""
        if not self.answered.is_set():
            with trio.move_on_at(self._arrived_by):
                await self.answered.wait()
        return self._arrived_by


class RateLimiter:
    """Lets calls through evenly spaced at `per_second`, in the order they came.

    Even spacing alone is not enough: the service counts arrivals in any one second, and what is late on the way comes
    closer to what follows. So of five a second, the sixth call leaves a second after the first was answered.
    """

    def __init__(self, per_second: float) -> None:
        if not per_second > 0:
            raise ValueError("per_second must be more than 0")
        self._interval_seconds = 1 / per_second
        self._next_at = -math.inf
        self._latest: deque[_Call] = deque(maxlen=max(1, int(per_second)))
        self._turn = trio.Lock()  # trio's lock is fair: first come, first through

    @asynccontextmanager
    async def call(self) -> AsyncGenerator[None, None]:
        """Wait until the next call may leave; to be made inside, until its answer is there."""
        call = await self._leave()
        try:
            yield
        finally:
            call.answer()

    async def _leave(self) -> _Call:
        async with self._turn:
            await trio.lowlevel.checkpoint()
            while (at := max(self._next_at, await self._room_at())) > trio.current_time():  # noqa: ASYNC110
                await trio.sleep_until(at)  # it may be slowed down while we sleep
            self._next_at = trio.current_time() + self._interval_seconds
            call = _Call()
            self._latest.append(call)
            return call

    async def _room_at(self) -> float:
        """Return when a window that begins with the oldest of the latest calls is over."""
        count = self._latest.maxlen
        assert count is not None
        if len(self._latest) < count:
            return -math.inf
        return await self._latest[0].arrival() + count * self._interval_seconds

    def slow_down(self, seconds: float) -> None:
        """Let nothing through for `seconds` from now; a longer pause that is already on stays."""
        self._next_at = max(self._next_at, trio.current_time() + seconds)
