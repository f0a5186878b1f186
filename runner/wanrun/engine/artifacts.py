"""The artifact store: results on disk by their content, each whole and checked before it has its name."""

from __future__ import annotations

import hashlib
import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import fastcrc

from wanrun.errors import Unavailable
from wanrun.mp4 import Mp4Error, read_mp4
from wanrun.types import Artifact

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wanrun.client import Download
    from wanrun.engine.world import ToThread

SUFFIX = ".mp4"  #: what the service makes; never taken from a link or a Content-Type
DURATION_SLACK_SECONDS = 0.5  #: between the container's duration and the one that the service reports
CHUNK_BYTES = 1024 * 1024
_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)  # Windows has none


@dataclass(slots=True)
class PartialFile:
    """A download on its way into the store: its bytes so far, hashed as they come."""

    path: Path
    descriptor: int
    size: int = 0  #: in bytes
    crc64: int = 0
    _sha256: hashlib._Hash = field(default_factory=hashlib.sha256)

    def begin_at(self, offset: int) -> None:
        """Keep the first `offset` bytes, read them again for the hashes, and go on behind them. Blocking."""
        os.ftruncate(self.descriptor, offset)
        os.lseek(self.descriptor, 0, os.SEEK_SET)
        while chunk := os.read(self.descriptor, CHUNK_BYTES):
            self._count(chunk)

    def write(self, chunk: bytes) -> None:
        """Append a chunk."""
        view = memoryview(chunk)
        while view:
            view = view[os.write(self.descriptor, view) :]
        self._count(chunk)

    def _count(self, chunk: bytes) -> None:
        self.size += len(chunk)
        self.crc64 = fastcrc.crc64.xz(chunk, self.crc64)
        self._sha256.update(chunk)

    def keep(self, store: Path, *, total_bytes: int | None, crc64: int | None, seconds: float | None) -> Artifact:
        """Check the file, put it on disk for good and give it its name in the store. Blocking.

        `total_bytes`, `crc64` and `seconds` are what the service says of it, as far as it does. Raises `Unavailable`
        when the bytes are not what they should be; the partial file is then gone, so that the next try starts over.
        """
        try:
            self._check_bytes(total_bytes, crc64)
        except Unavailable:
            self.path.unlink(missing_ok=True)
            raise
        if crc64 is None:  # with a good checksum these are the service's own bytes, and paid for, whatever they are
            self._check_container(seconds)
        self._sync()
        sha256 = self._sha256.hexdigest()
        target = store / f"{sha256}{SUFFIX}"
        self.path.replace(target)
        _sync_folder(store)
        return Artifact(target, sha256, self.size, SUFFIX)

    def _sync(self) -> None:
        """Put the bytes on disk; if that fails, the file is gone: the system may forget which of them it still owes."""
        try:
            os.fsync(self.descriptor)
        except OSError:
            self.path.unlink(missing_ok=True)
            raise

    def _check_bytes(self, total_bytes: int | None, crc64: int | None) -> None:
        if total_bytes is not None and self.size != total_bytes:
            raise Unavailable(f"the download has {self.size} bytes instead of {total_bytes}")
        if crc64 is not None and self.crc64 != crc64:
            raise Unavailable("the download's checksum is not the one that the service gives")

    def _check_container(self, seconds: float | None) -> None:
        """Check what the bytes alone can tell; a file that fails is set aside, not deleted, and fetched again."""
        doubt = _doubt(self.path, seconds)
        if doubt is not None:
            aside = self.path.with_suffix(".doubtful")
            self.path.replace(aside)
            raise Unavailable(f"{doubt}; it is kept as {aside}")


def _doubt(path: Path, seconds: float | None) -> str | None:
    try:
        facts = read_mp4(path)
    except Mp4Error as exc:
        return f"the download is not a whole mp4: {exc}"
    if seconds is None or facts.duration_seconds is None:
        return None
    if abs(facts.duration_seconds - seconds) <= DURATION_SLACK_SECONDS:
        return None
    return f"the download lasts {facts.duration_seconds:.1f} s instead of {seconds:.1f} s"


@contextmanager
def partial_file(path: Path) -> Iterator[PartialFile]:
    """Open a partial file of the store, made if need be (0600)."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | _NO_LINKS, 0o600)
    try:
        yield PartialFile(path, descriptor)
    finally:
        os.close(descriptor)


async def keep_download(
    download: Download, part: Path, store: Path, *, seconds: float | None, to_thread: ToThread
) -> Artifact:
    """Read a download behind what the partial file `part` has of it already, and keep it in the store.

    `seconds` is how long the service says that it lasts. Raises as `Download.chunks` and `PartialFile.keep` do.
    """
    with partial_file(part) as file:
        if download.offset:  # else there is nothing to read again
            await to_thread(file.begin_at, download.offset)
        else:
            file.begin_at(0)
        async for chunk in download.chunks:
            file.write(chunk)
        return await to_thread(
            file.keep, store, total_bytes=download.total_bytes, crc64=download.crc64, seconds=seconds
        )


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
