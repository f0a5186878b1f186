"""The unsure attempts of one provider, and the jobs with the same words that wait until they are settled."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Collection

    from wanrun.engine.work import OpenJob
    from wanrun.ledger import UnsureAttempt


@dataclass(slots=True)
class Doubt:
    """One unsure attempt on its way to be settled; times are trio's."""

    attempt: UnsureAttempt
    job: OpenJob | None  #: None: of a spec that this run was not given
    answered: float  #: when it was given up to wait for an answer; may lie before the run
    over_at: float  #: its create was over by then: epoch seconds by the service's clock
    scans: int = 0  #: readings of the list, one after the other, that showed the same
    showed: str = ""  #: what they showed
    scanned: float = -math.inf  #: when the latest of them began


@dataclass(frozen=True, slots=True)
class Listed:
    """What the latest reading of the list showed that could be relied on."""

    began: float  #: on trio's clock
    tasks: Collection[str]


class Doubts:
    """What is unsure at one provider; whoever adds something wakes the one that reconciles."""

    def __init__(self) -> None:
        self.open: dict[int, Doubt] = {}  # by attempt
        self.listed: Listed | None = None
        self.given_up = False  #: this run will settle nothing more here
        self.news = trio.Event()  # something new is unsure, or nothing ever will be
        self._parked: dict[str, list[OpenJob]] = defaultdict(list)  # by prompt key

    def add(self, doubt: Doubt) -> None:
        """Begin to doubt."""
        self.open[doubt.attempt.id] = doubt
        self.news.set()

    def remove(self, doubt: Doubt) -> list[OpenJob]:
        """End a doubt; returns the jobs that waited for it."""
        del self.open[doubt.attempt.id]
        key = doubt.attempt.prompt_key
        return [] if self.holds_back(key) else self._parked.pop(key, [])

    def holds_back(self, prompt_key: str) -> bool:
        """Say whether a create with this prompt would make it impossible to tell whose task is whose."""
        return any(doubt.attempt.prompt_key == prompt_key for doubt in self.open.values())

    def entries(self) -> set[int]:
        """Return the entries that this run waits for to be settled."""
        if self.given_up:
            return set()
        return {doubt.job.entry for doubt in self.open.values() if doubt.job is not None}

    def park(self, job: OpenJob, prompt_key: str) -> None:
        """Keep a job until nothing with its prompt is unsure."""
        self._parked[prompt_key].append(job)

    def give_up(self) -> list[OpenJob]:
        """Settle nothing more in this run; returns its jobs that are unsure or waited."""
        self.given_up = True
        waiting = [job for jobs in self._parked.values() for job in jobs]
        self._parked.clear()
        return [*(doubt.job for doubt in self.open.values() if doubt.job is not None), *waiting]
