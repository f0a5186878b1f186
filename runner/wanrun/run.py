"""One run: wires specs, ledger, service and engine together, and says at the end how every job stands."""

from __future__ import annotations

import math
from collections import Counter
from contextlib import AsyncExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import trio

from wanrun.audience import Audience
from wanrun.batch import load_batch, plan_batch
from wanrun.chained import with_chains
from wanrun.client import Client
from wanrun.consent import ask_first, caps_of, question_about
from wanrun.digests import Digests
from wanrun.engine import run_jobs
from wanrun.engine.budget import Budget
from wanrun.engine.leaving import GRACE_SECONDS
from wanrun.engine.news import News, listeners_of
from wanrun.engine.notify import End, tell_at_the_end
from wanrun.engine.patience import patiently
from wanrun.engine.stop import Stop, stop_code
from wanrun.engine.upstream import providers_of_links
from wanrun.engine.work import Lane, OpenJob, Work
from wanrun.engine.world import World
from wanrun.errors import ExitCode, ServiceError, Unavailable, plain_errors
from wanrun.events import EventName
from wanrun.fitting import relied_on, require_media
from wanrun.forecast import make_forecast
from wanrun.ledger import Ledger, LedgerLock
from wanrun.ledger.lending import not_taken
from wanrun.opening import open_jobs
from wanrun.outcome import (
    Outcome,
    Submissions,
    expiring,
    held_behind,
    job_outcomes,
    others_flying,
    overall,
    still_flying,
)
from wanrun.plan import Plan, identify, references
from wanrun.planfile import keep_promise, promise_of
from wanrun.policy import refuse_vetoed
from wanrun.project import make_private
from wanrun.ready import check_ready
from wanrun.rehearsal import Rehearsal, is_unread
from wanrun.selection import Selection, left_out, select
from wanrun.services import Services, account_of
from wanrun.signals import Signals
from wanrun.stages import stage_of
from wanrun.types import Action

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    import httpx

    from wanrun.batch import Batch
    from wanrun.catalog import Catalog
    from wanrun.consent import Confirm
    from wanrun.events import Event
    from wanrun.forecast import Forecast
    from wanrun.money import Money
    from wanrun.planfile import Planned
    from wanrun.project import Project
    from wanrun.types import JSON, Identity, Problem


@dataclass
class Run:
    """One invocation on one or more specs."""

    project: Project
    observe: Callable[[Event], None] = lambda _: None
    planned: Callable[[Plan, Batch], None] = lambda _plan, _batch: None  #: hears the plan before it is carried out
    retry_failed: bool = False
    max_cost: Money | None = None  #: of what this run submits
    confirm: Confirm | None = None  #: asks a person before much is spent; None: there is nobody
    world: World = field(default_factory=World)
    transport: httpx.AsyncBaseTransport | None = None  #: instead of the network, for simulation
    selection: Selection = field(default_factory=Selection)
    promised: Planned | None = None  #: a plan that must still hold, or nothing is submitted
    max_wait_seconds: float = math.inf  #: from the start, after which no more is submitted and the run ends soon
    no_wait: bool = False  #: bring home what has ended, fill the places in flight, and leave
    signals: bool = False  #: the process is this run's own: signals end it, and it ends in time
    _digests: Digests = field(init=False)
    _began: float = 0.0
    _counts: Counter[EventName] = field(default_factory=Counter)
    _submissions: Submissions = field(default_factory=Submissions)
    _notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._digests = Digests(self.project.settings.state_folder)

    async def run(self, paths: Sequence[Path]) -> Outcome:
        """Plan and carry out, and resume what is unfinished.

        Raises `WanrunError` for what is wrong before anything is submitted, and `LedgerError` whenever the ledger
        cannot be written.
        """
        self._began = trio.current_time()
        batch = load_batch(paths, self.project)
        stop = Stop()
        with plain_errors(), Signals(stop) if self.signals else nullcontext(), self._ledger() as ledger:
            return await self._run(batch, ledger, stop)

    @contextmanager
    def _ledger(self) -> Iterator[Ledger]:
        path, is_of_store = self.project.ledger_path, self.project.uses_ledger_store
        if is_of_store and not path.is_file():
            raise not_taken(str(path))
        make_private(path.parent)
        with LedgerLock(path), Ledger.open(path, now=self.world.now) as ledger:
            ledger.check_not_lent()
            if is_of_store and ledger.claim is None:
                raise not_taken(str(path))
            yield ledger

    async def _run(self, batch: Batch, ledger: Ledger, stop: Stop) -> Outcome:
        interrupted = ledger.interrupted()
        plan = await self._plan(batch, ledger, stop)
        self.project.vault.check(_secret_options(plan, self.project.catalog))
        check_ready(plan, self.project)
        work = self._work(plan, batch, ledger, stop)
        needed = {job.provider for job in work.jobs if job.needs_service}
        needed |= self.project.settings.providers.keys() & set(providers_of_links(work))
        services = Services(needed, self.project)
        _require_media(plan)
        self.planned(plan, batch)
        await self._ask_first(work, plan)
        asked = [job for job in work.jobs if job.planned is not None]
        others = {attempt.entry for attempt in interrupted} - {job.entry for job in asked}
        work.emit(EventName.RUN_STARTED, jobs=len(plan.jobs), open=len(asked) + len(others))
        for attempt in interrupted:
            entry = ledger.entry(attempt.entry)
            found = OpenJob(entry.id, entry.address, entry.provider, entry.model, None)
            work.emit(EventName.JOB_UNSURE, found, message=attempt.message)
        self._submissions.begin()
        if work.open and not stop.reasons:
            await self._carry_out(work, services)
        outcome = self._outcome(work, plan, batch)
        await tell_at_the_end(work, End(outcome.exit_code, outcome.jobs))
        outcome = replace(outcome, run_notes=(*outcome.run_notes, *work.news.notes()))
        counts = {state.value: count for state, count in outcome.counts().items()}
        work.emit(EventName.RUN_FINISHED, exit_code=int(outcome.exit_code), states=dict(counts))
        return outcome

    async def _plan(self, batch: Batch, ledger: Ledger, stop: Stop) -> Plan:
        """Compare the batch with the ledger; an empty plan when the run is stopped meanwhile."""
        identified: dict[str, Identity | Problem] = {}
        try:
            with trio.CancelScope() as scope:
                stop.bind(scope)
                for key, ref in references(batch.jobs).items():
                    identified[key] = await self.world.to_thread(identify, ref, self.project.catalog, self._digests)
        finally:
            self._digests.save()
        if scope.cancelled_caught:
            return Plan(())
        entries = ledger.entries()
        whole = plan_batch(batch, identified, entries, self.project, retry_failed=self.retry_failed)
        chosen = select(whole, self.selection)
        plan = with_chains(chosen, artifacts=self.project.artifacts, now=self.world.now())
        if self.promised is not None:
            forecast = make_forecast(plan, batch, self.project, ledger, entries, max_cost=self.promised.max_cost)
            self._keep_promise(self.promised, forecast, batch, ledger)
        self._notes += refuse_vetoed(plan, self.project.catalog)
        return plan

    def _keep_promise(self, promised: Planned, forecast: Forecast, batch: Batch, ledger: Ledger) -> None:
        now = promise_of(
            forecast,
            batch,
            self.project,
            ledger,
            selection=self.selection,
            retry_failed=self.retry_failed,
            max_cost=promised.max_cost,
        )
        keep_promise(promised, now)

    async def _ask_first(self, work: Work, plan: Plan) -> None:
        question = question_about(plan.jobs, self.project, work.budget.most)
        if question is None:
            return
        with trio.CancelScope() as scope:
            work.stop.bind(scope)
            await ask_first(question, self.confirm)

    def _work(self, plan: Plan, batch: Batch, ledger: Ledger, stop: Stop) -> Work:
        states = {planned.job.address: planned.state for planned in plan.jobs}
        news = News(listeners_of(batch.specs, self.project), states)
        news.begin(ledger)
        audience = Audience(
            [self._count, self.observe, news.hear], self.project.catalog.observers(), say=self._notes.append
        )
        at = datetime.fromtimestamp(self.world.now(), UTC)
        return Work(
            run=f"{at:%Y%m%dT%H%M%SZ}-{self.world.random.getrandbits(24):06x}",
            ledger=ledger,
            catalog=self.project.catalog,
            vault=self.project.vault,
            world=self.world,
            lanes={},
            artifacts=self.project.artifacts,
            fitted=self.project.fitted,
            observe=audience.hear,
            jobs=[] if stop.reasons else open_jobs(plan, batch, ledger, self.project, now=self.world.now()),
            stop=stop,
            budget=Budget(ledger, caps_of(self.project, batch, self._own_caps()), self.project.price),
            digests=self._digests,
            stage=stage_of(self.project),
            news=news,
            waits=not self.no_wait,
            leave_at=self._began + self.max_wait_seconds,
        )

    def _own_caps(self) -> Mapping[str, Money | None]:
        """Return what limits this run alone; a plan's limit holds whatever the run is given besides."""
        if self.promised is None:
            return {"--max-cost": self.max_cost}
        return {"--max-cost": self.max_cost, f"--max-cost of {self.promised.file}": self.promised.max_cost}

    def _count(self, event: Event) -> None:
        self._counts[event.name] += 1
        self._submissions.hear(event)

    async def _carry_out(self, work: Work, services: Services) -> None:
        make_private(self.project.artifacts)
        world = self.world
        async with AsyncExitStack() as stack:
            if any(job.planned is not None and job.planned.fitted for job in work.jobs):
                stack.enter_context(relied_on(self.project.fitted))
            for service in await stack.enter_async_context(services.started()):
                client = Client(
                    service.endpoint,
                    service.key,
                    transport=self.transport,
                    link_networks=service.provider.link_networks,
                    now=world.now,
                    in_thread=world.to_thread,
                )
                await stack.enter_async_context(client)
                work.lanes[service.provider.name] = Lane(service.provider, client)
            async with trio.open_nursery() as nursery:
                work.stop.bind(nursery.cancel_scope)
                for lane in list(work.lanes.values()):
                    nursery.start_soon(_greet, work, lane)
            if work.open and not nursery.cancel_scope.cancel_called:
                await run_jobs(work)

    def _outcome(self, work: Work, plan: Plan, batch: Batch) -> Outcome:
        entries = work.ledger.entries()
        found_lost = self._counts[EventName.JOB_LOST] > 0
        jobs = job_outcomes(plan, entries, found_lost=found_lost)
        behind = {job.entry for job in work.jobs if job.planned is None}
        left, held = still_flying(entries, behind), held_behind(entries, behind)
        if unsubmitted := left_out(plan):
            left.append(f"{unsubmitted} more to submit, left to another run by --limit {self.selection.limit}")
        codes = [ExitCode.LOST] if found_lost else []
        codes += [ExitCode.UNFINISHED] if left else []
        codes += [ExitCode.ATTENTION] if held else []
        return Outcome(
            run=work.run,
            jobs=jobs,
            exit_code=overall(jobs, [*codes, *(reason.exit_code for reason in work.stop.reasons)]),
            reasons=(*(reason.words for reason in work.stop.reasons), *left, *held),
            submitted=self._submissions.made,
            unsure=self._submissions.unsure,
            notes=batch.notes,
            run_notes=(*self._notes, *expiring(entries, self.world.now()), *others_flying(entries, plan, work.jobs)),
            ledger=self.project.ledger_path,
            spent=work.ledger.spent(),
            spent_by_run=work.budget.spent_by_run(),
        )


def _secret_options(plan: Plan, catalog: Catalog) -> Iterator[Mapping[str, JSON]]:
    """Yield the options whose secrets the jobs of a plan will need.

    Those of jobs in flight are left out: what is paid for is fetched first, and its delivery says what it lacks.
    """
    for planned in plan.jobs:
        if planned.action is Action.SUBMIT:
            media = [ref for ref in planned.job.media if not is_unread(catalog, ref.kind)]
            yield from (ref.options for ref in media)
        if planned.action in (Action.SUBMIT, Action.DELIVER):
            sinks = [sink for sink in planned.job.sinks if not isinstance(catalog.sink(sink.kind), Rehearsal)]
            yield from (sink.options for sink in sinks)


def _require_media(plan: Plan) -> None:
    """Raise `MissingExtra` when something is to be made of a file and nothing is there to make it with."""
    for planned in plan.jobs:
        if planned.action is Action.SUBMIT and planned.fitted:
            file = planned.fitted[0]
            require_media(f"{file.file} is {file.change}")


async def _greet(work: Work, lane: Lane) -> None:
    """Learn who answers before anything is asked of it, since two services never share a ledger.

    Any answer tells; whether this key may list or create is for a later call. Only a fault of the service itself is
    waited out, since it may be a proxy's.
    """

    async def call() -> None:
        try:
            await lane.client.list_tasks(page_size=1)
        except ServiceError as exc:
            if lane.client.identity is None or (exc.status or 0) >= 500:
                raise

    try:
        with trio.move_on_at(work.leave_at + GRACE_SECONDS) as in_time:
            await patiently(call, work=work, lane=lane, limiter=lane.queries, what="queries")
        if in_time.cancelled_caught:
            raise Unavailable("it gave no answer in the time of --max-wait")
    except ServiceError as exc:
        if account_of(lane.client) is None or work.ledger.account not in (None, account_of(lane.client)):
            work.stop.note(f"the service cannot be reached: {exc}", stop_code(exc))
            work.leave(lane)
    else:
        work.ledger.belong_to(account_of(lane.client) or "service")
