"""Cancelling at random instants, thousands of times: calls on real connections, and whole runs in virtual time."""

from __future__ import annotations

import random
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import trio
from trio.testing import MockClock

from chaos.parts import Found, Table
from chaos.workshop import workshop
from simulation import Simulation, states
from wanrun.client import Client, endpoint_for
from wanrun.errors import ServiceError
from wanrun.types import Secret

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from wanrun.types import JSON

    Ask = Callable[[], Awaitable[object]]

PLACES = 10  #: connections at most
WORKERS = 40  #: that call at once, and so wait for places
SLOW_ANSWERS = ({"on": "any", "do": {"latency_seconds": 0.004}},)
OPEN_FILES = Path("/proc/self/fd")

TITLE = "Cancelled at random instants"
HOW = f"""\
{WORKERS} children call the emulator over {PLACES} real connections, and each call is cancelled after a random time,
most of them before their answer. Afterwards {PLACES} calls at once must each find a connection free. The same calls
through httpx alone show what that is worth: its pool loses places when a call that waits for one is cancelled, so
wanrun lets none wait there. Then whole runs, in virtual time, are cancelled at random instants until one is let
through. Counted are children of trio that still live, open files, and what the account was paid."""


@dataclass(frozen=True)
class Size:
    """How many calls and runs."""

    calls: int
    runs: int
    jobs: int = 8  #: of each batch
    runs_of_a_batch: int = 8
    seed: int = 3


CI = Size(calls=1_500, runs=60)
FULL = Size(calls=30_000, runs=2_000)


def measure(size: Size) -> dict[str, JSON]:
    """Cancel so many calls of wanrun's client and of httpx alone, and so many runs."""
    with workshop(SLOW_ANSWERS) as shop:
        ours = trio.run(_cancel_calls, partial(_Ours, shop.url), size)
        alone = trio.run(_cancel_calls, partial(_Alone, shop.url), size)
    return {"wanrun": ours, "httpx_alone": alone, "runs": _cancel_runs(size)}


# Calls on real connections


class _Ours:
    """wanrun's own client."""

    def __init__(self, url: str) -> None:
        key = Secret("sk-test")
        self.client = Client(endpoint_for(base_url=url), key, connect_seconds=2, max_connections=PLACES)

    async def ask(self) -> None:
        """Make a call that the service answers, if only with a no."""
        try:
            await self.client.list_tasks()
        except ServiceError as exc:
            if exc.status is None:
                raise


class _Alone:
    """httpx as its documentation shows it."""

    def __init__(self, url: str) -> None:
        self.client = httpx.AsyncClient(timeout=2, limits=httpx.Limits(max_connections=PLACES))
        self.url = f"{url}/tasks"

    async def ask(self) -> None:
        """Make the same call."""
        await self.client.get(self.url, headers={"Authorization": "Bearer sk-test"})


async def _cancel_calls(make: Callable[[], _Ours | _Alone], size: Size) -> dict[str, JSON]:
    files, children = _open_files(), _children()
    caller, chances, counts = make(), random.Random(size.seed), {"cancelled": 0, "failed": 0}
    turns = iter(range(size.calls))
    async with trio.open_nursery() as nursery:
        for _ in range(WORKERS):
            nursery.start_soon(_worker, caller.ask, turns, chances, counts)
    free = await _free_places(caller.ask)
    await caller.client.aclose()
    await _until(lambda: _open_files() <= files)
    return {
        "calls": size.calls,
        **counts,
        "places_lost": PLACES - free,
        "files_left_open": _open_files() - files,
        "children_left": _children() - children,
    }


async def _worker(ask: Ask, turns: object, chances: random.Random, counts: dict[str, int]) -> None:
    for _ in turns:  # type: ignore[attr-defined]
        with trio.move_on_after(chances.expovariate(1 / 0.02)) as scope:
            try:
                await ask()
            except (ServiceError, httpx.HTTPError):
                counts["failed"] += 1
        counts["cancelled"] += scope.cancelled_caught


async def _free_places(ask: Ask) -> int:
    """Return how many of as many calls as there are places are answered."""
    answered = 0

    async def one() -> None:
        nonlocal answered
        try:
            await ask()
        except (ServiceError, httpx.HTTPError):
            return
        answered += 1

    async with trio.open_nursery() as nursery:
        for _ in range(PLACES):
            nursery.start_soon(one)
    return answered


# Whole runs


def _cancel_runs(size: Size) -> dict[str, JSON]:
    chances, files = random.Random(size.seed), _open_files()
    found = {"runs": 0, "cancelled": 0, "children_left": 0, "jobs": 0, "not_done": 0, "paid_twice": 0}
    while found["runs"] < size.runs:
        with tempfile.TemporaryDirectory() as folder:
            batch = trio.run(_one_batch, Path(folder), chances, size, clock=MockClock(autojump_threshold=0))
        found = {name: count + batch[name] for name, count in found.items()}
    return {**found, "files_left_open": _open_files() - files}


async def _one_batch(folder: Path, chances: random.Random, size: Size) -> dict[str, int]:
    """Cancel runs of one batch until one is let through."""
    sim, before, cancelled = Simulation(folder), _children(), 0
    spec = sim.clips(*[f"job-{number}" for number in range(size.jobs)])
    for _ in range(size.runs_of_a_batch - 1):
        with trio.move_on_after(chances.expovariate(1 / 15)) as scope:
            await sim.run(spec)
        cancelled += scope.cancelled_caught
    left = _children() - before
    outcome = await sim.run(spec)
    return {
        "runs": size.runs_of_a_batch,
        "cancelled": cancelled,
        "children_left": left,
        "jobs": size.jobs,
        "not_done": sum(state != "done" for state in states(outcome).values()),
        "paid_twice": sum(count - 1 for count in sim.billed().values()),
    }


# What is left over


def _children() -> int:
    return trio.lowlevel.current_statistics().tasks_living


def _open_files() -> int:
    return len(list(OPEN_FILES.iterdir())) if OPEN_FILES.is_dir() else 0


async def _until(condition: Callable[[], bool]) -> None:
    """Give a condition a second to become true."""
    with trio.move_on_after(1):
        while not condition():  # noqa: ASYNC110  # the kernel tells nobody when a file is closed
            await trio.sleep(0.01)


def tables(found: Found) -> list[Table]:
    """Return the figures."""
    words = {
        "calls": "calls",
        "cancelled": "cancelled before their answer",
        "places_lost": f"places of {PLACES} lost",
        "files_left_open": "files left open",
        "children_left": "children left",
    }
    calls = [(words[key], found["wanrun"][key], found["httpx_alone"][key]) for key in words]
    runs = [(words, found["runs"][key]) for key, words in RUNS.items()]
    return [Table(["", "wanrun", "httpx alone"], calls), Table(["", "wanrun"], runs)]


RUNS = {
    "runs": "runs",
    "cancelled": "cancelled before their end",
    "jobs": "jobs",
    "not_done": "not done at the end",
    "paid_twice": "paid more than once",
    "files_left_open": "files left open",
    "children_left": "children left",
}
