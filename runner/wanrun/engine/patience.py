"""Making one call again while the service throttles or does not answer, until patience is over.

Our own loop of a dozen lines, because the libraries for it read the real clock and a global source of randomness,
and the engine must be able to live through hours in virtual time. Never used around a create: see `submit`.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Protocol, TypeVar

import trio

from wanrun.errors import ServiceError, Throttled, Unavailable
from wanrun.events import EventName

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from wanrun.engine.work import Lane
    from wanrun.engine.world import World
    from wanrun.limits import RateLimiter
    from wanrun.types import JSON

T = TypeVar("T")

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0


class Teller(Protocol):
    """Tells whoever listens what is waited for; a run's `Work` is one."""

    @property
    def world(self) -> World:
        """The randomness that pauses take."""
        ...

    def emit(self, name: EventName, /, **data: JSON) -> None:
        """Tell one event."""
        ...


class Patience:
    """How long one call has been tried in vain, and what to do about the next failure."""

    def __init__(self, work: Teller, lane: Lane, limiter: RateLimiter | None, what: str) -> None:
        self._work, self._limiter, self._what = work, limiter, what
        self.since = trio.current_time()
        self._until = self.since + lane.provider.patience_seconds
        self._tries = 0

    async def wait_after(self, exc: Throttled | Unavailable) -> None:
        """Wait as long as the failure calls for; raises it again when patience is over."""
        pause_seconds = self.pause_after(exc)
        if pause_seconds is None:
            raise exc
        if not self._holds_limiter(exc):
            await trio.sleep(pause_seconds)

    def pause_after(self, exc: ServiceError, *, tries_at_least: int = 0) -> float | None:
        """Return how many seconds to wait after a failure, None when patience is over; tells the observers.

        A throttling answer slows down everybody who uses the same limiter.
        """
        self._tries += 1
        pause_seconds = self._pause(exc)
        enough = self._tries >= tries_at_least or pause_seconds > LONGEST_PAUSE_SECONDS
        if enough and trio.current_time() + pause_seconds > self._until:
            return None
        self._work.emit(EventName.WAITING, what=self._what, reason=str(exc), seconds=round(pause_seconds, 1))
        if self._limiter is not None and self._holds_limiter(exc):
            self._limiter.slow_down(pause_seconds)
        return pause_seconds

    def _holds_limiter(self, exc: ServiceError) -> bool:
        return isinstance(exc, Throttled) and self._limiter is not None

    def _pause(self, exc: ServiceError) -> float:
        if isinstance(exc, Throttled) and exc.retry_after_seconds is not None:
            return max(exc.retry_after_seconds, FIRST_PAUSE_SECONDS)
        longest = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(self._tries - 1, 10))
        return longest * self._work.world.random.uniform(0.5, 1.0)


async def patiently(
    call: Callable[[], Awaitable[T]], *, work: Teller, lane: Lane, limiter: RateLimiter | None, what: str
) -> T:
    """Make a call, and again while `Throttled` or `Unavailable` comes back; raises the last one past patience."""
    patience = Patience(work, lane, limiter, what)
    while True:
        try:
            async with limiter.call() if limiter is not None else nullcontext():
                return await call()
        except (Throttled, Unavailable) as exc:
            await patience.wait_after(exc)
