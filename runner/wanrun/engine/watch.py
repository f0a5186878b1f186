"""Watch: one loop for all tasks in flight at one provider, with few calls and little time between an end and our
knowing it. What a task's end means for its job is decided here, by family."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

import trio

from wanrun.client import TaskStatus, Verdict, failed_task_verdict
from wanrun.engine.again import is_due_again, make_again
from wanrun.engine.patience import Patience
from wanrun.engine.schedule import Schedule
from wanrun.engine.stop import stop_code
from wanrun.engine.tasklist import TaskList
from wanrun.errors import ExitCode, JobRefused, KeyRefused, ServiceError, plain_errors
from wanrun.events import EventName
from wanrun.ledger import AttemptState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wanrun.client import Task
    from wanrun.engine.work import Lane, OpenJob, Work

TASK_LIFE_SECONDS = 24 * 3600  #: that the service keeps a task and its result
OVERDUE_SECONDS = TASK_LIFE_SECONDS + 3600  #: a task that has not ended by then is not waited for
QUERIES_AT_ONCE = 3  #: when many tasks end together
QUERIES_AT_LEAST = 10  #: in vain, before a task is left to another run, however long they took
UNKNOWN_LOOKS = 3  #: in a row, and
UNKNOWN_SECONDS = 120  #: this long, before `UNKNOWN` is believed of a task that is young


async def watch_tasks(work: Work, lane: Lane) -> None:
    """Look at the tasks of one provider until this run has nothing open."""
    watcher = _Watcher(work, lane)
    try:
        if not work.waits:
            try:
                await watcher.look_at_all()
            finally:  # also when the time is over meanwhile
                lane.looked.set()
        while work.open:
            if lane.in_flight:
                await watcher.look_when_due()
            else:
                lane.arrival = trio.Event()
                await lane.arrival.wait()
    except KeyRefused as exc:
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
        self._list = TaskList(work, lane)
        self._trouble: dict[int, Patience] = {}  # tasks whose latest query failed
        self._unknown: dict[int, tuple[int, float]] = {}  # looks in a row, and when the first was
        self._answered_at = -math.inf  # when a query or the list last told of a task
        self._resumed = set(lane.in_flight)  # tasks that earlier runs have made
        self._told: set[int] = set()  # tasks that this run has said to be running

    async def look_at_all(self) -> None:
        """Look once at everything in flight, as a run does that will not wait for a better moment."""
        self._watch_new()
        if self._list.is_worth_it(len(self._lane.in_flight)):
            await self._look_at_list(every=True)
        else:
            await self._query_all(list(self._lane.in_flight))

    async def look_when_due(self) -> None:
        """Wait for the next look, or for a new task that changes when it is; then look at what is due."""
        self._watch_new()
        self._lane.arrival = trio.Event()
        with trio.move_on_at(self._schedule.next_look()):
            await self._lane.arrival.wait()
            return
        self._watch_new()  # what arrived in the very instant of the look
        due, ripe = self._schedule.due(trio.current_time())
        to_query = self._trouble.keys() | set(ripe)  # the list would not spare them their query
        only_to_query = to_query.issuperset(due)
        if only_to_query and self._schedule.is_sure:
            await self._query_all(due)
        elif self._list.is_worth_it(len(due) if only_to_query else len(self._lane.in_flight)):
            await self._look_at_list()
        else:
            await self._query_all(due)

    def _watch_new(self) -> None:
        for attempt, flight in self._lane.in_flight.items():
            self._schedule.add(attempt, now=flight.took_off_at, at_once=flight.adopted)

    async def _look_at_list(self, *, every: bool = False) -> None:
        """Learn of every task in flight by the list call; only those that ended are queried, for their result.

        Those that the list leaves out are queried too, if they are due, or with `every`.
        """
        task_ids = {attempt: flight.task_id for attempt, flight in self._lane.in_flight.items()}
        found = await self._list.read(set(task_ids.values()))
        rows = {attempt: found[task_id] for attempt, task_id in task_ids.items() if task_id in found}
        due = list(task_ids) if every else self._schedule.due(trio.current_time())[0]
        await self._query_all(
            attempt for attempt in task_ids if (rows[attempt].status.terminal if attempt in rows else attempt in due)
        )
        with self._work.recording_soon():  # one write for all that go on, after room was made by those that ended
            for attempt, row in rows.items():
                if not row.status.terminal:
                    self._still_going(attempt, row.status, row.started_at)

    async def _query_all(self, attempts: Iterable[int]) -> None:
        """Query tasks, a few side by side; raises as `_not_answered` does."""
        waiting = deque(attempts)

        async def query_some() -> None:
            while waiting:
                await self._query(waiting.popleft())

        with plain_errors():
            async with trio.open_nursery() as nursery:
                for _ in range(min(QUERIES_AT_ONCE, len(waiting))):
                    nursery.start_soon(query_some)

    async def _query(self, attempt: int) -> None:
        try:
            async with self._lane.queries.call():
                task = await self._lane.client.query(self._lane.in_flight[attempt].task_id)
        except ServiceError as exc:
            self._not_answered(attempt, exc)
            return
        self._answered_at = trio.current_time()
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

    def _not_answered(self, attempt: int, exc: ServiceError) -> None:
        """Look again later at a task whose query failed; past patience leave it, and let its siblings go on.

        Raises `KeyRefused` when it is the key that is refused, and so every query.
        """
        if isinstance(exc, KeyRefused) and exc.status not in (403, 404):
            raise exc
        if isinstance(exc, JobRefused) or exc.status == 404:  # of this task id, so as good as an UNKNOWN
            self._is_unknown(attempt)
            return
        patience = self._trouble.setdefault(attempt, Patience(self._work, self._lane, self._lane.queries, "queries"))
        pause_seconds = patience.pause_after(exc, tries_at_least=QUERIES_AT_LEAST)
        if pause_seconds is not None:
            self._schedule.postpone(attempt, until=trio.current_time() + pause_seconds)
            return
        if self._answered_at < patience.since:  # nobody can be watched: what is submitted now could not be either
            self._work.stop.submissions(f"the tasks in flight cannot be watched: {exc}", stop_code(exc))
        self._leave(attempt, str(exc))

    def _leave(self, attempt: int, reason: str) -> None:
        """Leave a task to another run: in flight, or held once it is too old for the service to tell of it."""
        if self._is_older(attempt, OVERDUE_SECONDS):
            task_id = self._lane.in_flight[attempt].task_id
            self._end(attempt, AttemptState.UNDECIDED, EventName.JOB_HELD, f"task {task_id}: {reason}")
            return
        job = self._landed(attempt)
        self._work.emit(EventName.WAITING, job, what="queries", reason=f"left for another run: {reason}", seconds=0)
        self._work.settle(job)

    def _end(self, attempt: int, state: AttemptState, name: EventName, message: str) -> None:
        job = self._landed(attempt)
        with self._work.ledger.transaction():
            self._work.ledger.ended(attempt, state, message)
            self._work.emit(name, job, message=message)
        self._work.settle(job)

    def _still_going(self, attempt: int, status: TaskStatus, started_at: float | None) -> None:
        self._trouble.pop(attempt, None)
        self._unknown.pop(attempt, None)
        self._answered_at = trio.current_time()
        running = status is TaskStatus.RUNNING
        flight, now = self._lane.in_flight[attempt], self._work.world.now()
        age_seconds = now - started_at if started_at is not None else None
        self._schedule.seen(attempt, now=trio.current_time(), running=running, age_seconds=age_seconds)
        if self._is_older(attempt, OVERDUE_SECONDS):
            self._leave(attempt, f"it is {status} after more than 24 h")
            return
        if flight.status == status and (attempt in self._told or not running):
            return
        with self._work.recording_soon():
            self._work.ledger.seen(attempt, status=status, started_at=started_at)
            flight.status = status
            if running:
                self._told.add(attempt)
                self._work.emit(EventName.JOB_RUNNING, flight.job)

    def _succeeded(self, attempt: int, task: Task) -> None:
        cost = self._work.budget.cost(self._lane.in_flight[attempt].job, task.usage)
        with self._work.recording_soon():
            self._work.ledger.succeeded(attempt, usage=task.usage, started_at=task.scheduled_at, ended_at=task.ended_at)
            if cost is not None:
                self._work.ledger.settle(attempt, cost)
        if task.link is not None:
            self._work.links[attempt] = task.link
        self._landed(attempt, seconds=_seconds(task))
        self._work.to_fetch.send_nowait(attempt)

    def _failed(self, attempt: int, task: Task) -> None:
        job, ledger = self._landed(attempt), self._work.ledger
        message = task.message or f"the task ended as {task.status}"
        failed = task.status is TaskStatus.FAILED
        verdict = failed_task_verdict(task.code, task.message or "") if failed else Verdict.NO
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
        """Believe the service that it does not know a task: at once if the task is old, else after a while."""
        now = trio.current_time()
        looks, since = self._unknown.get(attempt, (0, now))
        self._unknown[attempt] = (looks + 1, since)
        old = self._is_older(attempt, TASK_LIFE_SECONDS)
        if not old and (looks + 1 < UNKNOWN_LOOKS or now - since < UNKNOWN_SECONDS):
            self._schedule.postpone(attempt, until=now + UNKNOWN_SECONDS / (UNKNOWN_LOOKS - 1))
            return
        state, name = (AttemptState.LOST, EventName.JOB_LOST) if old else (AttemptState.UNDECIDED, EventName.JOB_HELD)
        task_id = self._lane.in_flight[attempt].task_id
        message = f"the service no longer knows task {task_id}" + ("; it is older than 24 h" if old else "")
        self._end(attempt, state, name, message)

    def _is_older(self, attempt: int, seconds: float) -> bool:
        """Say whether a task was made longer ago, for this run's own by a clock that nobody sets, too."""
        flight = self._lane.in_flight[attempt]
        age_seconds = self._lane.now(self._work.world) - flight.made_at
        if attempt not in self._resumed and not flight.adopted:
            age_seconds = min(age_seconds, trio.current_time() - flight.took_off_at)
        return age_seconds > seconds

    def _landed(self, attempt: int, *, seconds: float | None = None) -> OpenJob:
        self._unknown.pop(attempt, None)
        self._trouble.pop(attempt, None)
        self._schedule.ended(attempt, now=trio.current_time(), seconds=seconds)
        self._work.budget.tell()
        return self._lane.landed(attempt)


def _seconds(task: Task) -> float | None:
    """Return how long the service worked on a task, by its own clock."""
    if task.scheduled_at is None or task.ended_at is None or task.ended_at < task.scheduled_at:
        return None
    return task.ended_at - task.scheduled_at
