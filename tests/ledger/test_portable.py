"""A ledger that is written to a file and read again knows the same; a file that is not whole is refused."""

from __future__ import annotations

import gzip
import io
import json
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from ledger_parts import ARTIFACT, WAYS, enter, in_flight, job

from wanrun.errors import SettingsError
from wanrun.events import Event, EventName
from wanrun.ledger import Ledger
from wanrun.ledger.backup import snapshot, write_copy
from wanrun.ledger.lending import Lent
from wanrun.ledger.portable import Portable, digest_of, lines_of, read_portable
from wanrun.ledger.rows import DeliveryRow
from wanrun.ledger.sql import MIGRATIONS
from wanrun.types import MediaUrl, Receipt

if TYPE_CHECKING:
    from ledger_parts import Book

NOW = 2_000_000.0


def fill(book: Book) -> None:
    """Write a ledger with an attempt in every state, a delivery, an upload and an event."""
    with book.open() as ledger:
        ledger.belong_to("service")
        for number, way in enumerate(WAYS.values()):
            name = f"job-{number}"
            entry = ledger.enter(job(name), fingerprint=f"1:{number:02}", spec_path="spring.yaml")
            way(_Tasks(ledger, number), entry)  # type: ignore[arg-type]  # the ledger, but for the tasks' names
        row = DeliveryRow(1, ARTIFACT.sha256, "digest", "disk", "out/ä.mp4", "delivered", None)
        ledger.delivered(row, Receipt("out/ä.mp4", 1000, ARTIFACT.sha256))
        for key, expires_at in (("old", NOW - 1), ("young", NOW + 1)):
            media = MediaUrl(f"oss://dashscope-instant/{key}", expires_at)
            ledger.uploaded(key, provider="default", model="wan2.7-videoedit", media=media)
        ledger.note(Event(EventName.RUN_STARTED, book.at, "run-1", None, {"jobs": 1, "open": 1}))


class _Tasks:
    """A ledger whose every attempt gets a task of its own."""

    def __init__(self, ledger: Ledger, number: int) -> None:
        self._ledger, self._number = ledger, number

    def __getattr__(self, name: str) -> object:
        return getattr(self._ledger, name)

    def accepted(self, attempt: int, *, task_id: str, request_id: str | None) -> None:
        self._ledger.accepted(attempt, task_id=f"{task_id}-{self._number}", request_id=request_id)


def exported(path: Path, *, lent: Lent | None = None) -> bytes:
    with closing(snapshot(path)) as tables:
        return b"".join(lines_of(tables, now=NOW, lent=lent))


def read(content: bytes) -> Portable:
    return read_portable(io.BufferedReader(io.BytesIO(content)), "ledger.jsonl")  # type: ignore[arg-type]


def test_what_is_read_is_what_was_written(book: Book) -> None:
    """Every entry, attempt, delivery and event, and of the uploads those that can still be used."""
    fill(book)

    with closing(read(exported(book.path))) as portable:
        write_copy(portable.tables.backup, book.path.with_name("copy.db"))

    with book.open() as old, Ledger.open(book.path.with_name("copy.db"), now=lambda: NOW) as new:
        assert new.entries() == old.entries()
        assert new.unsure_attempts() == old.unsure_attempts()
        assert new.events() == old.events()
        assert (new.account, portable.account, portable.made_at) == ("service", "service", NOW)
        urls = [row["url"] for row in new._read("SELECT url FROM uploads")]
    assert urls == ["oss://dashscope-instant/young"]


def test_two_files_of_one_state_are_the_same_but_for_their_time(book: Book) -> None:
    """A store that keeps versions keeps nothing twice."""
    fill(book)

    first = exported(book.path)
    with closing(read(first)) as portable:
        second = b"".join(lines_of(portable.tables, now=NOW))
        names = {digest_of(portable.tables)}
    with closing(snapshot(book.path)) as tables:
        names.add(digest_of(tables))

    assert second == first
    assert len(names) == 2  # an upload is over in one of them


def test_a_packed_file_is_read_as_well(book: Book) -> None:
    """It is known by how it starts, whatever its name."""
    fill(book)

    with closing(read(gzip.compress(exported(book.path)))) as portable:
        assert portable.account == "service"


def test_who_goes_on_with_it_travels(book: Book) -> None:
    """The ledger in the file is lent, and the one that it was made of is not."""
    fill(book)
    lent = Lent("run 7", NOW)

    with closing(read(exported(book.path, lent=lent))) as portable:
        again = b"".join(lines_of(portable.tables, now=NOW))

    assert portable.lent == lent
    assert json.loads(again.splitlines()[0])["lent_to"] == "run 7"
    with book.open() as ledger:
        assert ledger.lent is None


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS)))
def test_a_file_of_an_older_wanrun_is_brought_up_to_date(version: int, tmp_path: Path) -> None:
    """Its tables are made as they were, and then migrated."""
    old = Path(__file__).parent / f"golden/v{version}/ledger.db"
    copy = tmp_path / "ledger.db"
    copy.write_bytes(old.read_bytes())

    with closing(read(exported(copy))) as portable:
        (found,) = portable.tables.execute("PRAGMA user_version").fetchone()
        count = portable.tables.execute("SELECT count(*) FROM attempts").fetchone()[0]

    assert found == len(MIGRATIONS)
    assert count > 0


HEAD = b'{"wanrun_ledger":1,"tables":1,"made_at":1.0}\n'
BAD = {
    "empty": (b"", "it ends too early"),
    "no lines": (b"hello", "it ends too early"),
    "other lines": (b"hello\n", "is no ledger that wanrun has exported"),
    "other JSON": (b"[]\n", "is no ledger that wanrun has exported"),
    "deep": (b"[" * 100_000 + b"\n", "is no ledger that wanrun has exported"),
    "newer": (b'{"wanrun_ledger": 2}\n', "was written by a newer wanrun"),
    "newer tables": (b'{"wanrun_ledger": 1, "tables": 99, "made_at": 1}\n', "was written by a newer wanrun"),
    "no time": (b'{"wanrun_ledger": 1, "tables": 1}\n', "its first line is none of wanrun's"),
    "no tables": (b'{"wanrun_ledger": 1, "tables": 0, "made_at": 1}\n', "its first line is none of wanrun's"),
    "only a head": (HEAD, "it ends too early"),
    "a row without a table": (HEAD + b"[1]\n", "it is damaged"),
    "an unknown table": (HEAD + b'{"table":"x","columns":["a"]}\n[1]\n', "it is damaged"),
    "SQL as a table": (HEAD + b'{"table":"meta; DROP","columns":["a"]}\n', "it is damaged"),
    "no columns": (HEAD + b'{"table":"meta"}\n', "it is damaged"),
    "another value": (HEAD + b'{"table":"meta","columns":["key","value"]}\n["a",{}]\n', "it is damaged"),
    "a number too large": (HEAD + b'{"table":"meta","columns":["key","value"]}\n["a",1%s]\n' % (b"0" * 30), "damaged"),
    "no time at all": (b'{"wanrun_ledger": 1, "tables": 1, "made_at": NaN}\n', "its first line is none of wanrun's"),
    "no time of ours": (b'{"wanrun_ledger": 1, "tables": 1, "made_at": 1e300}\n', "its first line is none of wanrun's"),
    "true for a time": (b'{"wanrun_ledger": 1, "tables": 1, "made_at": true}\n', "its first line is none of wanrun's"),
    "true for tables": (b'{"wanrun_ledger": 1, "tables": true, "made_at": 1}\n', "its first line is none of wanrun's"),
    "no checksum": (HEAD + b'{"rows":0,"sha256":""}\n', "its checksum is another one"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_whole_ledger_is_refused(name: str) -> None:
    """In words that name the file."""
    content, words = BAD[name]

    with pytest.raises(SettingsError, match=words) as caught:
        read(content)

    assert str(caught.value).startswith("ledger.jsonl")


def test_a_file_that_was_changed_or_cut_is_refused(book: Book) -> None:
    """At any byte that makes a difference, and after any line."""
    fill(book)
    content = exported(book.path)
    changed = content.replace(b'"task-1-5"', b'"task-1-6"')
    lines = content.splitlines(keepends=True)

    assert changed != content
    for broken in (changed, content[:-20], *(b"".join(lines[:count]) for count in range(0, len(lines), 5))):
        with pytest.raises(SettingsError):
            read(broken)


@pytest.mark.parametrize("at", [10, 11, 20, 60, 200, 400])
def test_a_packed_file_that_is_damaged_is_refused(at: int, book: Book) -> None:
    """Wherever a byte is another one, or the rest is missing."""
    fill(book)
    packed = bytearray(gzip.compress(exported(book.path), mtime=0))
    cut = bytes(packed[:at])
    packed[at] ^= 0xFF

    for broken in (bytes(packed), cut):
        with pytest.raises(SettingsError, match=r"ledger\.jsonl"):
            read(broken)


ODD = {
    "a state that there is not": "UPDATE attempts SET state = 'archived' WHERE state = 'fetched'",
    "words for a time": "UPDATE attempts SET intended_at = 'abc' WHERE state = 'in_flight'",
    "a time beyond all": "UPDATE attempts SET intended_at = 1e300 WHERE state = 'in_flight'",
    "an endless time": "UPDATE attempts SET ended_at = 9e999 WHERE state = 'fetched'",
    "a clock beyond all": "UPDATE attempts SET skew_seconds = -1e300 WHERE state = 'in_flight'",
    "words for a number": "UPDATE attempts SET artifact_bytes = 'many' WHERE state = 'fetched'",
    "half a number": "UPDATE attempts SET tries = 1.5",
    "a result without a file": "UPDATE attempts SET artifact_sha256 = NULL WHERE state = 'fetched'",
    "a result elsewhere": "UPDATE attempts SET artifact_sha256 = '../' || artifact_sha256 WHERE state = 'fetched'",
    "a result without a size": "UPDATE attempts SET artifact_bytes = NULL WHERE state = 'fetched'",
    "a result without a name": "UPDATE attempts SET artifact_suffix = char(0) WHERE state = 'fetched'",
    "no usage": "UPDATE attempts SET usage = '{}' WHERE state = 'fetched'",
    "no JSON": "UPDATE attempts SET usage = 'x' WHERE state = 'fetched'",
    "evidence of no kind": "UPDATE attempts SET evidence = '[1]' WHERE state = 'held'",
    "evidence without tasks": """UPDATE attempts SET evidence = '{"candidates":[{}]}' WHERE state = 'held'""",
    "asked for nothing": "UPDATE attempts SET asked = '[]' WHERE state = 'unsure'",
    "deliveries at no time": "UPDATE deliveries SET at = 'noon'",
    "wanted at no time": "UPDATE entries SET wanted_at = 'noon'",
    "events of no kind": "UPDATE events SET data = 'x'",
    "events with a list": "UPDATE events SET data = '[]'",
}


@pytest.mark.parametrize("name", ODD)
def test_rows_that_wanrun_could_not_go_on_with_are_refused(name: str, book: Book) -> None:
    """Though its checksum is right: a ledger that cannot be read knows of nothing that is paid."""
    fill(book)
    with closing(snapshot(book.path)) as tables:
        assert tables.execute(ODD[name]).rowcount > 0
        content = b"".join(lines_of(tables, now=NOW))

    with pytest.raises(SettingsError, match=r"^ledger\.jsonl: it is damaged \(.+\); nothing was changed$"):
        read(content)


@pytest.mark.parametrize(
    "written",
    ["{", "[]", "{}", '{"to":1,"at":"x"}', '{"to":"me","at":"x"}', '{"to":"me","at":1e300}', '{"to":"me","at":NaN}'],
)
def test_a_file_that_does_not_say_whom_it_is_lent_to_is_refused(written: str) -> None:
    """It may be lent, so nobody may run with it."""
    lines = [HEAD, b'{"table":"meta","columns":["key","value"]}\n', json.dumps(["lent", written]).encode() + b"\n"]
    seal = {"rows": 1, "sha256": sha256(b"".join(lines)).hexdigest()}

    with pytest.raises(SettingsError, match="it is damaged"):
        read(b"".join([*lines, json.dumps(seal).encode() + b"\n"]))


def test_rows_of_jobs_that_are_not_there_are_refused(book: Book) -> None:
    """A checksum can be right where the content is not."""
    with book.open() as ledger:
        in_flight(ledger, enter(ledger))
    with closing(snapshot(book.path)) as tables:
        tables.execute("DELETE FROM entries")
        content = b"".join(lines_of(tables, now=NOW))

    with pytest.raises(SettingsError, match="belongs to a row of entries that is not there"):
        read(content)
