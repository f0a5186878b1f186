"""The part of the ledger that answers about attempts: whose a task is, what is in doubt, how long tasks took."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from wanrun.ledger.database import Database
from wanrun.ledger.rows import ATTEMPT_COLUMNS, UNFINISHED, attempt_from, unsure_from

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from wanrun.ledger.rows import Attempt, AttemptState, UnsureAttempt
    from wanrun.types import JSON


class Lookups(Database):
    """Questions about attempts; writes nothing. `store.Ledger` adds the rest."""

    def attempt(self, attempt: int) -> Attempt:
        """Return one attempt; KeyError for an id that is not there."""
        rows = self._read(f"SELECT {ATTEMPT_COLUMNS} FROM attempts WHERE id = :id", id=attempt)  # noqa: S608
        if not rows:
            raise KeyError(attempt)
        return attempt_from(rows[0])

    def attempts_in(self, state: AttemptState, entries: Iterable[int]) -> list[Attempt]:
        """Return the attempts of these entries that are in one state, oldest first."""
        wanted = set(entries)
        return [attempt for attempt in self._attempts_in(state) if attempt.entry in wanted]

    def _attempts_in(self, state: AttemptState) -> list[Attempt]:
        statement = f"SELECT {ATTEMPT_COLUMNS} FROM attempts WHERE state = :state ORDER BY id"  # noqa: S608  # constant
        return [attempt_from(row) for row in self._read(statement, state=state.value)]

    def jobs_asked_for(self, entries: Iterable[int]) -> dict[int, Mapping[str, JSON]]:
        """Return what was noted of the jobs of some entries when they were last submitted, by entry.

        Of attempts that an older wanrun made nothing is known.
        """
        rows = self._read(_ASKED, entries=json.dumps(sorted(entries)))
        asked = {row["entry"]: json.loads(row["asked"]).get("job") for row in rows}
        return {entry: job for entry, job in asked.items() if isinstance(job, dict)}

    def referred_to(self) -> dict[str, frozenset[str] | None]:
        """Return what tasks that may be under way read in a store of one's own, as keys, by the address of their job.

        None where that is not known: an older wanrun made the attempt, or a person gave the job its task.
        """
        found: dict[str, frozenset[str] | None] = {}
        for row in self._read(_UNFINISHED, states=json.dumps(UNFINISHED)):
            keys = json.loads(row["asked"] or "{}").get("staged")
            before = found.get(row["address"], frozenset())
            found[row["address"]] = None if keys is None or before is None else before | frozenset(map(str, keys))
        return found

    def service_faults(self, entry: int) -> int:
        """Return how many attempts of an entry failed in a way that called for another one."""
        (row,) = self._read("SELECT count(*) AS n FROM attempts WHERE entry = :entry AND again = 1", entry=entry)
        return int(row["n"])

    def knows_task(self, task_id: str) -> bool:
        """Say whether an attempt of this ledger has a task."""
        return bool(self._read("SELECT 1 FROM attempts WHERE task_id = :task_id", task_id=task_id))

    def jobs_of_tasks(self) -> dict[str, str]:
        """Return the address of the job that each task of this ledger was made for, by the task's id."""
        statement = "SELECT task_id, address FROM attempts JOIN entries ON entries.id = attempts.entry"
        return {row["task_id"]: row["address"] for row in self._read(f"{statement} WHERE task_id IS NOT NULL")}

    def artifacts_of_tasks(self) -> dict[str, tuple[str, int, str]]:
        """Return checksum, size in bytes and suffix of every result that was ever fetched, by its task's id."""
        return {task_id: (sha256, size, suffix) for task_id, sha256, size, suffix in self._read(_ARTIFACTS)}

    def unsure_attempts(self) -> list[UnsureAttempt]:
        """Return every attempt that is unsure, of whatever spec, oldest first."""
        return [unsure_from(row) for row in self._read(_UNSURE)]

    def in_doubt_with(self, prompt_key: str, state: AttemptState) -> list[UnsureAttempt]:
        """Return every attempt with these words, at whatever provider, that is unsure or whose create is in the air."""
        return [unsure_from(row) for row in self._read(_ALIKE, prompt_key=prompt_key, state=state.value)]

    def in_doubt(self) -> list[tuple[str, str, float]]:
        """Return address, prompt key and time of every create that may have made a task that nobody knows."""
        return [tuple(row) for row in self._read(_IN_DOUBT)]

    def claimed(self) -> dict[str, str]:
        """Return the tasks that held attempts may have made, by id, each with the address of such a job."""
        found: dict[str, str] = {}
        for row in self._read(_CLAIMED):
            candidates = json.loads(row["evidence"]).get("candidates", [])
            found |= {each["task"]: row["address"] for each in candidates if each["finding"] != "other"}
        return found

    def shown_between(self, from_at: float, until_at: float, *, provider: str, skew_seconds: float) -> list[str]:
        """Return the tasks, intended in a span of the service's time, that the service has shown to a run.

        `skew_seconds` stands in where an attempt does not know its own.
        """
        rows = self._read(_SHOWN, provider=provider, from_at=from_at, until_at=until_at, skew=skew_seconds)
        return [row["task_id"] for row in rows]

    def recent_seconds(self, *, provider: str, model: str, count: int = 20) -> list[float]:
        """Return how long the service worked on the latest tasks that ended well, in seconds."""
        rows = self._read(_RECENT_SECONDS, provider=provider, model=model, count=count)
        return [row["seconds"] for row in rows]


_ASKED = (
    "SELECT entry, asked FROM attempts WHERE asked IS NOT NULL AND entry IN (SELECT value FROM json_each(:entries))"
    " ORDER BY id"
)
_UNFINISHED = (
    "SELECT address, asked FROM attempts JOIN entries ON entries.id = attempts.entry"
    " WHERE state IN (SELECT value FROM json_each(:states)) ORDER BY attempts.id"
)
_ARTIFACTS = (
    "SELECT task_id, artifact_sha256, artifact_bytes, artifact_suffix FROM attempts"
    " WHERE task_id IS NOT NULL AND artifact_sha256 IS NOT NULL"
)
_SOUGHT = (
    "SELECT attempts.id, entry, address, attempts.provider, model, prompt_key, intended_at,"
    " coalesce(answered_at, intended_at) AS answered_at, skew_seconds, request_id, asked"
    " FROM attempts JOIN entries ON entries.id = attempts.entry"
)
_UNSURE = f"{_SOUGHT} WHERE state = 'unsure' ORDER BY attempts.id"
_ALIKE = f"{_SOUGHT} WHERE state = :state AND prompt_key = :prompt_key ORDER BY attempts.id"
_IN_DOUBT = (
    "SELECT address, prompt_key, intended_at FROM attempts JOIN entries ON entries.id = attempts.entry"
    " WHERE state IN ('intended', 'unsure', 'held') ORDER BY attempts.id"
)
_CLAIMED = (
    "SELECT evidence, address FROM attempts JOIN entries ON entries.id = attempts.entry"
    " WHERE state = 'held' AND evidence IS NOT NULL"
)
_SHOWN = (
    "SELECT task_id FROM attempts WHERE task_id IS NOT NULL AND task_status IS NOT NULL"
    " AND intended_at + coalesce(skew_seconds, :skew) BETWEEN :from_at AND :until_at"
    " AND provider = :provider AND state IN ('in_flight', 'succeeded', 'fetched')"
)
_RECENT_SECONDS = (
    "SELECT ended_at - started_at AS seconds FROM attempts JOIN entries ON entries.id = attempts.entry"
    " WHERE attempts.provider = :provider AND model = :model AND ended_at >= started_at"
    " ORDER BY attempts.id DESC LIMIT :count"
)
