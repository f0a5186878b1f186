"""Reconcile: find out by the account's list whether creates without an answer have made tasks.

One loop a provider, beside the other stages, for every unsure attempt that the ledger has there: those of this run,
and those of others, since they hold back creates with the same words. What follows from what is `evidence`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from wanrun.client import TaskStatus
from wanrun.engine.again import make_again
from wanrun.engine.doubts import Listed
from wanrun.engine.evidence import (
    DECIDED_SECONDS,
    Candidate,
    Circumstances,
    Evidence,
    Finding,
    Step,
    candidates,
    compare,
    decide,
    sought,
    weighed,
    witnesses,
)
from wanrun.engine.lengths import input_seconds
from wanrun.engine.patience import patiently
from wanrun.engine.wholelist import WholeList
from wanrun.engine.work import OpenJob
from wanrun.errors import ExitCode, JobRefused, KeyRefused, ServiceError
from wanrun.events import EventName
from wanrun.ledger import AttemptState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wanrun.client import Task, TaskRow
    from wanrun.engine.doubts import Doubt
    from wanrun.engine.evidence import Decision, Sought
    from wanrun.engine.wholelist import Scan
    from wanrun.engine.work import Lane, Work
    from wanrun.ledger import UnsureAttempt

SOON_SHARE = 0.1  #: of the gap, before a list that changed while it was read is read again
WAITED_SHARE = 0.1  #: of the time that a task is waited for, between two looks whether it has ended
LONGEST_GAP_SECONDS = 300.0
SHORTEST_GAP_SECONDS = 1.0  #: between two readings, whatever else becomes unsure
PATIENCES = 5  #: times the provider's patience, for a list that is never whole or lacks what must be on it
WITNESSES = 50  #: of the account's other tasks that are looked at before a task is adopted by its prompt
NOTHING, SOMETHING = "nothing", "something"  #: what a reading showed, besides what is merely unclear
IN_VAIN = 3  #: creates of one job without answer and task, before it is left to another run


async def settle_unsure(work: Work, lane: Lane) -> None:
    """Settle what is unsure at one provider until this run has nothing open, or the list cannot be read."""
    reconciler = _Reconciler(work, lane)
    try:
        while work.open and not lane.doubts.given_up:
            if lane.doubts.open:
                await reconciler.look()
            else:
                lane.doubts.news = trio.Event()
                await lane.doubts.news.wait()
    except ServiceError as exc:
        reconciler.give_up(exc)


class _Reconciler:
    def __init__(self, work: Work, lane: Lane) -> None:
        self._work, self._lane = work, lane
        self._list = WholeList(work, lane)
        self._tasks: dict[str, Task] = {}  # what queries have shown of tasks that had succeeded
        self._evidence: dict[int, Evidence] = {}
        self._told: dict[int, str] = {}  # what the ledger says is waited for
        self._no_list_since: float | None = None
        self._in_vain: dict[int, list[float]] = {}  # entry -> when its creates were found to have made no task

    async def look(self) -> None:
        """Read the list, settle what it settles, and wait until it is worth reading again."""
        self._lane.doubts.news = trio.Event()
        scan = await self._list.read()
        lacking = self._lacking(scan)
        usable = scan.whole and lacking is None
        self._check_patience(usable, lacking)
        if usable:
            self._lane.doubts.listed = Listed(scan.began, scan.rows.keys())
        for doubt in list(self._lane.doubts.open.values()):
            await self._settle(doubt, scan, usable)
        gap = self._lane.provider.scan_gap_seconds
        with trio.move_on_at(scan.began + (self._patient_gap() if usable else gap * SOON_SHARE)):
            await self._lane.doubts.news.wait()
        await trio.sleep_until(min(scan.began + SHORTEST_GAP_SECONDS, scan.began + gap))

    def _patient_gap(self) -> float:
        """Return when to read again: the gap, or a share of the time gone while all that is unsure waits for an end."""
        gap, doubts = self._lane.provider.scan_gap_seconds, self._lane.doubts.open.values()
        if not doubts or any(doubt.showed != SOMETHING for doubt in doubts):
            return gap
        gone = min(trio.current_time() - doubt.answered for doubt in doubts)
        return max(gap, min(gone * WAITED_SHARE, LONGEST_GAP_SECONDS))

    def _check_patience(self, usable: bool, lacking: str | None) -> None:
        """Raise `ServiceError` when the list has been of no use for too long."""
        if usable:
            self._no_list_since = None
            return
        now = trio.current_time()
        self._no_list_since = now if self._no_list_since is None else self._no_list_since
        if now - self._no_list_since > PATIENCES * self._lane.provider.patience_seconds:
            why = f"it does not have task {lacking} of this ledger" if lacking else "it changed whenever it was read"
            raise ServiceError(f"the account's list of tasks is of no use: {why}")

    def _lacking(self, scan: Scan) -> str | None:
        """Return a task that the service has shown before and must be on the list; None when all are.

        A list that lags, or another account's, must not pass for one without the task that is looked for.
        """
        now, settle = self._service_now(), self._lane.provider.settle_seconds
        until = now - (trio.current_time() - scan.began) - settle
        shown = self._work.ledger.shown_between(
            now - DECIDED_SECONDS, until, provider=self._lane.provider.name, skew_seconds=self._skew_seconds() or 0.0
        )
        return next((task for task in shown if task not in scan.rows), None)

    def _service_now(self) -> float:
        now = self._lane.client.service_now
        return self._work.world.now() if now is None else now

    def _skew_seconds(self) -> float | None:
        return self._lane.skew_seconds(self._work.world.now())

    async def _settle(self, doubt: Doubt, scan: Scan, usable: bool) -> None:
        target = await self._target(doubt)
        known = self._work.ledger.jobs_of_tasks()
        own_keys = {row.api_key_id for id_, row in scan.rows.items() if id_ in known and row.api_key_id}
        rows = candidates(scan.rows.values(), known, target)
        found = weighed([compare(row, await self._task(row), target, own_keys=own_keys) for row in rows])
        evidence = self._evidence.setdefault(doubt.attempt.id, Evidence(target))
        ended_at = self._service_now()
        evidence.scans.append({"at": round(ended_at, 3), "whole": scan.whole, "tasks": len(scan.rows)})
        settled = usable and scan.began >= doubt.answered + self._lane.provider.settle_seconds
        count = self._count(doubt, scan, found) if settled else 0
        showed = doubt.showed if settled else ""
        circumstances = Circumstances(
            age_seconds=ended_at - target.intended_at,
            settled=settled,
            empty_scans=count if showed == NOTHING else 0,
            unclear_scans=count if showed == Finding.UNCLEAR else 0,
            rival=await self._rival(doubt, target, scan, found) if settled else None,
            awaited=self._awaited(doubt, target, found) if settled else None,
        )
        self._carry_out(doubt, decide(found, circumstances), evidence, found)

    async def _target(self, doubt: Doubt) -> Sought:
        seconds = await input_seconds(doubt.job, self._work) if doubt.job is not None else None
        return sought(
            doubt.attempt,
            skew_seconds=self._skew_seconds(),
            settle_seconds=self._lane.provider.settle_seconds,
            over_at=doubt.over_at,
            input_seconds=seconds,
        )

    def _count(self, doubt: Doubt, scan: Scan, found: Sequence[Candidate]) -> int:
        """Return how many settled readings, a gap apart, have shown the same."""
        kinds = {each.finding for each in found} - {Finding.OTHER}
        showed = NOTHING if not kinds else Finding.UNCLEAR if kinds == {Finding.UNCLEAR} else SOMETHING
        if showed != doubt.showed:
            doubt.showed, doubt.scans = showed, 1
            doubt.scanned = scan.began
        elif scan.began >= doubt.scanned + self._lane.provider.scan_gap_seconds:
            doubt.scans, doubt.scanned = doubt.scans + 1, scan.began
        return doubt.scans

    async def _task(self, row: TaskRow) -> Task | None:
        """Return what a query shows of a task that has succeeded; None for one that has not, or cannot be asked for."""
        if row.status is not TaskStatus.SUCCEEDED:
            return None
        if row.task_id not in self._tasks:
            try:
                task = await patiently(
                    lambda: self._lane.client.query(row.task_id),
                    work=self._work,
                    lane=self._lane,
                    limiter=self._lane.queries,
                    what="queries",
                )
            except (JobRefused, KeyRefused) as exc:
                if isinstance(exc, KeyRefused) and exc.status not in (403, 404):
                    raise
                return None
            if task.status is not TaskStatus.SUCCEEDED:
                return task
            self._tasks[row.task_id] = task
        return self._tasks[row.task_id]

    async def _rival(self, doubt: Doubt, target: Sought, scan: Scan, found: Sequence[Candidate]) -> str | None:
        """Say why the one task that looks alike may be somebody else's all the same; None if nothing speaks for it."""
        alike = [each.row for each in found if each.finding is Finding.ALIKE]
        if len(alike) != 1:
            return None
        stranger = await self._stranger(target, scan)  # first, since what follows must hold when it is decided
        for other in self._others(doubt, target, AttemptState.UNSURE):
            if self._may_have(other, doubt, alike[0]) is not False:
                return f"{other.address} is unsure too, with the same prompt"
        if held := self._work.ledger.claimed().get(alike[0].task_id):
            return f"{held}, which is held, may have made it"
        return stranger

    async def _stranger(self, target: Sought, scan: Scan) -> str | None:
        """Say which other task has the same words and is nobody's here."""
        known = self._work.ledger.jobs_of_tasks()
        for row in witnesses(scan.rows.values(), known, target)[:WITNESSES]:
            if compare(row, await self._task(row), target).asks_the_same:
                return f"task {row.task_id}, which nobody here made, has the same prompt"
        return None

    def _awaited(self, doubt: Doubt, target: Sought, found: Sequence[Candidate]) -> str | None:
        """Say what will be known soon and tells whose the one task is that looks alike."""
        alike = [each.row for each in found if each.finding is Finding.ALIKE]
        if len(alike) != 1:
            return None
        for other in self._others(doubt, target, AttemptState.INTENDED):
            return f"what becomes of the create of {other.address}, which has the same prompt"
        for other in self._others(doubt, target, AttemptState.UNSURE):
            if self._is_looked_for(other) and self._may_have(other, doubt, alike[0]) is None:
                return f"whether the account of {other.address}, which has the same prompt, is the same"
        return None

    def _others(self, doubt: Doubt, target: Sought, state: AttemptState) -> list[UnsureAttempt]:
        """Return other attempts, at any provider, that may have made what this one may: two may share an account."""
        found = []
        for other in self._work.ledger.in_doubt_with(doubt.attempt.prompt_key, state):
            theirs = sought(
                other,
                skew_seconds=self._skew_seconds(),
                settle_seconds=self._lane.provider.settle_seconds,
                over_at=self._service_now(),
            )
            overlap = theirs.from_at <= target.until_at and target.from_at <= theirs.until_at
            if other.id != doubt.attempt.id and overlap:
                found.append(other)
        return found

    def _is_looked_for(self, other: UnsureAttempt) -> bool:
        lane = self._work.lanes.get(other.provider)
        return lane is not None and not lane.doubts.given_up and other.id in lane.doubts.open

    def _may_have(self, other: UnsureAttempt, doubt: Doubt, row: TaskRow) -> bool | None:
        """Say whether another attempt's account has a task that this one may have made; None: not known so far."""
        if other.provider == self._lane.provider.name:
            return True
        listed = self._work.lanes[other.provider].doubts.listed if self._is_looked_for(other) else None
        if listed is not None and row.task_id in listed.tasks:
            return True
        settled_at = doubt.answered + self._lane.provider.settle_seconds
        return None if listed is None or listed.began < settled_at else False

    # What follows

    def _carry_out(self, doubt: Doubt, decision: Decision, evidence: Evidence, found: Sequence[Candidate]) -> None:
        attempt = doubt.attempt.id
        if decision.step is not Step.WAIT:  # the attempt may be made again, and be unsure once more
            self._evidence.pop(attempt, None)
            self._told.pop(attempt, None)
        match decision.step:
            case Step.WAIT:
                if self._told.get(attempt) != decision.why:
                    self._told[attempt] = decision.why
                    self._work.ledger.looked_for(attempt, evidence.to_json(decision.why, found))
            case Step.ADOPT:
                assert decision.row is not None
                self._adopt(doubt, decision.row, decision.why)
            case Step.WITHDRAW:
                self._withdraw(doubt, decision.why)
            case Step.HOLD:
                with self._work.ledger.transaction():
                    self._work.ledger.held(attempt, decision.why, evidence.to_json(decision.why, found))
                    self._work.emit(EventName.JOB_HELD, _named(doubt), message=decision.why)
                self._land(doubt)

    def _adopt(self, doubt: Doubt, row: TaskRow, why: str) -> None:
        ledger, attempt = self._work.ledger, doubt.attempt.id
        if ledger.knows_task(row.task_id):  # it was acknowledged while others were asked about
            return
        with ledger.transaction(costly=True):
            ledger.accepted(attempt, task_id=row.task_id, request_id=row.request_id)
            self._work.emit(EventName.JOB_ADOPTED, _named(doubt), task=row.task_id, message=why)
        if doubt.job is None or doubt.job.entry not in self._work.open:
            self._land(doubt)
            return
        self._lane.took_off(ledger.attempt(attempt), doubt.job, adopted=True)
        self._work.end_doubt(self._lane, doubt)

    def _withdraw(self, doubt: Doubt, why: str) -> None:
        with self._work.ledger.transaction():
            self._work.ledger.withdrawn(doubt.attempt.id, why)
            self._work.emit(EventName.JOB_RETRIED, _named(doubt), stage="create", message=why, code=None)
        job = doubt.job
        self._free_place(doubt)
        if job is None:
            pass
        elif job.planned is None:
            self._work.settle(job)
        elif self._is_in_vain(job):
            self._leave(job)
        else:
            make_again(self._work, job)
        self._work.end_doubt(self._lane, doubt)

    def _is_in_vain(self, job: OpenJob) -> bool:
        times = self._in_vain.setdefault(job.entry, [])
        times.append(trio.current_time())
        return len(times) >= IN_VAIN

    def _leave(self, job: OpenJob) -> None:
        """Leave a job whose creates come to nothing to another run; and all others, if theirs do too."""
        reason = f"{IN_VAIN} creates got no answer and made no task"
        if self._lane.accepted_at < self._in_vain[job.entry][0]:
            self._work.stop.submissions(f"gave up on {job.address} for now: {reason}", ExitCode.UNFINISHED)
        else:
            words = f"left for another run: {reason}"
            self._work.emit(EventName.WAITING, job, what="creates", reason=words, seconds=0)
        self._work.settle(job)

    def _land(self, doubt: Doubt) -> None:
        self._free_place(doubt)
        if doubt.job is not None:
            self._work.settle(doubt.job)
        self._work.end_doubt(self._lane, doubt)

    def _free_place(self, doubt: Doubt) -> None:
        if doubt.job is not None:
            self._lane.flight.release_on_behalf_of(("entry", doubt.job.entry))

    def give_up(self, exc: ServiceError) -> None:
        """Leave all that is unsure, and what waits for it, to another run."""
        if isinstance(exc, KeyRefused) and exc.status not in (403, 404):
            self._work.stop.now(f"the service refused: {exc}", exc.exit_code)
            return
        count = len(self._lane.doubts.open)
        what = "whether 1 create without an answer" if count == 1 else f"whether {count} creates without an answer"
        reason = f"{what} made a task is not found out: {exc}"
        if isinstance(exc, KeyRefused | JobRefused):
            reason += "; look for it in the service's console, then: wanrun resolve JOB --adopt TASK | --resubmit"
        self._work.stop.note(reason, ExitCode.UNFINISHED)
        self._work.leave_unsure(self._lane)


def _named(doubt: Doubt) -> OpenJob:
    """Return the job of a doubt, for events; one of another spec, too."""
    known = doubt.attempt
    return doubt.job or OpenJob(known.entry, known.address, known.provider, known.model, None)
