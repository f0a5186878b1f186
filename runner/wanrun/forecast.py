"""What a plan comes to before it is carried out: changes, seconds, money and time, and what would stop it.

Needs neither network nor secrets and writes nothing. Money is what jobs cost at most; time is a guess by what the
account allows and how long its tasks took before.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from statistics import median
from typing import TYPE_CHECKING

from wanrun.chains import depths
from wanrun.changes import changes, facts_of_job
from wanrun.consent import caps_of, question_about
from wanrun.errors import ExitCode, SourceError
from wanrun.fingerprint import media_key
from wanrun.ledger.rows import latest
from wanrun.money import Money, room_for, total
from wanrun.occupied import check_places
from wanrun.policy import against, objections
from wanrun.types import Action, State

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from wanrun.batch import Batch
    from wanrun.changes import Change
    from wanrun.hookspecs import Objection
    from wanrun.ledger import Entry, Ledger
    from wanrun.media import MediaFacts
    from wanrun.money import Cap, Price
    from wanrun.plan import Plan, PlannedJob
    from wanrun.project import Project

USUAL_SECONDS = (60.0, 300.0)  #: of a task, as the service's pages say, as long as the ledger knows of none
KNOWN_TASKS = 3  #: that have ended, before they say how long the next ones take


@dataclass(frozen=True, slots=True, kw_only=True)
class JobForecast:
    """One job of a plan, with what a person wants to know before it is paid for."""

    planned: PlannedJob
    changes: tuple[Change, ...] | None  #: since its last submission; None: not changed, or not known
    media: tuple[MediaFacts | None, ...]  #: in the job's order; None for what is not on this machine
    seconds: Decimal | None  #: that its task is billed for at most, if it gets one
    objections: tuple[tuple[str, Objection], ...] = ()  #: of policies, each with the plugin
    occupied: str | None = None  #: why it would fail before anything is paid: a file is at its place

    @property
    def address(self) -> str:
        """The job's."""
        return self.planned.job.address

    @property
    def submits(self) -> bool:
        """Whether a run would pay for a task."""
        return self.planned.action is Action.SUBMIT


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """What some jobs come to that a run would submit."""

    jobs: int
    submit: int
    seconds: Decimal
    cost: Mapping[str, Money]  #: at most, by currency


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """The price that one provider's tasks of one model are counted at."""

    provider: str
    price: Price


@dataclass(frozen=True, slots=True, kw_only=True)
class Duration:
    """How long one provider may be busy with the jobs of a plan."""

    provider: str
    tasks: int  #: to submit or in flight
    at_once: int  #: that it works on
    least_seconds: float
    most_seconds: float
    known_tasks: int  #: ended ones that it is reckoned by; 0: by what is usual


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """What would keep a run from doing all that is planned."""

    what: str  #: lent, veto, budget, confirmation or place
    words: str
    key: str  #: what stays the same however much was spent meanwhile
    exit_code: ExitCode
    job: str | None = None  #: the address, if it is about one job


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """A plan and what it comes to."""

    plan: Plan
    jobs: tuple[JobForecast, ...]
    total: Sum
    specs: Mapping[str, Sum]  #: by name
    providers: Mapping[str, Sum]
    rates: tuple[Rate, ...]  #: that money is counted at
    durations: tuple[Duration, ...]
    obstacles: tuple[Obstacle, ...]
    notes: tuple[str, ...]

    @property
    def has_work(self) -> bool:
        """Whether a run would do anything."""
        return any(job.planned.action is not Action.NOTHING for job in self.jobs)

    @property
    def is_vetoed(self) -> bool:
        """Whether a run would refuse it as a whole."""
        return any(obstacle.what == "veto" for obstacle in self.obstacles)


def make_forecast(
    plan: Plan,
    batch: Batch,
    project: Project,
    ledger: Ledger,
    entries: Sequence[Entry],
    *,
    max_cost: Money | None = None,
) -> Forecast:
    """Say what a plan comes to, for a run with this `--max-cost`; raises `PluginError` when a policy fails."""
    price_at = cache(project.price)
    said = objections(plan, project.catalog)
    before = _before(plan, ledger, entries)
    jobs = tuple(
        JobForecast(
            planned=planned,
            changes=_changes(planned, before),
            media=tuple(batch.facts.get(media_key(ref)) for ref in planned.job.media),
            seconds=planned.seconds if planned.action is Action.SUBMIT else None,
            objections=said.get(planned.job.address, ()),
            occupied=_occupied(planned, ledger, project),
        )
        for planned in plan.jobs
    )
    submit = [job for job in jobs if job.submits]
    lanes = dict.fromkeys((job.planned.job.provider, job.planned.job.model) for job in submit)
    prices = [(provider, price_at(provider, model)) for provider, model in lanes]
    return Forecast(
        plan=plan,
        jobs=jobs,
        total=_sum(jobs),
        specs={name: _sum(each) for name, each in _grouped(jobs, by_spec=True).items()},
        providers={name: _sum(each) for name, each in _grouped(jobs, by_spec=False).items()},
        rates=tuple(Rate(provider=name, price=price) for name, price in prices if price is not None),
        durations=tuple(_durations(jobs, project, ledger)),
        obstacles=tuple(_obstacles(jobs, batch, project, ledger, max_cost)),
        notes=batch.notes,
    )


# What has changed


def _before(plan: Plan, ledger: Ledger, entries: Sequence[Entry]) -> Mapping[str, Mapping[str, object]]:
    """Return what the jobs that have changed were when they were last submitted, by address."""
    changed = {planned.job.address: planned for planned in plan.jobs if planned.state is State.CHANGED}
    if not changed:
        return {}
    others = [
        entry
        for entry in entries
        if entry.address in changed and entry.fingerprint != changed[entry.address].fingerprint and entry.attempts
    ]
    last = latest(others)
    known = ledger.jobs_asked_for(entry.id for entry in last.values())
    return {address: known[entry.id] for address, entry in last.items() if entry.id in known}


def _changes(planned: PlannedJob, before: Mapping[str, Mapping[str, object]]) -> tuple[Change, ...] | None:
    was = before.get(planned.job.address)
    if was is None:
        return None
    return changes(was, facts_of_job(planned.job, planned.identities))  # type: ignore[arg-type]  # it was JSON


# What it comes to


def _occupied(planned: PlannedJob, ledger: Ledger, project: Project) -> str | None:
    if planned.action is not Action.SUBMIT:
        return None
    try:
        check_places(planned, ledger, project.catalog)
    except SourceError as exc:
        return str(exc)
    return None


def _grouped(jobs: Iterable[JobForecast], *, by_spec: bool) -> dict[str, list[JobForecast]]:
    groups: dict[str, list[JobForecast]] = {}
    for job in jobs:
        groups.setdefault(job.planned.job.spec if by_spec else job.planned.job.provider, []).append(job)
    return groups


def _sum(jobs: Sequence[JobForecast]) -> Sum:
    submit = [job for job in jobs if job.submits]
    return Sum(
        jobs=len(jobs),
        submit=len(submit),
        seconds=sum((job.seconds for job in submit if job.seconds is not None), Decimal(0)),
        cost=total(job.planned.cost for job in submit if job.planned.cost is not None),
    )


# How long it takes


def _durations(jobs: Iterable[JobForecast], project: Project, ledger: Ledger) -> Iterator[Duration]:
    """Yield a guess for each provider: rounds of as many tasks as it works on at once, and no faster than creates.

    A chain takes a round for each of its jobs, however many could be worked on at once.
    """
    busy = [job for job in jobs if job.planned.action in (Action.SUBMIT, Action.RESUME)]
    links = depths(job.planned.job for job in busy)
    for provider, group in _grouped(busy, by_spec=False).items():
        settings = project.settings.providers.get(provider)
        if settings is None:
            continue
        models = dict.fromkeys(job.planned.job.model for job in group)
        limits = [project.catalog.models[model].limits for model in models]
        at_once = min(sum(each.running_at_once for each in limits), settings.limits.tasks_in_flight)
        known = [each for model in models for each in ledger.recent_seconds(provider=provider, model=model)]
        usual = (median(known),) * 2 if len(known) >= KNOWN_TASKS else USUAL_SECONDS
        rounds = max(math.ceil(len(group) / at_once), *(links[job.address] for job in group))
        creating = sum(job.submits for job in group) / settings.limits.creates_per_second
        least, most = (max(rounds * seconds, creating + seconds) for seconds in usual)
        yield Duration(
            provider=provider,
            tasks=len(group),
            at_once=at_once,
            least_seconds=least,
            most_seconds=most,
            known_tasks=len(known) if len(known) >= KNOWN_TASKS else 0,
        )


# What would stop it


def _obstacles(
    jobs: Sequence[JobForecast], batch: Batch, project: Project, ledger: Ledger, max_cost: Money | None
) -> Iterator[Obstacle]:
    if (lent := ledger.lent) is not None and not lent.is_free:  # a free one is taken in between
        handed = "the file that was handed on after that is imported (wanrun ledger import FILE)"
        back = handed if lent.generation is None else "it is back there (wanrun ledger import --store)"
        words = f"the ledger was {lent.words()}, and is not given back: no run uses it until {back}"
        key = f"the ledger was {lent.words()}"
        yield Obstacle(what="lent", words=words, key=key, exit_code=ExitCode.ATTENTION)
    for job in jobs:
        for plugin, objection in job.objections:
            if objection.veto:
                words = against(plugin, objection)
                key = f"{job.address}, {words}"
                yield Obstacle(what="veto", words=words, key=key, exit_code=ExitCode.INVALID, job=job.address)
    rooms = [_room(cap, project, ledger) for cap in caps_of(project, batch, {"--max-cost": max_cost})]
    yield from _budget_obstacles(jobs, rooms)
    yield from _confirmation(jobs, rooms, project)
    for job in jobs:
        if job.occupied is not None:
            key, code = f"{job.address}, {job.occupied}", ExitCode.ATTENTION
            yield Obstacle(what="place", words=job.occupied, key=key, exit_code=code, job=job.address)


@dataclass(frozen=True, slots=True)
class _Room:
    """What one cap leaves."""

    cap: Cap
    left: int  # millionths; below zero if more was spent before the cap was lowered


def _room(cap: Cap, project: Project, ledger: Ledger) -> _Room:
    spent = None if cap.this_run else ledger.spent_with(project.price, spec=cap.spec).get(cap.most.currency)
    return _Room(cap, cap.most.millionths - (spent.total.millionths if spent is not None else 0))


def _budget_obstacles(jobs: Sequence[JobForecast], rooms: Iterable[_Room]) -> Iterator[Obstacle]:
    for room in rooms:
        cap = room.cap
        mine = [job for job in jobs if job.submits and cap.covers(job.address)]
        left, fit = room.left, 0
        for job in mine:
            left -= job.planned.cost.millionths if job.planned.cost is not None else 0
            if left < 0:
                break
            fit += 1
        if fit < len(mine):
            leaves = Money.of_millionths(max(0, room.left), cap.most.currency)
            most = f"{cap.most}" if cap.this_run else f"{cap.most}, which leaves {leaves}"
            first = mine[fit]
            words = (
                f"{cap.words} is {most}: enough for {fit} of {len(mine)} jobs to submit, "
                f"and not for {first.address}, which may cost {first.planned.cost}"
            )
            whose = "of all" if cap.spec is None else f"of the spec {cap.spec}"
            name = cap.words if cap.this_run else f"budget.max_cost {whose}"
            key = f"{name}, which is enough for {fit} of {len(mine)} jobs"
            yield Obstacle(what="budget", words=words, key=key, exit_code=ExitCode.STOPPED_BY_BUDGET)


def _confirmation(jobs: Iterable[JobForecast], rooms: Iterable[_Room], project: Project) -> Iterator[Obstacle]:
    left = [room.left for room in rooms if room.cap.spec is None]
    question = question_about((job.planned for job in jobs), project, lambda wanted: room_for(wanted, left))
    if question is not None:
        for words, key in question.occasions():
            words = f"{words}: a run asks first, or needs --yes"
            yield Obstacle(what="confirmation", words=words, key=key, exit_code=ExitCode.INVALID)
