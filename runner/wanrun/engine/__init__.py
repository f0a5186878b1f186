"""The engine: takes planned jobs from where they stand to their sinks. Knows no screen, no YAML, no plugin by name.

The stages run side by side in one nursery: prepare -> submit -> watch -> fetch -> deliver. Prepare hands to submit
through a bounded channel; from submit on, what a stage has done is in the ledger before the next one hears of it, so
a run that starts at any stage looks the same as one that got there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from wanrun.engine.deliver import deliver_artifacts
from wanrun.engine.expiring import warn_of_expiry
from wanrun.engine.fetch import fetch_results
from wanrun.engine.flushing import flush_ledger
from wanrun.engine.leaving import leave_in_time, leave_when_full
from wanrun.engine.notify import tell_meanwhile
from wanrun.engine.reconcile import settle_unsure
from wanrun.engine.submit import submit_jobs
from wanrun.engine.watch import watch_tasks

if TYPE_CHECKING:
    from wanrun.engine.work import Work

FETCHES_AT_ONCE = 4


async def run_jobs(work: Work) -> None:
    """Carry out all that is open, and return when nothing is left that this run can move.

    One job's failure is an entry in the ledger; what ends the whole run early is in `work.stop`. Raises
    `LedgerError` (in a group) when the ledger cannot be written.
    """
    async with trio.open_nursery() as nursery:
        work.stop.bind(nursery.cancel_scope)
        work.begin()
        nursery.start_soon(warn_of_expiry, work)
        nursery.start_soon(leave_in_time, work)
        nursery.start_soon(flush_ledger, work)
        nursery.start_soon(tell_meanwhile, work)
        await _run_stages(work)
        nursery.cancel_scope.cancel()
    work.ledger.flush()


async def _run_stages(work: Work) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_submit, work)
        nursery.start_soon(_watch, work)
        nursery.start_soon(fetch_results, work, FETCHES_AT_ONCE)
        nursery.start_soon(deliver_artifacts, work)
        if not work.waits:
            nursery.start_soon(leave_when_full, work)


async def _submit(work: Work) -> None:
    await submit_jobs(work)
    work.submitted.set()


async def _watch(work: Work) -> None:
    """Watch every lane until this run has nothing open, or leaves what is in flight to another one."""
    with work.stop.watching:
        async with trio.open_nursery() as nursery:
            for lane in work.lanes.values():
                nursery.start_soon(watch_tasks, work, lane)
                nursery.start_soon(settle_unsure, work, lane)
    work.watched.set()
