"""Writing the ledger: each method is one fact, on disk when the method returns or its transaction ends.

Synchronous on purpose, in the thread that calls: an entry costs about a millisecond, and nothing may be done about a
fact before it is on disk. What is read comes back as `rows`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from wanrun.errors import LedgerError
from wanrun.ledger.deliveries import Deliveries
from wanrun.ledger.lending import Lending
from wanrun.ledger.rows import (
    ATTEMPT_COLUMNS,
    FREE,
    GOOD,
    RESULT_LIFE_SECONDS,
    Attempt,
    AttemptState,
    DeliveryRow,
    Entry,
    UnsureAttempt,
    attempt_from,
    unsure_from,
)
from wanrun.ledger.spending import Spending
from wanrun.ledger.telling import Telling
from wanrun.redaction import redacted_json

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from wanrun.events import Event
    from wanrun.types import JSON, Artifact, Job, Usage

SERVICE = "service"  #: the account of the service itself
INTERRUPTED = "the run ended before the service's answer was recorded"


class Ledger(Spending, Deliveries, Lending, Telling):
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

    # Entries

    def entries(self) -> list[Entry]:
        """Return every entry with its attempts and deliveries, oldest first."""
        attempts: dict[int, list[Attempt]] = {}
        for row in self._read(f"SELECT {ATTEMPT_COLUMNS} FROM attempts ORDER BY id"):  # noqa: S608  # constant
            attempts.setdefault(row["entry"], []).append(attempt_from(row))
        deliveries: dict[int, list[DeliveryRow]] = {}
        for row in self._read(_DELIVERIES):
            deliveries.setdefault(row["entry"], []).append(DeliveryRow(**dict(row)))
        return [
            Entry(
                **dict(row),
                attempts=tuple(attempts.get(row["id"], ())),
                deliveries=tuple(deliveries.get(row["id"], ())),
            )
            for row in self._read(f"{_ENTRIES} ORDER BY id")
        ]

    def entry(self, entry: int) -> Entry:
        """Return one entry with its attempts and deliveries."""
        (row,) = self._read(f"{_ENTRIES} WHERE id = :entry", entry=entry)
        attempts = self._read(f"SELECT {ATTEMPT_COLUMNS} {_OF_ENTRY}", entry=entry)  # constants
        deliveries = self._read(f"{_DELIVERIES} WHERE entry = :entry", entry=entry)
        return Entry(
            **dict(row),
            attempts=tuple(attempt_from(attempt) for attempt in attempts),
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

    def move_versions(self, address: str, *, to: str, spec_path: str, leave: Collection[int]) -> None:
        """Let an address take over what else was made for one that no job has any more, but for entries to `leave`.

        So the result of an earlier version, at a place that both have, gives way as it does without the new name.
        """
        with self.transaction():
            for row in self._read("SELECT id FROM entries WHERE address = :address", address=address):
                if row["id"] not in leave:
                    self._write(_MOVE_VERSION, entry=row["id"], address=to, spec_path=spec_path)

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

    def jobs_asked_for(self, entries: Iterable[int]) -> dict[int, Mapping[str, JSON]]:
        """Return what was noted of the jobs of some entries when they were last submitted, by entry.

        Of attempts that an older wanrun made nothing is known.
        """
        rows = self._read(_ASKED, entries=json.dumps(sorted(entries)))
        asked = {row["entry"]: json.loads(row["asked"]).get("job") for row in rows}
        return {entry: job for entry, job in asked.items() if isinstance(job, dict)}

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

    def in_doubt_with(self, prompt_key: str, state: AttemptState) -> list[UnsureAttempt]:
        """Return every attempt with these words, at whatever provider, that is unsure or whose create is in the air."""
        return [unsure_from(row) for row in self._read(_ALIKE, prompt_key=prompt_key, state=state.value)]

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
        minus ours, if known. `replaces` is the entry's good attempt, if a person wants another.

        Raises `LedgerError` when the entry has an attempt that is, or may be, a paid task.
        """
        with self.transaction():
            known = self.entry(entry)
            stands, newest = known.attempt, known.attempts[-1] if known.attempts else None
            once_more = stands is not None and stands.state in GOOD and stands.id == replaces
            if stands is not None and stands.state not in FREE and not once_more:
                raise LedgerError(f"{self._name}: entry {entry} already has an attempt that is {stands.state}")
            values = {
                "prompt_key": prompt_key,
                "at": self._now(),
                "asked": json.dumps(dict(asked)) if asked is not None else None,
                "skew": skew_seconds,
            }
            if newest is not None and newest.state is AttemptState.WITHDRAWN:
                self._write(_INTEND_AGAIN, id=newest.id, **values)
                return newest.id
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
        self,
        attempt: int,
        message: str,
        *,
        request_id: str | None,
        after_seconds: float | None = None,
        broken: bool = False,
    ) -> None:
        """Record that whether a create made a task is not known.

        `after_seconds` is how long it was waited for, by a clock that nobody sets; None: until now, as far as known.
        `broken`: something came then, and was of no use; else the service may have gone on with it.
        """
        with self.transaction():
            self._answer(attempt, AttemptState.UNSURE, message=message, request_id=request_id)
            if after_seconds is not None:
                self._write(_ANSWERED_AFTER, id=attempt, seconds=after_seconds)
            if broken:
                self._write(_BROKEN_AFTER, id=attempt, seconds=after_seconds)

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

    def adopted(self, attempt: Attempt, task_id: str) -> None:
        """Record that a person says which task is a job's; raises `LedgerError` as `accepted` does.

        A task that the attempt had before keeps its cost, in an attempt set aside. An attempt whose own task would be
        forgotten by the service now is dated anew: a person has just seen this one, so it is younger; unless
        reconciling has found it before.
        """
        with self.transaction():
            if attempt.task_id in (None, task_id):
                self.accepted(attempt.id, task_id=task_id, request_id=None)
                is_over = self._now() > attempt.intended_at + RESULT_LIFE_SECONDS
                if is_over and attempt.task_id is None and task_id not in attempt.candidates:
                    self._write(_MADE_NOW, id=attempt.id, at=self._now())
            else:
                self.ended(attempt.id, AttemptState.DISMISSED, f"set aside for task {task_id}")
                self._write(_ADOPT, id=attempt.id, task_id=task_id, at=self._now())

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
    return "the service itself" if account == SERVICE else f"the emulator account {account.partition(':')[2]}"


def _dumped(evidence: Mapping[str, JSON]) -> str:
    return json.dumps(redacted_json(dict(evidence)))


def _columns(event: Event) -> dict[str, object]:
    data = json.dumps(dict(event.data))
    return {"run": event.run, "at": event.at, "name": event.name.value, "job": event.job, "data": data}


_NOTE = "INSERT INTO events (run, at, name, job, data) VALUES (:run, :at, :name, :job, :data)"

_ENTRIES = "SELECT id, address, fingerprint, spec_path, provider, model, unprepared, moved_from, wanted_at FROM entries"
_DELIVERIES = "SELECT entry, artifact_sha256, options_digest, sink, place, state, message FROM deliveries"
_OF_ENTRY = "FROM attempts WHERE entry = :entry ORDER BY id"
_INTEND = (
    "INSERT INTO attempts (entry, provider, state, prompt_key, intended_at, asked, skew_seconds)"
    " VALUES (:entry, (SELECT provider FROM entries WHERE id = :entry), 'intended', :prompt_key, :at, :asked, :skew)"
)
_INTEND_AGAIN = (
    "UPDATE attempts SET state = 'intended', tries = tries + 1, prompt_key = :prompt_key, intended_at = :at,"
    " provider = (SELECT provider FROM entries WHERE entries.id = attempts.entry),"
    " asked = :asked, skew_seconds = :skew, answered_at = NULL, request_id = NULL, message = NULL, evidence = NULL"
    " WHERE id = :id"
)
_ADOPT = (
    "INSERT INTO attempts"
    " (entry, provider, state, prompt_key, intended_at, answered_at, task_id, asked, reserved, currency)"
    " SELECT entry, provider, 'in_flight', prompt_key, :at, :at, :task_id, asked, reserved, currency"
    " FROM attempts WHERE id = :id"
)
_MADE_NOW = "UPDATE attempts SET intended_at = :at, skew_seconds = NULL WHERE id = :id"
_ANSWERED_AFTER = "UPDATE attempts SET answered_at = intended_at + :seconds WHERE id = :id"
_BROKEN_AFTER = "UPDATE attempts SET asked = json_set(asked, '$.broken_after_seconds', :seconds) WHERE id = :id"
_SOUGHT = (
    "SELECT attempts.id, entry, address, attempts.provider, model, prompt_key, intended_at,"
    " coalesce(answered_at, intended_at) AS answered_at, skew_seconds, request_id, asked"
    " FROM attempts JOIN entries ON entries.id = attempts.entry"
)
_UNSURE = f"{_SOUGHT} WHERE state = 'unsure' ORDER BY attempts.id"
_ALIKE = f"{_SOUGHT} WHERE state = :state AND prompt_key = :prompt_key ORDER BY attempts.id"
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
    " AND provider = :provider AND state IN ('in_flight', 'succeeded', 'fetched')"
)
_ASKED = (
    "SELECT entry, asked FROM attempts WHERE asked IS NOT NULL AND entry IN (SELECT value FROM json_each(:entries))"
    " ORDER BY id"
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
_MOVE_VERSION = (
    "UPDATE OR IGNORE entries SET moved_from = address, address = :address, spec_path = :spec_path WHERE id = :entry"
)
_RECENT_SECONDS = (
    "SELECT ended_at - started_at AS seconds FROM attempts JOIN entries ON entries.id = attempts.entry"
    " WHERE attempts.provider = :provider AND model = :model AND ended_at >= started_at"
    " ORDER BY attempts.id DESC LIMIT :count"
)
