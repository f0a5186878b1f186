"""The ledger's file: made, migrated, locked, and whole after any death."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import pytest
from ledger_parts import Book, enter, in_flight, intend

from wanrun.errors import ExitCode, LedgerBusy, LedgerError
from wanrun.events import Event, EventName
from wanrun.ledger import LedgerLock
from wanrun.ledger.sql import MIGRATIONS

if TYPE_CHECKING:
    from pathlib import Path


def test_a_ledger_is_made_from_nothing(book: Book) -> None:
    """Its folder and file are its owner's alone, and its version is the latest."""
    with book.open() as ledger:
        assert ledger.entries() == []

    assert stat.S_IMODE(book.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(book.path.parent.stat().st_mode) == 0o700
    with closing(sqlite3.connect(book.path)) as raw:
        assert raw.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
        assert raw.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_an_empty_file_becomes_a_ledger(book: Book) -> None:
    """Such as one that was made a moment before a power cut."""
    book.path.parent.mkdir()
    book.path.touch()

    with book.open() as ledger:
        assert enter(ledger) == 1


def test_opening_again_changes_nothing(book: Book) -> None:
    """What was written is there, and the tables are made once."""
    with book.open() as ledger:
        enter(ledger)
        before = ledger.entries()

    with book.open() as ledger:
        assert ledger.entries() == before


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"garbage " * 200, "file is not a database"), (b"SQLite format 3\0" + b"\xff" * 4000, "ledger.db: ")],
    ids=["garbage", "torn"],
)
def test_a_file_that_is_no_ledger_is_named_and_left(book: Book, content: bytes, words: str) -> None:
    """Nothing is repaired that we have not written."""
    book.path.parent.mkdir()
    book.path.write_bytes(content)

    with pytest.raises(LedgerError, match=words):
        book.open()

    assert book.path.read_bytes() == content


def test_a_newer_ledger_is_left_to_the_newer_wanrun(book: Book) -> None:
    """It is not written to."""
    with book.open():
        pass
    with closing(sqlite3.connect(book.path)) as raw:
        raw.execute("PRAGMA user_version = 99")
    before = book.path.read_bytes()

    with pytest.raises(LedgerError, match=r"written by a newer wanrun \(version 99\)"):
        book.open()

    assert book.path.read_bytes() == before


def test_a_folder_that_cannot_be_made_is_named(book: Book) -> None:
    """A file stands in its place."""
    book.path.parent.write_text("a file")

    with pytest.raises(LedgerError, match=r"state/ledger.db: File exists; wanrun keeps its ledger"):
        book.open()


def test_a_transaction_is_all_or_nothing(book: Book) -> None:
    """What fails in the middle, however deep, leaves no trace, and the ledger can be used afterwards."""
    with book.open() as ledger:
        enter(ledger)
        with suppress(RuntimeError), ledger.transaction():
            enter(ledger, "two")
            with ledger.transaction():
                enter(ledger, "three")
            raise RuntimeError
        enter(ledger, "four")

        assert [entry.address for entry in ledger.entries()] == ["spring/one", "spring/four"]


def test_what_waits_for_the_commit_is_called_after_it(book: Book) -> None:
    """In order, only when it is on disk, and not at all when it never gets there."""
    heard: list[int] = []

    def count() -> None:
        with book.open() as other:
            heard.append(len(other.entries()))

    with book.open() as ledger:
        ledger.once_committed(count)
        with ledger.transaction():
            enter(ledger)
            ledger.once_committed(count)
            assert heard == [0]
        with suppress(RuntimeError), ledger.transaction():
            ledger.once_committed(count)
            raise RuntimeError
        enter(ledger, "two")

    assert heard == [0, 1]


DYING = """
import os, signal, sys, time
from pathlib import Path
from ledger_parts import Book, enter, in_flight
ledger = Book(Path(sys.argv[1])).open()
in_flight(ledger, enter(ledger, "acknowledged"))
with ledger.transaction():
    enter(ledger, "half")
    for number in range(int(sys.argv[2])):
        enter(ledger, f"half-{number}")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("rows", [0, 20_000], ids=["small", "larger than SQLite's cache"])
def test_after_kill_9_all_is_there_that_was_acknowledged(book: Book, rows: int) -> None:
    """A process that dies in the middle of a transaction leaves what was committed, and nothing half done."""
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    died = subprocess.run([sys.executable, "-c", DYING, str(book.path), str(rows)], env=environ, check=False)

    with book.open() as ledger:
        (entry,) = ledger.entries()

    assert died.returncode == -signal.SIGKILL
    assert entry.address == "spring/acknowledged"
    assert entry.attempt is not None
    assert entry.attempt.task_id == "task-1"


def test_a_reader_does_not_disturb_a_writer(book: Book) -> None:
    """`status` sees what is committed while a transaction is open, and the writer goes on."""
    with book.open() as writer:
        enter(writer)
        with writer.transaction():
            enter(writer, "two")
            with book.open() as reader:
                assert len(reader.entries()) == 1

        with book.open() as reader:
            assert len(reader.entries()) == 2


def test_one_process_holds_the_lock(book: Book) -> None:
    """A second holder is told at once who has it, with the exit code that says: run again."""
    book.path.parent.mkdir()

    with LedgerLock(book.path), pytest.raises(LedgerBusy, match=rf"pid {os.getpid()}") as caught, LedgerLock(book.path):
        pass

    assert caught.value.exit_code is ExitCode.UNFINISHED
    with LedgerLock(book.path):
        pass


def test_the_lock_of_a_dead_process_is_free(book: Book) -> None:
    """The kernel lets go of it, whatever the file says."""
    book.path.parent.mkdir()
    code = (
        "import os, signal, sys; from pathlib import Path; from wanrun.ledger import LedgerLock\n"
        "LedgerLock(Path(sys.argv[1])).__enter__(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(book.path)], check=False)

    with LedgerLock(book.path):
        assert (book.path.parent / "ledger.lock").read_text().startswith(f"{os.getpid()} ")


def test_the_lock_names_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """Clear words instead of an OSError."""
    with (
        pytest.raises(LedgerError, match=r"nowhere/ledger\.lock: No such file"),
        LedgerLock(tmp_path / "nowhere/ledger.db"),
    ):
        pass


def test_a_ledger_belongs_to_one_account(book: Book) -> None:
    """The first answer decides; another service is refused by name."""
    with book.open() as ledger:
        assert ledger.account is None
        ledger.belong_to("emulator:abc")
        ledger.belong_to("emulator:abc")

        with pytest.raises(LedgerError, match="belongs to the emulator account abc, but the service itself answered"):
            ledger.belong_to("service")

        assert ledger.account == "emulator:abc"


def test_events_are_kept_in_order_with_their_data(book: Book) -> None:
    """Of one run, or of all, exactly as they were told."""
    first = Event(EventName.JOB_SUBMITTED, 1.5, "run-1", "spring/один", {"task": "日本"})
    second = Event(EventName.RUN_FINISHED, 2.5, "run-2", None, {"states": {"done": 1}})
    with book.open() as ledger:
        ledger.note(first)
        ledger.note(second)

        assert ledger.events() == [
            {"run": "run-1", "at": 1.5, "name": "job_submitted", "job": "spring/один", "data": {"task": "日本"}},
            {"run": "run-2", "at": 2.5, "name": "run_finished", "job": None, "data": {"states": {"done": 1}}},
        ]
        assert [row["run"] for row in ledger.events("run-2")] == ["run-2"]


def test_a_full_disk_is_said_with_the_code_that_says_run_again(book: Book) -> None:
    """SQLite is given no room for another page; what was there stays readable."""
    with book.open() as ledger:
        enter(ledger)
        ledger._connection.execute("PRAGMA max_page_count = 1")  # SQLite's own stand-in for a full disk
        with pytest.raises(LedgerError, match="full") as caught:
            enter(ledger, "long" * 5000)

        assert caught.value.exit_code is ExitCode.UNFINISHED
        assert ledger.entry(1).address == "spring/one"


def test_an_intention_survives_its_process(book: Book) -> None:
    """It is on disk before the POST leaves."""
    with book.open() as ledger:
        intend(ledger, enter(ledger))
        with book.open() as other:
            assert [entry.attempt is not None for entry in other.entries()] == [True]


def test_closing_twice_does_no_harm(book: Book) -> None:
    """Cleaning up is never an error."""
    ledger = book.open()
    in_flight(ledger, enter(ledger))
    ledger.close()
    ledger.close()
