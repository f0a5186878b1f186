"""What is read from the ledger: entries with their latest attempt and deliveries, as plain frozen objects."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
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

    @property
    def made_at(self) -> float:
        """When its create left, by the service's clock as far as that is known: ours may have been set since."""
        return self.intended_at + (self.skew_seconds or 0.0)

    @property
    def gone_at(self) -> float | None:
        """When its result can no longer be had, in epoch seconds; None where there is none to fetch.

        A link lives a day from the task's end, but only a query gives one, and that is answered for a day from the
        create.
        """
        return self.made_at + RESULT_LIFE_SECONDS if self.state in FLYING else None

    def artifact(self, store: Path) -> Artifact:
        """Return the fetched artifact in its store; only for an attempt that is `FETCHED`."""
        assert self.artifact_sha256 is not None
        assert self.artifact_bytes is not None
        assert self.artifact_suffix is not None
        path = store / f"{self.artifact_sha256}{self.artifact_suffix}"
        return Artifact(path, self.artifact_sha256, self.artifact_bytes, self.artifact_suffix)


ATTEMPT_COLUMNS = (
    "id, entry, state, tries, intended_at, request_id, task_id, task_status, started_at, ended_at, usage, code, "
    "message, again, etag, artifact_sha256, artifact_bytes, artifact_suffix, evidence, skew_seconds"
)


def attempt_from(row: sqlite3.Row) -> Attempt:
    """Build an attempt from a row that has `ATTEMPT_COLUMNS`."""
    values = dict(row)
    usage = Usage(**json.loads(values["usage"])) if values["usage"] else None
    evidence = json.loads(values["evidence"]) if values["evidence"] else None
    values |= {"usage": usage, "state": AttemptState(values["state"]), "again": bool(values["again"])}
    return Attempt(**values | {"evidence": evidence})


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
    state: str  #: delivered, lapsed, failed or conflict
    message: str | None


@dataclass(frozen=True, slots=True)
class Entry:
    """A job as it was asked for, with its latest attempt and all its deliveries."""

    id: int
    address: str
    fingerprint: str
    spec_path: str
    provider: str
    model: str
    unprepared: str | None
    moved_from: str | None = None
    wanted_at: float = 0.0  #: when a run last asked for it
    attempt: Attempt | None = None
    deliveries: tuple[DeliveryRow, ...] = ()

    def delivery(self, options_digest: str) -> DeliveryRow | None:
        """Return what became of the current artifact at one destination; None where nothing was tried."""
        current = self.attempt.artifact_sha256 if self.attempt else None
        return next(
            (row for row in self.deliveries if row.options_digest == options_digest and row.artifact_sha256 == current),
            None,
        )


def latest(entries: Iterable[Entry]) -> dict[str, Entry]:
    """Return the entry of each address that was asked for last."""
    return {entry.address: entry for entry in sorted(entries, key=lambda entry: (entry.wanted_at, entry.id))}
