"""Calls of what plugins have built: each apart from the engine, in its time, and seldom once it hangs again and again.

A call that is overdue is cancelled. One that does not even end then is left alone, and what it was for is not tried
again in this run, or two of it could be under way.
"""

from __future__ import annotations

import math
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import trio

from wanrun.engine.apart import LeftAlone, Waits
from wanrun.errors import WanrunError
from wanrun.guards import said

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from wanrun.engine.world import World
    from wanrun.guards import Guarded

    Made = Guarded[Any]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

SPARE_SECONDS = 3.0  #: that a call has to end by itself once it is cancelled, such as a thread that writes a file
OVERDUE_AT_MOST = 3  #: calls in a row, before the plugin has a rest
REST_SECONDS = 60.0  #: at least, that it is not called then; else as long as one call may take


@dataclass(slots=True)
class CallContext:
    """What every call is lent: `hookspecs.DeliverContext`."""

    world: World

    async def to_thread(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        return await self.world.to_thread(function, *args, **kwargs)


class Overdue(WanrunError):
    """A plugin's call did not return in its time."""

    def __init__(self, message: str, *, is_left: bool) -> None:
        super().__init__(message)
        self.is_left = is_left  #: it may still be under way


class CallTime:
    """What one call may take; it stands still while the core works for the call."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.scope = trio.CancelScope(deadline=trio.current_time() + seconds)
        self._left_seconds, self._stops = seconds, 0

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Count no time in this block; to be entered in the engine's loop."""
        if not self._stops:
            self._left_seconds = self.scope.deadline - trio.current_time()
            self.scope.deadline = math.inf
        self._stops += 1
        try:
            yield
        finally:
            self._stops -= 1
            if not self._stops:
                self.scope.deadline = trio.current_time() + self._left_seconds


class Calls:
    """Makes the calls of one run."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._overdue: Counter[tuple[Made, str, str]] = Counter()  # calls in a row
        self._rests_until: dict[tuple[Made, str, str], float] = {}

    async def make(
        self,
        made: Made,
        method: str,
        function: Callable[[], Awaitable[T]],
        time: CallTime,
        *,
        to: str = "",
        spare_seconds: float = SPARE_SECONDS,
    ) -> T:
        """Return what a method of a plugin's object returns; `to`: the name of the sink that it is called for.

        Raises `Overdue` past its time, and `PluginError` for one that has hung again and again just now.
        """
        key, in_time = (made, method, to), f"{time.seconds:g} s"
        if trio.current_time() < self._rests_until.get(key, -math.inf):
            raise made.error(
                f"is not called for now: {OVERDUE_AT_MOST} calls of {method} in a row did not return in {in_time}"
            )
        is_left = False
        try:
            with time.scope:
                answer = await self._world.apart(function, spare_seconds, is_plain=made.is_plain(method))
        except LeftAlone:
            is_left = True
            if not time.scope.cancel_called:
                await trio.lowlevel.checkpoint()  # which is the end of it where the run stops
                raise made.error(f"ended its event loop in {method}") from None
        except Waits:
            raise made.error(f"gave something to be awaited for {method}; write it as async def") from None
        except Exception as exc:
            self._note(key, time, is_overdue=time.scope.cancel_called)
            if isinstance(exc, WanrunError):
                raise
            raise made.error(f"failed in {method}: {said(exc)}") from exc  # where its guard cannot see it
        is_overdue = is_left or time.scope.cancelled_caught
        self._note(key, time, is_overdue=is_overdue)
        if is_overdue:
            raise Overdue(str(made.error(f"did not return from {method} in {in_time}")), is_left=is_left)
        return answer

    def _note(self, key: tuple[Made, str, str], time: CallTime, *, is_overdue: bool) -> None:
        self._overdue[key] = self._overdue[key] + 1 if is_overdue else 0
        if self._overdue[key] >= OVERDUE_AT_MOST:
            self._rests_until[key] = trio.current_time() + max(REST_SECONDS, time.seconds)
