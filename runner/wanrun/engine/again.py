"""Another attempt for a job whose last one failed in passing: not billed, bounded, and never after an unsure one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wanrun.client import Verdict

if TYPE_CHECKING:
    from wanrun.engine.work import OpenJob, Work

ATTEMPTS_AGAIN = {Verdict.RETRY: 2, Verdict.ONCE: 1}  #: in the whole life of an entry


def is_due_again(work: Work, job: OpenJob, verdict: Verdict) -> bool:
    """Say whether a failure with this verdict calls for another attempt, counting those that were made."""
    return job.planned is not None and work.ledger.service_faults(job.entry) < ATTEMPTS_AGAIN.get(verdict, 0)


def make_again(work: Work, job: OpenJob) -> None:
    """Put a job before the first stage again, or leave it to another run when this one submits nothing more."""
    if work.stop.is_submitting:
        work.to_prepare.send_nowait(job)
    else:
        work.settle(job)
