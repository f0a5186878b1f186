"""What the stages of one run share: the open jobs, the lanes to the service, and the queues between the stages."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import trio

from wanrun.events import Event, EventName
from wanrun.ledger import AttemptState
from wanrun.limits import RateLimiter
from wanrun.redaction import redacted_json
from wanrun.types import Action

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from wanrun.catalog import Catalog
    from wanrun.client import Client
    from wanrun.engine.stop import Stop
    from wanrun.engine.world import World
    from wanrun.ledger import Attempt, Ledger
    from wanrun.plan import PlannedJob
    from wanrun.settings import Provider
    from wanrun.types import JSON
    from wanrun.vault import Vault

CREATES_AT_ONCE = 3  #: that await their reply: each may have been paid for in vain, should this process die


@dataclass(frozen=True, slots=True)
class OpenJob:
    """One entry that this run can still move."""

    entry: int
    address: str
    provider: str
    model: str
    planned: PlannedJob | None  #: None: no longer asked for; its result is fetched and kept, not delivered

    @property
    def needs_service(self) -> bool:
        """Whether the service has to be asked for anything; a mere delivery needs no key."""
        return self.planned is None or self.planned.action is not Action.DELIVER


@dataclass(slots=True)
class Flight:
    """One task in flight: what its watcher needs at every look, so that the ledger is not asked each time."""

    job: OpenJob
    task_id: str
    intended_at: float  #: epoch seconds
    status: str | None  #: as last recorded
    took_off_at: float  #: when this run heard of it, on trio's clock


class Lane:
    """One provider: its client, how fast it may be asked, and what is in flight there."""

    def __init__(self, provider: Provider, client: Client) -> None:
        self.provider, self.client = provider, client
        self.queries = RateLimiter(provider.limits.queries_per_second)
        self.flight = trio.CapacityLimiter(math.inf)  # lowered once the resumed tasks hold their places
        self.creating = trio.CapacityLimiter(CREATES_AT_ONCE)
        self.in_flight: dict[int, Flight] = {}  # by attempt
        self.arrival = trio.Event()  # something is in flight, or never will be
        self._creates: dict[str, RateLimiter] = {}

    def creates(self, model: str) -> RateLimiter:
        """Return the limiter of one model's creates; the service counts them per model."""
        return self._creates.setdefault(model, RateLimiter(self.provider.limits.creates_per_second))

    def took_off(self, attempt: Attempt, job: OpenJob) -> None:
        """Add a task to those that are watched; its place in the flight is held already."""
        assert attempt.task_id is not None
        now = trio.current_time()
        self.in_flight[attempt.id] = Flight(job, attempt.task_id, attempt.intended_at, attempt.task_status, now)
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
    observe: Callable[[Event], None]
    jobs: list[OpenJob]
    stop: Stop
    open: dict[int, OpenJob] = field(init=False)
    links: dict[int, str] = field(default_factory=dict)  #: attempt -> link, as far as this run has seen one

    def __post_init__(self) -> None:
        self.stop.heard = lambda reason: self.emit(EventName.RUN_STOPPING, reason=reason.words)
        self.open = {job.entry: job for job in self.jobs}
        self.to_prepare, self.prepare_queue = trio.open_memory_channel[OpenJob](math.inf)
        self.to_fetch, self.fetch_queue = trio.open_memory_channel[int](math.inf)
        self.to_deliver, self.deliver_queue = trio.open_memory_channel[OpenJob](math.inf)

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
        for job in self.jobs:
            self._queue(job)
        for lane in self.lanes.values():
            lane.flight.total_tokens = lane.provider.limits.tasks_in_flight
        self._close_if_done()

    def _queue(self, job: OpenJob) -> None:
        action = job.planned.action if job.planned else None
        if action is Action.SUBMIT:
            self.to_prepare.send_nowait(job)
        elif action is Action.DELIVER:
            self.to_deliver.send_nowait(job)

    def emit(self, name: EventName, job: OpenJob | None = None, /, **data: JSON) -> None:
        """Write an event to the ledger and, once it is on disk, tell everybody who listens."""
        event = self._event(name, job, data)
        self.ledger.note(event)
        self.ledger.once_committed(lambda: self.observe(event))

    def emit_soon(self, name: EventName, job: OpenJob | None = None, /, **data: JSON) -> None:
        """Tell everybody who listens at once of what is worth no write of its own: it goes with the next one."""
        event = self._event(name, job, data)
        self.ledger.note_soon(event)
        self.observe(event)

    def _event(self, name: EventName, job: OpenJob | None, data: Mapping[str, JSON]) -> Event:
        told = {key: redacted_json(value) for key, value in data.items()}  # a plugin's words, or a server's, are in it
        return Event(name, self.world.now(), self.run, job.address if job else None, told)

    def settle(self, job: OpenJob) -> None:
        """Take a job from the open ones: it rests where its ledger entry says."""
        self.open.pop(job.entry, None)
        self._close_if_done()

    def leave(self, lane: Lane) -> None:
        """Leave every job that needs one provider to another run; the others go on."""
        for job in [job for job in self.open.values() if job.provider == lane.provider.name and job.needs_service]:
            self.open.pop(job.entry)
        self.jobs = [job for job in self.jobs if job.entry in self.open]
        del self.lanes[lane.provider.name]

    def settle_unsubmitted(self) -> None:
        """Leave every job that has no task for another run; called when submitting has stopped."""
        flying = {flight.job.entry for lane in self.lanes.values() for flight in lane.in_flight.values()}
        for entry in self.waiting_for_submission(self.open.values(), flying):
            self.open.pop(entry)
        self._close_if_done()

    def waiting_for_submission(self, jobs: Iterable[OpenJob], flying: set[int]) -> list[int]:
        """Return the entries that nothing has been paid for and nothing is in flight for."""
        entries = {job.entry for job in jobs} - flying
        paid = (AttemptState.SUCCEEDED, AttemptState.FETCHED)
        kept = {attempt.entry for state in paid for attempt in self.ledger.attempts_in(state, entries)}
        return sorted(entries - kept)

    def _close_if_done(self) -> None:
        if self.open:
            return
        for channel in (self.to_prepare, self.to_fetch, self.to_deliver):
            channel.close()
        for lane in self.lanes.values():
            lane.arrival.set()

    def attempt(self, attempt: int) -> tuple[Attempt, OpenJob | None]:
        """Return an attempt as the ledger has it, with its open job."""
        row = self.ledger.attempt(attempt)
        return row, self.open.get(row.entry)
