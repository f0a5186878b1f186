"""Where the emulator keeps bytes: uploads, results and the bodies of tasks that wait for their edit.

The account knows only the `Store` protocol; `MemoryStore` serves simulations and `FolderStore` the server.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from fastcrc import crc64

if TYPE_CHECKING:
    from collections.abc import Iterator

PIECE_BYTES = 64 * 1024
READY = "ready.mp4"  #: key of the clip that every task gets when nothing is edited


@dataclass(frozen=True, slots=True)
class Stored:
    """What the store knows of an object without reading it."""

    bytes: int
    crc64: int  #: CRC-64/XZ, as object storage sends it in `x-oss-hash-crc64ecma`
    etag: str  #: MD5 in capitals, without quotes


class Staged(Protocol):
    """Bytes that come in and are not an object yet."""

    @property
    def size(self) -> int:
        """How many bytes there are so far."""

    def write(self, data: bytes) -> None:
        """Add bytes."""

    def discard(self) -> None:
        """Forget them; after `Store.keep` this does nothing."""


class Store(Protocol):
    """Objects by key; a key may be any text."""

    def stage(self) -> Staged:
        """Return an empty place for bytes that come in."""

    def keep(self, staged: Staged, key: str) -> Stored:
        """Make what was staged the object of this key, replacing what is there."""

    def info(self, key: str) -> Stored | None:
        """Describe an object; None when there is none."""

    def read(self, key: str, start: int, length: int) -> bytes:
        """Return a part of an object, less where it ends; KeyError when there is none."""

    def delete(self, key: str) -> None:
        """Forget an object; one that is not there is no error."""


def put(store: Store, key: str, data: bytes) -> Stored:
    """Keep bytes that are in memory already."""
    staged = store.stage()
    staged.write(data)
    return store.keep(staged, key)


def get(store: Store, key: str) -> bytes:
    """Return a whole object; KeyError when there is none."""
    stored = store.info(key)
    if stored is None:
        raise KeyError(key)
    return store.read(key, 0, stored.bytes)


class _Digest:
    """Counts and hashes bytes on their way in."""

    def __init__(self) -> None:
        self.size = 0
        self._crc64 = 0
        self._md5 = hashlib.md5(usedforsecurity=False)

    def add(self, data: bytes) -> None:
        self._crc64 = crc64.xz(data, self._crc64) if self.size else crc64.xz(data)
        self._md5.update(data)
        self.size += len(data)

    def stored(self) -> Stored:
        return Stored(self.size, self._crc64, self._md5.hexdigest().upper())


class _StagedBytes:
    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.digest = _Digest()

    @property
    def size(self) -> int:
        return self.digest.size

    def write(self, data: bytes) -> None:
        self.pieces.append(bytes(data))
        self.digest.add(data)

    def discard(self) -> None:
        self.pieces.clear()


class MemoryStore:
    """Keeps objects in a dict."""

    def __init__(self) -> None:
        self._objects: dict[str, tuple[bytes, Stored]] = {}

    def stage(self) -> Staged:
        """Return an empty place for bytes that come in."""
        return _StagedBytes()

    def keep(self, staged: Staged, key: str) -> Stored:
        """Make what was staged here the object of this key."""
        assert isinstance(staged, _StagedBytes)
        stored = staged.digest.stored()
        self._objects[key] = (b"".join(staged.pieces), stored)
        return stored

    def info(self, key: str) -> Stored | None:
        """Describe an object; None when there is none."""
        kept = self._objects.get(key)
        return kept[1] if kept else None

    def read(self, key: str, start: int, length: int) -> bytes:
        """Return a part of an object; KeyError when there is none."""
        return self._objects[key][0][start : start + length]

    def delete(self, key: str) -> None:
        """Forget an object."""
        self._objects.pop(key, None)


class _StagedFile:
    def __init__(self, folder: Path) -> None:
        number, name = tempfile.mkstemp(dir=folder, suffix=".part")  # mode 0600
        self.path = Path(name)
        self.digest = _Digest()
        self._file: BinaryIO = os.fdopen(number, "wb")

    @property
    def size(self) -> int:
        return self.digest.size

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self.digest.add(data)

    def close(self) -> None:
        self._file.close()

    def discard(self) -> None:
        self._file.close()
        self.path.unlink(missing_ok=True)


class FolderStore:
    """Keeps objects as files of one folder, named by a hash of their key, so that no key can reach outside."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._known: dict[str, Stored] = {}
        for left_over in folder.glob("*.part"):  # of a server that was killed
            left_over.unlink(missing_ok=True)

    def path(self, key: str) -> Path:
        """Return the file of a key, whether it exists or not."""
        return self._folder / hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()

    def stage(self) -> Staged:
        """Return an empty file for bytes that come in."""
        return _StagedFile(self._folder)

    def keep(self, staged: Staged, key: str) -> Stored:
        """Rename what was staged here to the file of this key."""
        assert isinstance(staged, _StagedFile)
        staged.close()
        staged.path.replace(self.path(key))
        self._known[key] = staged.digest.stored()
        return self._known[key]

    def adopt(self, path: Path, key: str) -> Stored:
        """Move a finished file in; it has to be on the same file system."""
        digest = _digest(path)
        path.chmod(0o600)
        path.replace(self.path(key))
        self._known[key] = digest
        return digest

    def info(self, key: str) -> Stored | None:
        """Describe an object; one of an earlier run is hashed once."""
        if key not in self._known and self.path(key).is_file():
            self._known[key] = _digest(self.path(key))
        return self._known.get(key)

    def read(self, key: str, start: int, length: int) -> bytes:
        """Return a part of an object; KeyError when there is none."""
        try:
            with self.path(key).open("rb") as file:
                file.seek(start)
                return file.read(length)
        except FileNotFoundError:
            raise KeyError(key) from None

    def delete(self, key: str) -> None:
        """Forget an object and its file."""
        self._known.pop(key, None)
        self.path(key).unlink(missing_ok=True)


def _digest(path: Path) -> Stored:
    digest = _Digest()
    for piece in _pieces(path):
        digest.add(piece)
    return digest.stored()


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            yield piece
