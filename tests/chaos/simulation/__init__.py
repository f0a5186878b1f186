"""Simulation: the real program in virtual time against the account model, with seeded faults; one seed, one history.

`story` draws what a seed makes happen and `chains` its chains, `play` plays it and writes its `history`, `judge` judges
that by `facts`. `life`, `disk`, `network`, `service` and `clocks` are the world that the program lives in; `farm` plays
many seeds, and `planted` holds bugs that the judge has to find.
"""

from __future__ import annotations

import hashlib
import math
import os
import time
from dataclasses import dataclass
from pathlib import Path
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


GOES_ON = True  #: `measure` takes the result that there is
CI = Size(seeds=500)
FULL = Size(seeds=50_000)


def measure(size: Size, before: Found | None = None) -> dict[str, JSON]:
    """Play the seeds over all processors and return what came of them.

    `before` is an earlier result. If it was stopped in time, by the same code, its seeds are not played again.
    """
    from chaos.simulation.farm import Tally, play_many  # the page is rendered without the program under test

    tally, own = Tally(), code()
    if before is not None and before.get("code") == own and before["size"]["seed"] == size.seed:
        tally.failures = {int(seed): list(found) for seed, found in before["broken"].items()}
        tally.counts.update({name: before[name] for name in before["counted"]})
    seeds = range(size.seed + tally.counts["seeds"], size.seed + size.seeds)
    minutes = math.inf if size.minutes is None else size.minutes
    began = time.monotonic()
    tally.add(play_many(seeds, processes=os.cpu_count() or 1, minutes=minutes))
    tally.counts["took_seconds"] += round(time.monotonic() - began)
    failures: dict[str, JSON] = {str(seed): list(found) for seed, found in sorted(tally.failures.items())}
    counted: list[JSON] = sorted(tally.counts)
    found = {**dict(tally.counts), "counted": counted, "histories_broken": len(failures), "broken": failures}
    return {"code": own, **found}


def again(found: Found) -> Found:
    """Return a result whose broken seeds were played once more by the code as it is now: what passes is mended."""
    from chaos.simulation.farm import play_seed

    broken: dict[str, JSON] = {}
    mended = dict(found.get("mended", {}))
    for seed, problems in found["broken"].items():
        failures = play_seed(int(seed)).failures
        if failures:
            broken[seed] = list(failures[int(seed)])
        else:
            mended[seed] = {"was": problems, "code": code()}
    return found | {"broken": broken, "histories_broken": len(broken), "mended": mended}


def code() -> str:
    """Return a digest of the program and of this package: what decides a history."""
    digest, here = hashlib.sha256(), Path(__file__).resolve()
    root = here.parents[3]
    for folder in (root / "runner", root / "plugins", root / "schemas", here.parent):
        for path in sorted(path for path in folder.rglob("*") if path.suffix in (".py", ".json")):
            digest.update(f"{path.relative_to(root)}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


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
    if mended := found.get("mended"):
        rows.append(("found broken at first, and mended since: they were played again", f"{len(mended):,}"))
    yield Table(head=["", "figure"], rows=[*rows[:2], ("hours of virtual time", f"{hours:,}"), *rows[2:]])
