"""What a run may move: the plan's jobs entered in the ledger, and what earlier specs have left in flight."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from wanrun.chains import upstreams
from wanrun.engine.work import OpenJob
from wanrun.ledger import FLYING, RESULT_LIFE_SECONDS, AttemptState
from wanrun.plan import is_left_behind
from wanrun.types import Action, State

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from wanrun.batch import Batch
    from wanrun.ledger import Entry, Ledger
    from wanrun.plan import Plan, PlannedJob
    from wanrun.project import Project


def open_jobs(plan: Plan, batch: Batch, ledger: Ledger, project: Project, *, now: float) -> list[OpenJob]:
    """Enter what is to be submitted, take over what has moved, and return all that this run can move."""
    with ledger.transaction():
        entries = [
            (_with_artifact(planned, ledger, project, now), _entry(planned, ledger, project)) for planned in plan.jobs
        ]
        _move_versions(plan, batch, ledger, project)
    known = {planned.job.address: planned.entry.id for planned in plan.others if planned.entry is not None}
    known |= {planned.job.address: entry for planned, entry in entries}
    jobs = [
        OpenJob(entry, planned.job.address, _provider(planned), planned.job.model, planned, _upstream(planned, known))
        for planned, entry in entries
        if planned.action is not Action.NOTHING
    ]
    return [*jobs, *_left_behind(plan, batch, ledger, project)]


def _upstream(planned: PlannedJob, known: Mapping[str, int]) -> dict[str, int]:
    """Return the entries of the jobs that a job chains from, by address."""
    return {address: known[address] for address in upstreams(planned.job) if address in known}


def _entry(planned: PlannedJob, ledger: Ledger, project: Project) -> int:
    job, spec_path = planned.job, project.recorded(planned.job.spec_path)
    if planned.entry is not None and planned.state is State.MOVED:
        ledger.move(planned.entry.id, address=job.address, spec_path=spec_path)
    if planned.entry is None or planned.action is Action.SUBMIT:
        return ledger.enter(job, fingerprint=planned.fingerprint, spec_path=spec_path)
    ledger.wanted(planned.entry.id, job)
    return planned.entry.id


def _move_versions(plan: Plan, batch: Batch, ledger: Ledger, project: Project) -> None:
    """Let earlier versions of what has moved go with it, unless they or their address are still asked for.

    Another spec may have the same name, and ask for its own job of that address when it is run the next time.
    """
    addresses = {planned.job.address for planned in (*plan.jobs, *plan.others)}
    moved = [
        (planned.entry.address, planned.job)
        for planned in plan.jobs
        if planned.state is State.MOVED and planned.entry is not None and planned.entry.address not in addresses
    ]
    movable = {entry.id for entry in _unasked(plan, batch, ledger, project)} if moved else set()
    for address, job in moved:
        spec_path = project.recorded(job.spec_path)
        ledger.move_versions(address, to=job.address, spec_path=spec_path, only=movable)


def _with_artifact(planned: PlannedJob, ledger: Ledger, project: Project, now: float) -> PlannedJob:
    """Return a job to be delivered as one to be fetched, if its file has gone from the artifact store.

    Only as long as the service has its result: what is done at one sink would be lost else.
    """
    attempt = planned.entry.attempt if planned.entry is not None else None
    if planned.action is not Action.DELIVER or attempt is None or attempt.artifact(project.artifacts).is_there():
        return planned
    if now > attempt.intended_at + RESULT_LIFE_SECONDS:
        return planned
    ledger.unfetched(attempt.id)
    return replace(planned, action=Action.RESUME)


def _provider(planned: PlannedJob) -> str:
    """Return where the job's task is, or where it is to be made."""
    entry = planned.entry
    return entry.asked_at if entry is not None and planned.action is not Action.SUBMIT else planned.job.provider


_SETTLING = (*FLYING, AttemptState.UNSURE, AttemptState.UNDECIDED)  #: what a run may yet bring home


def _left_behind(plan: Plan, batch: Batch, ledger: Ledger, project: Project) -> list[OpenJob]:
    """Return what may be paid for though these specs no longer ask for it: its result is fetched and kept."""
    return [
        OpenJob(entry.id, entry.address, entry.asked_at, entry.model, None)
        for entry in _unasked(plan, batch, ledger, project)
        if entry.attempt is not None and entry.attempt.state in _SETTLING
    ]


def _unasked(plan: Plan, batch: Batch, ledger: Ledger, project: Project) -> Iterator[Entry]:
    """Yield the entries that nobody asks for any more: of these specs, or of specs that are gone."""
    asked = {planned.entry.id for planned in (*plan.jobs, *plan.others) if planned.entry is not None}
    loaded = batch.recorded(project)
    for entry in ledger.entries():
        if entry.id not in asked and is_left_behind(entry, loaded, project.settings.root):
            yield entry
