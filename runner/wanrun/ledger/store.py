"""Writing the ledger: each method is one fact, on disk when the method returns.

Synchronous on purpose, in the thread that calls: an entry costs about a millisecond, and nothing may be done about a
fact before it is on disk. What is read comes back as `rows`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from wanrun.errors import LedgerError
from wanrun.ledger.deliveries import Deliveries
from wanrun.ledger.rows import (
    ATTEMPT_COLUMNS,
    Attempt,
    AttemptState,
    DeliveryRow,
    Entry,
    UnsureAttempt,
    attempt_from,
    unsure_from,
)
from wanrun.ledger.spending import Spending
from wanrun.redaction import redacted_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from wanrun.events import Event
    from wanrun.types import JSON, Artifact, Job, Usage

INTERRUPTED = "the run ended before the service's answer was recorded"


class Ledger(Spending, Deliveries):
    """The record of every job, attempt and delivery, in one SQLite file.

    Every method raises `LedgerError` when the file cannot be read or written, naming it.
    """

    # Whose ledger it is

    @property
    def account(self) -> str | None:
        """The service that this ledger belongs to: `service`, `emulator:ID`, or None before the first answer."""
        rows = self._read("SELECT value FROM meta WHERE key = 'account'")
        return rows[0]["value"] if rows else None

    def belong_to(self, account: str) -> None:
        """Record whose ledger this is; raises `LedgerError` when it already belongs to another."""
        known = self.account
        if known is None:
            self._write("INSERT INTO meta (key, value) VALUES ('account', :account)", account=account)
        elif known != account:
            raise LedgerError(
                f"{self._name} belongs to {account_words(known)}, but {account_words(account)} answered; "
                "use another ledger (--ledger) or the service it belongs to"
            )

    # A run

    def interrupted(self) -> list[Attempt]:
        """Turn every create that a dead run left without an answer into an unsure one, and return them."""
        with self.transaction():
            rows = self._attempts_in(AttemptState.INTENDED)
            for attempt in rows:
                self.unsure(attempt.id, INTERRUPTED, request_id=None)
        return [replace(attempt, state=AttemptState.UNSURE, message=INTERRUPTED) for attempt in rows]

    def note(self, event: Event) -> None:
        """Append one event."""
        self._write(_NOTE, **_columns(event))

    def note_soon(self, event: Event) -> None:
        """Append one event with whatever is written next; it is lost if nothing ever is."""
        self._write_later(_NOTE, **_columns(event))

    # Entries

    def entries(self) -> list[Entry]:
        """Return every entry with its latest attempt and its deliveries, oldest first."""
        attempts = {
            row["entry"]: attempt_from(row)
            for row in self._read(f"SELECT {ATTEMPT_COLUMNS} FROM attempts ORDER BY id")  # noqa: S608  # constant
        }
        deliveries: dict[int, list[DeliveryRow]] = {}
        for row in self._read(_DELIVERIES):
            deliveries.setdefault(row["entry"], []).append(DeliveryRow(**dict(row)))
        return [
            Entry(**dict(row), attempt=attempts.get(row["id"]), deliveries=tuple(deliveries.get(row["id"], ())))
            for row in self._read(f"{_ENTRIES} ORDER BY id")
        ]

    def entry(self, entry: int) -> Entry:
        """Return one entry with its latest attempt and its deliveries."""
        (row,) = self._read(f"{_ENTRIES} WHERE id = :entry", entry=entry)
        latest = self._read(f"SELECT {ATTEMPT_COLUMNS} {_OF_ENTRY}", entry=entry)  # constants
        deliveries = self._read(f"{_DELIVERIES} WHERE entry = :entry", entry=entry)
        return Entry(
            **dict(row),
            attempt=attempt_from(latest[0]) if latest else None,
            deliveries=tuple(DeliveryRow(**dict(delivery)) for delivery in deliveries),
        )

    def enter(self, job: Job, *, fingerprint: str, spec_path: str) -> int:
        """Return the id of the job's entry, made if need be; one that could not be prepared before may be again."""
        self._write(
            "INSERT INTO entries (address, fingerprint, spec_path, provider, model, entered_at, wanted_at)"
            " VALUES (:address, :fingerprint, :spec_path, :provider, :model, :at, :at)"
            " ON CONFLICT (address, fingerprint) DO UPDATE"
            " SET unprepared = NULL, spec_path = excluded.spec_path, provider = excluded.provider,"
            " wanted_at = excluded.wanted_at",
            address=job.address,
            fingerprint=fingerprint,
            spec_path=spec_path,
            provider=job.provider,
            model=job.model,
            at=self._now(),
        )
        (row,) = self._read(
            "SELECT id FROM entries WHERE address = :address AND fingerprint = :fingerprint",
            address=job.address,
            fingerprint=fingerprint,
        )
        return int(row["id"])

    def wanted(self, entry: int) -> None:
        """Record that a run asks for an entry, which tells it from other versions of the same job."""
        self._write("UPDATE entries SET wanted_at = :at WHERE id = :entry", entry=entry, at=self._now())

    def move(self, entry: int, *, address: str, spec_path: str) -> None:
        """Let another address take an entry over, with all that was paid for; one never submitted gives way."""
        with self.transaction():
            for statement in _GIVE_WAY:
                self._write(statement, entry=entry, address=address)
            self._write(_MOVE, entry=entry, address=address, spec_path=spec_path, at=self._now())

    def unprepared(self, entry: int, message: str) -> None:
        """Record that a job could not be prepared, and why."""
        self._write("UPDATE entries SET unprepared = :message WHERE id = :entry", entry=entry, message=message)

    # Attempts

    def attempt(self, attempt: int) -> Attempt:
        """Return one attempt; KeyError for an id that is not there."""
        rows = self._read(f"SELECT {ATTEMPT_COLUMNS} FROM attempts WHERE id = :id", id=attempt)  # noqa: S608
        if not rows:
            raise KeyError(attempt)
        return attempt_from(rows[0])

    def knows_task(self, task_id: str) -> bool:
        """Say whether an attempt of this ledger has a task."""
        return bool(self._read("SELECT 1 FROM attempts WHERE task_id = :task_id", task_id=task_id))

    def jobs_of_tasks(self) -> dict[str, str]:
        """Return the address of the job that each task of this ledger was made for, by the task's id."""
        statement = "SELECT task_id, address FROM attempts JOIN entries ON entries.id = attempts.entry"
        return {row["task_id"]: row["address"] for row in self._read(f"{statement} WHERE task_id IS NOT NULL")}

    def attempts_in(self, state: AttemptState, entries: Iterable[int]) -> list[Attempt]:
        """Return the attempts of these entries that are in one state, oldest first."""
        wanted = set(entries)
        return [attempt for attempt in self._attempts_in(state) if attempt.entry in wanted]

    def _attempts_in(self, state: AttemptState) -> list[Attempt]:
        statement = f"SELECT {ATTEMPT_COLUMNS} FROM attempts WHERE state = :state ORDER BY id"  # noqa: S608  # constant
        return [attempt_from(row) for row in self._read(statement, state=state.value)]

    def unsure_attempts(self) -> list[UnsureAttempt]:
        """Return every attempt that is unsure, of whatever spec, oldest first."""
        return [unsure_from(row) for row in self._read(_UNSURE)]

    def claimed(self) -> dict[str, str]:
        """Return the tasks that held attempts may have made, by id, each with the address of such a job."""
        found: dict[str, str] = {}
        for row in self._read(_CLAIMED):
            candidates = json.loads(row["evidence"]).get("candidates", [])
            found |= {each["task"]: row["address"] for each in candidates if each["finding"] != "other"}
        return found

    def artifacts_of_tasks(self) -> dict[str, tuple[str, int, str]]:
        """Return checksum, size in bytes and suffix of every result that was ever fetched, by its task's id."""
        return {task_id: (sha256, size, suffix) for task_id, sha256, size, suffix in self._read(_ARTIFACTS)}

    def in_doubt(self) -> list[tuple[str, str, float]]:
        """Return address, prompt key and time of every create that may have made a task that nobody knows."""
        return [tuple(row) for row in self._read(_IN_DOUBT)]

    def shown_between(self, from_at: float, until_at: float, *, provider: str, skew_seconds: float) -> list[str]:
        """Return the tasks, intended in a span of the service's time, that the service has shown to a run.

        `skew_seconds` stands in where an attempt does not know its own.
        """
        rows = self._read(_SHOWN, provider=provider, from_at=from_at, until_at=until_at, skew=skew_seconds)
        return [row["task_id"] for row in rows]

    def intend(
        self,
        entry: int,
        *,
        prompt_key: str,
        asked: Mapping[str, JSON] | None = None,
        skew_seconds: float | None = None,
        replaces: int | None = None,
    ) -> int:
        """Record, before a POST leaves, that it will; a try surely made in vain before counts as the same attempt.

        `asked` is what a task of the account's list can later be compared with, `skew_seconds` the service's clock
        minus ours, if known. `replaces` is the entry's latest attempt if that ended well and a person wants another.

        Raises `LedgerError` when the entry has an attempt that is, or may be, a paid task.
        """
        with self.transaction():
            rows = self._read(f"SELECT id, state {_OF_ENTRY}", entry=entry)  # constant
            state = AttemptState(rows[0]["state"]) if rows else None
            once_more = state is AttemptState.FETCHED and rows[0]["id"] == replaces
            if state not in _MAY_INTEND and not once_more:
                raise LedgerError(f"{self._name}: entry {entry} already has an attempt that is {state}")
            values = {
                "prompt_key": prompt_key,
                "at": self._now(),
                "asked": json.dumps(dict(asked)) if asked is not None else None,
                "skew": skew_seconds,
            }
            if state is AttemptState.WITHDRAWN:
                self._write(_INTEND_AGAIN, id=rows[0]["id"], **values)
                return int(rows[0]["id"])
            return self._write(_INTEND, entry=entry, **values)

    def withdrawn(self, attempt: int, message: str) -> None:
        """Record that a create surely made no task."""
        self._answer(attempt, AttemptState.WITHDRAWN, message=message)

    def refused(
        self, attempt: int, *, code: str | None, message: str, request_id: str | None, again: bool = False
    ) -> None:
        """Record that the service refused a create; `again` says that another attempt is due."""
        with self.transaction():
            self._answer(attempt, AttemptState.REFUSED, code=code, message=message, request_id=request_id)
            self._write("UPDATE attempts SET again = :again WHERE id = :id", id=attempt, again=int(again))

    def unsure(
        self, attempt: int, message: str, *, request_id: str | None, after_seconds: float | None = None
    ) -> None:
        """Record that whether a create made a task is not known.

        `after_seconds` is how long it was waited for, by a clock that nobody sets; None: until now, as far as known.
        """
        with self.transaction():
            self._answer(attempt, AttemptState.UNSURE, message=message, request_id=request_id)
            if after_seconds is not None:
                self._write(_ANSWERED_AFTER, id=attempt, seconds=after_seconds)

    def looked_for(self, attempt: int, evidence: Mapping[str, JSON]) -> None:
        """Record what reconciling has found of an unsure attempt so far, and what it waits for."""
        self._write("UPDATE attempts SET evidence = :evidence WHERE id = :id", id=attempt, evidence=_dumped(evidence))

    def held(self, attempt: int, message: str, evidence: Mapping[str, JSON]) -> None:
        """Record that reconciling could not decide about an unsure attempt, and what it found."""
        with self.transaction():
            self.looked_for(attempt, evidence)
            self.ended(attempt, AttemptState.HELD, message)

    def accepted(self, attempt: int, *, task_id: str, request_id: str | None) -> None:
        """Record the task that a create made; raises `LedgerError` when another attempt has that task already."""
        self._answer(attempt, AttemptState.IN_FLIGHT, task_id=task_id, request_id=request_id)

    def _answer(
        self,
        attempt: int,
        state: AttemptState,
        *,
        task_id: str | None = None,
        request_id: str | None = None,
        code: str | None = None,
        message: str | None = None,
    ) -> None:
        self._write(
            "UPDATE attempts SET state = :state, answered_at = :at, task_id = :task_id, code = :code,"
            " message = :message, request_id = coalesce(:request_id, request_id) WHERE id = :id",
            id=attempt,
            state=state.value,
            at=self._now(),
            task_id=task_id,
            request_id=request_id,
            code=code,
            message=message,
        )

    def seen(self, attempt: int, *, status: str, started_at: float | None) -> None:
        """Record what a look at a task that has not ended showed."""
        self._write(
            "UPDATE attempts SET task_status = :status, started_at = coalesce(:started_at, started_at) WHERE id = :id",
            id=attempt,
            status=status,
            started_at=started_at,
        )

    def succeeded(self, attempt: int, *, usage: Usage | None, started_at: float | None, ended_at: float | None) -> None:
        """Record that a task ended well and is billed."""
        self._write(
            "UPDATE attempts SET state = 'succeeded', task_status = 'SUCCEEDED', usage = :usage,"
            " started_at = coalesce(:started_at, started_at), ended_at = :ended_at WHERE id = :id",
            id=attempt,
            usage=json.dumps(asdict(usage)) if usage else None,
            started_at=started_at,
            ended_at=ended_at,
        )

    def failed(self, attempt: int, *, status: str, code: str | None, message: str, again: bool) -> None:
        """Record that a task failed and is not billed; `again` says that another attempt is due."""
        self._write(
            "UPDATE attempts SET state = 'failed', task_status = :status, code = :code, message = :message,"
            " again = :again WHERE id = :id",
            id=attempt,
            status=status,
            code=code,
            message=message,
            again=int(again),
        )

    def ended(self, attempt: int, state: AttemptState, message: str) -> None:
        """Record an end without a result: undecided, lost, abandoned or dismissed."""
        self._write(
            "UPDATE attempts SET state = :state, message = :message WHERE id = :id",
            id=attempt,
            state=state.value,
            message=message,
        )

    def looked_for_again(self, attempt: int) -> None:
        """Record that a task that the service did not know is watched once more."""
        self._write("UPDATE attempts SET state = 'in_flight' WHERE id = :id", id=attempt)

    def downloading(self, attempt: int, etag: str | None) -> None:
        """Record which version of a result is being downloaded, so that the next run can go on with it."""
        self._write("UPDATE attempts SET etag = :etag WHERE id = :id", id=attempt, etag=etag)

    def fetched(self, attempt: int, artifact: Artifact) -> None:
        """Record that the result is in the artifact store."""
        self._write(
            "UPDATE attempts SET state = 'fetched', artifact_sha256 = :sha256, artifact_bytes = :bytes,"
            " artifact_suffix = :suffix WHERE id = :id",
            id=attempt,
            sha256=artifact.sha256,
            bytes=artifact.bytes,
            suffix=artifact.suffix,
        )

    def unfetched(self, attempt: int) -> None:
        """Record that the artifact is no longer in the store, so that its result is to be fetched anew."""
        self._write("UPDATE attempts SET state = 'succeeded', etag = NULL WHERE id = :id", id=attempt)

    def service_faults(self, entry: int) -> int:
        """Return how many attempts of an entry failed in a way that called for another one."""
        (row,) = self._read("SELECT count(*) AS n FROM attempts WHERE entry = :entry AND again = 1", entry=entry)
        return int(row["n"])

    # Figures

    def recent_seconds(self, *, provider: str, model: str, count: int = 20) -> list[float]:
        """Return how long the service worked on the latest tasks that ended well, in seconds."""
        rows = self._read(_RECENT_SECONDS, provider=provider, model=model, count=count)
        return [row["seconds"] for row in rows]

    def events(self, run: str | None = None) -> list[Mapping[str, JSON]]:
        """Return the events of a run, or all, in the order they happened, each as its stored columns."""
        rows = self._read("SELECT run, at, name, job, data FROM events WHERE run = coalesce(:run, run)", run=run)
        return [{**dict(row), "data": json.loads(row["data"])} for row in rows]


def account_words(account: str) -> str:
    """Return whose ledger it is in words."""
    return "the service itself" if account == "service" else f"the emulator account {account.partition(':')[2]}"


def _dumped(evidence: Mapping[str, JSON]) -> str:
    return json.dumps(redacted_json(dict(evidence)))


def _columns(event: Event) -> dict[str, object]:
    data = json.dumps(dict(event.data))
    return {"run": event.run, "at": event.at, "name": event.name.value, "job": event.job, "data": data}


_NOTE = "INSERT INTO events (run, at, name, job, data) VALUES (:run, :at, :name, :job, :data)"
_MAY_INTEND = {
    None,
    AttemptState.WITHDRAWN,
    AttemptState.REFUSED,
    AttemptState.FAILED,
    AttemptState.DISMISSED,
}

_ENTRIES = "SELECT id, address, fingerprint, spec_path, provider, model, unprepared, moved_from, wanted_at FROM entries"
_DELIVERIES = "SELECT entry, artifact_sha256, options_digest, sink, place, state, message FROM deliveries"
_OF_ENTRY = "FROM attempts WHERE entry = :entry ORDER BY id DESC LIMIT 1"
_INTEND = (
    "INSERT INTO attempts (entry, state, prompt_key, intended_at, asked, skew_seconds)"
    " VALUES (:entry, 'intended', :prompt_key, :at, :asked, :skew)"
)
_INTEND_AGAIN = (
    "UPDATE attempts SET state = 'intended', tries = tries + 1, prompt_key = :prompt_key, intended_at = :at,"
    " asked = :asked, skew_seconds = :skew, answered_at = NULL, request_id = NULL, message = NULL, evidence = NULL"
    " WHERE id = :id"
)
_ANSWERED_AFTER = "UPDATE attempts SET answered_at = intended_at + :seconds WHERE id = :id"
_UNSURE = (
    "SELECT attempts.id, entry, address, provider, model, prompt_key, intended_at, answered_at, skew_seconds,"
    " request_id, asked FROM attempts JOIN entries ON entries.id = attempts.entry"
    " WHERE state = 'unsure' ORDER BY attempts.id"
)
_CLAIMED = (
    "SELECT evidence, address FROM attempts JOIN entries ON entries.id = attempts.entry"
    " WHERE state = 'held' AND evidence IS NOT NULL"
)
_ARTIFACTS = (
    "SELECT task_id, artifact_sha256, artifact_bytes, artifact_suffix FROM attempts"
    " WHERE task_id IS NOT NULL AND artifact_sha256 IS NOT NULL"
)
_IN_DOUBT = (
    "SELECT address, prompt_key, intended_at FROM attempts JOIN entries ON entries.id = attempts.entry"
    " WHERE state IN ('intended', 'unsure', 'held') ORDER BY attempts.id"
)
_SHOWN = (
    "SELECT task_id FROM attempts WHERE task_id IS NOT NULL AND task_status IS NOT NULL"
    " AND intended_at + coalesce(skew_seconds, :skew) BETWEEN :from_at AND :until_at"
    " AND entry IN (SELECT id FROM entries WHERE provider = :provider)"
)
_SAME = (
    "FROM entries WHERE address = :address AND id <> :entry"
    " AND fingerprint = (SELECT fingerprint FROM entries WHERE id = :entry)"
)
_GIVE_WAY = (
    f"DELETE FROM attempts WHERE state = 'withdrawn' AND entry IN (SELECT id {_SAME})",  # noqa: S608  # constants
    f"DELETE {_SAME}",
)
_MOVE = (
    "UPDATE entries SET moved_from = address, address = :address, spec_path = :spec_path, wanted_at = :at"
    " WHERE id = :entry"
)
_RECENT_SECONDS = (
    "SELECT ended_at - started_at AS seconds FROM attempts JOIN entries ON entries.id = attempts.entry"
    " WHERE provider = :provider AND model = :model AND ended_at >= started_at ORDER BY attempts.id DESC LIMIT :count"
)
