"""Leaving before all is done, on purpose: at a given time, or as soon as the places in flight are full.

Nothing is cancelled. What is paid for and has ended is brought home; what is in flight goes on at the service, and
the next run collects it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from wanrun.errors import ExitCode
from wanrun.ledger import AttemptState
from wanrun.types import Action

if TYPE_CHECKING:
    from wanrun.engine.work import Lane, OpenJob, Work

GAPS = 3  #: between looks at the list, that settling takes at most where the list shows what it needs
DOUBT_SECONDS = 1  #: between two looks whether all that was unsure is settled
GRACE_SECONDS = 60  #: for the fetches and deliveries that are under way when the time is over


async def leave_in_time(work: Work) -> None:
    """Leave at `work.leave_at`; never returns, but stops the run if the grace is not enough."""
    await trio.sleep_until(work.leave_at)
    words = "the time of --max-wait is over; nothing is cancelled, and the next run collects what is in flight"
    if _unfinished(work):
        work.stop.submissions(words, ExitCode.UNFINISHED)
    with trio.move_on_after(GRACE_SECONDS):
        await _leave(work)
        await trio.sleep_forever()  # the run is over as soon as what is under way is
    work.stop.hurry(ExitCode.UNFINISHED)
    work.stop.now(words, ExitCode.UNFINISHED)


async def leave_when_full(work: Work) -> None:
    """Look at what is in flight, which may make room; fill the places there, and leave.

    What earlier runs left unsure is settled first, or runs that do not wait would never settle it.
    """
    for lane in work.lanes.values():
        await lane.looked.wait()
        settling = lane.provider.settle_seconds + GAPS * lane.provider.scan_gap_seconds
        with trio.move_on_after(settling):  # what has to wait for somebody's task to end is left as it is
            while work.open and lane.doubts.open and not lane.doubts.given_up:  # noqa: ASYNC110  # until a doubt ends
                await trio.sleep(DOUBT_SECONDS)
    for job in _fitting(work):
        work.to_prepare.send_nowait(job)
    work.to_prepare.close()
    await work.submitted.wait()
    if left := _unfinished(work):
        flying, unsure = len(left & work.flying()), len(left & _unsure(work))
        doubts = f"{unsure} unsure, " if unsure else ""
        words = f"{flying} in flight, {doubts}{len(left) - flying - unsure} not submitted"
        words = f"not waiting (--no-wait): {words}"
        work.stop.note(words, ExitCode.UNFINISHED)
    await _leave(work)


async def _leave(work: Work) -> None:
    """Leave every job without a result to another run, once no create awaits its reply and nothing is watched."""
    await work.submitted.wait()
    work.stop.watching.cancel()
    await work.watched.wait()
    for job in [work.open[entry] for entry in _unfinished(work)]:
        work.settle(job)


def _unfinished(work: Work) -> set[int]:
    """Return the open entries whose result is not ours yet, nor on its way from the service."""
    return set(work.waiting_for_submission(list(work.open.values()), set()))


def _unsure(work: Work) -> set[int]:
    return {attempt.entry for attempt in work.ledger.attempts_in(AttemptState.UNSURE, set(work.open))}


def _fitting(work: Work) -> list[OpenJob]:
    """Return the jobs to submit that places are free for, in the order of the specs."""
    fitting: list[OpenJob] = []
    room = {name: _room(work, lane) for name, lane in work.lanes.items()}
    for job in work.jobs:
        if job.entry in work.open and _is_new(job) and room[job.provider] > 0 and work.chains.is_ready(job):
            room[job.provider] -= 1
            fitting.append(job)
    return fitting if work.stop.is_submitting else []


def _room(work: Work, lane: Lane) -> int:
    """Return how many places are free at one provider, less those of jobs that are resumed and may need one."""
    resumed = [job for job in work.open.values() if job.provider == lane.provider.name and not _is_new(job)]
    coming = work.waiting_for_submission(resumed, work.flying())
    return lane.provider.limits.tasks_in_flight - len(lane.in_flight) - len(coming)


def _is_new(job: OpenJob) -> bool:
    return job.planned is not None and job.planned.action is Action.SUBMIT
