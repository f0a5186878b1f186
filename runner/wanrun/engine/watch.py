"""Watch: one loop for all tasks in flight at one provider, with few calls and little time between an end and our
knowing it. What a task's end means for its job is decided here, by family."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar

import trio

from wanrun.client import TaskStatus, Verdict, failed_task_verdict
from wanrun.engine.again import is_due_again, make_again
from wanrun.engine.patience import patiently
from wanrun.engine.schedule import Schedule
from wanrun.errors import ExitCode, ServiceError
from wanrun.events import EventName
from wanrun.ledger import AttemptState

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from wanrun.client import Task, TaskRow
    from wanrun.engine.work import Lane, OpenJob, Work

T = TypeVar("T")

TASK_LIFE_SECONDS = 24 * 3600  #: that the service keeps a task and its result
PAGE_SIZE = 100
UNKNOWN_LOOKS = 3  #: in a row, before `UNKNOWN` is believed of a task that is young


async def watch_tasks(work: Work, lane: Lane) -> None:
    """Look at the tasks of one provider until this run has nothing open."""
    watcher = _Watcher(work, lane)
    try:
        while work.open:
            if lane.in_flight:
                await watcher.look_when_due()
            else:
                lane.arrival = trio.Event()
                await lane.arrival.wait()
    except ServiceError as exc:
        work.stop.now(f"the tasks in flight cannot be watched: {exc}", exc.exit_code)


class _Watcher:
    def __init__(self, work: Work, lane: Lane) -> None:
        self._work, self._lane = work, lane
        models = {job.model for job in work.jobs if job.provider == lane.provider.name}
        recent = [
            seconds
            for model in sorted(models)
            for seconds in work.ledger.recent_seconds(provider=lane.provider.name, model=model)
        ]
        self._schedule = Schedule(poll_seconds=lane.provider.poll_seconds, recent_seconds=recent)
        self._pages = 1  # of the account's list, as last seen; 0: this key may not list
        self._unknown: dict[int, int] = {}

    async def look_when_due(self) -> None:
        """Wait for the next look, or for a new task that changes when it is; then look at what is due."""
        for attempt in self._lane.in_flight:
            self._schedule.add(attempt, now=trio.current_time())
        self._lane.arrival = trio.Event()
        with trio.move_on_at(self._schedule.next_look()):
            await self._lane.arrival.wait()
            return
        due, ripe = self._schedule.due(trio.current_time())
        worth_a_list = len(self._lane.in_flight) if len(due) > len(ripe) else len(ripe)
        if 0 < self._pages < worth_a_list:
            await self._look_at_list()
        else:
            for attempt in due:
                await self._query(attempt)

    async def _look_at_list(self) -> None:
        """Learn of every task in flight by the list call; only those that ended are queried, for their result."""
        asked_about = list(self._lane.in_flight)  # others may take off while the list is on its way
        rows = await self._rows()
        for attempt in asked_about:
            row = rows.get(self._work.ledger.attempt(attempt).task_id or "")
            if row is not None and not row.status.terminal:
                self._still_going(attempt, row.status, row.started_at)
            elif row is not None or attempt in self._schedule.due(trio.current_time())[0]:
                await self._query(attempt)

    async def _rows(self) -> dict[str, TaskRow]:
        found: dict[str, TaskRow] = {}
        number = 1
        while True:
            try:
                page = await self._ask(partial(self._lane.client.list_tasks, page_no=number))
            except ServiceError as exc:
                if exc.status not in (401, 403, 404):
                    raise
                self._pages = 0  # some workspace hosts refuse it; the single query remains
                return found
            found |= {row.task_id: row for row in page.rows}
            self._pages = max(1, page.total_pages)
            if number >= page.total_pages:
                return found
            number += 1

    async def _query(self, attempt: int) -> None:
        task_id = self._work.ledger.attempt(attempt).task_id
        assert task_id is not None
        task = await self._ask(partial(self._lane.client.query, task_id))
        if task.status is not TaskStatus.UNKNOWN:
            self._unknown.pop(attempt, None)
        if task.status is TaskStatus.SUCCEEDED:
            self._succeeded(attempt, task)
        elif task.status is TaskStatus.FAILED or task.status is TaskStatus.CANCELED:
            self._failed(attempt, task)
        elif task.status is TaskStatus.UNKNOWN:
            self._is_unknown(attempt)
        else:
            self._still_going(attempt, task.status, task.scheduled_at)

    async def _ask(self, call: Callable[[], Awaitable[T]]) -> T:
        return await patiently(call, work=self._work, lane=self._lane, limiter=self._lane.queries, what="queries")

    def _still_going(self, attempt: int, status: TaskStatus, started_at: float | None) -> None:
        running = status is TaskStatus.RUNNING
        self._schedule.seen(attempt, now=trio.current_time(), running=running)
        if self._work.ledger.attempt(attempt).task_status == status:
            return
        with self._work.ledger.transaction():
            self._work.ledger.seen(attempt, status=status, started_at=started_at)
            if running:
                self._work.emit(EventName.JOB_RUNNING, self._lane.in_flight[attempt])

    def _succeeded(self, attempt: int, task: Task) -> None:
        self._work.ledger.succeeded(attempt, usage=task.usage, started_at=task.scheduled_at, ended_at=task.ended_at)
        if task.link is not None:
            self._work.links[attempt] = task.link
        self._landed(attempt, seconds=_seconds(task))
        self._work.to_fetch.send_nowait(attempt)

    def _failed(self, attempt: int, task: Task) -> None:
        job, ledger = self._landed(attempt), self._work.ledger
        message = task.message or f"the task ended as {task.status}"
        verdict = failed_task_verdict(task.code, task.message or "") if task.status is TaskStatus.FAILED else Verdict.NO
        again = is_due_again(self._work, job, verdict)
        name = EventName.JOB_RETRIED if again else EventName.JOB_FAILED
        with ledger.transaction():
            ledger.failed(attempt, status=task.status, code=task.code, message=message, again=again)
            self._work.emit(name, job, stage="task", message=message, code=task.code)
        if verdict is Verdict.STOP:
            self._work.stop.submissions(f"the service refused: {message}", ExitCode.STOPPED_BY_SERVICE)
        if again:
            make_again(self._work, job)
        else:
            self._work.settle(job)

    def _is_unknown(self, attempt: int) -> None:
        """Believe the service that it does not know a task, at once if the task is old, else after a few looks."""
        now = trio.current_time()
        looks = self._unknown[attempt] = self._unknown.get(attempt, 0) + 1
        row = self._work.ledger.attempt(attempt)
        old = self._work.world.now() - row.intended_at > TASK_LIFE_SECONDS
        if not old and looks < UNKNOWN_LOOKS:
            self._schedule.seen(attempt, now=now, running=True)
            return
        state, name = (AttemptState.LOST, EventName.JOB_LOST) if old else (AttemptState.UNDECIDED, EventName.JOB_HELD)
        message = f"the service no longer knows task {row.task_id}" + ("; it is older than 24 h" if old else "")
        job = self._landed(attempt)
        with self._work.ledger.transaction():
            self._work.ledger.ended(attempt, state, message)
            self._work.emit(name, job, message=message)
        self._work.settle(job)

    def _landed(self, attempt: int, *, seconds: float | None = None) -> OpenJob:
        self._unknown.pop(attempt, None)
        self._schedule.ended(attempt, now=trio.current_time(), seconds=seconds)
        return self._lane.landed(attempt)


def _seconds(task: Task) -> float | None:
    """Return how long the service worked on a task, by its own clock."""
    if task.scheduled_at is None or task.ended_at is None or task.ended_at < task.scheduled_at:
        return None
    return task.ended_at - task.scheduled_at
