"""What the specs of one command ask for: loaded, checked, and, for plan and run, identified and compared."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING

from wanrun import rules
from wanrun.chains import in_order, upstream_of, upstreams
from wanrun.digests import Digests
from wanrun.errors import SettingsError, SpecError, WanrunError
from wanrun.fingerprint import media_key
from wanrun.inputs import check_inputs
from wanrun.money import most_seconds, result_seconds
from wanrun.permits import forbidden_in
from wanrun.plan import Plan, identify, make_plan, references
from wanrun.project import check_name
from wanrun.spec import load
from wanrun.types import Position, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from wanrun.ledger import Entry
    from wanrun.media import MediaFacts
    from wanrun.money import Money, Price
    from wanrun.plan import PlannedJob
    from wanrun.project import Project
    from wanrun.spec import Spec
    from wanrun.types import Fitted, Identity, Job, MediaRef


@dataclass(frozen=True, slots=True)
class Batch:
    """The jobs of the specs of one command, all of them checked."""

    specs: tuple[Spec, ...]
    jobs: tuple[Job, ...]
    notes: tuple[str, ...]  #: what could not be checked, in words for people
    facts: Mapping[str, MediaFacts] = field(default_factory=dict)  #: of the media that are here, by `media_key`

    fitted: Mapping[tuple[str, str], Fitted] = field(default_factory=dict)  #: by `media_key` and model
    made_seconds: Mapping[str, float] = field(default_factory=dict)  #: of what is made of videos, by `media_key`
    bases: tuple[Path, ...] = ()  #: files without jobs that were named, and that none of the specs extends
    without_jobs: tuple[Path, ...] = ()  #: all files without jobs that were read, absolute

    def recorded(self, project: Project) -> set[str]:
        """Return, as the ledger names them, the files whose jobs are all known here: of a base, that it has none."""
        return {project.recorded(path) for path in (*(spec.path.resolve() for spec in self.specs), *self.without_jobs)}

    def seconds(self, ref: MediaRef) -> float | None:
        """Return how long a medium is, as the service gets it; None where it is not here or no video."""
        if not self.facts and not self.made_seconds:
            return None  # all of the batch are links, and keys take their time
        key = media_key(ref)
        if key in self.made_seconds:
            return self.made_seconds[key]
        facts = self.facts.get(key)
        return facts.seconds if facts is not None else None


def load_batch(paths: Sequence[Path], project: Project, *, also_none: bool = False) -> Batch:
    """Load and check specs and the files they name; raises `SpecError` with every problem.

    That there is no spec, but only bases, is one, unless it may be so (`also_none`).
    """
    for path in paths:
        check_name(path.absolute())
    loaded = load(paths, catalog=project.catalog, providers=project.settings.providers)
    report = check_inputs(loaded.jobs, project.catalog)
    budget = project.settings.budget
    told = (subscription.sink for spec in loaded.specs for subscription in spec.notify)
    forbidden = forbidden_in(loaded.jobs, told, project.settings.allow)
    alone = [] if loaded.specs or also_none else [_alone(path) for path in loaded.bases]
    found = [*loaded.problems, *alone, *forbidden, *report.problems]
    if problems := [*found, *_budget_problems(loaded.specs, project)]:
        raise SpecError(_in_file_order(problems, paths))
    for name, money in (("max_cost", budget.max_cost), ("confirm_above", budget.confirm_above)):
        if money is not None:
            check_currency(money, f"{project.settings.file}: budget.{name}", loaded.jobs, project)
    jobs = tuple(_in_sandbox(job, project) for job in loaded.jobs)
    if problems := list(_outside_sandbox(jobs, project)):
        raise SpecError(_in_file_order(problems, paths))
    notes = (*map(_note_on, loaded.bases), *report.notes)
    return Batch(
        loaded.specs,
        jobs,
        notes,
        report.facts,
        report.fitted,
        report.made_seconds,
        loaded.bases,
        loaded.without_jobs,
    )


def _alone(path: Path) -> Problem:
    words = "this file has no jobs, so it is a base; name a spec that extends it"
    return Problem(Position(path, 1, 1), words, rules.BASE_ALONE.id, whole=True)


def _note_on(base: Path) -> str:
    return f"{base} has no jobs, so it was checked as a base; what a spec makes of it was not checked"


def check_currency(money: Money, what: str, jobs: Iterable[Job], project: Project) -> None:
    """Raise `SettingsError` when the jobs are not all billed in the currency of an amount that is `what`."""
    if fault := _currency_fault(money, jobs, project):
        raise SettingsError(f"{what} {fault}")


def _budget_problems(specs: Iterable[Spec], project: Project) -> Iterator[Problem]:
    for spec in specs:
        if spec.budget and (fault := _currency_fault(spec.budget.max_cost, spec.jobs, project)):
            yield Problem(spec.budget.position, f"budget.max_cost {fault}", rules.BUDGET_CURRENCY.id)


def _currency_fault(money: Money, jobs: Iterable[Job], project: Project) -> str | None:
    """Say, to go behind the name of an amount, why it cannot be compared with what the jobs cost."""
    for provider, model in dict.fromkeys((job.provider, job.model) for job in jobs):
        price = project.price(provider, model)
        if price is None or price.of_any_task() is None:
            return f'cannot be kept: what {model} costs at "{provider}" is not known; leave one of the two out'
        if price.currency != money.currency:
            return f"is in {money.currency}, but {model} is billed in {price.currency}; give an amount in that currency"
    return None


def _in_file_order(problems: Iterable[Problem], paths: Sequence[Path]) -> list[Problem]:
    rank = {path: number for number, path in reversed(list(enumerate(paths)))}
    return sorted(
        dict.fromkeys(problems),
        key=lambda problem: (rank.get(problem.position.path, len(rank)), problem.position, problem.message),
    )


def _in_sandbox(job: Job, project: Project) -> Job:
    if project.sandbox(job.spec_path.parent) is None:
        return job
    return replace(job, sinks=tuple(replace(sink, sandbox=project.sandbox(sink.folder)) for sink in job.sinks))


def _outside_sandbox(jobs: Iterable[Job], project: Project) -> Iterator[Problem]:
    """Yield what is wrong with sinks only where their results stay in a sandbox: such as a path that leads out."""
    for job in jobs:
        for sink in job.sinks if project.sandbox(job.spec_path.parent) is not None else ():
            try:
                project.catalog.sink(sink.kind).place(sink, job)
            except WanrunError as exc:
                yield Problem(sink.position, f"sinks.{sink.name}: {exc}", rules.PLACE_REFUSED.id)


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
    plan = make_plan(
        batch.jobs,
        {key: found for key, found in identified.items() if not isinstance(found, Problem)},
        entries,
        catalog=project.catalog,
        loaded=batch.recorded(project),
        root=project.settings.root,
        retry_failed=retry_failed,
    )
    return _priced(plan, batch, project)


def _priced(plan: Plan, batch: Batch, project: Project) -> Plan:
    """Return the plan with what a task for each job is billed for and costs at most, and what is made of its files."""
    price_at = cache(project.price)
    by_address = {planned.job.address: planned for planned in plan.jobs}
    others_need = {address for planned in plan.jobs for address in upstreams(planned.job)}
    made: dict[str, float | None] = {}  # how long a result is that another job chains from, or will be at most
    costs: dict[tuple[object, ...], Money | None] = {}  # the same for many jobs

    def length_of(ref: MediaRef) -> float | None:
        upstream = upstream_of(ref)
        return batch.seconds(ref) if upstream is None else made[upstream]

    def cost(job: Job, price: Price) -> Money | None:
        key = (job.provider, job.model, *price.key_of_job(job, length_of))
        if key not in costs:
            costs[key] = price.of_job(job, length_of)
        return costs[key]

    for job in in_order(planned.job for planned in plan.jobs):
        planned, model = by_address[job.address], project.catalog.models[job.model]
        price = price_at(job.provider, job.model)
        by_address[job.address] = replace(
            planned,
            seconds=most_seconds(job, model, length_of),
            cost=cost(job, price) if price else None,
            fitted=_fitted(job, batch),
        )
        if job.address in others_need:
            known = _known_seconds(planned)
            made[job.address] = result_seconds(job, model, length_of) if known is None else known
    return Plan(tuple(by_address[planned.job.address] for planned in plan.jobs))


def _fitted(job: Job, batch: Batch) -> tuple[Fitted, ...]:
    found = (batch.fitted.get((media_key(ref), job.model)) for ref in job.media) if batch.fitted else ()
    return tuple(each for each in found if each is not None)


def _known_seconds(planned: PlannedJob) -> float | None:
    """Return how long a job's result is, if it is here."""
    result = planned.entry.result if planned.entry is not None else None
    return result.usage.output_seconds if result is not None and result.usage is not None else None


def identify_batch(batch: Batch, project: Project) -> Mapping[str, Identity | Problem]:
    """Identify every media reference of a batch. Slow where files are not known yet: they are hashed, and noted."""
    digests = Digests(project.settings.state_folder)
    try:
        return {key: identify(ref, project.catalog, digests) for key, ref in references(batch.jobs).items()}
    finally:
        digests.save()  # what was hashed before somebody lost patience, too
