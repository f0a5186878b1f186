"""Looking without touching: load and plan read specs, files and the ledger, and write nothing."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from wanrun.batch import Batch, identify_batch, load_batch, plan_batch
from wanrun.ledger import Ledger
from wanrun.project import Setup, open_project
from wanrun.selection import Selection, select

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from wanrun.ledger import Entry
    from wanrun.plan import Plan
    from wanrun.project import Project


def load(paths: Sequence[str | PathLike[str]], setup: Setup | None = None) -> Batch:
    """Load specs and check them and the files they name, without network, key or ledger.

    Raises `SpecError` with every problem, and `SettingsError` or `PluginError`.
    """
    return load_batch([Path(path) for path in paths], open_project(setup or Setup()))


def plan(
    paths: Sequence[str | PathLike[str]],
    setup: Setup | None = None,
    *,
    retry_failed: bool = False,
    selection: Selection | None = None,
) -> Plan:
    """Say what a run of these specs would do: a state and an action for every job, or those of a selection.

    Needs no key and no network, and writes nothing. Raises as `load` does, and `LedgerError`.
    """
    project = open_project(setup or Setup())
    batch = load_batch([Path(path) for path in paths], project)
    identified = identify_batch(batch, project)
    whole = plan_batch(batch, identified, entries_of(project), project, retry_failed=retry_failed)
    return select(whole, selection or Selection())


def entries_of(project: Project) -> list[Entry]:
    """Return the entries of the project's ledger; none where there is no ledger yet."""
    if not project.ledger_path.is_file():
        return []
    with Ledger.open(project.ledger_path, now=time.time) as ledger:
        return ledger.entries()
