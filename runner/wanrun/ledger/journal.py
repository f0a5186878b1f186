"""Is the journal beside a ledger its own? SQLite does not ask: it would play a stranger's into the file.

A run that is killed in the middle of a commit leaves a journal that the next one to open the file plays back. Where
the file was restored or copied in between, that would tear it to pieces. What tells is a counter on the file's first
page, which every commit moves on by one and of which the journal holds the page before.
"""

from __future__ import annotations

import struct
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO

from wanrun.errors import LedgerError

if TYPE_CHECKING:
    from pathlib import Path

MAGIC = bytes.fromhex("d9d505f920a163d7")  #: of a journal that is to be played back; wiped when a commit is done
_HEADER = struct.Struct(">8s5I")  # magic, records, nonce, pages of the file before, sector and page size
_COUNTER = slice(24, 28)  # of the first page
_LARGEST_PAGE_BYTES = 65536


def check_journal(path: Path) -> None:
    """Raise `LedgerError` when the journal beside a ledger was made for another state of it.

    Says nothing while another process writes, nor of a journal that is not to be played back.
    """
    before = _counter_of(path)
    if before is None:
        return
    journal = path.with_name(f"{path.name}-journal")
    with suppress(FileNotFoundError), journal.open("rb", buffering=0) as file:
        header = file.read(_HEADER.size)
        counter = _counter_in(file, header)
        file.seek(0)
        still = file.read(_HEADER.size) == header
        after = _counter_of(path)
        # A writer may have gone on between the two looks, never back by more than the commit it had begun.
        if counter is not None and still and after is not None and not before - 1 <= counter <= after:
            raise LedgerError(
                f"{journal} belongs to another state of {path.name}: the ledger was restored or copied while a run "
                "that was killed had not finished writing. Keep both files, move the journal away, and look at the "
                "jobs with `wanrun status` before you run again"
            )


def _counter_of(path: Path) -> int | None:
    """Return how often the file was committed to; None for an empty one, whose journal SQLite removes."""
    with path.open("rb", buffering=0) as file:
        head = file.read(_COUNTER.stop)
    return int.from_bytes(head[_COUNTER]) if len(head) == _COUNTER.stop else None


def _counter_in(file: BinaryIO, header: bytes) -> int | None:
    """Return the counter on the first page that a journal would put back; None when it puts back none."""
    if len(header) < _HEADER.size or not header.startswith(MAGIC):
        return None
    _, records, _, _, sector_bytes, page_bytes = _HEADER.unpack(header)
    if not 512 <= page_bytes <= _LARGEST_PAGE_BYTES or sector_bytes < _HEADER.size:
        return None
    for number in range(records):
        file.seek(sector_bytes + number * (page_bytes + 8))  # each: the page's number, the page, a checksum
        record = file.read(4 + _COUNTER.stop)
        if len(record) < 4 + _COUNTER.stop:
            return None
        if record[:4] == b"\0\0\0\1":
            return int.from_bytes(record[4:][_COUNTER])
    return None
