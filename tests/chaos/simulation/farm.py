"""Plays many seeds, side by side, and adds up what came of them."""

from __future__ import annotations

import math
import multiprocessing
import tempfile
import time
import traceback
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from chaos.simulation.chains import STEP
from chaos.simulation.facts import ambiguous, letter_of, ours
from chaos.simulation.judge import judged
from chaos.simulation.play import play
from wanrun.types import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  # a commit is on disk at once there; elsewhere it costs a millisecond
CHUNK = 25  #: seeds that a process takes at a time
TELL_SECONDS = 10.0  #: between two lines of progress


@dataclass
class Tally:
    """What came of some seeds."""

    failures: dict[int, list[str]] = field(default_factory=dict)  #: seed -> what was broken
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        """Add what came of other seeds."""
        self.failures |= other.failures
        self.counts += other.counts

    def report(self) -> str:
        """Return the failing seeds with what was broken, a line each."""
        return "\n".join(
            f"seed {seed}: {problem}" for seed, found in sorted(self.failures.items()) for problem in found
        )


def play_seeds(seeds: Iterable[int]) -> Tally:
    """Play seeds one after the other and judge each."""
    tally = Tally()
    for seed in seeds:
        tally.add(play_seed(seed))
    return tally


def play_seed(seed: int) -> Tally:
    """Play one seed in a folder of its own and judge it; an exception of the program is a failure like any other."""
    with folder() as place:
        try:
            history = play(seed, Path(place))
            problems = judged(history)
        except Exception:  # the boundary to what is under test
            return Tally({seed: [traceback.format_exc()]}, Counter(seeds=1))
    held = [job for job in history.final.jobs if job.state is State.HELD]
    counts = Counter(
        seeds=1,
        lives=history.lives,
        deaths=len(history.died_at),
        virtual_seconds=int(history.ended_at),
        calls=len(history.network.sent),
        tasks_made=sum(1 for _ in ours(history)),
        tasks_chained=sum(STEP in letter_of(task, history) for task in ours(history)),
        tasks_billed=sum(task.billed_seconds > 0 for task in ours(history)),
        foreign_tasks=sum(len(account.foreign) for account in history.accounts),
        doubtful_creates=len(ambiguous(history)),
        jobs=len(history.final.jobs),
        jobs_held=len(held),
        **{f"jobs_{state}": 0 for state in ("done", "failed", "lost", "blocked")},
    )
    counts.update(f"jobs_{job.state.value.replace(' ', '_')}" for job in history.final.jobs if job not in held)
    return Tally({seed: problems} if problems else {}, counts)


def folder() -> tempfile.TemporaryDirectory[str]:
    """Return a temporary folder in memory where there is one."""
    return tempfile.TemporaryDirectory(prefix="wanrun-", dir=SHARED_MEMORY if SHARED_MEMORY.is_dir() else None)


def play_many(seeds: range, *, processes: int, minutes: float = math.inf, chunk: int = CHUNK) -> Tally:
    """Play seeds over several processes, the first of them for which there is time, and tell what fails.

    What is under way when the time is over is played to its end, so that the others can follow another time.
    """
    tally, began = Tally(), time.monotonic()
    told_at = began
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        for done in as_completed(futures := [pool.submit(play_seeds, each) for each in _chunks(seeds, chunk)]):
            if done.cancelled():
                continue
            tally.add(played := done.result())
            if played.failures:
                print(played.report(), flush=True)
            if time.monotonic() > told_at + TELL_SECONDS:
                told_at = time.monotonic()
                print(f"  {tally.counts['seeds']} of {len(seeds)} seeds, {len(tally.failures)} failed", flush=True)
            if time.monotonic() > began + minutes * 60:
                for future in futures:
                    future.cancel()
    return tally


def _chunks(seeds: range, size: int) -> Iterator[range]:
    for start in range(0, len(seeds), size):
        yield seeds[start : start + size]
