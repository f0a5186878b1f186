"""The part of the ledger that is about jobs as they were asked for: entries, each with its attempts and deliveries."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from wanrun.chains import upstreams
from wanrun.ledger.database import Database
from wanrun.ledger.rows import (
    ATTEMPT_COLUMNS,
    ENTRY_COLUMNS,
    FREE,
    AttemptState,
    DeliveryRow,
    attempt_from,
    entry_from,
)

if TYPE_CHECKING:
    from collections.abc import Collection

    from wanrun.ledger.rows import Attempt, Entry
    from wanrun.types import Job


class Entries(Database):
    """Entries, read and written; `store.Ledger` adds the rest."""

    def entries(self) -> list[Entry]:
        """Return every entry with its attempts and deliveries, oldest first."""
        attempts: dict[int, list[Attempt]] = {}
        for row in self._read(f"SELECT {ATTEMPT_COLUMNS} FROM attempts ORDER BY id"):  # noqa: S608  # constant
            attempts.setdefault(row["entry"], []).append(attempt_from(row))
        deliveries: dict[int, list[DeliveryRow]] = {}
        for row in self._read(_DELIVERIES):
            deliveries.setdefault(row["entry"], []).append(DeliveryRow(**dict(row)))
        return [
            entry_from(row, attempts.get(row["id"], ()), deliveries.get(row["id"], ()))
            for row in self._read(f"{_ENTRIES} ORDER BY id")
        ]

    def entry(self, entry: int) -> Entry:
        """Return one entry with its attempts and deliveries."""
        (row,) = self._read(f"{_ENTRIES} WHERE id = :entry", entry=entry)
        attempts = self._read(f"SELECT {ATTEMPT_COLUMNS} {_OF_ENTRY}", entry=entry)  # constants
        deliveries = self._read(f"{_DELIVERIES} WHERE entry = :entry", entry=entry)
        return entry_from(row, map(attempt_from, attempts), (DeliveryRow(**dict(each)) for each in deliveries))

    def enter(self, job: Job, *, fingerprint: str, spec_path: str) -> int:
        """Return the id of the job's entry, made if need be; one that could not be prepared before may be again."""
        self._write(
            "INSERT INTO entries (address, fingerprint, spec_path, provider, model, entered_at, wanted_at, chains_from)"
            " VALUES (:address, :fingerprint, :spec_path, :provider, :model, :at, :at, :chains_from)"
            " ON CONFLICT (address, fingerprint) DO UPDATE"
            " SET unprepared = NULL, spec_path = excluded.spec_path, provider = excluded.provider,"
            " wanted_at = excluded.wanted_at, chains_from = excluded.chains_from",
            address=job.address,
            fingerprint=fingerprint,
            spec_path=spec_path,
            provider=job.provider,
            model=job.model,
            at=self._now(),
            chains_from=json.dumps(upstreams(job)),
        )
        (row,) = self._read(
            "SELECT id FROM entries WHERE address = :address AND fingerprint = :fingerprint",
            address=job.address,
            fingerprint=fingerprint,
        )
        return int(row["id"])

    def wanted(self, entry: int, job: Job | None = None) -> None:
        """Record that a run asks for an entry, which tells it from other versions of the same job, and for what."""
        chains_from = None if job is None else json.dumps(upstreams(job))
        self._write(_WANTED, entry=entry, at=self._now(), chains_from=chains_from)

    def move(self, entry: int, *, address: str, spec_path: str) -> None:
        """Let another address take an entry over, with all that was paid for; one there that came to nothing gives way.

        That is forgotten if nothing was ever submitted for it, and has the entry's old address from now on else.
        """
        with self.transaction():
            (old,) = self._read(f"{_ENTRIES} WHERE id = :entry", entry=entry)
            for statement in _GIVE_WAY:
                self._write(statement, entry=entry, address=address)
            self._write(_STEP_ASIDE, entry=entry, address=address)
            self._write(_MOVE, entry=entry, address=address, spec_path=spec_path, at=self._now())
            self._write(_STEP_BACK, address=old["address"], spec_path=old["spec_path"])

    def move_versions(self, address: str, *, to: str, spec_path: str, only: Collection[int]) -> None:
        """Let an address take over those of some entries that were made for one that no job has any more.

        So the result of an earlier version, at a place that both have, gives way as it does without the new name.
        """
        with self.transaction():
            for row in self._read("SELECT id FROM entries WHERE address = :address", address=address):
                if row["id"] in only:
                    self._write(_MOVE_VERSION, entry=row["id"], address=to, spec_path=spec_path)

    def unprepared(self, entry: int, message: str) -> None:
        """Record that a job could not be prepared, and why."""
        self._write("UPDATE entries SET unprepared = :message WHERE id = :entry", entry=entry, message=message)


_ENTRIES = f"SELECT {ENTRY_COLUMNS} FROM entries"  # noqa: S608  # constant
_WANTED = "UPDATE entries SET wanted_at = :at, chains_from = coalesce(:chains_from, chains_from) WHERE id = :entry"
_DELIVERIES = "SELECT entry, artifact_sha256, options_digest, sink, place, state, message FROM deliveries"
_OF_ENTRY = "FROM attempts WHERE entry = :entry ORDER BY id"
_OTHER = (
    "SELECT id FROM entries WHERE address = :address AND id <> :entry"
    " AND fingerprint = (SELECT fingerprint FROM entries WHERE id = :entry)"
    " AND NOT EXISTS (SELECT 1 FROM attempts WHERE entry = entries.id AND state NOT IN ({states}))"
)
_NEVER_SUBMITTED = _OTHER.format(states=f"'{AttemptState.WITHDRAWN.value}'")
_CAME_TO_NOTHING = _OTHER.format(states=", ".join(f"'{state.value}'" for state in FREE))
_GIVE_WAY = (
    f"DELETE FROM attempts WHERE entry IN ({_NEVER_SUBMITTED})",  # noqa: S608  # constants, as all of these
    f"DELETE FROM entries WHERE id IN ({_NEVER_SUBMITTED})",  # noqa: S608
)
#: No job has an empty address.
_STEP_ASIDE = f"UPDATE entries SET moved_from = address, address = '' WHERE id IN ({_CAME_TO_NOTHING})"  # noqa: S608
_MOVE = (
    "UPDATE entries SET moved_from = address, address = :address, spec_path = :spec_path, wanted_at = :at"
    " WHERE id = :entry"
)
_MOVE_VERSION = (
    "UPDATE OR IGNORE entries SET moved_from = address, address = :address, spec_path = :spec_path WHERE id = :entry"
)
_STEP_BACK = "UPDATE entries SET address = :address, spec_path = :spec_path WHERE address = ''"
