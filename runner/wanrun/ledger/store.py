"""The whole ledger: whose it is, what a run does to it as a whole, and all its parts in one class.

Each method that writes is one fact, on disk when the method returns or its transaction ends. Synchronous on purpose, in
the thread that calls: an entry costs about a millisecond, and nothing may be done about a fact before it is on disk.
What is read comes back as `rows`.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from wanrun.errors import LedgerError
from wanrun.ledger.attempts import Attempts
from wanrun.ledger.deliveries import Deliveries
from wanrun.ledger.lending import Lending
from wanrun.ledger.lookups import Lookups
from wanrun.ledger.rows import AttemptState
from wanrun.ledger.spending import Spending
from wanrun.ledger.telling import Telling

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wanrun.events import Event
    from wanrun.ledger.rows import Attempt
    from wanrun.types import JSON

SERVICE = "service"  #: the account of the service itself
INTERRUPTED = "the run ended before the service's answer was recorded"


class Ledger(Attempts, Lookups, Spending, Deliveries, Lending, Telling):
    """The record of every job, attempt and delivery, in one SQLite file.

    Every method raises `LedgerError` when the file cannot be read or written, naming it.
    """

    # Whose it is

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

    def events(self, run: str | None = None) -> list[Mapping[str, JSON]]:
        """Return the events of a run, or all, in the order they happened, each as its stored columns."""
        rows = self._read("SELECT run, at, name, job, data FROM events WHERE run = coalesce(:run, run)", run=run)
        return [{**dict(row), "data": json.loads(row["data"])} for row in rows]


def account_words(account: str) -> str:
    """Return whose ledger it is in words."""
    return "the service itself" if account == SERVICE else f"the emulator account {account.partition(':')[2]}"


def _columns(event: Event) -> dict[str, object]:
    data = json.dumps(dict(event.data))
    return {"run": event.run, "at": event.at, "name": event.name.value, "job": event.job, "data": data}


_NOTE = "INSERT INTO events (run, at, name, job, data) VALUES (:run, :at, :name, :job, :data)"
