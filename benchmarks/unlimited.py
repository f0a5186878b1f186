"""Jobs of 5 s, 50 at once, on an account without limits: what the programs themselves cost."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.account import ROOMY
from benchmarks.contenders import SDKS, Jobs, run, wanrun

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.sizes import Size

SERVICE: dict[str, Any] = {"limits": ROOMY, "queue_seconds": 0.0, "speed": 1.0}
CONTENDERS = (wanrun(creates_per_second=1_000, queries_per_second=1_000), *SDKS)


def measure(size: Size, folder: Path) -> dict[str, Any]:
    """Return the rounds with the usual count, one after the other; what one job costs; and a batch five times as large.

    The large batch is for memory and calls: there the contenders run side by side, each on an account of its own.
    """
    settings = SERVICE | {"seconds": size.task_seconds}
    rounds = [
        [run(each, Jobs(size.jobs), folder / f"round-{number}", **settings) for each in CONTENDERS]
        for number in range(size.rounds)
    ]
    alone = [run(each, Jobs(1), folder / "one", **SERVICE, seconds=0.0) for each in CONTENDERS]
    large = partial(run, jobs=Jobs(size.many_jobs), folder=folder / "many", **settings)
    with ThreadPoolExecutor(len(CONTENDERS)) as threads:
        many = list(threads.map(large, CONTENDERS))
    return {"task_seconds": size.task_seconds, "at_once": Jobs(0).at_once, "rounds": rounds, "one": alone, "many": many}
