"""Flush: what is recorded soon rather than at once is on disk a moment later, if no other commit takes it along.

What could be found out again is recorded so: a task that ended well, its result fetched, its receipt. A batch under
load commits far less often then, and a process that dies in between finds the same again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from wanrun.engine.work import Work

SOON_SECONDS = 0.02


async def flush_ledger(work: Work) -> None:
    """Put on disk what was recorded soon, for as long as the run lasts; raises `LedgerError` when that fails."""
    while True:
        await work.recorded.wait()
        await trio.sleep(SOON_SECONDS)
        work.recorded = trio.Event()
        work.ledger.flush()
