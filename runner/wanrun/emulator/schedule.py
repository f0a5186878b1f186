"""The order in which tasks of one model run: first come, first served, so many at once, on the account's time.

Knows nothing of calls, links or money; it says when a task starts and when it ends, as exactly as if it had been
watching all the time, however late it is asked.
"""

from __future__ import annotations

import heapq
import math
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from wanrun.emulator.tasks import Task


class Listener(Protocol):
    """Hears of what the schedule does."""

    def task_starts(self, task: Task, at: float) -> None:
        """Begin a task: sets `scheduled_at`, `due_at` and whether its work is done."""

    def task_ends(self, task: Task, at: float) -> None:
        """End a task that ran its time and has its result."""


class Schedule:
    """The queue of one model."""

    def __init__(self, running_at_once: int, listener: Listener) -> None:
        self.peak_running = 0
        self._running_at_once = running_at_once
        self._listener = listener
        self._pending: dict[str, Task] = {}
        self._running: dict[str, Task] = {}
        self._due: list[tuple[float, str]] = []
        self._freed_at = -math.inf  # when a place became free last

    @property
    def queued(self) -> int:
        """How many tasks wait."""
        return len(self._pending)

    def add(self, task: Task) -> None:
        """Put a task at the end of the queue."""
        self._pending[task.id] = task

    def restore(self, task: Task) -> None:
        """Take a task that was running when the history ended."""
        self._running[task.id] = task
        heapq.heappush(self._due, (task.due_at or 0.0, task.id))
        self.peak_running = max(self.peak_running, len(self._running))

    def remove(self, task: Task, at: float) -> bool:
        """Take a task out before its time; say whether it was here."""
        if self._pending.pop(task.id, None):
            return True
        if self._running.pop(task.id, None):
            self._freed_at = max(self._freed_at, at)
            return True
        return False

    def next_at(self) -> float:
        """Return when something happens next; infinity when nothing will by itself."""
        return min(self._next_end(), self._next_start())

    def advance(self, now: float) -> None:
        """Start and end everything whose time has come, in order."""
        while (at := self.next_at()) <= now:
            if self._next_end() <= at:
                self._end_or_wait(at)
            else:
                self._start(at)

    def worked(self, task: Task, now: float) -> None:
        """Note that the result of a running task is there."""
        if task.id in self._running and (task.due_at or 0.0) <= now:
            self._end(task, now)

    def _next_end(self) -> float:
        while self._due and self._due[0][1] not in self._running:
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else math.inf

    def _next_start(self) -> float:
        if not self._pending or len(self._running) >= self._running_at_once:
            return math.inf
        return max(next(iter(self._pending.values())).ready_at, self._freed_at)

    def _start(self, at: float) -> None:
        task = self._pending.pop(next(iter(self._pending)))
        self._listener.task_starts(task, at)
        self._running[task.id] = task
        heapq.heappush(self._due, (task.due_at or at, task.id))
        self.peak_running = max(self.peak_running, len(self._running))

    def _end_or_wait(self, at: float) -> None:
        task = self._running[heapq.heappop(self._due)[1]]
        if task.worked:  # else it stays in its place until `worked` is called
            self._end(task, at)

    def _end(self, task: Task, at: float) -> None:
        del self._running[task.id]
        self._freed_at = max(self._freed_at, at)
        self._listener.task_ends(task, at)
