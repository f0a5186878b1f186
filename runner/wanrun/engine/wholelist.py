"""The account's whole list of tasks, every page of it: what is not on it is believed not to be there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from wanrun.engine.patience import patiently
from wanrun.errors import JobRefused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wanrun.client import TaskPage, TaskRow
    from wanrun.engine.work import Lane, Work

PAGE_SIZES = (100, 10)  #: the service documents no largest one; the last is its default
PAGES_AT_MOST = 2000


@dataclass(frozen=True, slots=True)
class Scan:
    """One reading of the list."""

    rows: Mapping[str, TaskRow]  #: by task id
    whole: bool  #: every page said one total, and that many tasks were read
    began: float  #: on trio's clock


class WholeList:
    """Reads the list of one provider, through its limiter."""

    def __init__(self, work: Work, lane: Lane) -> None:
        self._work, self._lane = work, lane
        self._size = PAGE_SIZES[0]

    async def read(self) -> Scan:
        """Read every page, in whatever order the service keeps them; tasks that come and go meanwhile make it partial.

        Raises `ServiceError` past patience, and at once when the list is refused.
        """
        began = trio.current_time()
        try:
            rows, totals = await self._pages()
        except JobRefused:
            if self._size == PAGE_SIZES[-1]:
                raise
            self._size = PAGE_SIZES[-1]
            rows, totals = await self._pages()
        return Scan(rows, totals == {len(rows)}, began)

    async def _pages(self) -> tuple[dict[str, TaskRow], set[int]]:
        rows: dict[str, TaskRow] = {}
        totals: set[int] = set()
        for number in range(1, PAGES_AT_MOST + 1):
            page = await self._page(number)
            had = len(rows)
            rows |= {row.task_id: row for row in page.rows}
            totals.add(page.total)
            if len(rows) == had or len(rows) >= page.total:  # not by pages: it may give fewer rows than asked for
                break
        return rows, totals

    async def _page(self, number: int) -> TaskPage:
        return await patiently(
            lambda: self._lane.client.list_tasks(page_no=number, page_size=self._size),
            work=self._work,
            lane=self._lane,
            limiter=self._lane.queries,
            what="queries",
        )
