"""Submit: make one task for every prepared job, as fast as the account allows and never twice.

The intention is on disk before the POST leaves, the answer before anything else happens. What was surely not sent or
surely refused is tried again or failed by family; everything else makes the attempt unsure, which is for reconciling.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import trio

from wanrun.changes import facts_of_job
from wanrun.client import create_body, failed_task_verdict
from wanrun.engine.again import is_due_again, make_again
from wanrun.engine.apart import lending
from wanrun.engine.evidence import asked_of
from wanrun.engine.patience import Patience
from wanrun.engine.prepare import Prepared, Preparer
from wanrun.engine.stop import stop_code
from wanrun.errors import (
    ExitCode,
    JobRefused,
    KeyRefused,
    LedgerError,
    ServiceError,
    SourceError,
    Throttled,
    Unavailable,
    Unsure,
)
from wanrun.events import EventName
from wanrun.fingerprint import prompt_key
from wanrun.occupied import check_places

if TYPE_CHECKING:
    from wanrun.client import Created
    from wanrun.engine.work import Lane, OpenJob, Work

PREPARED_AT_MOST = 8  #: jobs between prepare and their create; each may hold a body of several megabytes
OVERTAKEN_AFTER_SECONDS = 30.0  #: that a job's preparation may take before those behind it overtake it
LATE_AT_MOST = 64  #: that lend their places; what is prepared hours before its create would expire


async def submit_jobs(work: Work) -> None:
    """Prepare and submit every job that needs a task, until there are none or submitting is stopped."""
    with work.stop.submitting:
        async with trio.open_nursery() as nursery:
            sender, receiver = trio.open_memory_channel[_Slot](PREPARED_AT_MOST)
            places = trio.CapacityLimiter(PREPARED_AT_MOST)
            nursery.start_soon(_Submitter(work, places).run, receiver)
            nursery.start_soon(_prepare_jobs, work, sender, places)
    if not work.stop.is_submitting:
        work.settle_unsubmitted()


class _Slot:
    """A job on its way through preparation; slots stay in the order of the spec, unless one takes very long."""

    def __init__(self, job: OpenJob) -> None:
        self.job, self.began_at = job, trio.current_time()
        self.prepared: Prepared | None = None  #: None, once done: it could not be prepared
        self.done = trio.Event()


async def _prepare_jobs(work: Work, sender: trio.MemorySendChannel[_Slot], places: trio.CapacityLimiter) -> None:
    async with sender, lending() as home, trio.open_nursery() as nursery:
        preparer = Preparer(work, home)
        async for job in work.prepare_queue:
            if work.budget.is_spent_for(job):
                work.budget.turn_away(work, job)
                continue
            lane, key = work.lanes[job.provider], _prompt_key(job)
            if lane.doubts.holds_back(key):
                work.park(lane, job, key)
                continue
            if work.chains.holds_back(job):
                continue
            await places.acquire_on_behalf_of(job.entry)
            slot = _Slot(job)
            await sender.send(slot)
            nursery.start_soon(_prepare_one, work, preparer, slot)


async def _prepare_one(work: Work, preparer: Preparer, slot: _Slot) -> None:
    try:
        assert slot.job.planned is not None
        check_places(slot.job.planned, work.ledger, work.catalog)
        slot.prepared = await preparer.prepare(slot.job)
    except (SourceError, JobRefused) as exc:
        with work.ledger.transaction():
            work.ledger.unprepared(slot.job.entry, str(exc))
            work.emit(EventName.JOB_FAILED, slot.job, stage="prepare", message=str(exc))
        work.settle(slot.job)
    except ServiceError as exc:  # of the account or the network, not of this job
        work.stop.submissions(f"nothing more is submitted: {exc}", stop_code(exc))
    else:
        work.emit_soon(EventName.JOB_PREPARED, slot.job)
    slot.done.set()


class _Submitter:
    """Sends creates side by side, but of those with one prompt only one at a time.

    The service echoes nothing but the prompt, so a create whose reply is missing can only be found again as long as
    no other create with that prompt was in the air. As long as it is not found, the others with that prompt wait.
    """

    def __init__(self, work: Work, places: trio.CapacityLimiter) -> None:
        self._work, self._places = work, places
        self._same_prompt: dict[tuple[str, str], deque[Prepared]] = {}
        self._late = 0

    async def run(self, slots: trio.MemoryReceiveChannel[_Slot]) -> None:
        """Submit jobs until the channel is closed."""
        async with trio.open_nursery() as nursery:
            async for slot in slots:
                with trio.move_on_at(slot.began_at + OVERTAKEN_AFTER_SECONDS):
                    await slot.done.wait()
                if slot.done.is_set():
                    self._take(slot, nursery)
                else:
                    nursery.start_soon(self._take_late, slot, nursery)

    async def _take_late(self, slot: _Slot, nursery: trio.Nursery) -> None:
        lends_place = self._late < LATE_AT_MOST
        self._late += 1
        if lends_place:
            self._places.release_on_behalf_of(slot.job.entry)
        await slot.done.wait()
        if lends_place:
            await self._places.acquire_on_behalf_of(slot.job.entry)
        self._late -= 1
        self._take(slot, nursery)

    def _take(self, slot: _Slot, nursery: trio.Nursery) -> None:
        prepared = slot.prepared
        if prepared is None:
            self._places.release_on_behalf_of(slot.job.entry)
            return
        key = (prepared.job.provider, _prompt_key(prepared.job))
        if key in self._same_prompt:
            self._same_prompt[key].append(prepared)
        else:
            self._same_prompt[key] = deque([prepared])
            nursery.start_soon(self._submit_in_turn, key)

    async def _submit_in_turn(self, key: tuple[str, str]) -> None:
        queue = self._same_prompt[key]
        while queue:
            prepared = queue.popleft()
            lane = self._work.lanes[prepared.job.provider]
            if lane.doubts.holds_back(key[1]):  # prepared anew, once it may go; its bytes are not kept until then
                self._work.park(lane, prepared.job, key[1])
            else:
                await _submit(self._work, lane, prepared)
            self._places.release_on_behalf_of(prepared.job.entry)
        del self._same_prompt[key]


def _prompt_key(job: OpenJob) -> str:
    assert job.planned is not None
    return prompt_key(job.planned.job)


async def _submit(work: Work, lane: Lane, prepared: Prepared) -> None:
    """Give one job its task, or record why it has none."""
    job = prepared.job
    place = ("entry", job.entry)
    patience: Patience | None = None
    await work.wait_for_room(job)  # before it takes a place that another job could use
    await lane.flight.acquire_on_behalf_of(place)
    while True:
        await work.wait_for_room(job)
        async with lane.creating, lane.creates(job.model).call():
            if work.is_room_awaited(job):  # another job took it just now
                continue
            patience = patience or Patience(work, lane, lane.creates(job.model), "creates")
            again = await _create_once(work, lane, prepared)
        if again is None:
            break
        try:
            await patience.wait_after(again)
        except ServiceError as exc:
            work.stop.submissions(f"gave up on {job.address} for now: {exc}", ExitCode.UNFINISHED)
            await trio.lowlevel.checkpoint()
    if not lane.has_place(job):
        lane.flight.release_on_behalf_of(place)


async def _create_once(work: Work, lane: Lane, prepared: Prepared) -> Throttled | Unavailable | None:
    """Send one create and record what came of it; returns what surely made no task and may be tried again."""
    job, ledger = prepared.job, work.ledger
    assert job.planned is not None
    body = create_body(job.planned.job, prepared.urls)
    reservation = work.budget.reserve(job)
    if reservation is None:
        work.budget.turn_away(work, job)
        return None
    with ledger.transaction(soon=True):
        attempt = ledger.intend(
            job.entry,
            prompt_key=_prompt_key(job),
            asked=asked_of(job.planned.job, input_seconds=prepared.input_seconds)
            | {
                "job": facts_of_job(job.planned.job, job.planned.identities),  # which a later plan is compared with
                "staged": list(prepared.staged),  # which is not cleaned as long as the task may read it
            },
            skew_seconds=lane.skew_seconds(work.world.now()),
            replaces=job.replaces,
        )
        began = trio.current_time()
        if reservation.money is not None:
            ledger.reserve(attempt, reservation.money)
    await work.on_disk()
    with work.stop.reply() as reply:
        try:
            created = await lane.client.create(body, path=work.catalog.models[job.model].path)
        except (Throttled, Unavailable) as exc:
            ledger.withdrawn(attempt, str(exc))
            work.budget.give_back(job)
            return exc
        except KeyRefused as exc:
            ledger.withdrawn(attempt, str(exc))
            work.stop.submissions(f"the service refused: {exc}", exc.exit_code)
        except JobRefused as exc:
            _refused(work, job, attempt, exc)
        except Unsure as exc:
            _unsure(work, lane, job, attempt, str(exc), request_id=exc.request_id, began=began, broken=True)
        else:
            await _accepted(work, lane, job, attempt, created)
    if reply.cancelled_caught:
        message = "the run was stopped before the service answered"
        _unsure(work, lane, job, attempt, message, request_id=None, began=began)
    return None


async def _accepted(work: Work, lane: Lane, job: OpenJob, attempt: int, created: Created) -> None:
    if work.ledger.knows_task(created.task_id):
        message = f"the service named task {created.task_id}, which another job has"
        with work.ledger.transaction():
            work.ledger.held(attempt, message, {"why": message, "request_id": created.request_id, "candidates": []})
            work.emit(EventName.JOB_HELD, job, message=message)
        work.settle(job)
        return
    try:
        with work.ledger.transaction(soon=True, costly=True):
            work.ledger.accepted(attempt, task_id=created.task_id, request_id=created.request_id)
            work.emit(EventName.JOB_SUBMITTED, job, task=created.task_id)
        await work.on_disk()
    except LedgerError as exc:
        exc.args = (
            f"{exc}. Task {created.task_id} was made for {job.address} and could not be recorded; when the ledger can "
            f"be written again: wanrun resolve {job.address} --adopt {created.task_id}",
        )
        raise
    lane.accepted_at = trio.current_time()
    lane.took_off(work.ledger.attempt(attempt), job)


def _refused(work: Work, job: OpenJob, attempt: int, exc: JobRefused) -> None:
    again = is_due_again(work, job, failed_task_verdict(exc.code, exc.message))
    name = EventName.JOB_RETRIED if again else EventName.JOB_FAILED
    with work.ledger.transaction():
        work.ledger.refused(attempt, code=exc.code, message=exc.message, request_id=exc.request_id, again=again)
        work.emit(name, job, stage="submit", message=exc.message, code=exc.code)
    if again:
        make_again(work, job)
    else:
        work.settle(job)


def _unsure(
    work: Work,
    lane: Lane,
    job: OpenJob,
    attempt: int,
    message: str,
    *,
    request_id: str | None,
    began: float,
    broken: bool = False,
) -> None:
    waited_seconds = trio.current_time() - began
    with work.ledger.transaction():
        work.ledger.unsure(attempt, message, request_id=request_id, after_seconds=waited_seconds, broken=broken)
        work.emit(EventName.JOB_UNSURE, job, message=message)
    work.doubt(lane, attempt, job)
