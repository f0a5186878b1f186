"""Tables that came from elsewhere, read as the ledger that they are to be, before anything relies on them.

A file can be whole, and what stands in it none that wanrun can go on with. Found out after it has taken a ledger's
place, that would be a ledger that no command can read, and what is paid would be known to nobody.
"""

from __future__ import annotations

import json
import re
import time
from contextlib import contextmanager
from sqlite3 import Row
from typing import TYPE_CHECKING

from wanrun.ledger.rows import AttemptState
from wanrun.ledger.store import Ledger
from wanrun.ledger.times import is_time

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from wanrun.ledger.rows import Attempt

#: Columns of which it does no harm if they are beyond all times: an upload may last for ever.
_ENDLESS = frozenset({"expires_at"})
_ARTIFACT = re.compile(r"[0-9a-f]{64}\.[a-z0-9]{1,16}")


@contextmanager
def as_ledger(tables: sqlite3.Connection) -> Iterator[Ledger]:
    """Give tables in memory as a ledger, to be read only; they stay open."""
    before, tables.row_factory = tables.row_factory, Row
    try:
        yield Ledger(tables, name=":memory:", now=time.time)
    finally:
        tables.row_factory = before


def check_rows(tables: sqlite3.Connection) -> None:
    """Raise `ValueError` for tables of this wanrun's version with a row that it could not go on with."""
    for (table,) in tables.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'"):
        for _, column, kind, _, _, _ in tables.execute(f"PRAGMA table_info({table})").fetchall():
            _check_column(tables, table, column, kind)
    with as_ledger(tables) as ledger:
        try:
            _read_all(ledger)
            for (data,) in tables.execute("SELECT data FROM events"):  # one by one, for there can be very many
                _check(isinstance(json.loads(data), dict), "an event without its data")
        except Exception as exc:  # the rows are a stranger's, and there is no end of what they can lack
            raise ValueError(f"rows that cannot be read: {type(exc).__name__}: {exc}") from exc


def _check_column(tables: sqlite3.Connection, table: str, column: str, kind: str) -> None:
    """Check the type of each value of a column: SQLite itself takes any value in any column."""
    for value, kept_as in tables.execute(f"SELECT {column}, typeof({column}) FROM {table}"):  # noqa: S608  # our names
        if value is None:
            continue
        if kept_as != kind.lower() or (kind == "REAL" and column not in _ENDLESS and not is_time(value)):
            raise ValueError(f"{column} of a row of {table} is {value!r:.40}")


def _read_all(ledger: Ledger) -> None:
    """Read whatever a run reads of entries and attempts that is more than a column."""
    entries = ledger.entries()
    for entry in entries:
        for attempt in entry.attempts:
            _read(attempt)
    for unsure in ledger.unsure_attempts():
        _ = unsure.broken_at
    ledger.jobs_asked_for(entry.id for entry in entries)
    ledger.claimed()
    ledger.referred_to()
    ledger.spent()
    _ = ledger.account


def _read(attempt: Attempt) -> None:
    _ = attempt.candidates, attempt.why, attempt.gone_at, attempt.link_gone_at
    if attempt.artifact_sha256 is not None or attempt.state is AttemptState.FETCHED:
        name = f"{attempt.artifact_sha256}{attempt.artifact_suffix}"
        _check(_ARTIFACT.fullmatch(name) is not None, f"a result called {name!r:.80}")
        _check(attempt.artifact_bytes is not None, "a result without its size")


def _check(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)
