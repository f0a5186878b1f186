"""A ledger as one file to be carried elsewhere: lines of JSON that say what they are, and at the end their checksum.

    {"wanrun_ledger": 1, "tables": 2, "made_at": ..., "account": "service", "lent_to": null}
    {"table": "entries", "columns": ["id", "address", ...]}
    [1, "spring/night", ...]
    ...
    {"rows": 120, "sha256": "..."}

Whole rows of every table travel, so an attempt in the air, unsure or held is one on the other side. Artifacts do not:
they are files; nor do links to what was delivered, since such a file may come to lie where anybody reads it. Text
rather than a database, so that a store that keeps versions keeps little more than what changed, and that a reader makes
the tables itself and no foreign schema is ever opened.
"""

from __future__ import annotations

import gzip
import json
import math
import re
import sqlite3
import zlib
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import IO, TYPE_CHECKING, Any, cast

from wanrun.errors import SettingsError
from wanrun.ledger.backup import faults_in
from wanrun.ledger.database import sqlite_errors
from wanrun.ledger.deliveries import LINK, LINK_UNTIL
from wanrun.ledger.intact import check_rows
from wanrun.ledger.lending import CLAIM_KEY, KEY, OWN_KEYS, Claim, Lent, claim_by, lent_by, lent_from
from wanrun.ledger.sql import MIGRATIONS
from wanrun.ledger.times import is_time

if TYPE_CHECKING:
    from collections.abc import Iterator

FORMAT = 1
MOST_LINE_BYTES = 1 << 24
GZIP_MAGIC = b"\x1f\x8b"

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
#: What is of no use elsewhere: an upload whose time is over.
_LEFT_OUT = {"uploads": "expires_at <= :now"}
#: Columns that travel in part, as SQL: receipts without their links.
_IN_PART = {
    ("deliveries", "receipt"): f"CASE WHEN json_valid(receipt) AND json_type(receipt, '$.{LINK}') IS NOT NULL"
    f" THEN json_remove(receipt, '$.{LINK}', '$.{LINK_UNTIL}') ELSE receipt END"
}


@dataclass(frozen=True, slots=True)
class Portable:
    """A ledger that was read from a file: its tables in memory, of this wanrun's version."""

    tables: sqlite3.Connection
    made_at: float
    account: str | None
    lent: Lent | None
    claim: Claim | None = None

    def marked(self, lent: Lent, claim: Claim | None) -> Portable:
        """Return it as the ledger store's copy that it is to be here; the tables are changed."""
        mark(self.tables, lent, claim)
        return replace(self, lent=lent, claim=claim)

    def close(self) -> None:
        """Forget the tables."""
        self.tables.close()


def lines_of(tables: sqlite3.Connection, *, now: float, lent: Lent | None = None) -> Iterator[bytes]:
    """Yield the lines of a file that holds a ledger; `lent` says who goes on with it, if somebody does."""
    (version,) = tables.execute("PRAGMA user_version").fetchone()
    lent = lent or lent_in(tables, "the ledger")
    head = {
        "wanrun_ledger": FORMAT,
        "tables": version,
        "made_at": now,
        "account": account_in(tables),
        "lent_to": lent.to if lent else None,
    }
    digest, rows = sha256(), 0
    for line in (_line(head), *_rows_of(tables, now, lent)):
        digest.update(line)
        rows += line.startswith(b"[")
        yield line
    yield _line({"rows": rows, "sha256": digest.hexdigest()})


def digest_of(tables: sqlite3.Connection) -> str:
    """Return what names one state of a ledger, in a few characters that can be typed."""
    digest = sha256()
    for line in _rows_of(tables, -math.inf, None):
        digest.update(line)
    return digest.hexdigest()[:12]


def read_portable(file: IO[bytes], name: str) -> Portable:
    """Read a ledger from a file; raises `SettingsError`, naming what is wrong, unless it is whole and can be read."""
    try:
        reader = _Reader(_unpacked(file), name)
        tables = sqlite3.connect(":memory:", isolation_level=None)
        try:
            return reader.read(tables)
        except BaseException:
            tables.close()
            raise
    except (OSError, EOFError, zlib.error) as exc:
        raise SettingsError(f"{name}: it cannot be read ({exc})") from exc


def migrate(tables: sqlite3.Connection, name: str) -> None:
    """Bring tables in memory to this wanrun's version."""
    (version,) = tables.execute("PRAGMA user_version").fetchone()
    with sqlite_errors(name):
        for number, script in enumerate(MIGRATIONS[version:], version + 1):
            tables.executescript(f"BEGIN;{script};PRAGMA user_version = {number};COMMIT;")


def account_in(tables: sqlite3.Connection) -> str | None:
    """Return whose ledger it is, as `Ledger.account`."""
    return _meta(tables, "account")


def lent_in(tables: sqlite3.Connection, name: str) -> Lent | None:
    """Return who has gone on with the ledger of that name, as `Ledger.lent`; raises `LedgerError`."""
    return lent_by(_meta(tables, KEY), name)


def claim_in(tables: sqlite3.Connection, name: str) -> Claim | None:
    """Return what the ledger of that name has of the ledger store, as `Ledger.claim`; raises `LedgerError`."""
    return claim_by(_meta(tables, CLAIM_KEY), name)


def mark(tables: sqlite3.Connection, lent: Lent | None, claim: Claim | None) -> None:
    """Let tables in memory say who goes on with them, and by which right."""
    tables.execute(f"DELETE FROM meta WHERE key IN ({', '.join('?' * len(OWN_KEYS))})", OWN_KEYS)  # noqa: S608
    rows = [(KEY, lent.written())] if lent is not None else []
    rows += [(CLAIM_KEY, claim.written())] if claim is not None else []
    tables.executemany("INSERT INTO meta (key, value) VALUES (?, ?)", rows)


def _meta(tables: sqlite3.Connection, key: str) -> str | None:
    rows = tables.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchall()
    return rows[0][0] if rows else None


def _rows_of(tables: sqlite3.Connection, now: float, lent: Lent | None) -> Iterator[bytes]:
    for table in _table_names(tables):
        columns, keys = _columns(tables, table)
        yield _line({"table": table, "columns": columns})
        left_out = f"WHERE NOT ({_LEFT_OUT[table]})" if table in _LEFT_OUT else ""
        values = ", ".join(_IN_PART.get((table, column), column) for column in columns)
        statement = f"SELECT {values} FROM {table} {left_out} ORDER BY {', '.join(keys)}"  # noqa: S608  # our names
        for row in tables.execute(statement, {"now": now} if left_out else {}):
            if table != "meta" or row[0] not in OWN_KEYS:
                yield _line(list(row))
        if table == "meta" and lent is not None:
            yield _line([KEY, lent.written()])


def _table_names(tables: sqlite3.Connection) -> list[str]:
    """Return the tables of a ledger in the order they were made, so that rows follow those they belong to."""
    rows = tables.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
    return [name for (name,) in rows]


def _columns(tables: sqlite3.Connection, table: str) -> tuple[list[str], list[str]]:
    """Return the columns of a table, and those of its key."""
    found = tables.execute(f"PRAGMA table_info({table})").fetchall()
    keys = sorted((place, name) for _, name, _, _, _, place in found if place)
    return [row[1] for row in found], [name for _, name in keys]


def _line(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _unpacked(file: IO[bytes]) -> IO[bytes]:
    """Return a stream of the lines of a file, which may be packed with gzip."""
    start = file.peek(2) if hasattr(file, "peek") else b""
    return cast("IO[bytes]", gzip.GzipFile(fileobj=file)) if start.startswith(GZIP_MAGIC) else file


class _Reader:
    """Reads one file into tables that it makes itself."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file, self._name = file, name
        self._digest, self._rows = sha256(), 0

    def read(self, tables: sqlite3.Connection) -> Portable:
        """Fill empty tables, see that they are whole, and bring them to this wanrun's version."""
        head = self._head()
        for number, script in enumerate(MIGRATIONS[: head["tables"]], 1):
            tables.executescript(f"{script};PRAGMA user_version = {number};")
        tables.execute("PRAGMA trusted_schema = OFF")
        tables.execute("BEGIN")
        try:
            self._fill(tables)
        except (sqlite3.Error, ValueError, OverflowError) as exc:
            raise SettingsError(f"{self._name}: it is damaged ({exc}); nothing was changed") from exc
        tables.execute("COMMIT")
        if faults := faults_in(tables):
            raise SettingsError(f"{self._name}: it is damaged ({faults[0]}); nothing was changed")
        migrate(tables, self._name)
        try:
            check_rows(tables)
            written = _meta(tables, KEY)
            lent = None if written is None else lent_from(written)
            return Portable(tables, head["made_at"], account_in(tables), lent)
        except (ValueError, TypeError) as exc:
            raise SettingsError(f"{self._name}: it is damaged ({exc}); nothing was changed") from exc

    def _head(self) -> dict[str, Any]:
        head = self._next()
        if not isinstance(head, dict) or type(head.get("wanrun_ledger")) is not int:
            raise SettingsError(f"{self._name} is no ledger that wanrun has exported")
        tables, made_at = head.get("tables"), head.get("made_at")
        if head["wanrun_ledger"] > FORMAT or not isinstance(tables, int) or tables > len(MIGRATIONS):
            raise SettingsError(f"{self._name} was written by a newer wanrun; use that one")
        if isinstance(tables, bool) or tables < 1 or not is_time(made_at):
            raise SettingsError(f"{self._name}: its first line is none of wanrun's")
        return head

    def _fill(self, tables: sqlite3.Connection) -> None:
        insert = ""
        while True:
            before = self._digest.hexdigest()
            line = self._next()
            if isinstance(line, list):
                tables.execute(insert, line)
                self._rows += 1
            elif isinstance(line, dict) and "table" in line:
                insert = self._insert(line)
            elif isinstance(line, dict) and line.get("sha256") == before and line.get("rows") == self._rows:
                return
            else:
                raise SettingsError(
                    f"{self._name}: its checksum is another one; it was changed or cut. Take a whole one"
                )

    def _insert(self, line: dict[str, Any]) -> str:
        """Return the statement that inserts the rows after such a line; raises `ValueError` for odd names."""
        table, columns = line["table"], line.get("columns")
        if not isinstance(columns, list) or not columns:
            raise ValueError(f"a table without columns: {table}")
        for name in (table, *columns):
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                raise ValueError(f"no name of a table or column: {name!r:.40}")
        marks = ", ".join("?" * len(columns))
        return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608  # names, by the pattern

    def _next(self) -> Any:
        """Return the value of the next line."""
        line = self._file.readline(MOST_LINE_BYTES)
        if not line.endswith(b"\n"):
            what = "it ends too early; take a whole one" if len(line) < MOST_LINE_BYTES else "it has a line without end"
            raise SettingsError(f"{self._name}: {what}")
        self._digest.update(line)
        try:
            return json.loads(line)
        except (ValueError, RecursionError) as exc:
            raise SettingsError(f"{self._name} is no ledger that wanrun has exported ({exc})") from exc
