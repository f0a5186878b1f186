"""Whether a job's result could be delivered at all, asked before anything is paid for it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from wanrun.errors import SourceError
from wanrun.ledger.sidecars import SUFFIX, BadSidecar, facts_of

if TYPE_CHECKING:
    from wanrun.catalog import Catalog
    from wanrun.ledger import Ledger
    from wanrun.plan import Destination, PlannedJob


def check_places(planned: PlannedJob, ledger: Ledger, catalog: Catalog) -> None:
    """Raise `SourceError` when a file is where a result would go and this ledger did not put it there for the job."""
    for destination in planned.destinations:
        kind = catalog.sinks[destination.sink.kind]
        path = Path(destination.place)
        if not kind.local or not path.is_absolute() or not path.exists():
            continue
        if not ledger.delivered_to(destination.recorded, address=planned.job.address):
            raise SourceError(_words(ledger, path, destination))


def _words(ledger: Ledger, path: Path, destination: Destination) -> str:
    where = f"nothing was paid: the sink {destination.sink.name} would write {path}, "
    task = _task_of(path)
    if task is None:
        return f"{where}where there is another file; move it away or give the job another name"
    if (owner := ledger.jobs_of_tasks().get(task)) is not None:  # a run died before it noted that it put it there
        return (
            f"{where}which holds the result of task {task}, made for {owner}; move it away or give the job another name"
        )
    return (
        f"{where}which holds the result of task {task} that this ledger does not know; if the ledger was lost: "
        "wanrun ledger rebuild, else move the file away"
    )


def _task_of(path: Path) -> str | None:
    """Return the task that a sidecar beside a file names; None where there is none."""
    try:
        task = facts_of(path.with_name(f"{path.name}{SUFFIX}")).get("task_id")
    except (OSError, BadSidecar, ValueError):
        return None
    return task if isinstance(task, str) else None
