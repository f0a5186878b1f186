"""What is read from the ledger: entries with their latest attempt and deliveries, as plain frozen objects."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING

from wanrun.types import Artifact, Usage

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from wanrun.types import JSON


class AttemptState(StrEnum):
    """Where one attempt stands."""

    INTENDED = "intended"  #: on disk before the POST leaves; found at the start of a run, it is unsure
    WITHDRAWN = "withdrawn"  #: surely no task: not sent, throttled, or stopped for a reason of the account
    UNSURE = "unsure"  #: sent, no usable answer; a task may exist, and reconciling finds out
    HELD = "held"  #: reconciling could not decide; its evidence is frozen
    IN_FLIGHT = "in_flight"  #: the task is known and not known to have ended
    SUCCEEDED = "succeeded"  #: ended and billed; its result is not in the artifact store yet
    FETCHED = "fetched"  #: its result is in the artifact store
    REFUSED = "refused"  #: the create was refused
    FAILED = "failed"  #: the task failed or was cancelled; not billed
    UNDECIDED = "undecided"  #: the service no longer tells (`UNKNOWN`) although the task is young
    LOST = "lost"  #: paid, and its result is no longer to be had
    ABANDONED = "abandoned"  #: given up by a person
    DISMISSED = "dismissed"  #: set aside by a person who asked for another one


#: A task is known, and its result is not here yet: paid, or about to be, and gone a day later.
FLYING = (AttemptState.IN_FLIGHT, AttemptState.SUCCEEDED)
#: A task was paid for, and its result is here or can be had.
GOOD = (AttemptState.SUCCEEDED, AttemptState.FETCHED)
#: Nothing was billed, or a person has set it aside: another one may follow.
FREE = (AttemptState.WITHDRAWN, AttemptState.REFUSED, AttemptState.FAILED, AttemptState.DISMISSED)
#: A task of it may be under way, or may have been made: what it was given to read has to stay.
UNFINISHED = (AttemptState.INTENDED, AttemptState.UNSURE, AttemptState.HELD, AttemptState.UNDECIDED, *FLYING)
RESULT_LIFE_SECONDS = 24 * 3600  #: for which the service tells of a task


@dataclass(frozen=True, slots=True)
class Attempt:
    """One intention to create a task, and what became of it."""

    id: int
    entry: int
    state: AttemptState
    tries: int
    intended_at: float
    request_id: str | None
    task_id: str | None
    task_status: str | None
    started_at: float | None
    ended_at: float | None
    usage: Usage | None
    code: str | None
    message: str | None
    again: bool
    etag: str | None
    artifact_sha256: str | None
    artifact_bytes: int | None
    artifact_suffix: str | None
    evidence: Mapping[str, JSON] | None  #: of an unsure or held one: what was found so far
    skew_seconds: float | None  #: the service's clock minus ours when the create left; None: not known
    provider: str | None  #: where its create went; that of its entry is where the next one goes

    @property
    def made_at(self) -> float:
        """When its create left, by the service's clock as far as that is known: ours may have been set since."""
        return self.intended_at + (self.skew_seconds or 0.0)

    @property
    def candidates(self) -> tuple[str, ...]:
        """The tasks that reconciling has found for an unsure or held one, and could not decide about."""
        found = (self.evidence or {}).get("candidates")
        return tuple(str(each["task"]) for each in found if isinstance(each, dict)) if isinstance(found, list) else ()

    @property
    def why(self) -> str:
        """Why it ended as it did, in the service's words with their code; may be empty."""
        code = f" ({self.code})" if self.code else ""
        return f"{self.message or ''}{code}"

    @property
    def gone_at(self) -> float | None:
        """When its result can no longer be had, in epoch seconds; None where there is none to fetch.

        A link lives a day from the task's end, but only a query gives one, and that is answered for a day from the
        create.
        """
        return self.made_at + RESULT_LIFE_SECONDS if self.state in FLYING else None

    @property
    def link_gone_at(self) -> float | None:
        """When the link to its result dies, in epoch seconds, or no query gives one any more; None without a result."""
        if self.state not in GOOD:
            return None
        return min(self.made_at, self.ended_at or self.made_at) + RESULT_LIFE_SECONDS

    def artifact(self, store: Path) -> Artifact:
        """Return the fetched artifact in its store; only for an attempt that is `FETCHED`."""
        assert self.artifact_sha256 is not None
        assert self.artifact_bytes is not None
        assert self.artifact_suffix is not None
        path = store / f"{self.artifact_sha256}{self.artifact_suffix}"
        return Artifact(path, self.artifact_sha256, self.artifact_bytes, self.artifact_suffix)


ATTEMPT_COLUMNS = (
    "id, entry, state, tries, intended_at, request_id, task_id, task_status, started_at, ended_at, usage, code, "
    "message, again, etag, artifact_sha256, artifact_bytes, artifact_suffix, evidence, skew_seconds, provider"
)


def attempt_from(row: sqlite3.Row) -> Attempt:
    """Build an attempt from a row that has `ATTEMPT_COLUMNS`."""
    values = dict(row)
    values["state"], values["again"] = AttemptState(values["state"]), bool(values["again"])
    values["usage"] = _usage_from(values["usage"]) if values["usage"] else None
    values["evidence"] = json.loads(values["evidence"]) if values["evidence"] else None
    return Attempt(**values)


@lru_cache(maxsize=1024)
def _usage_from(written: str) -> Usage:
    """Return what a task used, which is the same for many."""
    return Usage(**json.loads(written))


@dataclass(frozen=True, slots=True)
class UnsureAttempt:
    """An attempt whose create got no usable answer, with what its task could be known by."""

    id: int
    entry: int
    address: str
    provider: str
    model: str
    prompt_key: str
    intended_at: float  #: epoch seconds by our clock, as `answered_at`
    answered_at: float  #: when it was given up to wait for an answer, or found without one
    skew_seconds: float | None  #: the service's clock minus ours then; None: not known
    request_id: str | None
    asked: Mapping[str, JSON] | None  #: as `intend` was told; None: made by an older wanrun

    @property
    def broken_at(self) -> float | None:
        """When an answer of no use came; None: it was waited for in vain, and the service may have gone on."""
        after = (self.asked or {}).get("broken_after_seconds")
        return self.intended_at + after if isinstance(after, int | float) else None


def unsure_from(row: sqlite3.Row) -> UnsureAttempt:
    """Build an unsure attempt from a row that has its fields as columns."""
    values = dict(row)
    return UnsureAttempt(**values | {"asked": json.loads(values["asked"]) if values["asked"] else None})


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """What became of one artifact at one destination."""

    entry: int
    artifact_sha256: str
    options_digest: str
    sink: str
    place: str
    state: str  #: delivered, lapsed, failed or conflict: only a person can move it
    message: str | None


@dataclass(frozen=True, slots=True)
class Entry:
    """A job as it was asked for, with all its attempts and deliveries."""

    id: int
    address: str
    fingerprint: str
    spec_path: str
    provider: str
    model: str
    unprepared: str | None
    moved_from: str | None = None
    wanted_at: float = 0.0  #: when a run last asked for it
    chains_from: tuple[str, ...] = ()  #: addresses of the jobs whose results it is made from, as far as known
    attempts: tuple[Attempt, ...] = ()  #: oldest first
    deliveries: tuple[DeliveryRow, ...] = ()

    @property
    def attempt(self) -> Attempt | None:
        """The attempt that stands: the latest; or, if that is a further take that came to nothing, the one before."""
        newest = self.attempts[-1] if self.attempts else None
        if newest is None or newest.state not in FREE or self._is_due(newest):
            return newest
        return next((attempt for attempt in reversed(self.attempts) if attempt.state not in FREE), newest)

    def _is_due(self, newest: Attempt) -> bool:
        return self.unprepared is None and (newest.again or newest.state is AttemptState.DISMISSED)

    @property
    def good(self) -> Attempt | None:
        """The latest attempt whose result is here or can be had; a person may want it made once more."""
        return next((attempt for attempt in reversed(self.attempts) if attempt.state in GOOD), None)

    @property
    def result(self) -> Attempt | None:
        """The attempt that stands, if its result was put into the artifact store."""
        return self.attempt if self.attempt is not None and self.attempt.state is AttemptState.FETCHED else None

    @property
    def asked_at(self) -> str:
        """The provider that knows the task of the attempt that stands; a later take may have gone elsewhere in vain."""
        return (self.attempt.provider if self.attempt is not None else None) or self.provider

    @property
    def in_vain(self) -> str | None:
        """Why a further take came to nothing, if the good one before it stands."""
        if self.attempt is None or self.attempt.state not in GOOD:
            return None
        if self.unprepared is not None:
            return self.unprepared
        newest = self.attempts[-1]
        return None if newest is self.attempt else newest.why

    @property
    def gives_way(self) -> bool:
        """Whether whatever was tried came to nothing, so that an entry with more to show may take its place."""
        return all(attempt.state in FREE for attempt in self.attempts)

    def delivery(self, options_digest: str) -> DeliveryRow | None:
        """Return what became of the current artifact at one destination; None where nothing was tried."""
        current = self.attempt.artifact_sha256 if self.attempt else None
        return next(
            (row for row in self.deliveries if row.options_digest == options_digest and row.artifact_sha256 == current),
            None,
        )


ENTRY_COLUMNS = "id, address, fingerprint, spec_path, provider, model, unprepared, moved_from, wanted_at, chains_from"


def entry_from(row: sqlite3.Row, attempts: Iterable[Attempt], deliveries: Iterable[DeliveryRow]) -> Entry:
    """Build an entry from a row that has `ENTRY_COLUMNS`, and from what belongs to it."""
    values = dict(row)
    chained = values["chains_from"] not in (None, "[]")  # most jobs chain from none
    values["chains_from"] = tuple(map(str, json.loads(values["chains_from"]))) if chained else ()
    return Entry(**values, attempts=tuple(attempts), deliveries=tuple(deliveries))


def latest(entries: Iterable[Entry]) -> dict[str, Entry]:
    """Return the entry of each address that was asked for last."""
    return {entry.address: entry for entry in sorted(entries, key=lambda entry: (entry.wanted_at, entry.id))}
