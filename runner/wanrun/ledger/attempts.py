"""The part of the ledger that is about what becomes of an attempt, from the intention to the fetched result.

Each method is one fact. `intend` refuses an entry that has, or may have, a paid task.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from wanrun.errors import LedgerError
from wanrun.ledger.entries import Entries
from wanrun.ledger.rows import FREE, GOOD, RESULT_LIFE_SECONDS, AttemptState
from wanrun.redaction import redacted_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wanrun.ledger.rows import Attempt
    from wanrun.types import JSON, Artifact, Usage


class Attempts(Entries):
    """The life of attempts, written; `lookups` answers about them, `store.Ledger` adds the rest."""

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

        `asked` is what a task of the account's list can later be compared with, and, as `staged`, the keys of what it
        reads in a store of one's own. `skew_seconds` is the service's clock minus ours, if known. `replaces` is the
        entry's good attempt, if a person wants another.

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


def _dumped(evidence: Mapping[str, JSON]) -> str:
    return json.dumps(redacted_json(dict(evidence)))


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
