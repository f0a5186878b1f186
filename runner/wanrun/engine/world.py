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

from wanrun.engine.apart import run_apart

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

    async def __call__(
        self, function: Callable[[], Awaitable[T]], /, spare_seconds: float, *, is_plain: bool = False
    ) -> T:
        """Return what the function returns. As `run_apart`."""
        ...


@dataclass(frozen=True, slots=True)
class World:
    """Wall clock in epoch seconds, a source of randomness, and the runners of threads."""

    now: Callable[[], float] = time.time
    random: random.Random = field(default_factory=random.SystemRandom)
    to_thread: ToThread = run_in_thread
    apart: Apart = run_apart
