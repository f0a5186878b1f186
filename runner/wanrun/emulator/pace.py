"""How long tasks take: what a simulation says, or what the service usually needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

from wanrun.errors import SettingsError

if TYPE_CHECKING:
    import random

    from wanrun.emulator.tasks import Task

Seconds: TypeAlias = "float | Mapping[str, float] | Callable[[Task], float] | None"

USUAL_SECONDS = (60.0, 300.0)


class Pace:
    """Sets how long a task waits at least and how long it runs; `speed` divides both."""

    def __init__(self, seconds: Seconds, *, queue_seconds: float, speed: float) -> None:
        if not speed > 0:
            raise SettingsError(f"speed is {speed:g}; give a number above 0")
        self._seconds, self._queue_seconds, self._speed = seconds, queue_seconds, speed

    def set(self, task: Task, chance: random.Random) -> None:
        """Fill in from when on a new task may run, and for how long it will."""
        task.ready_at = task.created_at + self._queue_seconds / self._speed
        task.seconds = self._length_of(task, chance) / self._speed

    def _length_of(self, task: Task, chance: random.Random) -> float:
        given = self._seconds
        if isinstance(given, Mapping):
            given = given.get(task.prompt)
        elif callable(given):
            given = given(task)
        return chance.uniform(*USUAL_SECONDS) if given is None else given
