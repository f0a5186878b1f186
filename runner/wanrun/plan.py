"""The plan: each job's fingerprint compared with the ledger, giving a state and an action. Reads, never writes."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wanrun import rules
from wanrun.chains import in_order, result_identity, upstream_of
from wanrun.errors import SourceError
from wanrun.fingerprint import fingerprint, media_key, options_digest
from wanrun.ledger import FREE, GOOD, AttemptState, DeliveryRow, Entry
from wanrun.types import Action, Problem, State

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from decimal import Decimal
    from pathlib import Path

    from wanrun.catalog import Catalog
    from wanrun.digests import Digests
    from wanrun.money import Money
    from wanrun.types import Fitted, Identity, Job, MediaRef, SinkRef


@dataclass(frozen=True, slots=True)
class Destination:
    """One sink of a job, with the place its options lead to."""

    sink: SinkRef
    place: str  #: as the sink names it
    recorded: str  #: as the ledger has it: without the project root, so that a checkout may move
    digest: str  #: identity of the destination; a sink's name is not part of it


@dataclass(frozen=True, slots=True)
class PlannedJob:
    """One job, where it stands, and what a run would do for it."""

    job: Job
    identities: tuple[Identity, ...]
    fingerprint: str
    destinations: tuple[Destination, ...]
    state: State
    action: Action
    why: str  #: one clause for people; may be empty
    entry: Entry | None = None
    seconds: Decimal | None = None  #: that a task for it is billed for at most; None where nothing bounds them
    cost: Money | None = None  #: what a task for it costs at most; None where no price is known
    fitted: tuple[Fitted, ...] = ()  #: what is made of its local files before the service gets them


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would do, job by job, in the order of the specs."""

    jobs: tuple[PlannedJob, ...]
    others: tuple[PlannedJob, ...] = ()  #: of the same specs, and left alone since they were not chosen

    def count(self, action: Action) -> int:
        """Return how many jobs have this action."""
        return sum(planned.action is action for planned in self.jobs)


def references(jobs: Iterable[Job]) -> Mapping[str, MediaRef]:
    """Return every media reference of the jobs once, by its `media_key`; chains tell nothing by themselves."""
    return {media_key(ref): ref for job in jobs for ref in job.media if upstream_of(ref) is None}


def identify(ref: MediaRef, catalog: Catalog, digests: Digests) -> Identity | Problem:
    """Say what a reference is, or what is wrong with it. Slow for files that are not known: their bytes are hashed."""
    source = catalog.source(ref.kind)
    try:
        path = source.locate(ref) if catalog.sources[ref.kind].by_content else None
        return source.identify(ref) if path is None else digests.identity(ref, path, lambda: source.identify(ref))
    except SourceError as exc:
        return Problem(ref.position, str(exc), rules.SOURCE_REFUSED.id)


def make_plan(
    jobs: Sequence[Job],
    identities: Mapping[str, Identity],
    entries: Iterable[Entry],
    *,
    catalog: Catalog,
    loaded: Collection[str],
    root: Path,
    retry_failed: bool = False,
) -> Plan:
    """Compare jobs with the ledger's entries.

    `loaded` holds the recorded paths of the specs of this run, `root` the folder they are recorded from: an entry
    whose spec is loaded and no longer has its address, or whose spec is gone, may be taken over by a job that has
    the same fingerprint under another address.
    """
    entries = list(entries)
    marks: dict[str, str] = {}
    media: dict[str, tuple[Identity, ...]] = {}
    for job in in_order(jobs):
        media[job.address] = tuple(_identity(ref, identities, marks) for ref in job.media)
        marks[job.address] = fingerprint(job, media[job.address])
    by_key = {(entry.address, entry.fingerprint): entry for entry in entries}
    versions = Counter(entry.address for entry in entries)
    movable = _movable(entries, marks, loaded=loaded, root=root)
    return Plan(
        tuple(
            _plan_job(
                job,
                media[job.address],
                marks[job.address],
                by_key,
                versions,
                movable,
                catalog=catalog,
                root=root,
                retry_failed=retry_failed,
            )
            for job in jobs
        )
    )


def _plan_job(
    job: Job,
    mine: tuple[Identity, ...],
    mark: str,
    by_key: Mapping[tuple[str, str], Entry],
    versions: Mapping[str, int],
    movable: Mapping[str, list[Entry]],
    *,
    catalog: Catalog,
    root: Path,
    retry_failed: bool,
) -> PlannedJob:
    destinations = destinations_of(job, catalog, root=root)
    entry = by_key.get((job.address, mark))
    if movable.get(mark) and (entry is None or entry.gives_way):
        entry = movable[mark].pop(0)
        _, action, _ = standing(entry, destinations)
        return PlannedJob(job, mine, mark, destinations, State.MOVED, action, f"from {entry.address}", entry)
    if entry is None:
        state = State.CHANGED if versions.get(job.address) else State.NEW
        return PlannedJob(job, mine, mark, destinations, state, Action.SUBMIT, "")
    state, action, why = standing(entry, destinations)
    if state is State.NEW and versions[job.address] > 1:
        state = State.CHANGED
    if retry_failed and state is State.FAILED:
        action = Action.SUBMIT
    return PlannedJob(job, mine, mark, destinations, state, action, why, entry)


def _identity(ref: MediaRef, identities: Mapping[str, Identity], marks: Mapping[str, str]) -> Identity:
    upstream = upstream_of(ref)
    return identities[media_key(ref)] if upstream is None else result_identity(marks[upstream])


def _movable(
    entries: Iterable[Entry], marks: Mapping[str, str], *, loaded: Collection[str], root: Path
) -> dict[str, list[Entry]]:
    """Return, by fingerprint, the entries that no job asks for under their own address any more.

    What has, or may have, a result goes before what a person has to settle; that moves too, since a new name is no
    decision to pay again.
    """
    movable: dict[str, list[Entry]] = defaultdict(list)
    for states in (_WORTH, _FOR_A_PERSON):
        for entry in entries:
            counts = entry.attempt is not None and entry.attempt.state in states
            if counts and marks.get(entry.address) != entry.fingerprint and is_left_behind(entry, loaded, root):
                movable[entry.fingerprint].append(entry)
    return movable


_WORTH = (AttemptState.INTENDED, AttemptState.UNSURE, AttemptState.IN_FLIGHT, *GOOD)
_FOR_A_PERSON = (AttemptState.UNDECIDED, AttemptState.HELD, AttemptState.LOST, AttemptState.ABANDONED)


def is_left_behind(entry: Entry, loaded: Collection[str], root: Path) -> bool:
    """Say whether the spec of an entry is one of those loaded, as recorded, or is gone altogether."""
    return entry.spec_path in loaded or not (root / entry.spec_path).exists()


def destinations_of(job: Job, catalog: Catalog, *, root: Path) -> tuple[Destination, ...]:
    """Return where a job's artifact goes, sink by sink; `root` is the project root."""
    found = []
    for sink in job.sinks:
        place = catalog.sink(sink.kind).place(sink, job)
        recorded = place.removeprefix(f"{root}/")
        found.append(Destination(sink, place, recorded, options_digest(sink, recorded)))
    return tuple(found)


def standing(entry: Entry, destinations: Sequence[Destination] | None) -> tuple[State, Action, str]:
    """Return an entry's state, the action it calls for, and a clause that explains it.

    `destinations` None, where no spec is at hand: the recorded deliveries decide whether the job is done.
    """
    attempt = entry.attempt
    if entry.unprepared is not None and (attempt is None or attempt.state in FREE):
        return State.FAILED, Action.NOTHING, entry.unprepared
    if attempt is None:
        return State.NEW, Action.SUBMIT, ""
    if attempt.state is AttemptState.FETCHED:
        state, action, why = _delivery_standing(entry, destinations)
        taken = f"a further take came to nothing: {entry.in_vain}" if entry.in_vain is not None else ""
        return state, action, "; ".join(words for words in (why, taken) if words)
    state, action = _STANDING[attempt.state]
    if state is State.FAILED and attempt.again:
        return State.NEW, Action.SUBMIT, "failed by a fault of the service, to be submitted anew"
    return state, action, _why(entry)


#: What an attempt's state makes of its job.
_STANDING = {
    AttemptState.INTENDED: (State.UNSURE, Action.RESUME),  # in the air, or left there by a run that died
    AttemptState.UNSURE: (State.UNSURE, Action.RESUME),
    AttemptState.HELD: (State.HELD, Action.NOTHING),
    AttemptState.UNDECIDED: (State.HELD, Action.RESUME),  # a look is free, and may show it after all
    AttemptState.WITHDRAWN: (State.NEW, Action.SUBMIT),
    AttemptState.DISMISSED: (State.NEW, Action.SUBMIT),
    AttemptState.IN_FLIGHT: (State.IN_FLIGHT, Action.RESUME),
    AttemptState.SUCCEEDED: (State.IN_FLIGHT, Action.RESUME),
    AttemptState.REFUSED: (State.FAILED, Action.NOTHING),
    AttemptState.FAILED: (State.FAILED, Action.NOTHING),
    AttemptState.LOST: (State.LOST, Action.NOTHING),
    AttemptState.ABANDONED: (State.LOST, Action.NOTHING),
}


def _why(entry: Entry) -> str:
    attempt = entry.attempt
    assert attempt is not None
    if attempt.state in (AttemptState.IN_FLIGHT, AttemptState.SUCCEEDED):
        return f"task {attempt.task_id}"
    if attempt.state is AttemptState.INTENDED:
        return "its create awaits an answer"
    if attempt.state is AttemptState.UNSURE:
        looking = (attempt.evidence or {}).get("why") or "a run looks for its task in the account's list"
        return f"{attempt.message or 'no answer'}; {looking}"
    return attempt.why


def _delivery_standing(entry: Entry, destinations: Sequence[Destination] | None) -> tuple[State, Action, str]:
    attempt = entry.attempt
    assert attempt is not None
    rows = {row.options_digest: row for row in entry.deliveries if row.artifact_sha256 == attempt.artifact_sha256}
    if destinations is None:
        missing = [_undelivered(row.sink, row) for row in rows.values() if row.state in ("failed", "conflict")]
        missing += [] if rows else ["every sink"]
    else:
        goals = [goal for goal in destinations if not is_delivered(entry, goal)]
        missing = [_undelivered(goal.sink.name, rows.get(goal.digest)) for goal in goals]
    if not missing:
        return State.DONE, Action.NOTHING, ""
    return State.TO_DELIVER, Action.DELIVER, "to " + ", ".join(missing)


def _undelivered(sink: str, row: DeliveryRow | None) -> str:
    return f"{sink} ({row.message})" if row is not None and row.message else sink


def is_delivered(entry: Entry, destination: Destination) -> bool:
    """Say whether the entry's artifact has its receipt from this destination."""
    row = entry.delivery(destination.digest)
    return row is not None and row.state == "delivered"
