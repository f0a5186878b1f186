"""Looking without touching: load, plan and forecast read specs, files and the ledger."""

from __future__ import annotations

import gc
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from wanrun.batch import Batch, identify_batch, load_batch, plan_batch
from wanrun.chained import with_chains
from wanrun.consent import parsed_cap
from wanrun.forecast import make_forecast
from wanrun.ledger import Ledger
from wanrun.planfile import promise_of, write_plan
from wanrun.project import Setup, open_project
from wanrun.selection import Selection, select
from wanrun.stages import stage_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from os import PathLike

    from wanrun.forecast import Forecast
    from wanrun.ledger import Entry
    from wanrun.plan import Plan
    from wanrun.project import Project


def load(paths: Sequence[str | PathLike[str]], setup: Setup | None = None) -> Batch:
    """Load specs and check them and the files they name, without network, key or ledger; bases may stand alone here.

    Raises `SpecError` with every problem, and `SettingsError` or `PluginError`.
    """
    with _uncollected():
        return load_batch([Path(path) for path in paths], open_project(setup or Setup()), also_none=True)


def plan(
    paths: Sequence[str | PathLike[str]],
    setup: Setup | None = None,
    *,
    retry_failed: bool = False,
    selection: Selection | None = None,
) -> Plan:
    """Say what a run of these specs would do: a state and an action for every job, or those of a selection.

    Needs no key and no network, and writes nothing but what it has learned of local files (`digests`). Raises as
    `load` does, and `LedgerError`.
    """
    return forecast(paths, setup, retry_failed=retry_failed, selection=selection).plan


def forecast(
    paths: Sequence[str | PathLike[str]],
    setup: Setup | None = None,
    *,
    retry_failed: bool = False,
    selection: Selection | None = None,
    plan_file: str | PathLike[str] | None = None,
    max_cost: str | None = None,
) -> Forecast:
    """Say what a run of these specs would do and what that comes to: changes, money, time, and what would stop it.

    Otherwise as `plan`; raises `PluginError` when a policy fails, too. A veto is in the result. `plan_file` is written
    for a run that shall do this or nothing, and takes the place of nothing but another plan. `max_cost`, such as
    `30 CNY`, is what that run may submit.
    """
    project = open_project(setup or Setup())
    selection, most = selection or Selection(), parsed_cap(max_cost)
    stage_of(project)  # what is wrong with it would stop the run
    with _uncollected():
        batch = load_batch([Path(path) for path in paths], project)
        identified = identify_batch(batch, project)
        with ledger_of(project) as ledger:
            entries = ledger.entries()
            whole = plan_batch(batch, identified, entries, project, retry_failed=retry_failed)
            chosen = with_chains(select(whole, selection), artifacts=project.artifacts, now=time.time())
            found = make_forecast(chosen, batch, project, ledger, entries, max_cost=most)
            if plan_file is not None:
                promise = promise_of(
                    found, batch, project, ledger, selection=selection, retry_failed=retry_failed, max_cost=most
                )
                write_plan(Path(plan_file), promise, ledger=project.ledger_path, now=time.time())
    return found


def ledger_of(project: Project) -> Ledger:
    """Open the project's ledger, or one without entries that is nowhere, so that none is made by looking."""
    if project.ledger_path.is_file():
        return Ledger.open(project.ledger_path, now=time.time)
    return Ledger.in_memory(now=time.time)


def entries_of(project: Project) -> list[Entry]:
    """Return the entries of the project's ledger; none where there is no ledger yet."""
    with ledger_of(project) as ledger:
        return ledger.entries()


@contextmanager
def _uncollected() -> Iterator[None]:
    """Make objects without looking for circles among them: ten thousand jobs stay until the end, and have none."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
