"""Carrying out: plan, submit what is new, resume what is unfinished, fetch and deliver."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from wanrun.engine.world import World
from wanrun.project import Setup, open_project
from wanrun.run import Run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from os import PathLike

    import httpx

    from wanrun.batch import Batch
    from wanrun.catalog import Catalog
    from wanrun.events import Event
    from wanrun.outcome import Outcome
    from wanrun.plan import Plan


async def run_async(
    paths: Sequence[str | PathLike[str]],
    setup: Setup | None = None,
    *,
    retry_failed: bool = False,
    observe: Callable[[Event], None] = lambda _: None,
    planned: Callable[[Plan, Batch], None] = lambda _plan, _batch: None,
    signals: bool = False,
    catalog: Catalog | None = None,
    world: World | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> Outcome:
    """Carry out specs, inside trio, until nothing is left that this run can move.

    `observe` hears every event, `planned` the plan before anything is done about it. `signals` makes the run listen
    to SIGINT and SIGTERM. `catalog`, `world` and `transport` replace the installed plugins, the clocks and the
    network: they are for tests and simulations. One job's failure is in the `Outcome`; raises `WanrunError` for
    what is wrong before anything is submitted, and `LedgerError` when the ledger cannot be written.
    """
    run = Run(
        project=open_project(setup or Setup(), catalog=catalog),
        observe=observe,
        planned=planned,
        retry_failed=retry_failed,
        signals=signals,
        world=world or World(),
        transport=transport,
    )
    return await run.run([Path(path) for path in paths])


def run(
    paths: Sequence[str | PathLike[str]],
    setup: Setup | None = None,
    *,
    retry_failed: bool = False,
    observe: Callable[[Event], None] = lambda _: None,
    planned: Callable[[Plan, Batch], None] = lambda _plan, _batch: None,
    signals: bool = False,
) -> Outcome:
    """Carry out specs and return when done; blocking, otherwise as `run_async`."""
    call = partial(
        run_async, paths, setup, retry_failed=retry_failed, observe=observe, planned=planned, signals=signals
    )
    return trio.run(call)
