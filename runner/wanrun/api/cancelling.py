"""Cancelling one's own jobs: what still waits at the service is taken back, and the ledger says so."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wanrun.api.account import look, try_cancel
from wanrun.api.calling import blocking, callers
from wanrun.api.standing import check_patterns, matches
from wanrun.client import TaskStatus
from wanrun.errors import SettingsError
from wanrun.ledger import AttemptState, Ledger, LedgerLock
from wanrun.plan import standing
from wanrun.project import Setup, open_project
from wanrun.services import account_of
from wanrun.types import State

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from wanrun.api.calling import Caller
    from wanrun.client import Task
    from wanrun.events import Event
    from wanrun.ledger import Attempt, Entry
    from wanrun.project import Project

_HELD = "it is held: whether it has a task is not known; settle it with wanrun resolve"
_UNSURE = "it is unsure: whether it has a task is found out by the next run, or settled with wanrun resolve"
BY_HAND = "cancelled by hand"
_TOO_LATE = {
    TaskStatus.RUNNING: "too late, it runs already; the next run fetches it",
    TaskStatus.SUCCEEDED: "too late, it has ended and is billed; the next run fetches it",
    TaskStatus.FAILED: "it has failed already and is not billed; the next run records it",
    TaskStatus.UNKNOWN: "the service does not know its task; the next run looks again",
    TaskStatus.PENDING: "the service has not cancelled it yet; try again in a moment",
}


@dataclass(frozen=True, slots=True)
class Cancellation:
    """What became of one job that was to be cancelled."""

    address: str
    task: str | None
    cancelled: bool  #: the task is cancelled and not billed, and the job has failed
    why: str  #: why not, one clause


def cancel(
    patterns: Sequence[str],
    setup: Setup | None = None,
    *,
    observe: Callable[[Event], None] = lambda _: None,
) -> list[Cancellation]:
    """Cancel the tasks of jobs that still wait at the service; only those that may have a task are in the answer.

    A pattern is matched against `spec/job`, one without `/` against the job's id. Blocking. Raises `SettingsError` for
    a pattern that matches no job, `LedgerBusy` while a run uses the ledger, and `ServiceError` when the service
    refuses or stays away; what was cancelled by then is found by the next run, or by asking again.
    """
    project = open_project(setup or Setup())
    if not project.ledger_path.is_file():
        raise SettingsError(f"there is no ledger at {project.ledger_path}; nothing to cancel")
    with LedgerLock(project.ledger_path), Ledger.open(project.ledger_path, now=time.time) as ledger:
        ledger.interrupted()
        chosen = _chosen(patterns, ledger.entries())
        flying = {entry.id: entry.attempt for entry in chosen if entry.attempt and _is_flying(entry)}
        found: Mapping[int, Cancellation] = {}
        if any(attempt.state is AttemptState.IN_FLIGHT for attempt in flying.values()):
            found = blocking(lambda: _Cancelling(project, ledger, observe).carry_out(chosen))
        return [found.get(entry.id) or _left(entry) for entry in chosen if entry.id in flying]


def _chosen(patterns: Sequence[str], entries: Sequence[Entry]) -> list[Entry]:
    check_patterns(entries, patterns)
    return [entry for entry in entries if matches(entry, patterns)]


def _is_flying(entry: Entry) -> bool:
    return standing(entry, None)[0] in (State.IN_FLIGHT, State.UNSURE, State.HELD)


def _left(entry: Entry) -> Cancellation:
    """Say why a job that may have a task was not asked about."""
    state, _, _ = standing(entry, None)
    task = entry.attempt.task_id if entry.attempt else None
    if state is State.IN_FLIGHT:
        return Cancellation(entry.address, task, False, _TOO_LATE[TaskStatus.SUCCEEDED])
    return Cancellation(entry.address, task, False, _UNSURE if state is State.UNSURE else _HELD)


class _Cancelling:
    """One round: first every task is asked to be cancelled, since time is short, then each is looked at."""

    def __init__(self, project: Project, ledger: Ledger, observe: Callable[[Event], None]) -> None:
        self._project, self._ledger, self._observe = project, ledger, observe

    async def carry_out(self, entries: Sequence[Entry]) -> dict[int, Cancellation]:
        """Return what became of each entry whose task may still wait."""
        flying = [
            (entry, entry.attempt, entry.attempt.task_id)
            for entry in entries
            if entry.attempt and entry.attempt.state is AttemptState.IN_FLIGHT and entry.attempt.task_id
        ]
        found = {}
        async with callers(self._project, {entry.provider for entry, _, _ in flying}, self._observe) as made:
            accepted = {}
            for entry, _, task_id in flying:
                accepted[entry.id] = await try_cancel(made[entry.provider], task_id)
                self._check_account(made[entry.provider])
            for entry, attempt, task_id in flying:
                task = await look(made[entry.provider], task_id, accepted=accepted[entry.id])
                found[entry.id] = self._record(entry, attempt, task)
        return found

    def _check_account(self, caller: Caller) -> None:
        """Refuse a service that the ledger does not belong to."""
        self._ledger.belong_to(account_of(caller.client) or "service")

    def _record(self, entry: Entry, attempt: Attempt, task: Task) -> Cancellation:
        if task.status is not TaskStatus.CANCELED:
            why = _TOO_LATE.get(task.status, f"the service says that its task is {task.raw_status}")
            return Cancellation(entry.address, task.task_id, False, why)
        self._ledger.failed(attempt.id, status=task.status, code=None, message=BY_HAND, again=False)
        return Cancellation(entry.address, task.task_id, True, "")
