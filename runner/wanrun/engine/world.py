"""What the engine takes from outside and never looks up itself: wall clock, randomness, threads.

The monotonic clock is trio's, which a test can make virtual; these three are passed in for the same reason.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, ParamSpec, Protocol, TypeVar

import trio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

P = ParamSpec("P")
T = TypeVar("T")


class ToThread(Protocol):
    """Runs a blocking function outside the event loop."""

    async def __call__(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what the function returns."""
        ...


async def run_in_thread(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a blocking function in a worker thread; a cancelled caller waits for it, so nothing is left half done."""
    return await trio.to_thread.run_sync(partial(function, *args, **kwargs))


class Apart(Protocol):
    """Runs an async function that may be in nobody's way."""

    async def __call__(self, function: Callable[[], Awaitable[T]], /) -> T:
        """Return what the function returns."""
        ...


async def run_apart(function: Callable[[], Awaitable[T]], /) -> T:
    """Run an async function in a thread with an event loop of its own; a cancelled caller leaves it to itself.

    For foreign code that shares nothing with the engine: whatever it does, even blocking, stays in its thread.
    """
    in_thread = partial(trio.run, function)
    one = trio.CapacityLimiter(1)  # one that never ends takes no place from others
    return await trio.to_thread.run_sync(in_thread, abandon_on_cancel=True, limiter=one)


@dataclass(frozen=True, slots=True)
class World:
    """Wall clock in epoch seconds, a source of randomness, and the runners of threads."""

    now: Callable[[], float] = time.time
    random: random.Random = field(default_factory=random.SystemRandom)
    to_thread: ToThread = run_in_thread
    apart: Apart = run_apart
