"""What local files are, remembered from command to command, so that a large clip is hashed once and not at every plan.

A file is taken for what it was while its size, inode and both times are the same, and if it had not been touched just
before it was read: what is written twice within one tick of a file system's clock looks the same both times. So does
what is written twice through a mapping (mmap), until the system has written its page out; that is asked for first.
Losing the file that this is kept in, or damaging it, costs nothing but hashing again; so does a writer that comes
between.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import time
from contextlib import suppress
from dataclasses import astuple, dataclass
from importlib.metadata import version
from secrets import token_hex
from typing import TYPE_CHECKING, Self

from wanrun.fingerprint import media_key
from wanrun.types import Identity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from wanrun.types import MediaRef

FILE_NAME = "digests.json"  #: in wanrun's own folder
TICK_NS = 2_000_000_000  #: the coarsest tick of a file system's clock that is in use
REST_NS = 60_000_000_000  #: in which a system writes out what is mapped, where that cannot be asked for
MAX_FILES = 200_000  #: remembered; of more, those noted last
MAX_BYTES = 256 * 1024 * 1024  #: of the file they are kept in; what is larger is none of ours


@dataclass(frozen=True, slots=True)
class _Known:
    """What the file system said of a file when it was read, and what it was found to be."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    key: str
    mime: str | None

    @classmethod
    def of(cls, entry: os.stat_result, identity: Identity) -> Self:
        times = entry.st_mtime_ns, entry.st_ctime_ns
        return cls(entry.st_size, *times, entry.st_ino, identity.key, identity.mime)

    def is_of(self, entry: os.stat_result) -> bool:
        now = (entry.st_size, entry.st_mtime_ns, entry.st_ctime_ns, entry.st_ino)
        return now == (self.size, self.mtime_ns, self.ctime_ns, self.inode)


class Digests:
    """Identities of local files by what the file system says of them, kept in one file below wanrun's own folder."""

    def __init__(self, folder: Path, *, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._file, self._now_ns = folder / FILE_NAME, now_ns
        self._kept: dict[str, _Known] | None = None  # as read; None: not read yet
        self._new: dict[str, _Known] = {}
        self._forgotten: set[str] = set()

    def identity(self, ref: MediaRef, path: Path, identify: Callable[[], Identity]) -> Identity:
        """Return what the file of a reference is, by `identify` unless it is known; raises what that raises."""
        name, began_ns = media_key(ref), self._now_ns()
        before = _entry(path)
        known = self._new.get(name) or self._read().get(name)
        if known is not None and before is not None and known.is_of(before):
            return Identity(known.key, known.size, known.mime)
        rest_ns = TICK_NS if before is not None and _is_written_out(path, before) else REST_NS
        identity = identify()
        if before is not None and identity.bytes == before.st_size and _is_settled(before, began_ns, rest_ns):
            found = _Known.of(before, identity)
            if (after := _entry(path)) is not None and found.is_of(after):
                self._new[name] = found
        return identity

    def forget(self, ref: MediaRef) -> None:
        """Take nothing for granted of a reference's file any more: its bytes were not what was noted."""
        name = media_key(ref)
        self._new.pop(name, None)
        if self._read().pop(name, None) is not None:
            self._forgotten.add(name)
            self.save()

    def save(self) -> None:
        """Keep what was found for the next command; where that is not possible it is found again."""
        if not self._new and not self._forgotten:
            return
        theirs = _load(self._file)  # another command may have added to it meanwhile
        known = {name: each for name, each in theirs.items() if name not in self._forgotten | self._new.keys()}
        known |= self._new
        with suppress(OSError):  # a folder that cannot be written, or a full disk, stops no plan
            _write(self._file, list(known.items())[-MAX_FILES:])
        self._kept, self._new, self._forgotten = known, {}, set()

    def _read(self) -> dict[str, _Known]:
        if self._kept is None:
            self._kept = _load(self._file)
        return self._kept


def _entry(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except (OSError, ValueError):
        return None  # whoever reads it says what is wrong


def _is_written_out(path: Path, entry: os.stat_result) -> bool:
    """Write out what is mapped of a file, so that its next change gets a time of its own; say whether that was done."""
    if not stat.S_ISREG(entry.st_mode):
        return False
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0))
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except (OSError, ValueError):
        return False
    return True


def _is_settled(entry: os.stat_result, began_ns: int, rest_ns: int) -> bool:
    """Say whether a change of the file after it was read will show in its times."""
    return began_ns - max(entry.st_mtime_ns, entry.st_ctime_ns) > rest_ns


# The file: a line that says what it is and what it must hash to, then rows as JSON. One bit that is wrong would make
# a job that is paid for look like another one, so nothing is taken from a file that is not whole.


def _mark(content: bytes) -> bytes:
    """Return the first line; another version of wanrun may find other things in the same bytes."""
    return f"wanrun {version('wanrun')} digests 1 {hashlib.sha256(content).hexdigest()}".encode()


def _load(file: Path) -> dict[str, _Known]:
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
        mark, _, content = data.partition(b"\n")
        if len(data) > MAX_BYTES or mark != _mark(content):
            return {}
        return {name: _Known(*row) for name, row in json.loads(content)}
    except (OSError, ValueError, TypeError):
        return {}


def _write(file: Path, known: Iterable[tuple[str, _Known]]) -> None:
    """Replace the file in one step, so that whoever reads meanwhile sees the old one or the new one."""
    content = json.dumps([(name, astuple(each)) for name, each in known], separators=(",", ":")).encode()
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = file.with_name(f".{file.name}-{token_hex(8)}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(_mark(content) + b"\n" + content)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
