"""Giving a job that the ledger does not know a task that was made for it: what a lost ledger leaves to a person."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from wanrun.api.standing import JobStanding, checked_task, standing_of
from wanrun.batch import identify_batch, load_batch, plan_batch
from wanrun.changes import facts_of_job
from wanrun.engine.evidence import asked_of
from wanrun.errors import LedgerError, SettingsError
from wanrun.fingerprint import prompt_key
from wanrun.ledger import Ledger, LedgerLock
from wanrun.project import Setup, make_private, open_project
from wanrun.types import Action

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from wanrun.plan import PlannedJob
    from wanrun.project import Project


def adopt(job: str, task_id: str, specs: Sequence[str | PathLike[str]], setup: Setup | None = None) -> JobStanding:
    """Record a task as that of a job of these specs that is new to the ledger; the next run brings its result home.

    Whether the task is the job's is the caller's word; its prompt is not looked at. Raises `SettingsError` when the
    job is not one of the specs or not new, or when another job has the task; `SpecError` and `LedgerBusy`.
    """
    project = open_project(setup or Setup())
    batch = load_batch([Path(path) for path in specs], project)
    identified = identify_batch(batch, project)
    task_id = checked_task(task_id)
    make_private(project.ledger_path.parent)
    with LedgerLock(project.ledger_path), Ledger.open(project.ledger_path, now=time.time) as ledger:
        planned = _find(job, plan_batch(batch, identified, ledger.entries(), project).jobs)
        if ledger.knows_task(task_id):
            raise SettingsError(f"task {task_id} already belongs to another job of this ledger")
        return standing_of(ledger.entry(_record(planned, task_id, ledger, project)))


def _find(job: str, planned: Sequence[PlannedJob]) -> PlannedJob:
    named = [each for each in planned if job in (each.job.address, each.job.id)]
    if not named:
        raise SettingsError(f'no job "{job}" in these specs')
    if len(named) > 1:
        raise SettingsError(f'"{job}" is a job of several specs; name one of {_addresses(named)}')
    if named[0].action is not Action.SUBMIT:
        raise SettingsError(f"{named[0].job.address} is {named[0].state} by the ledger, not new; leave --spec out")
    return named[0]


def _addresses(planned: Sequence[PlannedJob]) -> str:
    return ", ".join(each.job.address for each in planned)


def _record(planned: PlannedJob, task_id: str, ledger: Ledger, project: Project) -> int:
    job = planned.job
    try:
        with ledger.transaction():
            spec_path = project.recorded(job.spec_path)
            entry = ledger.enter(job, fingerprint=planned.fingerprint, spec_path=spec_path)
            asked = asked_of(job) | {"job": facts_of_job(job, planned.identities)}
            attempt = ledger.intend(entry, prompt_key=prompt_key(job), asked=asked)
            if planned.cost is not None:
                ledger.reserve(attempt, planned.cost)
            ledger.accepted(attempt, task_id=task_id, request_id=None)
    except LedgerError as exc:
        raise SettingsError(f"{job.address} cannot take task {task_id}: {exc}") from exc
    return entry
