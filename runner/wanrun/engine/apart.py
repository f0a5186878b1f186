"""Event loops in threads of their own, for code that may be in nobody's way: whatever it does, it is done there.

A loop that has given an answer is kept for a while, since a new one takes half a millisecond. One whose work does not
end though it is cancelled is left alone, with all that it holds open: nothing that a thread of it still writes to is
closed.
"""

from __future__ import annotations

import math
import os
from contextlib import asynccontextmanager, suppress
from functools import partial
from threading import Thread
from typing import TYPE_CHECKING, Generic, TypeVar

import trio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from outcome import Outcome

T = TypeVar("T")

IDLE_SECONDS = 60  #: that a loop is kept for more work


class Waits(Exception):
    """What is said to be plain is to be awaited."""


class LeftAlone(Exception):
    """What was called has not come to an end, and nobody waits for it any more."""


async def run_apart(function: Callable[[], Awaitable[T]], /, spare_seconds: float, *, is_plain: bool = False) -> T:
    """Run an async function in a thread with an event loop of its own, for foreign code that shares nothing with us.

    A caller that is cancelled has it cancelled in its own loop, and takes what it still gives; raises `LeftAlone` when
    that is nothing in `spare_seconds`. One that is `plain` never waits, it only blocks: that needs no loop.
    """
    if is_plain:
        return await _run_plain(function, spare_seconds)
    loop = _idle_loop() or await _new_loop()
    try:
        answer = await loop.run(function, spare_seconds=spare_seconds)
    except BaseException:
        loop.retire()  # what such a call leaves behind is to be in nobody's way either
        raise
    _idle.append(loop)
    return answer


async def _run_plain(function: Callable[[], Awaitable[T]], spare_seconds: float) -> T:
    home, ended = trio.lowlevel.current_trio_token(), trio.Event()
    outcomes: list[Outcome[T]] = []

    def end(outcome: Outcome[T]) -> None:
        outcomes.append(outcome)
        with suppress(trio.RunFinishedError):
            home.run_sync_soon(ended.set)

    trio.lowlevel.start_thread_soon(partial(_driven, function), end, "wanrun apart")
    try:
        await ended.wait()
    except trio.Cancelled:
        with trio.move_on_after(spare_seconds, shield=True):
            await ended.wait()
    if not outcomes:
        raise LeftAlone
    return outcomes[0].unwrap()


def _driven(function: Callable[[], Awaitable[T]]) -> T:
    """Return what an async function returns that never waits; raises `Waits` for one that does."""
    steps = function().__await__()
    try:
        next(steps)
    except StopIteration as end:
        answer: T = end.value
        return answer
    except Exception:
        raise
    except BaseException as exc:  # such as what only a person at a keyboard may raise
        raise LeftAlone from exc
    raise Waits


class Loop:
    """An event loop in which tasks of other loops have functions run."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._token, self._nursery = trio.lowlevel.current_trio_token(), nursery
        self.is_closed = False

    async def run(self, function: Callable[[], Awaitable[T]], *, spare_seconds: float = math.inf) -> T:
        """Return what a function returns in this loop. Otherwise as `run_apart`."""
        call = _Call(function)
        try:
            self._token.run_sync_soon(self._start, call)
        except trio.RunFinishedError:
            raise LeftAlone from None
        try:
            await call.ended.wait()
        except trio.Cancelled:
            self._tell(call.scope.cancel)
            with trio.move_on_after(spare_seconds, shield=True):
                await call.ended.wait()
            if call.scope.cancelled_caught:
                raise
        return call.outcome()

    async def lend(self, function: Callable[[], Awaitable[T]]) -> T:
        """As `run`, for what the engine does on behalf of code that it has called and may no longer wait for."""
        if trio.lowlevel.current_trio_token() is self._token:  # in simulations, where all is one loop
            return await function()
        try:
            return await self.run(function)
        except LeftAlone:
            await trio.sleep_forever()  # the engine has ended it, and its caller's own end is on the way

    def close(self) -> None:
        """Start nothing more, and cancel what runs."""
        self.is_closed = True
        self._nursery.cancel_scope.cancel()

    def retire(self) -> None:
        """Close a loop of another thread, as soon as that listens."""
        self._tell(self.close)

    def _tell(self, function: Callable[..., object], *args: object) -> None:
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(function, *args)

    def _start(self, call: _Call[T]) -> None:
        if self.is_closed:
            call.end()
        else:
            self._nursery.start_soon(call.make)


class _Call(Generic[T]):
    def __init__(self, function: Callable[[], Awaitable[T]]) -> None:
        self._function, self._home = function, trio.lowlevel.current_trio_token()
        self.scope, self.ended = trio.CancelScope(), trio.Event()
        self._answers: list[T] = []
        self._error: Exception | None = None

    async def make(self) -> None:
        try:
            with self.scope:
                self._answers.append(await self._function())
        except Exception as exc:  # it is raised where the call comes from
            self._error = exc
        finally:
            self.end()

    def end(self) -> None:
        with suppress(trio.RunFinishedError):
            self._home.run_sync_soon(self.ended.set)

    def outcome(self) -> T:
        if self._error is not None:
            raise self._error
        if not self._answers:  # it has not ended, or its loop has
            raise LeftAlone
        return self._answers[0]


@asynccontextmanager
async def lending() -> AsyncIterator[Loop]:
    """Offer the loop of this task to others; what runs for them at the end is cancelled."""
    async with trio.open_nursery() as nursery:
        loop = Loop(nursery)
        try:
            yield loop
        finally:
            loop.close()


_idle: list[Loop] = []  # whoever takes one out has it alone
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.clear)  # their threads are not there


def _idle_loop() -> Loop | None:
    while _idle:
        loop = _idle.pop()
        if not loop.is_closed:  # foreign code can have ended it
            return loop
    return None


async def _new_loop() -> Loop:
    home, born, loops = trio.lowlevel.current_trio_token(), trio.Event(), list[Loop]()

    def tell(loop: Loop) -> None:
        loops.append(loop)
        home.run_sync_soon(born.set)

    Thread(target=_live, args=(tell,), name="wanrun apart", daemon=True).start()
    with trio.CancelScope(shield=True):
        await born.wait()
    return loops[0]


def _live(tell: Callable[[Loop], None]) -> None:
    with suppress(BaseException):  # foreign code can end its loop; whoever called it hears that it never ended
        trio.run(_serve, tell)


async def _serve(tell: Callable[[Loop], None]) -> None:
    """Run what is asked for until there has been nothing to do for a while."""
    async with lending() as loop:
        tell(loop)
        while True:
            await trio.sleep(IDLE_SECONDS)
            with suppress(ValueError):  # not idle
                _idle.remove(loop)
                return
