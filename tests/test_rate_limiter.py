"""The rate limiter keeps what the service counts: arrivals in any one second, however long calls are on their way."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
import trio

from wanrun.limits import ANSWER_SECONDS, RateLimiter

if TYPE_CHECKING:
    from trio.testing import MockClock


async def arrivals(limiter: RateLimiter, calls: int, *, seed: int, longest_seconds: float) -> list[float]:
    """Make calls that are on their way for a while by chance; return when each arrived."""
    chance, arrived = random.Random(seed), []

    async def call() -> None:
        there, back = chance.uniform(0, longest_seconds), chance.uniform(0, longest_seconds)
        async with limiter.call():
            await trio.sleep(there)
            arrived.append(trio.current_time())
            await trio.sleep(back)

    async with trio.open_nursery() as nursery:
        for _ in range(calls):
            nursery.start_soon(call)
    return sorted(arrived)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("per_second", [2, 5, 20])
async def test_no_second_sees_more_arrivals_than_allowed(autojump_clock: MockClock, per_second: int, seed: int) -> None:
    """Of calls that take up to two seconds, each way by chance, no window of a second has one too many."""
    arrived = await arrivals(RateLimiter(per_second), 100, seed=seed, longest_seconds=1.0)

    assert all(later - earlier > 1 for earlier, later in zip(arrived, arrived[per_second:], strict=False))


async def test_quick_calls_go_at_nearly_the_rate(autojump_clock: MockClock) -> None:
    """With answers after 20 ms, 101 calls at five a second take little more than 20 seconds."""
    arrived = await arrivals(RateLimiter(5), 101, seed=1, longest_seconds=0.02)

    assert arrived[-1] < 1.05 * 20


async def test_calls_without_an_answer_hold_the_others_up_for_a_while_only(autojump_clock: MockClock) -> None:
    """A call that hangs for a minute is taken to have arrived after some seconds."""
    limiter = RateLimiter(2)

    async def hang() -> None:
        async with limiter.call():
            await trio.sleep(60)

    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(hang)
        await trio.sleep(1)
        async with limiter.call():
            assert trio.current_time() <= ANSWER_SECONDS + 1
        nursery.cancel_scope.cancel()


async def test_a_pause_holds_for_all_that_wait(autojump_clock: MockClock) -> None:
    """Slowed down while a call waits, the limiter lets it go only after the pause."""
    limiter = RateLimiter(1)
    left = []

    async def call() -> None:
        async with limiter.call():
            left.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(call)
        nursery.start_soon(call)
        await trio.sleep(0.5)
        limiter.slow_down(10)
    assert left == [0, 10.5]


def test_a_rate_of_nothing_is_refused() -> None:
    """Zero and less would wait for ever."""
    with pytest.raises(ValueError, match="more than 0"):
        RateLimiter(0)
