"""The service's rates as they are: five creates and 20 queries a second. What arrives, what is lost?"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from benchmarks.account import ROOMY
from benchmarks.contenders import SDKS, Contender, Jobs, run, wanrun

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.sizes import Size

#: Places for all, as a large account has, so that the rates alone are met; the five places are met in `pace`.
RATES = ROOMY | {"creates_per_second": 5, "queries_per_second": 20}
#: Of the account's 20, since tasks of 5 s end far more often than those that wanrun's own 2 are for.
QUERIES_PER_SECOND = 18.0
MINUTE_SECONDS, QUICK_SECONDS = 60.0, 1.0


def measure(size: Size, folder: Path) -> dict[str, Any]:
    """Return how the contenders fare: wanrun, the SDK as documented, and the SDK with patience written around it.

    The SDK's programs run side by side, each on an account of its own, since they mostly wait; beside them the SDK is
    watched waiting for tasks of a minute, on accounts without limits.
    """
    jobs, patient, sdks = Jobs(size.jobs), Jobs(size.jobs, patient=True), SDKS[: size.sdks]
    rates = {"limits": RATES, "seconds": size.task_seconds, "queue_seconds": 0.0, "speed": 1.0}
    minute = rates | {"limits": ROOMY, "seconds": MINUTE_SECONDS if size.real_minutes else QUICK_SECONDS}
    ours = run(wanrun(queries_per_second=QUERIES_PER_SECOND), jobs, folder, **rates)
    programs = [(each, jobs, folder / "plain", rates) for each in sdks]
    programs += [(each, Jobs(size.watched_jobs), folder / "minute", minute) for each in sdks]
    told = side_by_side(programs)
    by_hand = side_by_side([(each, patient, folder / "patient", rates) for each in sdks])
    plain, looks = told[: len(sdks)], told[len(sdks) :]
    setting = {"task_seconds": size.task_seconds, "at_once": jobs.at_once, "rates": RATES}
    return setting | {"wanrun": ours, "plain": plain, "patient": by_hand, "minute_tasks": looks}


def side_by_side(programs: Sequence[tuple[Contender, Jobs, Path, dict[str, Any]]]) -> list[dict[str, Any]]:
    """Run contenders at the same time, each on an account of its own; return what each took."""

    def one(program: tuple[Contender, Jobs, Path, dict[str, Any]]) -> dict[str, Any]:
        contender, jobs, folder, settings = program
        return run(contender, jobs, folder, **settings)

    with ThreadPoolExecutor(len(programs)) as threads:
        return list(threads.map(one, programs))
