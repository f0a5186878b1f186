"""Cancels a call at one of its awaits, whichever of its children waits there, and sees what it makes of that."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import trio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator

T = TypeVar("T")

#: For tests that cancel: libraries warn of what they could not tidy up, which is not what is tested.
LEFTOVERS = ("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")

DEADLINE_SECONDS = 60.0  #: what takes longer hangs
EVERY_AWAIT = 60  #: up to here; behind it, fewer and fewer
GROWTH = 1.15


@dataclass(frozen=True, slots=True)
class Ended(Generic[T]):
    """How a call ended."""

    step: int  #: the await at which it was to be cancelled
    reached: bool  #: it came so far; else it had ended before
    cancelled: bool  #: and gave way
    swallowed: bool  #: it was told, and ended as if it had not been
    value: T | None = None
    error: Exception | None = None


def awaits() -> Iterator[int]:
    """Yield the numbers of awaits to cancel at: 0, before it begins, then each one, later ever fewer."""
    yield from range(EVERY_AWAIT)
    step = float(EVERY_AWAIT)
    while True:
        yield int(step)
        step *= GROWTH


def cancel_at(step: int, call: Callable[[], Awaitable[T]]) -> Ended[T]:
    """Run a call in an event loop of its own and cancel it when it waits for the `step`th time."""
    return trio.run(partial(_cancel_at, step, call))


def finish(call: Callable[[], Awaitable[T]]) -> T:
    """Run a call in an event loop of its own to its end; what it raises is raised, and hanging is a `TooSlowError`."""

    async def run() -> T:
        with trio.fail_after(DEADLINE_SECONDS):
            return await call()

    return trio.run(run)


async def _cancel_at(step: int, call: Callable[[], Awaitable[T]]) -> Ended[T]:
    value, error = None, None
    with trio.CancelScope(deadline=trio.current_time() + DEADLINE_SECONDS) as patience, trio.CancelScope() as scope:
        counter, watched = _Counter(step, scope), _Watched(_as_coroutine(call), scope)
        trio.lowlevel.add_instrument(counter)
        try:
            value = await watched
        except Exception as exc:
            error = exc
        finally:
            trio.lowlevel.remove_instrument(counter)
    if patience.cancelled_caught:
        raise trio.TooSlowError(f"it did not end within {DEADLINE_SECONDS:.0f} s")
    swallowed = watched.was_told and not scope.cancelled_caught
    return Ended(step, counter.reached, scope.cancelled_caught, swallowed, value, error)


async def _as_coroutine(call: Callable[[], Awaitable[T]]) -> T:
    return await call()


class _Counter(trio.abc.Instrument):
    """Counts how often the running task and its children wait, and cancels at one of these times."""

    def __init__(self, step: int, scope: trio.CancelScope) -> None:
        self.reached = step == 0
        self._left, self._scope, self._top = step, scope, trio.lowlevel.current_task()
        if self.reached:
            scope.cancel()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """Count a wait; the task can be cancelled in it already."""
        if self.reached or not self._is_of_call(task):
            return
        self._left -= 1
        if self._left == 0:
            self.reached = True
            self._scope.cancel()

    def _is_of_call(self, task: trio.lowlevel.Task) -> bool:
        above: trio.lowlevel.Task | None = task
        while above is not None and above is not self._top:
            above = above.parent_nursery.parent_task if above.parent_nursery is not None else None
        return above is not None


class _Watched(Generic[T]):
    """Awaits a coroutine, and notes when it is told that a scope around it is cancelled."""

    def __init__(self, coroutine: Coroutine[Any, Any, T], scope: trio.CancelScope) -> None:
        self._coroutine, self._scope = coroutine, scope
        self.was_told = False

    def __await__(self) -> Generator[Any, Any, T]:
        sent: Any = None
        try:
            while True:
                try:
                    yielded = self._coroutine.send(sent)
                except StopIteration as stop:
                    result: T = stop.value
                    return result
                sent = yield yielded
                self.was_told |= isinstance(getattr(sent, "error", None), trio.Cancelled) and self._is_meant()
        finally:
            self._coroutine.close()

    def _is_meant(self) -> bool:
        """Say whether the cancellation is that of the scope: before that, and behind a shield, it is of one inside.

        trio says so nowhere else; where it does not have what is read here, nothing counts as told.
        """
        status = getattr(trio.lowlevel.current_task(), "_cancel_status", None)
        while status is not None:
            scope = getattr(status, "_scope", None)
            if scope is None or scope is self._scope:
                return scope is not None and self._scope.cancel_called
            if scope.shield:
                return False
            status = getattr(status, "_parent", None)
        return False
