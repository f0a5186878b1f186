"""In virtual time: how few calls wanrun needs on the account as it is, and how long a place there is idle."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import trio
from trio.testing import MockClock

from benchmarks.account import KEY
from benchmarks.contenders import spec
from wanrun import api
from wanrun.emulator import Account, account_transport, virtual_clock
from wanrun.engine.world import World

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.sizes import Size

PLACES = 5  #: tasks that the account runs at once


def measure(size: Size, folder: Path) -> dict[str, Any]:
    """Return what a run of tasks of a minute asked for, and how idle the account was with uneven tasks."""
    even = simulated(folder / "even", jobs=size.virtual_jobs, seconds=60.0)
    uneven = simulated(folder / "uneven", jobs=size.uneven_jobs, seconds=None)
    return {"minute_tasks": even, "uneven_tasks": uneven}


def simulated(folder: Path, *, jobs: int, seconds: float | None) -> dict[str, Any]:
    """Run wanrun, with its default limits, against an account in memory; None gives tasks of 60 to 300 s by chance."""
    (folder / ".wanrun").mkdir(parents=True)
    batch = folder / "batch.yaml"
    batch.write_text(spec(jobs, video="https://example.com/clip.mp4"))

    async def main() -> dict[str, Any]:
        account = Account(clock=virtual_clock(), seconds=seconds, seed=1)
        outcome = await api.run_async(
            [batch],
            api.Setup(folder=folder, environ={"DASHSCOPE_API_KEY": KEY}),
            world=World(now=account.clock, random=random.Random(1), to_thread=_inline, apart=_apart),
            transport=account_transport(account),
        )
        ended = sum(job.state == "done" for job in outcome.jobs)
        return {"jobs": jobs, "ended": ended} | _figures(account)

    return trio.run(main, clock=MockClock(autojump_threshold=0))


async def _inline(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Stand in for a thread, which would not hold a virtual clock back."""
    await trio.lowlevel.checkpoint()
    return function(*args, **kwargs)


async def _apart(function: Callable[[], Any], /, spare_seconds: float, *, is_plain: bool = False) -> Any:
    """Stand in for a thread with a loop of its own."""
    return await function()


def _figures(account: Account) -> dict[str, Any]:
    calls = {kind: sum(by.values()) for kind, by in account.calls.items()}
    return {
        "calls": dict(sorted(calls.items())),
        "throttled": sum(by[429] for by in account.calls.values()),
        "virtual_seconds": round(trio.current_time(), 1),
        "idle_share": round(idle_share(account), 6),
    }


def idle_share(account: Account) -> float:
    """Return which part of its places' time the account had nothing to do while jobs still waited.

    Jobs wait from the first create until the last task begins.
    """
    tasks = [(task.scheduled_at, task.ended_at) for task in account.tasks.values()]
    first = min(task.created_at for task in account.tasks.values())
    last = max(began for began, _ in tasks if began is not None)
    busy = sum(min(ended, last) - began for began, ended in tasks if began is not None and ended is not None)
    return 1 - busy / (PLACES * (last - first)) if last > first else 0.0
