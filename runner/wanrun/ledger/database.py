"""The SQLite file under the ledger: opening and migrating it, transactions, and errors that name it."""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager, suppress
from threading import RLock
from typing import TYPE_CHECKING, Self
from weakref import WeakSet

from wanrun.errors import ExitCode, LedgerError
from wanrun.ledger.journal import check_journal
from wanrun.ledger.sql import MIGRATIONS, PRAGMAS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path
    from types import TracebackType


COSTLY_COMMIT_TRIES = 12  #: each waits for the busy_timeout of 5 s

_OPENING = RLock()
_OPEN: WeakSet[Database] = WeakSet()  #: in this process


class Commit:
    """What goes to disk in one step, from its first write on."""

    __slots__ = ("callbacks", "is_costly", "is_kept")

    def __init__(self) -> None:
        self.callbacks: list[Callable[[], None]] = []  #: to be called when it is on disk
        self.is_costly = False  #: it holds something that it is costly to lose
        self.is_kept = False  #: on disk; one that was undone never is


class Database:
    """One SQLite file, read and written synchronously in the thread that calls."""

    def __init__(self, connection: sqlite3.Connection, *, name: str, now: Callable[[], float]) -> None:
        self._connection, self._name, self._now = connection, name, now
        _OPEN.add(self)
        self._depth = 0
        self._latest = Commit()

    @classmethod
    def open(cls, path: Path, *, now: Callable[[], float]) -> Self:
        """Open the file at `path`, made with its folder (0700, file 0600) if need be; an older one is migrated.

        Raises `LedgerError` for a file that is no ledger, was written by a newer wanrun, or lies beside the journal of
        another file, and for a disk that cannot be used.
        """
        with _OPENING:
            try:
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                if not is_open_here(path):  # closing a file lets go of the locks that this process has on it
                    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
                    check_journal(path)
            except OSError as exc:
                raise LedgerError.of(path, exc) from exc
            return cls._connect(str(path), now=now)

    @classmethod
    def in_memory(cls, *, now: Callable[[], float]) -> Self:
        """Open one that lasts as long as the object."""
        return cls._connect(":memory:", now=now)

    @classmethod
    def _connect(cls, name: str, *, now: Callable[[], float]) -> Self:
        with sqlite_errors(name):
            connection = sqlite3.connect(name, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        database = cls(connection, name=name, now=now)
        try:
            with database._errors():
                connection.executescript(PRAGMAS)
            database._migrate()
        except BaseException:
            database.close()
            raise
        return database

    def _migrate(self) -> None:
        while (version := self._version()) < len(MIGRATIONS):
            script = f"BEGIN IMMEDIATE;{MIGRATIONS[version]};PRAGMA user_version = {version + 1};COMMIT;"
            try:
                with self._errors():
                    self._connection.executescript(script)
            except LedgerError:
                self._rollback()
                if self._version() == version:  # else another process has just done the same
                    raise

    def _version(self) -> int:
        with self._errors():
            (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version > len(MIGRATIONS):
            raise LedgerError(f"{self._name} was written by a newer wanrun (version {version}); use that one")
        return int(version)

    def close(self) -> None:
        """Close the file; it cannot be used afterwards. What could still be committed is."""
        with _OPENING:
            was_open = self in _OPEN
            _OPEN.discard(self)
        try:
            with suppress(LedgerError):  # what was written soon can be found out again
                if was_open:
                    self.flush()
        finally:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def damage(self) -> list[str]:
        """Return what SQLite finds wrong with the file, a line each; nothing for a sound one."""
        lines = [str(row[0]) for row in self._read("PRAGMA integrity_check(20)")]
        return [] if lines == ["ok"] else lines

    def copy_into(self, other: sqlite3.Connection) -> None:
        """Copy all that is committed into another database, which is empty."""
        self.flush()
        with self._errors():
            self._connection.backup(other)

    @contextmanager
    def transaction(self, *, costly: bool = False, soon: bool = False) -> Iterator[None]:
        """Make all that is written inside one commit: all of it is on disk, or none. May be nested.

        A commit waits five seconds for a reader to get out of the way, and a minute if anything in it is `costly` to
        lose. With `soon` it goes to disk with the next commit, whichever comes: for what can be found out again if the
        process dies before. Whoever writes so sees to it that `flush` is called a moment later.
        """
        if self._depth:
            yield
            return
        others_wait = self._connection.in_transaction
        with self._errors():
            self._connection.execute("SAVEPOINT own" if others_wait else "BEGIN IMMEDIATE")
        if not others_wait:
            self._latest = Commit()
        self._latest.is_costly |= costly
        callbacks = self._latest.callbacks
        told = len(callbacks)
        self._depth = 1
        try:
            yield
            self._check_whole()
            if others_wait:
                with self._errors():
                    self._connection.execute("RELEASE own")
        except BaseException:
            del callbacks[told:]
            self._undo(only_own=others_wait)
            raise
        finally:
            self._depth = 0
        if not soon:
            self.flush()

    def _check_whole(self) -> None:
        """Raise `LedgerError` when SQLite has undone a transaction by itself, as it does on a full disk."""
        if not self._connection.in_transaction:
            raise self._undone()

    def _undone(self) -> LedgerError:
        error = LedgerError(f"{self._name}: what was being written was undone, as on a full disk; run again")
        error.exit_code = ExitCode.UNFINISHED
        return error

    def flush(self) -> None:
        """Put on disk what was written soon, if anything was."""
        if self._depth or not self._connection.in_transaction:
            return
        commit = self._latest
        self._commit(commit)
        for callback in commit.callbacks:
            callback()

    @property
    def next_commit(self) -> Commit | None:
        """What was written soon and is not on disk yet; None when all is."""
        return self._latest if self._connection.in_transaction else None

    def keep(self, commit: Commit) -> None:
        """Have a commit on disk, if it is not there by now; raises `LedgerError` also when it was undone meanwhile."""
        if commit is self._latest:
            self.flush()
        if not commit.is_kept:
            raise self._undone()

    def once_committed(self, callback: Callable[[], None]) -> None:
        """Call back when what is being written is on disk: after the transaction, or at once outside of one."""
        if self._depth:
            self._latest.callbacks.append(callback)
        else:
            callback()

    def _commit(self, commit: Commit) -> None:
        for left in reversed(range(COSTLY_COMMIT_TRIES if commit.is_costly else 1)):
            try:
                with self._errors():
                    self._connection.execute("COMMIT")
            except LedgerError as exc:
                if not left or not exc.is_busy:
                    self._rollback()
                    raise
            else:
                commit.is_kept = True
                return

    def _undo(self, *, only_own: bool) -> None:
        """Undo a transaction; `only_own`: what was written soon before it goes on to wait for its commit."""
        if only_own and self._connection.in_transaction:
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK TO own")
                self._connection.execute("RELEASE own")
                return
        self._rollback()

    def _rollback(self) -> None:
        with suppress(sqlite3.Error):  # a disk that fails here too: the journal stays, and whoever opens next uses it
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def _errors(self) -> AbstractContextManager[None]:
        return sqlite_errors(self._name)

    def _write(self, statement: str, **values: object) -> int:
        if self._depth:  # most are part of a transaction
            return self._execute(statement, values)
        with self.transaction():
            return self._execute(statement, values)

    def _execute(self, statement: str, values: dict[str, object]) -> int:
        with self._errors():
            return self._connection.execute(statement, values).lastrowid or 0

    def _read(self, statement: str, **values: object) -> list[sqlite3.Row]:
        with self._errors():
            return self._connection.execute(statement, values).fetchall()


def is_open_here(path: Path) -> bool:
    """Say whether this process has the ledger open; opening and closing it as a file would let go of its locks."""
    return any(os.path.realpath(database._name) == os.path.realpath(path) for database in _OPEN)


class sqlite_errors:  # noqa: N801  # a context manager that is called; no generator, since every statement is in one
    """Raise what SQLite says of a file as `LedgerError`, with what to do and whether running again is enough."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(exc, sqlite3.Error):
            raise _ledger_error(self._name, exc) from exc
        if isinstance(exc, UnicodeEncodeError):
            raise LedgerError(f"{self._name}: {exc.object!a} is not text that can be recorded; rename it") from exc


def _ledger_error(name: str, exc: sqlite3.Error) -> LedgerError:
    code = getattr(exc, "sqlite_errorname", "")
    advice = next((words for start, words in _ADVICE.items() if code.startswith(start)), None)
    error = LedgerError(f"{name}: {exc}; {advice}" if advice else f"{name}: {exc}")
    error.is_busy = code == "SQLITE_BUSY"
    error.is_corrupt, error.is_foreign = code.startswith("SQLITE_CORRUPT"), code == "SQLITE_NOTADB"
    if advice or error.is_busy:
        error.exit_code = ExitCode.UNFINISHED
    return error


#: By the beginning of SQLite's name for it: what a person does, after which the same command goes on. What a full disk
#: does to a sync, or to a file that is to be opened, has the same name as what a broken one does.
_ADVICE = {
    "SQLITE_FULL": "free space, then run again",
    "SQLITE_IOERR": "see whether the disk is full or failing, then run again",
    "SQLITE_CANTOPEN": "see that its folder can be written and has space, then run again",
    "SQLITE_READONLY": "see that it and its folder can be written, then run again",
}
