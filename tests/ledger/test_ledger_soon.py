"""What is written soon: on disk with the next commit, never half, and no later than somebody flushes."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from threading import Timer
from typing import TYPE_CHECKING

import pytest
from ledger_parts import enter, in_flight

from wanrun.errors import ExitCode, LedgerError
from wanrun.ledger import AttemptState

if TYPE_CHECKING:
    from ledger_parts import Book


def addresses(book: Book) -> list[str]:
    """Return the addresses of the entries that another process sees."""
    with closing(sqlite3.connect(book.path)) as raw:
        return [address for (address,) in raw.execute("SELECT address FROM entries ORDER BY id")]


def test_what_is_written_soon_is_seen_here_at_once_and_elsewhere_once_flushed(book: Book) -> None:
    """The writer goes on with it; nobody else may rely on it yet."""
    with book.open() as ledger:
        with ledger.transaction(soon=True):
            enter(ledger)

        assert len(ledger.entries()) == 1
        assert addresses(book) == []

        ledger.flush()
        assert addresses(book) == ["spring/one"]


def test_the_next_commit_takes_it_along(book: Book) -> None:
    """So a fact never comes to disk before one that was recorded earlier."""
    with book.open() as ledger:
        with ledger.transaction(soon=True):
            enter(ledger, "one")
        enter(ledger, "two")

        assert addresses(book) == ["spring/one", "spring/two"]


def test_closing_flushes(book: Book) -> None:
    """A run that ends in good order forgets nothing."""
    with book.open() as ledger, ledger.transaction(soon=True):
        enter(ledger)

    assert addresses(book) == ["spring/one"]


@pytest.mark.parametrize("soon", [False, True])
def test_what_fails_undoes_only_itself(book: Book, *, soon: bool) -> None:
    """What waits for its commit goes on to wait."""
    with book.open() as ledger:
        with ledger.transaction(soon=True):
            enter(ledger, "one")
        with suppress(RuntimeError), ledger.transaction(soon=soon):
            enter(ledger, "two")
            raise RuntimeError
        with ledger.transaction(soon=True):
            enter(ledger, "three")
        ledger.flush()

        assert addresses(book) == ["spring/one", "spring/three"]


def test_listeners_hear_of_it_once_it_is_on_disk(book: Book) -> None:
    """In the order of the facts, and never of what was undone."""
    heard: list[str] = []
    with book.open() as ledger:
        for name in ("one", "two"):
            with ledger.transaction(soon=True):
                enter(ledger, name)
                ledger.once_committed(lambda name=name: heard.append(name))
        with suppress(RuntimeError), ledger.transaction(soon=True):
            ledger.once_committed(lambda: heard.append("undone"))
            raise RuntimeError
        assert heard == []

        with ledger.transaction():
            enter(ledger, "three")
            ledger.once_committed(lambda: heard.append("three"))

    assert heard == ["one", "two", "three"]


def test_inside_of_another_transaction_it_belongs_to_that_one(book: Book) -> None:
    """Whoever opened the outer one has acted on all of it when it ends."""
    with book.open() as ledger:
        with ledger.transaction(), ledger.transaction(soon=True):
            enter(ledger)

        assert addresses(book) == ["spring/one"]


def test_a_death_forgets_what_was_written_soon_and_nothing_else(book: Book) -> None:
    """The next process finds the task as it was recorded before it succeeded, and asks the service again."""
    ledger = book.open()
    attempt = in_flight(ledger, enter(ledger))
    with ledger.transaction(soon=True):
        ledger.succeeded(attempt, usage=None, started_at=None, ended_at=None)
    ledger._connection.close()  # as the system does for a process that is gone

    with book.open() as again:
        assert again.attempt(attempt).state is AttemptState.IN_FLIGHT


def test_a_reader_does_not_hinder_it(book: Book) -> None:
    """`status` reads while something waits for its commit, and the commit comes."""
    with book.open() as ledger, book.open() as reader:
        with ledger.transaction(soon=True):
            enter(ledger)
        assert reader.entries() == []

        ledger.flush()

        assert len(reader.entries()) == 1


@pytest.mark.parametrize("waiting", [True, False], ids=["something waits for a commit", "nothing waits"])
def test_a_transaction_that_a_full_disk_has_ended_is_not_taken_for_whole(book: Book, *, waiting: bool) -> None:
    """SQLite undoes all of it when it finds no room; who goes on all the same hears of it, with the file's name."""
    with book.open() as ledger:
        if waiting:
            with ledger.transaction(soon=True):
                enter(ledger, "one")
        (pages,) = ledger._connection.execute("PRAGMA page_count").fetchone()
        ledger._connection.execute(f"PRAGMA max_page_count = {pages}")  # SQLite's own stand-in for a full disk

        goes_on = pytest.raises(LedgerError, match=r"ledger\.db: .*run again")
        with goes_on as caught, ledger.transaction(), suppress(LedgerError):
            enter(ledger, "x" * 100_000)

        assert caught.value.exit_code is ExitCode.UNFINISHED
        assert ledger.entries() == []


def test_one_commit_keeps_all_that_was_written_soon(book: Book) -> None:
    """Whoever waits for what it has written needs no commit of its own if another has come meanwhile."""
    with book.open() as ledger:
        assert ledger.next_commit is None
        with ledger.transaction(soon=True):
            enter(ledger, "one")
        first = ledger.next_commit
        with ledger.transaction(soon=True):
            enter(ledger, "two")
        assert ledger.next_commit is first is not None

        ledger.keep(first)
        assert addresses(book) == ["spring/one", "spring/two"]

        with ledger.transaction(soon=True):
            enter(ledger, "three")
        ledger.keep(first)  # it is there already; the next commit goes on to wait
        assert addresses(book) == ["spring/one", "spring/two"]


def test_whoever_waits_hears_that_what_it_wrote_was_undone(book: Book) -> None:
    """Another's commit has failed, and the next one is not taken for the lost one."""
    with book.open() as ledger, closing(sqlite3.connect(book.path)) as reader:
        ledger._connection.execute("PRAGMA busy_timeout = 1")
        with ledger.transaction(soon=True):
            enter(ledger, "one")
        lost = ledger.next_commit
        assert lost is not None
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM entries").fetchall()
        with pytest.raises(LedgerError):
            ledger.flush()
        reader.rollback()
        with ledger.transaction(soon=True):
            enter(ledger, "two")

        with pytest.raises(LedgerError, match=r"ledger\.db: .*undone.*run again") as caught:
            ledger.keep(lost)

        assert caught.value.exit_code is ExitCode.UNFINISHED
        ledger.flush()
    assert addresses(book) == ["spring/two"]


def test_what_sqlite_has_undone_unasked_does_not_come_with_the_next_commit(book: Book) -> None:
    """As it may when it cannot read: a create whose intention was in it does not leave, and nobody hears of it."""
    heard: list[str] = []
    with book.open() as ledger:
        with ledger.transaction(soon=True):
            enter(ledger, "one")
            ledger.once_committed(lambda: heard.append("one"))
        lost = ledger.next_commit
        assert lost is not None
        ledger._connection.execute("ROLLBACK")
        enter(ledger, "two")

        with pytest.raises(LedgerError, match=r"undone"):
            ledger.keep(lost)

    assert heard == []
    assert addresses(book) == ["spring/two"]


def test_a_commit_that_takes_something_costly_along_is_as_patient(book: Book) -> None:
    """A task's id is not lost because a commit that has less to lose came first."""
    with book.open() as ledger, closing(sqlite3.connect(book.path, check_same_thread=False)) as reader:
        ledger._connection.execute("PRAGMA busy_timeout = 100")
        with ledger.transaction(soon=True, costly=True):
            enter(ledger, "one")
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM entries").fetchall()
        leaves = Timer(0.3, reader.rollback)  # later than one try would wait
        leaves.start()

        enter(ledger, "two")
        leaves.join()

    assert addresses(book) == ["spring/one", "spring/two"]
