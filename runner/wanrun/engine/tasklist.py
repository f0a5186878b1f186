"""The account's list of tasks, which answers for many at once: read as far as needed, and never relied on."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import trio

from wanrun.errors import ServiceError, Throttled

if TYPE_CHECKING:
    from wanrun.client import TaskRow
    from wanrun.engine.work import Lane, Work

PAGES_AT_MOST = 20  #: of 100 tasks each; with more, single queries are cheaper for what is in flight
PAUSE_SECONDS = 60  #: that the list is left alone after it failed
THROTTLED_SECONDS = 5  #: that all queries are held back when the list is throttled and says no time


class TaskList:
    """The list call of one provider, and what it has cost so far."""

    def __init__(self, work: Work, lane: Lane) -> None:
        self._work, self._lane = work, lane
        self._pages = 1  # as last seen
        self._not_before = -math.inf

    def is_worth_it(self, tasks: int) -> bool:
        """Say whether reading the list takes fewer calls than asking for so many tasks one by one."""
        return self._pages < tasks and trio.current_time() >= self._not_before

    async def read(self, wanted: set[str]) -> dict[str, TaskRow]:
        """Return the rows of the wanted tasks, as far as the list has them.

        A list that fails or refuses gives what it gave so far and is left alone for a while: every key may query
        single tasks, but some hosts are known to refuse the list.
        """
        found: dict[str, TaskRow] = {}
        for number in range(1, PAGES_AT_MOST + 1):
            try:
                async with self._lane.queries.call():
                    page = await self._lane.client.list_tasks(page_no=number)
            except ServiceError as exc:
                self._failed(exc)
                return found
            found |= {row.task_id: row for row in page.rows if row.task_id in wanted}
            self._pages = max(1, page.total_pages)
            if not page.rows or number >= page.total_pages or wanted <= set(found):
                break
        return found

    def _failed(self, exc: ServiceError) -> None:
        self._not_before = trio.current_time() + PAUSE_SECONDS
        if isinstance(exc, Throttled):
            self._lane.queries.slow_down(min(exc.retry_after_seconds or THROTTLED_SECONDS, PAUSE_SECONDS))
