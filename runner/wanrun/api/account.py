"""The account's tasks, whichever program made them: what the official SDKs call list, fetch and cancel."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import trio

from wanrun.api.calling import blocking, caller_of
from wanrun.client import CancelTooLate, TaskStatus
from wanrun.client.text import bare
from wanrun.ledger import Ledger
from wanrun.project import Setup, open_project

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from wanrun.api.calling import Caller
    from wanrun.client import Task, TaskRow
    from wanrun.events import Event
    from wanrun.project import Project
    from wanrun.types import Usage

LOOKS = 6  #: at a task whose cancel was accepted, until it is seen as cancelled
LOOK_AGAIN_SECONDS = 1.0
#: What the list can be asked for.
STATUSES = tuple(status.value for status in TaskStatus if status is not TaskStatus.UNHEARD)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedTask:
    """One task of the account as the list shows it; times are epoch seconds, None is what the service does not say."""

    task: str
    status: str  #: the service's word
    job: str | None  #: address of the job that the ledger knows the task by
    model: str | None
    created_at: float | None
    started_at: float | None
    ended_at: float | None
    request_id: str | None  #: of the create
    region: str | None
    api_key_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFacts:
    """One task as a query shows it; times are epoch seconds, None is what the service does not say."""

    task: str
    status: str  #: the service's word; `UNKNOWN`: no such task, or older than 24 h
    job: str | None
    submitted_at: float | None
    started_at: float | None
    ended_at: float | None
    usage: Usage | None
    code: str | None
    message: str | None
    prompt: str | None
    link: str | None  #: without its query, which would open it
    link_expires_at: float | None

    @property
    def is_cancelled(self) -> bool:
        """Whether the task was cancelled, and so is not billed."""
        return self.status == TaskStatus.CANCELED

    @property
    def is_known(self) -> bool:
        """Whether the service knows the task."""
        return self.status != TaskStatus.UNKNOWN


def tasks(
    setup: Setup | None = None,
    *,
    provider: str = "default",
    status: str | None = None,
    model: str | None = None,
    observe: Callable[[Event], None] = lambda _: None,
) -> list[ListedTask]:
    """Return the account's tasks of the last 24 hours, newest first, those of one status or model if given.

    Every page of the list is read; `observe` hears when a call has to wait. Blocking. Raises `SettingsError`, and
    `ServiceError` when the service refuses or stays away.
    """
    project = open_project(setup or Setup())
    jobs = jobs_of_tasks(project)

    async def listing() -> list[TaskRow]:
        async with caller_of(project, provider, observe) as caller:
            return await all_rows(caller, status=status, model=model)

    rows = [row for row in blocking(listing) if status in (None, row.raw_status) and model in (None, row.model)]
    return [_listed(row, jobs) for row in sorted(rows, key=_age)]


async def all_rows(caller: Caller, *, status: str | None, model: str | None) -> list[TaskRow]:
    """Return the rows of all pages, each task once: what is made meanwhile pushes others to the next page."""
    rows: dict[str, TaskRow] = {}
    number, pages = 1, 1
    while number <= pages:
        page = await caller.ask(partial(caller.client.list_tasks, status=status, model=model, page_no=number))
        if not {row.task_id for row in page.rows} - set(rows):
            break
        rows |= {row.task_id: row for row in page.rows}
        number, pages = number + 1, page.total_pages
    return list(rows.values())


def _age(row: TaskRow) -> tuple[float, str]:
    return (-(row.created_at or 0), row.task_id)


def _listed(row: TaskRow, jobs: Mapping[str, str]) -> ListedTask:
    return ListedTask(
        task=row.task_id,
        status=row.raw_status,
        job=jobs.get(row.task_id),
        model=row.model,
        created_at=row.created_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
        request_id=row.request_id,
        region=row.region,
        api_key_id=row.api_key_id,
    )


def task(
    task_id: str,
    setup: Setup | None = None,
    *,
    provider: str = "default",
    observe: Callable[[Event], None] = lambda _: None,
) -> TaskFacts:
    """Return one task of the account with all that a query tells. Blocking; raises as `tasks` does."""
    project = open_project(setup or Setup())

    async def query() -> Task:
        async with caller_of(project, provider, observe) as caller:
            return await caller.ask(lambda: caller.client.query(task_id))

    return _facts(blocking(query), jobs_of_tasks(project))


def cancel_task(
    task_id: str,
    setup: Setup | None = None,
    *,
    provider: str = "default",
    observe: Callable[[Event], None] = lambda _: None,
) -> TaskFacts:
    """Ask to cancel a waiting task, and return what became of it: only `is_cancelled` says that it worked.

    The ledger is left alone; a run learns of it from the service, `cancel` is for one's own jobs. Blocking; raises as
    `tasks` does.
    """
    project = open_project(setup or Setup())

    async def cancelling() -> Task:
        async with caller_of(project, provider, observe) as caller:
            return await look(caller, task_id, accepted=await try_cancel(caller, task_id))

    return _facts(blocking(cancelling), jobs_of_tasks(project))


async def try_cancel(caller: Caller, task_id: str) -> bool:
    """Ask to cancel a task; False when the service says that it does not wait any more."""
    try:
        await caller.ask(lambda: caller.client.cancel(task_id))
    except CancelTooLate:
        return False
    return True


async def look(caller: Caller, task_id: str, *, accepted: bool) -> Task:
    """Return how a task stands after a cancel; one that was `accepted` may take a moment, or be overtaken."""
    for _ in range(LOOKS - 1):
        found = await caller.ask(lambda: caller.client.query(task_id))
        if not accepted or found.status is not TaskStatus.PENDING:
            return found
        await trio.sleep(LOOK_AGAIN_SECONDS)
    return await caller.ask(lambda: caller.client.query(task_id))


def _facts(found: Task, jobs: Mapping[str, str]) -> TaskFacts:
    return TaskFacts(
        task=found.task_id,
        status=found.raw_status,
        job=jobs.get(found.task_id),
        submitted_at=found.submitted_at,
        started_at=found.scheduled_at,
        ended_at=found.ended_at,
        usage=found.usage,
        code=found.code,
        message=found.message,
        prompt=found.orig_prompt,
        link=bare(found.link) if found.link else None,
        link_expires_at=found.link_expires_at,
    )


def jobs_of_tasks(project: Project) -> dict[str, str]:
    """Return the addresses of the ledger's jobs by their tasks' ids; none where there is no ledger yet."""
    if not project.ledger_path.is_file():
        return {}
    with Ledger.open(project.ledger_path, now=time.time) as ledger:
        return ledger.jobs_of_tasks()
