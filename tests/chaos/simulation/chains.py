"""Chains in a story: which jobs are made from other jobs' results, how that changes, and what is made once more.

Drawn from dice of their own, so that a seed without chains plays the history that it would play anyway.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from wanrun.selection import Selection

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from chaos.simulation.story import Letter

SHARE = 1 / 3  #: of the stories, that have chains
MORE_LIVES = 2  #: that those have, since it takes one until there are results to go on with
IDS = {"batch": "uv", "more": "wx"}  #: of chained jobs, by spec
DYING_LINKS: tuple[object, dict[str, Any]] = ("create", {"link_seconds": 50})
STEP = ">"  #: stands in a letter between what a job is made from and what is made of that


@dataclass(frozen=True, slots=True)
class Chained:
    """A job that is made from another one's result."""

    spec: str
    job: str
    upstream: str  #: address
    step: Letter  #: what is made of the other one's result; its prompt follows from it

    @property
    def address(self) -> str:
        """The job's address."""
        return f"{self.spec}/{self.job}"

    def line(self, prompt: str) -> str:
        """Return the job as a spec has it."""
        spec, _, job = self.upstream.partition("/")
        name = job if spec == self.spec else self.upstream
        return f"  - {{id: {self.job}, prompt: {prompt}, media: [{{video: {{job: {name}}}}}]}}\n"


def made_from(letter: Letter, step: Letter) -> Letter:
    """Return the letter of what is made of the result for another letter."""
    return f"{letter}{STEP}{step}"


def letters_with(plain: dict[str, Letter], chained: Iterable[Chained]) -> dict[str, Letter]:
    """Return what each address asks for: those that stand alone, and those that are made from them."""
    found, waiting = dict(plain), list(chained)
    while waiting:
        job = waiting.pop(0)
        if job.upstream in found:
            found[job.address] = made_from(found[job.upstream], job.step)
        else:
            waiting.append(job)
    return found


class Chains:
    """The dice for the chains of one history, and the chained jobs as they stand."""

    def __init__(self, seed: int, *, same_words: bool) -> None:
        self._dice = random.Random(f"chains {seed}")
        self.are_there = self._says(SHARE)
        self.steps = "p" if same_words else "pq"
        self._jobs: list[Chained] = []

    def next_jobs(self, specs: Sequence[str], others: Sequence[str]) -> list[Chained]:
        """Draw the chained jobs of the next life; `specs` may hold them, `others` are addresses to be made from."""
        if self.are_there:
            self._jobs = self._evolved(specs, others)
        return self._jobs

    def selection(self, addresses: Sequence[str], made: Collection[str]) -> dict[str, Any]:
        """Draw what one call chooses: one of the jobs that are `made` to be made once more, or one job alone."""
        if not self.are_there or not addresses:
            return {}
        above = [job.upstream for job in self._jobs if job.upstream in made]
        if above and self._says(0.5):
            return {"selection": Selection(again=(self._dice.choice(above),))}
        if self._says(0.1):
            return {"selection": Selection(again=(self._dice.choice(addresses),))}
        if self._says(0.1):
            return {"selection": Selection(only=(self._dice.choice(addresses),))}
        return {}

    def faults(self) -> list[tuple[object, dict[str, Any]]]:
        """Draw what is bad for chains most of all: links that die before their day is over."""
        return [DYING_LINKS] if self.are_there and self._says(0.2) else []

    def _says(self, probability: float) -> bool:
        return self._dice.random() < probability

    def _evolved(self, specs: Sequence[str], others: Sequence[str]) -> list[Chained]:
        """Return what somebody makes of the chains: drawn anew, renamed, or as they were as far as that goes."""
        if not self._jobs or self._says(0.3):
            return self._drawn(specs, others)
        if self._says(0.2):
            self._jobs = self._renamed()
        return self._kept(others)

    def _drawn(self, specs: Sequence[str], others: Sequence[str]) -> list[Chained]:
        jobs: list[Chained] = []
        for _ in range(self._dice.choice([1, 2, 2])):
            spec = self._dice.choice(specs)
            job = self._dice.choice([job for job in IDS[spec] if f"{spec}/{job}" not in _addresses(jobs)])
            upstream = jobs[0].address if jobs and self._says(0.6) else self._dice.choice(others)
            jobs.append(Chained(spec, job, upstream, self._dice.choice(self.steps)))
        return jobs

    def _renamed(self) -> list[Chained]:
        """Give each job the other id of its spec."""
        names = {job.address: replace(job, job=IDS[job.spec].replace(job.job, "")) for job in self._jobs}
        moved = {old: job.address for old, job in names.items()}
        return [replace(job, upstream=moved.get(job.upstream, job.upstream)) for job in names.values()]

    def _kept(self, others: Sequence[str]) -> list[Chained]:
        """Return the jobs without those whose other job is gone, unless they are made from another one from now on."""
        jobs: list[Chained] = []
        for job in self._jobs:
            if job.upstream in (*others, *_addresses(jobs)):
                jobs.append(job)
            elif self._says(0.7):
                jobs.append(replace(job, upstream=self._dice.choice(others)))
        return jobs


def _addresses(jobs: Iterable[Chained]) -> Collection[str]:
    return {job.address for job in jobs}
