"""The journal beside a ledger: played back when it is the ledger's own, refused when it is another state's."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from ledger_parts import Book, enter

from wanrun.errors import ExitCode, LedgerError
from wanrun.ledger.journal import MAGIC

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

#: More rows than SQLite keeps in memory, so that it writes to the file before the commit; then death.
DYING = """
import os, signal, sys
from pathlib import Path
from ledger_parts import Book, enter
with Book(Path(sys.argv[1])).open() as ledger, ledger.transaction():
    for number in range(20_000):
        enter(ledger, f"half-{number}")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def die_in_a_commit(book: Book) -> Path:
    """Leave a journal that is to be played back, and return where it is."""
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    died = subprocess.run([sys.executable, "-c", DYING, str(book.path)], env=environ, check=False)
    journal = book.path.with_name("ledger.db-journal")
    assert died.returncode == -signal.SIGKILL
    assert journal.read_bytes().startswith(MAGIC)
    return journal


def addresses(book: Book) -> list[str]:
    """Return what is in the ledger."""
    with book.open() as ledger:
        assert ledger.damage() == []
        return [entry.address for entry in ledger.entries()]


def write(book: Book, *names: str) -> None:
    """Enter jobs, a commit each."""
    with book.open() as ledger:
        for name in names:
            enter(ledger, name)


def test_a_commit_leaves_a_journal_that_is_not_played_back(book: Book) -> None:
    """It stays, wiped, so that it can be copied or left behind without harm."""
    write(book, "one", "two")
    journal = book.path.with_name("ledger.db-journal")
    wiped = journal.read_bytes()
    restored = book.path.with_name("restored.db")

    shutil.copy(book.path, restored)
    restored.with_name("restored.db-journal").write_bytes(wiped)

    assert not wiped.startswith(MAGIC)
    assert addresses(Book(restored)) == ["spring/one", "spring/two"]


def test_a_journal_of_a_killed_run_is_played_back(book: Book) -> None:
    """The file is as it was before the commit that did not end."""
    write(book, "one")
    die_in_a_commit(book)

    assert addresses(book) == ["spring/one"]


@pytest.mark.parametrize("more", [(), ("two", "three")], ids=["older", "newer"])
def test_a_journal_of_another_state_is_refused_and_nothing_is_touched(book: Book, more: tuple[str, ...]) -> None:
    """A ledger was put in the place of the one that a killed run left: SQLite would tear it to pieces."""
    write(book, "one")
    kept = book.path.with_name("kept.db")
    shutil.copy(book.path, kept)
    write(book, "lost", "lost-too")
    journal = die_in_a_commit(book)
    write(Book(kept), *more, *(f"{number}" for number in range(2 * len(more))))
    shutil.copy(kept, book.path)
    before = book.path.read_bytes(), journal.read_bytes()

    with pytest.raises(LedgerError, match=r"ledger\.db-journal belongs to another state of ledger\.db: ") as caught:
        book.open()

    assert (book.path.read_bytes(), journal.read_bytes()) == before
    assert caught.value.exit_code is ExitCode.INVALID
    journal.rename(journal.with_name("aside"))
    assert addresses(book) == addresses(Book(kept))


def test_a_journal_without_its_ledger_is_no_obstacle(book: Book) -> None:
    """A person who removes a ledger begins anew; SQLite removes the journal of an empty file."""
    die_in_a_commit(book)
    book.path.unlink()

    assert addresses(book) == []


@pytest.mark.parametrize(
    "content", [MAGIC, MAGIC + b"\xff" * 600, b"", b"\0" * 4096], ids=["cut", "odd", "empty", "wiped"]
)
def test_a_journal_that_is_none_is_left_to_sqlite(book: Book, content: bytes) -> None:
    """Only a page that would be put back into the file tells whose it is."""
    write(book, "one")
    book.path.with_name("ledger.db-journal").write_bytes(content)

    assert addresses(book) == ["spring/one"]


def test_a_look_takes_no_lock_from_a_writer_in_the_same_process(book: Book, tmp_path: Path) -> None:
    """To close a file lets go of all locks of its process, so one that is open is not opened beside SQLite."""
    code = (
        "import sqlite3, sys\n"
        "try: sqlite3.connect(sys.argv[1], timeout=0).execute('BEGIN IMMEDIATE')\n"
        "except sqlite3.OperationalError: print('locked')"
    )
    with book.open() as ledger, ledger.transaction():
        enter(ledger)
        thread = threading.Thread(target=lambda: book.open().close())
        thread.start()
        thread.join()

        done = subprocess.run([sys.executable, "-c", code, str(book.path)], capture_output=True, text=True, check=True)

    assert done.stdout == "locked\n"
