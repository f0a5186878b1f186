"""Simulation: the real program in virtual time against the account model, with seeded faults; one seed, one history.

`story` draws what a seed makes happen and `chains` its chains, `play` plays it and writes its `history`, `judge` judges
that by `facts`. `life`, `disk`, `network`, `service` and `clocks` are the world that the program lives in; `farm` plays
many seeds, and `planted` holds bugs that the judge has to find.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chaos.parts import Table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chaos.parts import Found
    from wanrun.types import JSON

TITLE = "Simulation"

HOW = """\
The real specs, engine, client, ledger and folder sink run in virtual time against the account model of the emulator. A
seed decides everything: what the service suffers from (lost replies, 429, 5xx, resets before and after, garbage,
latency, slow, cut and corrupt downloads, a list that lags or fails, links that die early), what other programs make on
the same account, how the wall clock is set meanwhile, how the specs change between runs, and how each run ends. In a
third of the histories jobs are made from other jobs' results, and some are made once more on purpose. A run may die at
any commit, event, write, rename, call or reply; what it had not synced may be gone then. At last the service is well
again, and the program is run until it says that running again does not help.

What came of it is judged by what the accounts have made and billed and by what lies in the folders; the ledger is not
asked. The same seed plays the same history: `python -m chaos.simulation SEED`."""


@dataclass(frozen=True)
class Size:
    """How many histories, the first one's seed, and how long they may take."""

    seeds: int
    seed: int = 0
    minutes: float | None = None  #: after which no more are begun


CI = Size(seeds=500)
FULL = Size(seeds=50_000)


def measure(size: Size) -> dict[str, JSON]:
    """Play the seeds over all processors and return what came of them."""
    from chaos.simulation.farm import play_many  # the page is rendered without the program under test

    tally = play_many(
        range(size.seed, size.seed + size.seeds),
        processes=os.cpu_count() or 1,
        minutes=math.inf if size.minutes is None else size.minutes,
    )
    failures: dict[str, JSON] = {str(seed): list(found) for seed, found in sorted(tally.failures.items())}
    return {**dict(tally.counts), "histories_broken": len(failures), "broken": failures}


def tables(found: Found) -> Iterable[Table]:
    """Return the figures for the page."""
    names = {
        "seeds": "histories",
        "lives": "runs in them",
        "deaths": "of these, killed at a step or an instant",
        "calls": "calls to the service",
        "tasks_billed": "tasks billed",
        "tasks_chained": "tasks made from another job's result",
        "foreign_tasks": "tasks of other programs on the account",
        "doubtful_creates": "jobs with a create whose reply was missing or unclear",
        "jobs": "jobs in the end",
        "jobs_done": "done",
        "jobs_held": "held for a person",
        "jobs_failed": "failed at the service",
        "jobs_blocked": "blocked: what they are made from came to nothing",
        "jobs_lost": "lost: past the service's 24 hours",
        "jobs_new": "waiting for room in the budget",
        "histories_broken": "**histories in which a promise was broken**",
    }
    found = {**found, "jobs_new": sum(found.get(f"jobs_{state}", 0) for state in ("new", "changed", "moved"))}
    rows = [(words, f"{found.get(name, 0):,}") for name, words in names.items()]
    hours = round(found.get("virtual_seconds", 0) / 3600)
    yield Table(head=["", "figure"], rows=[*rows[:2], ("hours of virtual time", f"{hours:,}"), *rows[2:]])
