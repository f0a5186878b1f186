"""What a run came to: how every job stands in the ledger at its end, and the exit code that follows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from wanrun.chained import at_end
from wanrun.engine.expiring import is_expiring
from wanrun.engine.stop import gravest
from wanrun.errors import ExitCode
from wanrun.events import EventName
from wanrun.ledger import FLYING, AttemptState
from wanrun.plan import is_delivered, standing
from wanrun.types import Action, State
from wanrun.words import hours

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

    from wanrun.engine.work import OpenJob
    from wanrun.events import Event
    from wanrun.ledger import Entry, Spent
    from wanrun.plan import Plan, PlannedJob


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """How one job stands at the end of a run."""

    address: str
    state: State
    why: str  #: one clause for people; may be empty
    places: tuple[str, ...]  #: where its artifact is, sink by sink that has given a receipt
    exit_code: ExitCode


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run came to."""

    run: str
    jobs: tuple[JobOutcome, ...]
    exit_code: ExitCode
    reasons: tuple[str, ...]  #: why the run ended early, if it did
    submitted: int  #: tasks made by this run
    unsure: int  #: tasks that this run may have made besides, which nobody knows yet
    notes: tuple[str, ...]  #: what could not be checked, known before anything was done
    run_notes: tuple[str, ...]  #: what came up during the run
    ledger: Path
    spent: Mapping[str, Spent]  #: over the life of the ledger, by currency
    spent_by_run: Mapping[str, Spent]  #: by what this run submitted

    def counts(self) -> Mapping[State, int]:
        """Return how many jobs are in each state that occurs."""
        return Counter(job.state for job in self.jobs)


class Submissions:
    """How many tasks a run has made, told by its events: at once, found only later, or not known."""

    def __init__(self) -> None:
        self.made = 0
        self._unsure: set[str] = set()  # jobs whose create, sent by this run, got no answer

    @property
    def unsure(self) -> int:
        """How many creates of this run may have made a task that nobody knows."""
        return len(self._unsure)

    def begin(self) -> None:
        """Forget what was told so far: it is what earlier runs have left."""
        self.made = 0
        self._unsure.clear()

    def hear(self, event: Event) -> None:
        """Take one event into account."""
        if event.name is EventName.JOB_SUBMITTED:
            self.made += 1
        elif event.name is EventName.JOB_UNSURE and event.job is not None:
            self._unsure.add(event.job)
        elif event.name is EventName.JOB_ADOPTED and event.job in self._unsure:
            self._unsure.remove(event.job)
            self.made += 1
        elif event.name is EventName.JOB_RETRIED and event.data["stage"] == "create" and event.job is not None:
            self._unsure.discard(event.job)  # it surely made none


def job_outcomes(plan: Plan, entries: Iterable[Entry], *, found_lost: bool) -> tuple[JobOutcome, ...]:
    """Say how the jobs of a plan stand; `found_lost`: this run is the one that found a result lost."""
    by_key = {(entry.address, entry.fingerprint): entry for entry in entries}
    return _chained(
        plan,
        [
            _job_outcome(planned, by_key.get((planned.job.address, planned.fingerprint)), found_lost=found_lost)
            for planned in plan.jobs
        ],
    )


def _chained(plan: Plan, outcomes: Iterable[JobOutcome]) -> tuple[JobOutcome, ...]:
    """Return outcomes with what became of the jobs that have no task because of those they chain from."""
    by_address = {outcome.address: outcome for outcome in outcomes}
    others = {planned.job.address: planned for planned in plan.others}

    def stands(address: str) -> tuple[State, str]:
        found = by_address.get(address) or others[address]
        return found.state, found.why

    for address, (state, why) in at_end((planned.job for planned in plan.jobs), stands).items():
        exit_code = _exit_code(state, conflict=False, found_lost=False)
        by_address[address] = replace(by_address[address], state=state, why=why, exit_code=exit_code)
    return tuple(by_address.values())


def overall(jobs: Iterable[JobOutcome], codes: Iterable[ExitCode]) -> ExitCode:
    """Return the gravest of what the jobs and the run itself call for."""
    return gravest(iter([*(job.exit_code for job in jobs), *codes]))


def still_flying(entries: Iterable[Entry], resumed: Collection[int]) -> list[str]:
    """Say which results this run went for although no spec asks for them any more, and did not bring home."""
    mine = [(entry, entry.attempt) for entry in entries if entry.id in resumed and entry.attempt is not None]
    flying = [
        f"{entry.address}: the result of an earlier version (task {attempt.task_id}) is not fetched yet"
        for entry, attempt in mine
        if attempt.state in FLYING
    ]
    unsure = [
        f"{entry.address}: whether an earlier version has a task is not found out yet"
        for entry, attempt in mine
        if attempt.state is AttemptState.UNSURE
    ]
    return flying + unsure


def held_behind(entries: Iterable[Entry], resumed: Collection[int]) -> list[str]:
    """Say which earlier versions that this run went for are held at its end."""
    return [
        f"{entry.address}: an earlier version is held: {entry.attempt.message}; wanrun status lists it"
        for entry in entries
        if entry.id in resumed and entry.attempt is not None
        if entry.attempt.state in (AttemptState.HELD, AttemptState.UNDECIDED)
    ]


def expiring(entries: Iterable[Entry], now: float) -> list[str]:
    """Say which results are not fetched yet and have only hours left."""
    return [
        f"{entry.address}: its result is not fetched, and gone in {hours(entry.attempt.gone_at - now)}; run again soon"
        for entry in entries
        if entry.attempt is not None and entry.attempt.gone_at is not None and is_expiring(entry.attempt, now)
    ]


def others_flying(entries: Iterable[Entry], plan: Plan, resumed: Iterable[OpenJob]) -> list[str]:
    """Say how many tasks are in flight for specs that this run was not given; their results live for a day."""
    mine = {job.entry for job in resumed} | {planned.entry.id for planned in plan.jobs if planned.entry is not None}
    specs = Counter(
        entry.spec_path
        for entry in entries
        if entry.id not in mine and entry.attempt is not None and entry.attempt.state in FLYING
    )
    return [
        f"{count} of {spec} in flight, not part of this run: run it before its results are gone after 24 h"
        for spec, count in specs.items()
    ]


def _job_outcome(planned: PlannedJob, entry: Entry | None, *, found_lost: bool) -> JobOutcome:
    address = planned.job.address
    if entry is None or planned.state is State.BLOCKED:
        exit_code = _exit_code(planned.state, conflict=False, found_lost=False)
        return JobOutcome(address, planned.state, planned.why, (), exit_code)
    state, _, why = standing(entry, planned.destinations)
    places = tuple(goal.place for goal in planned.destinations if is_delivered(entry, goal))
    conflict = any(
        row is not None and row.state == "conflict"
        for row in (entry.delivery(goal.digest) for goal in planned.destinations)
    )
    codes = [_exit_code(state, conflict=conflict, found_lost=found_lost)]
    if entry.in_vain is not None and planned.action in (Action.SUBMIT, Action.RESUME):
        withdrawn = entry.unprepared is None and entry.attempts[-1].state is AttemptState.WITHDRAWN
        codes.append(ExitCode.UNFINISHED if withdrawn else ExitCode.ATTENTION)  # it stands as before, not as asked
    return JobOutcome(address, state, why, places, gravest(iter(codes)))


def _exit_code(state: State, *, conflict: bool, found_lost: bool) -> ExitCode:
    match state:
        case State.DONE:
            return ExitCode.OK
        case State.LOST:
            return ExitCode.LOST if found_lost else ExitCode.ATTENTION
        case State.FAILED | State.HELD | State.BLOCKED:
            return ExitCode.ATTENTION
        case State.TO_DELIVER if conflict:
            return ExitCode.ATTENTION
        case _:
            return ExitCode.UNFINISHED
