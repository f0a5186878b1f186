"""When to look at which task: often at what may be ending, seldom at what waits. Pure; knows no service and no clock.

How long tasks take is learned from those that have ended. A task that runs is expected to end about then; before,
and while nothing is known, the gap between looks grows with its age, up to the operator's `poll_seconds`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

SHORTEST_GAP_SECONDS = 0.1
AGE_SHARE = 0.2  #: of a task's age that may pass between looks while nothing is known
CROWD = 5  #: watched tasks from which on that share shrinks, since one look at the list tells of more
LEAST_SHARE = 0.02  #: that it shrinks to, since the list of many has many pages
LEARNED_SHARE = 0.05  #: of the usual time, between looks around the expected end
SPARE_SHARE = 0.005  #: of the usual time, behind the expected end, since a look just before it is wasted
REMEMBERED = 20  #: ended tasks that count for the usual time


@dataclass(slots=True)
class _Watched:
    attempt: int
    since: float  # when the task was made, or the service began to work on it
    seen_at: float
    look_at: float
    running: bool = False
    guessed: bool = False  # that it runs: no look has shown it yet
    aimed: bool = False  # the next look is at its expected end, so a look before that would be wasted


class Schedule:
    """The next look at each task; all times in seconds on one monotonic clock."""

    def __init__(self, *, poll_seconds: float, recent_seconds: Iterable[float] = ()) -> None:
        self._poll_seconds = poll_seconds
        self._seconds = deque(recent_seconds, maxlen=REMEMBERED)
        self._watched: dict[int, _Watched] = {}

    def add(self, attempt: int, *, now: float, at_once: bool = False) -> None:
        """Begin to watch a task that was made just now, or by an earlier run; one that may have ended, `at_once`."""
        if attempt not in self._watched:
            self._watched[attempt] = watched = _Watched(attempt, since=now, seen_at=now, look_at=now)
            if not at_once:
                self._aim(watched, now)

    def seen(self, attempt: int, *, now: float, running: bool, age_seconds: float | None = None) -> None:
        """Note a look at a task that has not ended.

        `age_seconds` is how long it has been running by the service's clock, which may go wrong: it counts as far as
        it fits in since the look before.
        """
        watched = self._watched[attempt]
        if running is not watched.running or (watched.guessed and age_seconds is not None):
            since_last_look = now - watched.seen_at
            watched.running, watched.since = running, now - min(max(age_seconds or 0, 0), since_last_look)
        watched.seen_at, watched.guessed = now, False
        self._aim(watched, now)

    def postpone(self, attempt: int, *, until: float) -> None:
        """Look at a task no sooner than that."""
        self._watched[attempt].look_at, self._watched[attempt].aimed = until, False

    def ended(self, attempt: int, *, now: float, seconds: float | None) -> None:
        """Watch a task no longer; `seconds` is how long the service worked on it, where it ended well.

        The service takes the next one from its queue then; a look that finds something else corrects this. Where there
        is no queue it has been running all along, so this guess never puts a look off.
        """
        self._watched.pop(attempt, None)
        if seconds is not None:
            self._seconds.append(seconds)
        queued = next((waiting for waiting in self._watched.values() if not waiting.running), None)
        if queued is not None:
            queued.running, queued.guessed, queued.since = True, True, now
            if now + self._gap(queued, now) < queued.look_at:
                self._aim(queued, now)

    def next_look(self) -> float:
        """Return when the first task is due; only while something is watched."""
        return min(watched.look_at for watched in self._watched.values())

    def due(self, now: float) -> tuple[list[int], list[int]]:
        """Return the tasks that are due, with those that soon would be; and of them the ripe ones, expected to end.

        A ripe task is best queried, since its end has to be queried anyway; for others a list call does, which
        answers for everything that is watched.
        """
        until = now + SHORTEST_GAP_SECONDS / 2
        due = [
            attempt
            for attempt, watched in self._watched.items()
            if watched.look_at <= (now if watched.aimed else until)
        ]
        return due, [attempt for attempt in due if self._is_ripe(self._watched[attempt], until)]

    @property
    def is_sure(self) -> bool:
        """Whether tasks have lately taken so much the same time that a ripe one has very likely ended."""
        spread = max(self._seconds) - min(self._seconds) if self._seconds else 0.0
        return bool(self._seconds) and spread <= LEARNED_SHARE * median(self._seconds)

    def _is_ripe(self, watched: _Watched, now: float) -> bool:
        return bool(self._seconds) and watched.running and now - watched.since >= median(self._seconds)

    def _aim(self, watched: _Watched, now: float) -> None:
        gap = self._gap(watched, now)
        watched.look_at = now + gap
        watched.aimed = bool(self._seconds) and gap >= self._left(watched, now) > 0

    def _gap(self, watched: _Watched, now: float) -> float:
        age = now - watched.since
        if not self._seconds:
            return self._bounded(age * max(LEAST_SHARE, AGE_SHARE * min(1.0, CROWD / len(self._watched))))
        left = self._left(watched, now)
        if not watched.running:
            return self._bounded(max(left, age * AGE_SHARE))
        return self._bounded(left if left > 0 else max(median(self._seconds) * LEARNED_SHARE, -left * AGE_SHARE))

    def _left(self, watched: _Watched, now: float) -> float:
        """Return how long it will take yet: one that does not run has to begin first, and to run its time."""
        usual = median(self._seconds) * (1 + SPARE_SHARE)
        return usual - (now - watched.since) if watched.running else usual

    def _bounded(self, seconds: float) -> float:
        return max(SHORTEST_GAP_SECONDS, min(seconds, self._poll_seconds))
