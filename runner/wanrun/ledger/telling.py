"""The part of the ledger that is about notices: how much of what happened each destination has been told.

Facts are in the table of events already; a destination has a mark in it, spec by spec. A run that dies between sending
and moving the mark tells once more, and one that dies before sending leaves it to the next run.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from wanrun.events import Event, EventName
from wanrun.ledger.database import Database

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

#: What every run finds anew as long as nobody mends it: of one take, the first is news.
REPEATING = (EventName.JOB_HELD, EventName.DELIVERY_FAILED, EventName.RESULT_EXPIRING)


class Telling(Database):
    """Marks of destinations; `store.Ledger` adds the rest."""

    def listen(self, destination: str, specs: Iterable[str]) -> None:
        """Let a destination hear of these specs from here on; of those it has heard of before, from its mark on."""
        with self.transaction():
            for spec in specs:
                self._write(_LISTEN, destination=destination, spec=spec, at=self._now())
                self._write(_NOT_BEYOND, destination=destination, spec=spec)

    def last_event(self) -> int:
        """Return the id of the latest event; 0 of none."""
        return int(self._read(_LAST)[0]["id"])

    def untold(self, destination: str, spec: str, names: Collection[EventName], *, until: int) -> list[Event]:
        """Return the events of these names that happened to jobs of a spec since it was told, oldest first.

        What was told of a job's latest take is not news again, though a later run has found it anew.
        """
        marks = {f"name_{number}": name.value for number, name in enumerate(sorted(names))}
        chosen = ", ".join(f":{mark}" for mark in marks)
        statement = f"{_UNTOLD} AND name IN ({chosen}) ORDER BY events.id"
        rows = self._read(statement, destination=destination, spec=spec, until=until, **marks)
        if any(row["name"] in REPEATING for row in rows):
            news = {row["id"] for row in self._read(_FIRST_OF_ITS_TAKE, until=until)}
            rows = [row for row in rows if row["name"] not in REPEATING or row["id"] in news]
        return [
            Event(EventName(row["name"]), row["at"], row["run"], row["job"], json.loads(row["data"])) for row in rows
        ]

    def told(self, destination: str, specs: Iterable[str], *, until: int) -> None:
        """Record that a destination has been told all that happened in these specs up to an event."""
        with self.transaction():
            for spec in specs:
                self._write(_TOLD, destination=destination, spec=spec, until=until, at=self._now())

    def stopped(self, destination: str) -> set[int]:
        """Return the exit codes of the stops that a destination was told of last and that are not over yet."""
        rows = self._read("SELECT stopped FROM notices WHERE destination = :destination", destination=destination)
        return {int(row["stopped"]) for row in rows if row["stopped"] is not None}

    def note_stop(self, destination: str, specs: Iterable[str], exit_code: int | None) -> None:
        """Record that a destination knows of a stop with this exit code; None: that a run was not stopped."""
        with self.transaction():
            for spec in specs:
                self._write(_STOPPED, destination=destination, spec=spec, exit_code=exit_code)

    def remembered(self, destination: str) -> str | None:
        """Return what the notifier of a destination wanted to be remembered last; None if it never did."""
        rows = self._read("SELECT value FROM meta WHERE key = :key", key=f"{_REMEMBERED}{destination}")
        return str(rows[0]["value"]) if rows else None

    def remember(self, destination: str, text: str) -> None:
        """Keep a text for the notifier of a destination, in place of the one before."""
        with self.transaction():
            self._write(_REMEMBER, key=f"{_REMEMBERED}{destination}", value=text)


_REMEMBERED = "remembered:"  #: how such keys of the table `meta` begin
_REMEMBER = "INSERT INTO meta (key, value) VALUES (:key, :value) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
_LAST = "SELECT coalesce(max(id), 0) AS id FROM events"
_LISTEN = (
    "INSERT INTO notices (destination, spec, told, at)"
    " SELECT :destination, :spec, coalesce(max(id), 0), :at FROM events WHERE true ON CONFLICT DO NOTHING"
)
#: A ledger that was made anew counts its events anew.
_NOT_BEYOND = (
    "UPDATE notices SET told = (SELECT coalesce(max(id), 0) FROM events)"
    " WHERE destination = :destination AND spec = :spec AND told > (SELECT coalesce(max(id), 0) FROM events)"
)
_UNTOLD = (
    "SELECT events.id, run, events.at, name, job, data FROM events, notices"
    " WHERE destination = :destination AND spec = :spec AND events.id > told AND events.id <= :until"
    " AND substr(job, 1, length(spec) + 1) = spec || '/'"
)
_TOLD = "UPDATE notices SET told = :until, at = :at WHERE destination = :destination AND spec = :spec"
_STOPPED = (
    "UPDATE notices SET stopped = :exit_code WHERE destination = :destination AND spec = :spec"
    " AND stopped IS NOT :exit_code"
)
_TAKES = (
    "SELECT id, name, job, json_extract(data, '$.sink') AS sink,"
    " sum(name IN ('job_submitted', 'job_adopted')) OVER (PARTITION BY job ORDER BY id) AS take"
    " FROM events WHERE job IS NOT NULL AND id <= :until AND name IN"
    " ('job_submitted', 'job_adopted', 'job_held', 'delivery_failed', 'result_expiring')"
)
_FIRST_OF_ITS_TAKE = f"SELECT min(id) AS id FROM ({_TAKES}) GROUP BY job, name, sink, take"  # noqa: S608  # constant
