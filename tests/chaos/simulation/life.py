"""One life of the program in a simulation: it may die at any step, and what it held is unplugged before it unwinds.

A step is a moment at which a real process could have been killed with another result than a moment before: around a
commit, an event, a write to a folder, a call that leaves, a reply that comes. At the fatal one the ledger's
connection and the disk are cut off first; then an exception that nobody catches unwinds the program. Its `finally`
blocks run, unlike those of a killed process, but find nothing that they could write to.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: what a life counts, and how often it is told to die at one of a kind; most of all while files get their names
STEPS = {
    "commit": 2,
    "committed": 2,
    "event": 1,
    "write": 2,
    "rename": 2,
    "renamed": 4,
    "sync": 3,
    "synced": 2,
    "send": 1,
    "sent": 2,
    "reply": 2,
    "chunk": 1,
}


class Death(BaseException):
    """The process is dead; raised by everything that it still tries to use."""


class Life:
    """One process: how far it has come, and whether it is dead."""

    def __init__(self, *, dies_at: tuple[str, int] | None = None) -> None:
        """Begin a life that dies at the nth step of one kind, by `kill`, or never."""
        self.dead = False
        self.steps: Counter[str] = Counter()
        self.unplug: list[Callable[[], object]] = []  #: called once, at the instant of death
        self._dies_at = dies_at

    def step(self, kind: str) -> None:
        """Come to a moment of one kind; raises `Death` at the fatal one and ever after."""
        self.check()
        self.steps[kind] += 1
        if self._dies_at == (kind, self.steps[kind]):
            self.kill()
            raise Death

    def check(self) -> None:
        """Raise `Death` for a process that is dead."""
        if self.dead:
            raise Death

    def kill(self) -> None:
        """End the life: nothing that it does from now on has an effect."""
        if not self.dead:
            self.dead = True
            for cut in self.unplug:
                cut()


def connection_of(life: Life) -> type[sqlite3.Connection]:
    """Return the kind of SQLite connection that a life uses; its death rolls back what is not committed."""

    class Cable(sqlite3.Connection):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            life.unplug.append(super().rollback)

        def execute(self, statement: str, /, *values: Any) -> sqlite3.Cursor:
            life.check()
            if statement != "COMMIT":
                return super().execute(statement, *values)
            life.step("commit")
            cursor = super().execute(statement, *values)
            life.step("committed")
            return cursor

    return Cable


@contextmanager
def plugged_ledger(life: Life) -> Iterator[None]:
    """Let every SQLite connection that is opened meanwhile belong to a life."""
    connect, cable = sqlite3.connect, connection_of(life)

    def plugged(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        life.check()
        connection: sqlite3.Connection = connect(*args, **{"factory": cable} | kwargs)
        return connection

    sqlite3.connect = plugged  # type: ignore[assignment]  # a narrower signature is enough here
    try:
        yield
    finally:
        sqlite3.connect = connect
