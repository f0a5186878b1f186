"""Another attempt for a job whose last one failed in passing: not billed, bounded, and never after an unsure one.

What bounds them is counted in the ledger, by entry: neither a crash, nor another run, nor a new address of the job
begins a new count; a job that has changed is another one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from wanrun.client import Verdict

if TYPE_CHECKING:
    from wanrun.engine.work import OpenJob, Work

ONCE = 1  #: another attempt after what may pass at a second try, unless the spec wants none at all


def is_due_again(work: Work, job: OpenJob, verdict: Verdict) -> bool:
    """Say whether a failure with this verdict calls for another attempt, counting those that were made."""
    if job.planned is None or verdict not in (Verdict.RETRY, Verdict.ONCE):
        return False
    allowed = job.planned.job.retries.service_fault
    return work.ledger.service_faults(job.entry) < (allowed if verdict is Verdict.RETRY else min(allowed, ONCE))


def make_again(work: Work, job: OpenJob) -> None:
    """Put a job before the first stage again, or leave it to another run when this one submits nothing more."""
    if not work.stop.is_submitting:
        work.settle(job)
        return
    try:
        work.to_prepare.send_nowait(job)
    except trio.ClosedResourceError:  # all that this run would submit is on its way
        work.settle(job)
