"""What the stages of one run share: the open jobs, the lanes to the service, and the queues between the stages."""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import trio

from wanrun.engine.again import make_again
from wanrun.engine.calls import Calls
from wanrun.engine.doubts import Doubt, Doubts
from wanrun.engine.evidence import AIR_SECONDS
from wanrun.engine.news import News
from wanrun.engine.upstream import Chains
from wanrun.events import Event, EventName
from wanrun.ledger import GOOD, AttemptState
from wanrun.limits import RateLimiter
from wanrun.redaction import redacted_json
from wanrun.types import Action

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from wanrun.catalog import Catalog
    from wanrun.client import Client
    from wanrun.digests import Digests
    from wanrun.engine.budget import Budget
    from wanrun.engine.stop import Stop
    from wanrun.engine.world import World
    from wanrun.ledger import Attempt, Ledger, UnsureAttempt
    from wanrun.plan import PlannedJob
    from wanrun.settings import Provider
    from wanrun.stages import Stage
    from wanrun.types import JSON
    from wanrun.vault import Vault

UNENDED = (AttemptState.INTENDED, AttemptState.UNSURE, AttemptState.IN_FLIGHT)  #: this run may yet see their end
TOGETHER_SECONDS = 0.002  #: that a commit waits for others who need one; itself it takes about as long
CREATES_FIRST_SECONDS = 0.2  #: that a result waits for creates
CREATES_AT_ONCE = 3  #: that await their reply: each may have been paid for in vain, should this process die


@dataclass(frozen=True, slots=True)
class OpenJob:
    """One entry that this run can still move."""

    entry: int
    address: str
    provider: str
    model: str
    planned: PlannedJob | None  #: None: no longer asked for; its result is fetched and kept, not delivered
    upstream: Mapping[str, int] = field(default_factory=dict)  #: the entries of the jobs it chains from, by address

    @property
    def needs_service(self) -> bool:
        """Whether the service has to be asked for anything; a mere delivery needs no key."""
        return self.planned is None or self.planned.action is not Action.DELIVER

    @property
    def replaces(self) -> int | None:
        """The attempt whose good result a person wants, or has wanted, made once more; None for every other job."""
        entry = self.planned.entry if self.planned is not None else None
        if entry is None or entry.good is None:
            return None
        if self.planned is not None and self.planned.action is Action.SUBMIT:
            return entry.good.id
        return entry.good.id if entry.good is not entry.attempt else None  # a further take goes on: resumed


@dataclass(slots=True)
class Flight:
    """One task in flight: what its watcher needs at every look, so that the ledger is not asked each time."""

    job: OpenJob
    task_id: str
    made_at: float  #: epoch seconds, by the service's clock as far as that is known
    status: str | None  #: as last recorded
    took_off_at: float  #: when this run heard of it, on trio's clock
    adopted: bool = False  #: found by reconciling, so it may be older than that, or have ended


class Lane:
    """One provider: its client, how fast it may be asked, and what is in flight there."""

    def __init__(self, provider: Provider, client: Client) -> None:
        self.provider, self.client = provider, client
        self.queries = RateLimiter(provider.limits.queries_per_second)
        self.flight = trio.CapacityLimiter(math.inf)  # lowered once the resumed tasks hold their places
        self.creating = trio.CapacityLimiter(CREATES_AT_ONCE)
        self.in_flight: dict[int, Flight] = {}  # by attempt
        self.arrival = trio.Event()  # something is in flight, or never will be
        self.looked = trio.Event()  # a run that does not wait has looked once at all that is in flight
        self.doubts = Doubts()
        self.accepted_at = -math.inf  #: when the service last took a create of this run, on trio's clock
        self._creates: dict[str, RateLimiter] = {}

    def creates(self, model: str) -> RateLimiter:
        """Return the limiter of one model's creates; the service counts them per model."""
        return self._creates.setdefault(model, RateLimiter(self.provider.limits.creates_per_second))

    def now(self, world: World) -> float:
        """Return the time by the service's clock, which says what has expired; ours as long as that is not known."""
        theirs = self.client.service_now
        return world.now() if theirs is None else theirs

    def skew_seconds(self, now: float) -> float | None:
        """Return how far the service's clock is ahead of ours, which shows `now`; None as long as nobody knows."""
        theirs = self.client.service_now
        return None if theirs is None else theirs - now

    def has_place(self, job: OpenJob) -> bool:
        """Say whether a job's place in the flight is to be kept: it has a task, or may have one."""
        return job.entry in self.doubts.entries() | self.flying()

    def flying(self) -> set[int]:
        """Return the entries whose tasks are watched."""
        return {flight.job.entry for flight in self.in_flight.values()}

    def took_off(self, attempt: Attempt, job: OpenJob, *, adopted: bool = False) -> None:
        """Add a task to those that are watched; its place in the flight is held already.

        `adopted`: it was made a while ago and may have ended.
        """
        assert attempt.task_id is not None
        now, status = trio.current_time(), attempt.task_status
        self.in_flight[attempt.id] = Flight(job, attempt.task_id, attempt.made_at, status, now, adopted)
        self.arrival.set()

    def landed(self, attempt: int) -> OpenJob:
        """Take a task from those that are watched and free its place."""
        job = self.in_flight.pop(attempt).job
        self.flight.release_on_behalf_of(("entry", job.entry))
        return job


@dataclass
class Work:
    """One run: everything that its stages need, and nothing that only one of them does."""

    run: str
    ledger: Ledger
    catalog: Catalog
    vault: Vault
    world: World
    lanes: dict[str, Lane]
    artifacts: Path
    fitted: Path  #: where what is made of local files is kept
    observe: Callable[[Event], None]
    jobs: list[OpenJob]
    stop: Stop
    budget: Budget
    digests: Digests  #: of local files, by which the plan knows them
    stage: Stage | None = None  #: a store of one's own for local files; None: the service's temporary one
    news: News = field(default_factory=News)  #: who hears of what happens
    waits: bool = True  #: False: fill the places in flight, and leave
    leave_at: float = math.inf  #: on trio's clock; what is not under way by then is left to another run
    open: dict[int, OpenJob] = field(init=False)
    chains: Chains = field(init=False)
    calls: Calls = field(init=False)  #: of plugins
    links: dict[int, str] = field(default_factory=dict)  #: attempt -> link, as far as this run has seen one

    def __post_init__(self) -> None:
        self.stop.heard = lambda reason: self.emit(EventName.RUN_STOPPING, reason=reason.words)
        self.open = {job.entry: job for job in self.jobs}
        self.chains = Chains(self)
        self.calls = Calls(self.world)
        self.to_prepare, self.prepare_queue = trio.open_memory_channel[OpenJob](math.inf)
        self.to_fetch, self.fetch_queue = trio.open_memory_channel[int](math.inf)
        self.to_deliver, self.deliver_queue = trio.open_memory_channel[OpenJob](math.inf)
        self.submitted = trio.Event()  # nothing more will be, and no create awaits its reply
        self.watched = trio.Event()  # nothing is watched any more
        self.recorded = trio.Event()  # something waits for its commit

    def begin(self) -> None:
        """Put every open job before the stage that its ledger entry calls for."""
        entries = set(self.open)
        for attempt in self.ledger.attempts_in(AttemptState.UNDECIDED, entries):
            self.ledger.looked_for_again(attempt.id)
        for attempt in self.ledger.attempts_in(AttemptState.IN_FLIGHT, entries):
            job = self.open[attempt.entry]
            lane = self.lanes[job.provider]
            lane.flight.acquire_on_behalf_of_nowait(("entry", job.entry))
            lane.took_off(attempt, job)
        for attempt in self.ledger.attempts_in(AttemptState.SUCCEEDED, entries):
            self.to_fetch.send_nowait(attempt.id)
        for unsure in self.ledger.unsure_attempts():
            if unsure.provider in self.lanes:
                self._doubt_again(unsure, self.lanes[unsure.provider])
        for job in self.jobs:
            self._queue(job)
        for lane in self.lanes.values():
            lane.flight.total_tokens = lane.provider.limits.tasks_in_flight
        self._close_if_done()

    def _doubt_again(self, unsure: UnsureAttempt, lane: Lane) -> None:
        """Go on with what an earlier run has left unsure, of whatever spec."""
        job, now = self.open.get(unsure.entry), self.world.now()
        if job is not None:
            lane.flight.acquire_on_behalf_of_nowait(("entry", job.entry))
        ours, waited_seconds = lane.skew_seconds(now), 0.0
        if ours is not None and unsure.skew_seconds is not None:  # else our clock may have been set meanwhile
            heard_at = unsure.intended_at + AIR_SECONDS if unsure.broken_at is None else unsure.broken_at
            waited_seconds = max(0.0, now + ours - (heard_at + unsure.skew_seconds))
        over_at = math.inf if ours is None else now + ours
        lane.doubts.add(Doubt(unsure, job, trio.current_time() - waited_seconds, over_at))

    def doubt(self, lane: Lane, attempt: int, job: OpenJob) -> None:
        """Let reconciling settle an attempt that has just become unsure; or another run, if this one has given up."""
        unsure = next(each for each in self.ledger.unsure_attempts() if each.id == attempt)
        lane.doubts.add(Doubt(unsure, job, trio.current_time(), lane.now(self.world)))
        if lane.doubts.given_up:
            self.settle(job)

    def park(self, lane: Lane, job: OpenJob, prompt_key: str) -> None:
        """Put a job aside until nothing with its prompt is unsure; or leave it to another run, as `doubt` does."""
        if lane.doubts.given_up:
            self.settle(job)
        else:
            lane.doubts.park(job, prompt_key)

    def end_doubt(self, lane: Lane, doubt: Doubt) -> None:
        """Note that an attempt is unsure no longer, and let those go on that waited for it."""
        self.budget.tell()
        for job in lane.doubts.remove(doubt):
            make_again(self, job)

    def leave_unsure(self, lane: Lane) -> None:
        """Leave what is unsure at one provider, and what waits for it, to another run; it stays unsure meanwhile."""
        for entry in lane.doubts.entries():
            lane.flight.release_on_behalf_of(("entry", entry))
        for job in lane.doubts.give_up():
            self.settle(job)

    async def wait_for_room(self, job: OpenJob) -> None:
        """Wait while the budget has no room for a job, as long as something may turn out cheaper than was reserved."""
        self.budget.stand_in_line(job)
        while self.is_room_awaited(job):
            await self.budget.news.wait()

    def is_room_awaited(self, job: OpenJob) -> bool:
        """Say whether there is no room for a job yet, and something that money is set aside for has not ended."""
        if not self.waits or self.budget.has_room(job):
            return False
        if self.budget.is_behind(job):
            return True
        others = set(self.open) - {job.entry}
        return any(self.ledger.attempts_in(state, others) for state in UNENDED)

    def _queue(self, job: OpenJob) -> None:
        action = job.planned.action if job.planned else None
        if action is Action.SUBMIT and self.waits:  # else `leaving` says how many, after a look at what is in flight
            self.to_prepare.send_nowait(job)
        elif action is Action.DELIVER:
            self.to_deliver.send_nowait(job)

    def emit(self, name: EventName, job: OpenJob | None = None, /, **data: JSON) -> None:
        """Write an event to the ledger and, once it is on disk, tell everybody who listens."""
        told = {key: redacted_json(value) for key, value in data.items()}  # a plugin's words, or a server's, are in it
        event = Event(name, self.world.now(), self.run, job.address if job else None, told)
        self.ledger.note(event)
        self.ledger.once_committed(lambda: self.observe(event))

    def emit_soon(self, name: EventName, job: OpenJob | None = None, /, **data: JSON) -> None:
        """Do the same for an event that is worth no write of its own."""
        with self.recording_soon():
            self.emit(name, job, **data)

    @contextmanager
    def recording_soon(self) -> Iterator[None]:
        """Record what could be found out again: on disk with the next commit, or a moment later by `flush_ledger`."""
        with self.ledger.transaction(soon=True):
            yield
        self.recorded.set()

    async def on_disk(self) -> None:
        """Return once all that was recorded soon is on disk: one commit for everybody who waits for one just now.

        No cancellation comes in between: what was written is acted on, or the run ends with a `LedgerError`.
        """
        commit = self.ledger.next_commit
        if commit is None:
            return
        with trio.CancelScope(shield=True):
            await trio.sleep(TOGETHER_SECONDS)
        self.ledger.keep(commit)

    async def let_creates_go(self) -> None:
        """Wait for a moment while creates are under way: an empty place costs time, a result that waits does not."""
        with trio.move_on_after(CREATES_FIRST_SECONDS):
            while any(lane.creating.borrowed_tokens for lane in self.lanes.values()):  # noqa: ASYNC110  # has no event
                await trio.sleep(CREATES_FIRST_SECONDS / 20)

    def settle(self, job: OpenJob) -> None:
        """Take a job from the open ones: it rests where its ledger entry says, and so do those it was to give input."""
        resting = [job]
        while resting:
            entry = resting.pop().entry
            self.open.pop(entry, None)
            resting += self.chains.left(entry)
        self.budget.tell()
        self._close_if_done()

    def leave(self, lane: Lane) -> None:
        """Leave every job that needs one provider to another run; the others go on."""
        for job in [job for job in self.open.values() if job.provider == lane.provider.name and job.needs_service]:
            self.open.pop(job.entry)
        self.jobs = [job for job in self.jobs if job.entry in self.open]
        del self.lanes[lane.provider.name]

    def flying(self) -> set[int]:
        """Return the entries whose tasks are watched, at whatever provider."""
        return {entry for lane in self.lanes.values() for entry in lane.flying()}

    def settle_unsubmitted(self) -> None:
        """Leave every job that has no task for another run; called when submitting has stopped."""
        flying = self.flying().union(*(lane.doubts.entries() for lane in self.lanes.values()))
        for entry in self.waiting_for_submission(self.open.values(), flying):
            self.open.pop(entry)
        self._close_if_done()

    def waiting_for_submission(self, jobs: Iterable[OpenJob], flying: set[int]) -> list[int]:
        """Return the entries that nothing has been paid for and nothing is in flight for.

        An earlier take of a job is not counted for one that a person wants made once more.
        """
        waiting = {job.entry: job.replaces for job in jobs if job.entry not in flying}
        standing = [entry.attempt for entry in self.ledger.entries() if entry.id in waiting and entry.attempt]
        paid = {each.entry for each in standing if each.state in GOOD and each.id != waiting[each.entry]}
        return sorted(waiting.keys() - paid)

    def _close_if_done(self) -> None:
        if self.open:
            return
        for channel in (self.to_prepare, self.to_fetch, self.to_deliver):
            channel.close()
        for lane in self.lanes.values():
            lane.arrival.set()
            lane.doubts.news.set()
