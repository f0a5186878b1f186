"""A copy of a ledger is whole, private and checked, also of one that is being written."""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from ledger_parts import enter, in_flight

from disks import small_files
from wanrun.errors import ExitCode, LedgerError, SettingsError
from wanrun.ledger import Ledger
from wanrun.ledger.backup import back_up, faults_of
from wanrun.ledger.sql import MIGRATIONS

if TYPE_CHECKING:
    from ledger_parts import Book


TABLES = ("entries", "attempts")


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_copy_is_a_ledger_that_knows_the_same(book: Book) -> None:
    """Private, whole, and nothing else is left behind; the ledger stays as it is."""
    with book.open() as ledger:
        in_flight(ledger, enter(ledger))
    before, content = names(book.path.parent), book.path.read_bytes()

    size = back_up(book.path, book.path.with_name("copy.db"))

    copy = book.path.with_name("copy.db")
    assert names(book.path.parent) - before == {"copy.db"}
    assert (copy.stat().st_mode & 0o777, copy.stat().st_size) == (0o600, size)
    assert book.path.read_bytes() == content
    with book.open() as old, Ledger.open(copy, now=lambda: book.at) as new:
        assert new.entries() == old.entries()


def test_a_copy_of_a_ledger_that_is_being_written_is_whole(book: Book) -> None:
    """Every copy holds a state that there was: as many attempts as entries, and the writer never fails."""
    done = threading.Event()
    failed: list[BaseException] = []

    def write() -> None:
        try:
            with book.open() as ledger:
                for number in range(60):
                    with ledger.transaction():
                        in_flight(ledger, enter(ledger, f"job-{number}"), f"task-{number}")
        except BaseException as exc:
            failed.append(exc)
        done.set()

    book.open().close()
    writer = threading.Thread(target=write)
    writer.start()
    counts = []
    while not done.is_set() or not counts:
        path = book.path.with_name(f"copy-{len(counts)}.db")
        back_up(book.path, path)
        with closing(sqlite3.connect(path)) as copy:
            counts.append([copy.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in TABLES])  # noqa: S608
    writer.join()

    assert failed == []
    assert all(entries == attempts for entries, attempts in counts)


def test_what_is_not_committed_is_not_in_the_copy(book: Book) -> None:
    """A writer in the middle of a commit is no hindrance, and half of a fact is none."""
    with book.open() as ledger:
        enter(ledger, "one")
        with ledger.transaction():
            enter(ledger, "two")
            back_up(book.path, book.path.with_name("copy.db"))

    with Ledger.open(book.path.with_name("copy.db"), now=lambda: 0.0) as copy:
        assert [entry.address for entry in copy.entries()] == ["spring/one"]


def test_a_writer_that_never_ends_is_not_waited_for(book: Book) -> None:
    """Exit code 3, and nothing is left behind."""
    book.open().close()
    with closing(sqlite3.connect(book.path, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        before = names(book.path.parent)

        with pytest.raises(LedgerError, match=r"is being written|locked") as caught:
            back_up(book.path, book.path.with_name("copy.db"), patience_seconds=0.1)

    assert caught.value.exit_code == ExitCode.UNFINISHED
    assert names(book.path.parent) - before == set()


def test_a_file_that_is_there_stays_unless_it_is_to_give_way(book: Book) -> None:
    """And then in one step, once the new copy is checked."""
    book.open().close()
    copy = book.path.with_name("copy.db")
    copy.write_bytes(b"something else")

    with pytest.raises(SettingsError, match="is there already; name another file, or replace it with --force"):
        back_up(book.path, copy)
    assert copy.read_bytes() == b"something else"

    back_up(book.path, copy, replace=True)
    assert faults_of(copy) == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no/copy.db", "no such folder"),
        (".", "is a folder; name a file in it"),
        ("ledger.db", "is the ledger itself"),
        ("ledger.db-journal", "is a file of the ledger"),
        ("ledger.lock", "is a file of the ledger"),
    ],
)
def test_a_place_that_cannot_be_is_said(book: Book, name: str, words: str) -> None:
    """Not even with --force is a ledger copied over itself."""
    book.open().close()

    with pytest.raises(SettingsError, match=words):
        back_up(book.path, book.path.parent / name, replace=True)


def test_a_link_to_the_ledger_is_the_ledger(book: Book) -> None:
    """Replacing it would leave two files where there was one."""
    book.open().close()
    link = book.path.with_name("link.db")
    link.symlink_to(book.path)

    with pytest.raises(SettingsError, match="is the ledger itself"):
        back_up(book.path, link, replace=True)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a folder that nobody can write")
def test_a_folder_that_cannot_be_written_is_said(book: Book) -> None:
    """The place and the reason."""
    book.open().close()

    with pytest.raises(LedgerError, match=r"/proc/copy\.db: .*; nothing was kept"):
        back_up(book.path, Path("/proc/copy.db"))


def test_a_disk_that_fills_up_leaves_the_old_copy(book: Book) -> None:
    """Exit code 3: the same command works once there is space."""
    book.open().close()
    copy = book.path.with_name("copy.db")
    back_up(book.path, copy)
    old, before = copy.read_bytes(), names(book.path.parent)

    with pytest.raises(LedgerError) as caught, small_files():
        back_up(book.path, copy, replace=True)

    assert copy.read_bytes() == old
    assert names(book.path.parent) == before
    assert caught.value.exit_code == ExitCode.UNFINISHED


def test_a_damaged_ledger_is_not_copied(book: Book) -> None:
    """A backup that nobody could use is none; what is wrong is said."""
    with book.open() as ledger:
        for number in range(200):
            enter(ledger, f"job-{number}")
    content = bytearray(book.path.read_bytes())
    content[-4096 * 3 :] = os.urandom(4096 * 3)
    book.path.write_bytes(content)

    assert faults_of(book.path)
    with pytest.raises(LedgerError, match="is damaged"):
        back_up(book.path, book.path.with_name("copy.db"))
    assert not book.path.with_name("copy.db").exists()


@pytest.mark.parametrize(
    "content", [b"", b"not a database at all, but long enough for a header" * 50], ids=["empty", "text"]
)
def test_what_is_no_ledger_is_not_copied(book: Book, content: bytes) -> None:
    """Another file under that name is said to be one."""
    book.path.parent.mkdir(exist_ok=True)
    book.path.write_bytes(content)

    with pytest.raises(LedgerError, match=r"ledger\.db"):
        back_up(book.path, book.path.with_name("copy.db"))
    assert not book.path.with_name("copy.db").exists()


def test_a_ledger_of_a_newer_version_is_left_to_it(book: Book) -> None:
    """Only who wrote it knows whether a copy is whole."""
    book.open().close()
    with closing(sqlite3.connect(book.path)) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")

    with pytest.raises(LedgerError, match="written by a newer wanrun"):
        back_up(book.path, book.path.with_name("copy.db"))


def test_a_row_that_belongs_nowhere_is_a_fault(book: Book) -> None:
    """SQLite's own check does not look at what refers to what."""
    with book.open() as ledger:
        in_flight(ledger, enter(ledger))
    with closing(sqlite3.connect(book.path, isolation_level=None)) as connection:
        connection.execute("DELETE FROM entries")

    assert faults_of(book.path) == ["row 1 of attempts belongs to a row of entries that is not there"]
