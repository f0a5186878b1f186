"""Carrying out: plan, submit what is new, resume what is unfinished, fetch and deliver."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from wanrun.consent import parsed_cap
from wanrun.engine.world import World
from wanrun.errors import SettingsError
from wanrun.planfile import read_plan
from wanrun.project import Setup, open_project
from wanrun.run import Run
from wanrun.selection import Selection

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from os import PathLike

    import httpx

    from wanrun.batch import Batch
    from wanrun.catalog import Catalog
    from wanrun.consent import Confirm
    from wanrun.events import Event
    from wanrun.outcome import Outcome
    from wanrun.plan import Plan


async def run_async(
    paths: Sequence[str | PathLike[str]],
    setup: Setup | None = None,
    *,
    retry_failed: bool = False,
    selection: Selection | None = None,
    plan_file: str | PathLike[str] | None = None,
    max_wait_seconds: float = math.inf,
    no_wait: bool = False,
    max_cost: str | None = None,
    confirm: Confirm | None = None,
    observe: Callable[[Event], None] = lambda _: None,
    planned: Callable[[Plan, Batch], None] = lambda _plan, _batch: None,
    signals: bool = False,
    catalog: Catalog | None = None,
    world: World | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> Outcome:
    """Carry out specs, inside trio, until nothing is left that this run can move.

    `selection` chooses among the jobs of the specs. `plan_file`, which `forecast` writes, says what to do instead:
    specs, which may then be left out, selection, `retry_failed` and `max_cost`, beside which one given here may be
    lower; the run refuses (`SettingsError`) when anything has changed since. `max_wait_seconds` after the start no
    more is submitted, and the run ends within a minute; `no_wait` brings home what has ended, fills the places in
    flight and leaves. Neither cancels anything: another run goes on.
    `max_cost`, such as `30 CNY`, limits what this run submits. `confirm` is asked once when that may cost more than
    the settings' `confirm_above`, or is more than 10,000 jobs; without one such a run is refused.
    `observe` hears every event, `planned` the plan before anything is done about it. `signals` says that the process
    is this run's own: SIGINT, SIGTERM and SIGHUP end the run, and with `os._exit` the process if that takes longer
    than some seconds. `catalog`, `world` and `transport` replace the installed plugins, the clocks and the
    network: they are for tests and simulations. One job's failure is in the `Outcome`; raises `WanrunError` for
    what is wrong before anything is submitted, and `LedgerError` when the ledger cannot be written.
    """
    project = open_project(setup or Setup(), catalog=catalog)
    promised = None if plan_file is None else read_plan(Path(plan_file), project)
    if promised is not None:
        if selection is not None or retry_failed:
            raise SettingsError(f"{plan_file} says already which jobs to take; leave the other options out")
        paths = paths or promised.specs
        selection, retry_failed = promised.selection, promised.retry_failed
    run = Run(
        project=project,
        observe=observe,
        planned=planned,
        retry_failed=retry_failed,
        selection=selection or Selection(),
        promised=promised,
        max_wait_seconds=max_wait_seconds,
        no_wait=no_wait,
        max_cost=parsed_cap(max_cost),
        confirm=confirm,
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
    selection: Selection | None = None,
    plan_file: str | PathLike[str] | None = None,
    max_wait_seconds: float = math.inf,
    no_wait: bool = False,
    max_cost: str | None = None,
    confirm: Confirm | None = None,
    observe: Callable[[Event], None] = lambda _: None,
    planned: Callable[[Plan, Batch], None] = lambda _plan, _batch: None,
    signals: bool = False,
) -> Outcome:
    """Carry out specs and return when done; blocking, otherwise as `run_async`."""
    call = partial(
        run_async,
        paths,
        setup,
        retry_failed=retry_failed,
        selection=selection,
        plan_file=plan_file,
        max_wait_seconds=max_wait_seconds,
        no_wait=no_wait,
        max_cost=max_cost,
        confirm=confirm,
        observe=observe,
        planned=planned,
        signals=signals,
    )
    return trio.run(call)
