"""What the specs of one command ask for: loaded, checked, and, for plan and run, identified and compared."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from wanrun.errors import SpecError
from wanrun.inputs import check_inputs
from wanrun.plan import Plan, identify, make_plan, references
from wanrun.project import check_name
from wanrun.spec import load
from wanrun.types import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from wanrun.ledger import Entry
    from wanrun.project import Project
    from wanrun.spec import Spec
    from wanrun.types import Identity, Job


@dataclass(frozen=True, slots=True)
class Batch:
    """The jobs of the specs of one command, all of them checked."""

    specs: tuple[Spec, ...]
    jobs: tuple[Job, ...]
    notes: tuple[str, ...]  #: what could not be checked, in words for people


def load_batch(paths: Sequence[Path], project: Project) -> Batch:
    """Load and check specs and the files they name; raises `SpecError` with every problem."""
    for path in paths:
        check_name(path.absolute())
    loaded = load(paths, catalog=project.catalog, providers=project.settings.providers)
    report = check_inputs(loaded.jobs, project.catalog)
    if problems := loaded.problems + report.problems:
        raise SpecError(_in_file_order(problems, paths))
    return Batch(loaded.specs, tuple(_in_sandbox(job, project) for job in loaded.jobs), report.notes)


def _in_file_order(problems: Iterable[Problem], paths: Sequence[Path]) -> list[Problem]:
    rank = {path: number for number, path in reversed(list(enumerate(paths)))}
    return sorted(
        dict.fromkeys(problems),
        key=lambda problem: (rank.get(problem.position.path, len(rank)), problem.position, problem.message),
    )


def _in_sandbox(job: Job, project: Project) -> Job:
    sandbox = project.sandbox(job.spec_path.parent)
    return job if sandbox is None else replace(job, sinks=tuple(replace(sink, sandbox=sandbox) for sink in job.sinks))


def plan_batch(
    batch: Batch,
    identified: Mapping[str, Identity | Problem],
    entries: Iterable[Entry],
    project: Project,
    *,
    retry_failed: bool = False,
) -> Plan:
    """Compare a batch with the ledger's entries; raises `SpecError` for what could not be identified."""
    problems = [found for found in identified.values() if isinstance(found, Problem)]
    if problems:
        raise SpecError(_in_file_order(problems, [spec.path for spec in batch.specs]))
    return make_plan(
        batch.jobs,
        {key: found for key, found in identified.items() if not isinstance(found, Problem)},
        entries,
        catalog=project.catalog,
        loaded={project.recorded(spec.path.resolve()) for spec in batch.specs},
        root=project.settings.root,
        retry_failed=retry_failed,
    )


def identify_batch(batch: Batch, project: Project) -> Mapping[str, Identity | Problem]:
    """Identify every media reference of a batch. Slow: files are hashed."""
    return {key: identify(ref, project.catalog) for key, ref in references(batch.jobs).items()}
