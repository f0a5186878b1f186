"""Warning hours before a result dies at the service: it has been paid for, or will be."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import trio

from wanrun.events import EventName
from wanrun.ledger import FLYING

if TYPE_CHECKING:
    from wanrun.engine.work import OpenJob, Work
    from wanrun.ledger import Attempt

WARN_SECONDS = 4 * 3600  #: of a result's day that are left when it is first spoken of
LOOK_SECONDS = 600  #: between two looks at the ledger


async def warn_of_expiry(work: Work) -> None:
    """Tell of every result that has less than `WARN_SECONDS` left, once in this run; never returns."""
    told: set[int] = set()
    while True:
        for state in FLYING:
            for attempt in work.ledger.attempts_in(state, work.open):
                job = work.open[attempt.entry]
                now = work.lanes[job.provider].now(work.world)
                if attempt.id not in told and is_expiring(attempt, now):
                    told.add(attempt.id)
                    _tell(work, job, attempt, now)
        await trio.sleep(LOOK_SECONDS)


def is_expiring(attempt: Attempt, now: float) -> bool:
    """Say whether there is a result to fetch and not much time left for it."""
    return attempt.gone_at is not None and 0 < attempt.gone_at - now < WARN_SECONDS


def _tell(work: Work, job: OpenJob, attempt: Attempt, now: float) -> None:
    assert attempt.gone_at is not None
    work.emit(
        EventName.RESULT_EXPIRING,
        job,
        task=attempt.task_id,
        gone_at=datetime.fromtimestamp(attempt.gone_at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        seconds=round(attempt.gone_at - now),
    )
