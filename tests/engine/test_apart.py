"""Functions run apart: what they give comes back, what they do stays there, and nobody waits for what never ends."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest
import trio

from wanrun.engine.apart import LeftAlone, Loop, lending, run_apart

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

SPARE_SECONDS = 0.05


async def apart(function: Callable[[], Awaitable[object]]) -> object:
    """Run it apart, with little patience."""
    return await run_apart(function, SPARE_SECONDS)


async def where() -> int:
    """Return the thread that this runs in."""
    return threading.get_ident()


async def test_it_runs_in_a_thread_that_is_used_again() -> None:
    """One thread is enough for what comes one after the other; it is not ours."""
    threads = {await apart(where) for _ in range(3)}

    assert len(threads) == 1
    assert threads != {threading.get_ident()}


async def test_an_error_comes_back_as_it_is() -> None:
    """Whoever called hears of it as if it had been done here."""

    async def fail() -> None:
        raise ZeroDivisionError("by 0")

    with pytest.raises(ZeroDivisionError, match="by 0"):
        await apart(fail)


async def wait_for_ever() -> None:
    """Await what never comes."""
    await trio.sleep_forever()


async def block_a_thread() -> None:
    """Wait for a thread that takes long."""
    await trio.to_thread.run_sync(time.sleep, 30)


async def block_the_loop() -> None:
    """Let nothing else run."""
    time.sleep(30)  # noqa: ASYNC251  # what a plugin must not do


async def be_stubborn() -> None:
    """Hear nothing of being cancelled."""
    with trio.CancelScope(shield=True):
        await trio.sleep(30)


@pytest.mark.parametrize("hang", [wait_for_ever, block_a_thread, block_the_loop, be_stubborn])
async def test_a_cancelled_caller_goes_on_soon(hang: Callable[[], Awaitable[None]]) -> None:
    """Whatever the function does; what does not end is left alone, and the next one has another thread."""
    began, left = time.monotonic(), False

    with trio.move_on_after(0.1) as in_time:
        try:
            await apart(hang)
        except LeftAlone:
            left = True

    assert time.monotonic() - began < 2
    assert left is (hang is not wait_for_ever)
    assert in_time.cancelled_caught is not left
    assert isinstance(await apart(where), int)


async def test_what_still_comes_is_taken() -> None:
    """A thread that writes a file when the run ends has a second to get it done, and its receipt counts."""

    async def write() -> str:
        await trio.to_thread.run_sync(time.sleep, 0.2)
        return "written"

    with trio.move_on_after(0.1) as in_time:
        receipt = await run_apart(write, 5)

    assert (receipt, in_time.cancelled_caught) == ("written", False)


async def test_one_that_ends_its_own_loop_is_left_alone() -> None:
    """Its caller does not wait for what can never come, and nothing is printed."""

    async def fail() -> None:
        raise ZeroDivisionError

    async def end_the_loop() -> None:
        trio.lowlevel.spawn_system_task(fail)
        await trio.sleep_forever()

    with trio.fail_after(5), pytest.raises(LeftAlone):
        await apart(end_the_loop)


# What is done here for those who are apart


async def lent(home: Loop, function: Callable[[], Awaitable[object]]) -> object:
    """Run a function here that is asked for apart."""
    return await apart(lambda: home.lend(function))


async def test_what_is_lent_runs_here() -> None:
    """And what it raises is raised there."""

    async def fail() -> None:
        raise ZeroDivisionError

    async with lending() as home:
        thread = await lent(home, where)
        with pytest.raises(ZeroDivisionError):
            await lent(home, fail)

    assert thread == threading.get_ident()


async def test_who_is_cancelled_apart_ends_what_is_lent() -> None:
    """An upload for a call that is given up does not go on."""
    ended = trio.Event()

    async def upload() -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.set()

    async with lending() as home:
        with trio.move_on_after(0.1) as in_time:
            await lent(home, upload)

        assert in_time.cancelled_caught
        assert ended.is_set()


async def test_nothing_is_lent_to_those_who_were_left_alone() -> None:
    """They ask for it when the run has long gone on, or is over; nothing happens."""
    done: list[int] = []
    asked = threading.Event()

    async def note() -> None:
        done.append(1)

    async def ask_too_late() -> None:
        time.sleep(0.3)  # noqa: ASYNC251  # what a plugin must not do
        asked.set()
        await home.lend(note)

    async with lending() as home:
        with pytest.raises(LeftAlone), trio.move_on_after(0.05):
            await apart(ask_too_late)
    await trio.to_thread.run_sync(asked.wait)
    await trio.sleep(0.05)

    assert done == []
