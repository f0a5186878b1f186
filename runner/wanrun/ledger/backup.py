"""A second copy of a ledger, whole or not at all, also while a run is writing; and what is wrong with a ledger file."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing, contextmanager
from secrets import token_hex
from typing import TYPE_CHECKING
from urllib.parse import quote

from wanrun.errors import PASSING, ExitCode, LedgerError, SettingsError, disk_advice
from wanrun.ledger.database import is_open_here, sqlite_errors
from wanrun.ledger.journal import check_journal
from wanrun.ledger.lock import lock_file
from wanrun.ledger.sql import MIGRATIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PATIENCE_SECONDS = 30.0  #: for a writer to get out of the way; its own commits take milliseconds
LINES = 20  #: of what is found wrong


def back_up(ledger: Path, to: Path, *, replace: bool = False, patience_seconds: float = PATIENCE_SECONDS) -> int:
    """Copy a ledger to another file (0600) that is checked before it has its name; returns its size in bytes.

    A run may be writing meanwhile: what it has committed by then is in the copy, and it waits for some milliseconds.
    Raises `SettingsError` for a place that cannot be, `LedgerError` for a ledger that cannot be read or a copy that
    cannot be made; whatever was at the place is then still there.
    """
    check_place(ledger, to, replace=replace)
    with closing(_opened(ledger, patience_seconds)) as source:
        return write_copy(lambda copy: _copy(source, copy, ledger, patience_seconds), to, replace=replace)


def snapshot(ledger: Path, *, patience_seconds: float = PATIENCE_SECONDS) -> sqlite3.Connection:
    """Return a copy of a ledger in memory, of its own version and found sound; a run may be writing meanwhile.

    Raises `LedgerError` for a ledger that cannot be read or is damaged.
    """
    copy = sqlite3.connect(":memory:", isolation_level=None)
    try:
        with closing(_opened(ledger, patience_seconds)) as source, _explained(ledger):
            _copy(source, copy, ledger, patience_seconds)
            if faults := faults_in(copy):
                raise LedgerError(f"{ledger} is damaged: {faults[0]}; wanrun ledger check says what to do")
    except BaseException:
        copy.close()
        raise
    return copy


def write_copy(fill: Callable[[sqlite3.Connection], None], to: Path, *, replace: bool = False) -> int:
    """Let `fill` write a new database, check it, and give it its name in one step; returns its size in bytes."""
    with whole_file(to, replace=replace) as part:
        with closing(sqlite3.connect(part, isolation_level=None)) as copy:
            copy.execute("PRAGMA journal_mode = OFF")  # nobody sees the file before it is whole
            fill(copy)
        _check_copy(part, to)
        return part.stat().st_size


@contextmanager
def whole_file(to: Path, *, replace: bool = False) -> Iterator[Path]:
    """Let the caller write a file of its user alone (0600), which gets its name when it is whole and on disk."""
    part = to.with_name(f".wanrun-{token_hex(8)}.part")
    try:
        with _explained(to):
            os.close(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o600))
            yield part
            _sync(part)
            _name(part, to, replace=replace)
            _sync(to.parent)
    finally:
        part.unlink(missing_ok=True)


def faults_of(ledger: Path) -> list[str]:
    """Return what is wrong with a ledger as a database, a line each; nothing for a sound one.

    Nothing is changed, but for a transaction of a killed process, which is undone as by every reader. Raises
    `LedgerError` when the file cannot be read at all.
    """
    with closing(_opened(ledger)) as connection, _explained(ledger):
        return faults_in(connection)


def check_place(ledger: Path, to: Path, *, replace: bool) -> None:
    """Raise `SettingsError` where there is no ledger to copy, or the copy could not have its place."""
    if not ledger.is_file():
        raise SettingsError(f"there is no ledger at {ledger}; nothing to copy")
    if not to.parent.is_dir():
        raise SettingsError(f"{to.parent}: no such folder")
    if to.is_dir():
        raise SettingsError(f"{to} is a folder; name a file in it")
    check_not_ledger(ledger, to)
    if os.path.lexists(to) and not replace:
        raise SettingsError(f"{to} is there already; name another file, or replace it with --force")


def check_not_ledger(ledger: Path, to: Path) -> None:
    """Raise `SettingsError` for a place that is the ledger's, or that of a file it needs beside it, there or not."""
    if to.exists() and ledger.exists() and to.samefile(ledger):
        raise SettingsError(f"{to} is the ledger itself; name another file")
    place, real = to.parent.resolve() / to.name, ledger.resolve()
    beside = {real, lock_file(real), *(real.with_name(f"{real.name}-{each}") for each in ("journal", "wal", "shm"))}
    if place in beside or to.resolve() in beside:
        raise SettingsError(f"{to} is a file of the ledger {ledger}; name another file")


def _opened(ledger: Path, patience_seconds: float = PATIENCE_SECONDS) -> sqlite3.Connection:
    """Open a ledger as it is: it is not made, not migrated, and written only to undo what a killed process left."""
    with _explained(ledger):
        if not is_open_here(ledger):
            check_journal(ledger)
        connection = sqlite3.connect(f"file:{quote(str(ledger))}?mode=rw", uri=True, isolation_level=None)
        try:
            connection.execute(f"PRAGMA busy_timeout = {int(patience_seconds * 1000)}")
            connection.execute("PRAGMA trusted_schema = OFF")
            _check_version(connection, ledger)
        except BaseException:
            connection.close()
            raise
        return connection


def _check_version(connection: sqlite3.Connection, ledger: Path) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if not version:
        raise LedgerError(f"{ledger} is no ledger of wanrun")
    if version > len(MIGRATIONS):
        raise LedgerError(f"{ledger} was written by a newer wanrun (version {version}); use that one")


def _copy(source: sqlite3.Connection, copy: sqlite3.Connection, ledger: Path, patience_seconds: float) -> None:
    deadline = time.monotonic() + patience_seconds

    def look(_status: int, _remaining: int, _total: int) -> None:
        if time.monotonic() > deadline:  # SQLite itself would wait for ever
            error = LedgerError(f"{ledger} is being written all the time; try again in a moment")
            error.exit_code = ExitCode.UNFINISHED
            raise error

    source.backup(copy, pages=-1, progress=look, sleep=0.05)  # all in one step, so that no writer makes it start over


def _check_copy(part: Path, to: Path) -> None:
    with closing(sqlite3.connect(part, isolation_level=None)) as connection:
        if faults := faults_in(connection):
            raise LedgerError(f"what was to be {to} is damaged ({faults[0]}), as the ledger may be; nothing was kept")


def faults_in(connection: sqlite3.Connection) -> list[str]:
    """Return what is wrong with an open database, a line each; nothing for a sound one."""
    try:
        lines = [str(row[0]) for row in connection.execute(f"PRAGMA integrity_check({LINES})")]
        return _strays(connection) if lines == ["ok"] else lines
    except sqlite3.DatabaseError as exc:
        if getattr(exc, "sqlite_errorname", "") not in ("SQLITE_CORRUPT", "SQLITE_NOTADB"):
            raise
        return [str(exc)]


def _strays(connection: sqlite3.Connection) -> list[str]:
    """Return the rows that refer to rows that are not there, which SQLite's own check does not look at."""
    rows = connection.execute("PRAGMA foreign_key_check").fetchmany(LINES)
    return [f"row {row} of {table} belongs to a row of {parent} that is not there" for table, row, parent, _ in rows]


def _name(part: Path, to: Path, *, replace: bool) -> None:
    if replace:
        part.replace(to)
        return
    try:
        os.link(part, to)  # unlike a rename, it never takes the place of what came there meanwhile
    except FileExistsError:
        raise SettingsError(f"{to} came there just now; nothing was changed") from None
    except OSError:  # a file system without links
        part.rename(to)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        with sqlite_errors(str(path)):
            yield
    except OSError as exc:
        error = LedgerError(f"{path}: {exc.strerror}; nothing was kept: {disk_advice(exc)}")
        error.exit_code = ExitCode.UNFINISHED if exc.errno in PASSING else ExitCode.INVALID
        raise error from exc
