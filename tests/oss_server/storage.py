"""What is kept: objects, and multipart uploads that are not complete yet; the bytes lie in files."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import uuid4

import fastcrc

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

CHUNK_BYTES = 256 * 1024


@dataclass(frozen=True)
class Content:
    """Bytes in a file, with what is known of them."""

    path: Path
    bytes: int
    md5: bytes
    crc64: int

    @property
    def content_md5(self) -> str:
        """Its MD5 as a header says it."""
        return base64.b64encode(self.md5).decode()

    @property
    def etag(self) -> str:
        """Its ETag as OSS makes it of what came in one piece."""
        return f'"{self.md5.hex().upper()}"'

    def chunks(self, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yield the bytes from a place on."""
        left = self.bytes - start if length is None else length
        with self.path.open("rb") as file:
            file.seek(start)
            while left and (chunk := file.read(min(CHUNK_BYTES, left))):
                left -= len(chunk)
                yield chunk


@dataclass(frozen=True)
class Object:
    """One object of a bucket."""

    content: Content
    etag: str
    headers: Mapping[str, str]  #: Content-Type, storage class and x-oss-meta-* as they were given
    made_at: float
    kind: str = "Normal"

    def read(self) -> bytes:
        """Return all of it."""
        return self.content.path.read_bytes()


@dataclass
class Upload:
    """A multipart upload that is neither complete nor aborted."""

    key: str
    headers: Mapping[str, str]
    begun_at: float
    id: str = field(default_factory=lambda: uuid4().hex.upper())
    parts: dict[int, Content] = field(default_factory=dict)


@dataclass
class Bucket:
    """A bucket, in one region."""

    region: str
    objects: dict[str, Object] = field(default_factory=dict)
    uploads: dict[str, Upload] = field(default_factory=dict)
    keeps_versions: bool = False  #: as far as that it takes an object that may not overwrite one, and says a version


def keep(chunks: Iterable[bytes], folder: Path) -> Content:
    """Write bytes to a new file as they come, hashed on the way."""
    path = folder / uuid4().hex
    md5, crc64, size = hashlib.md5(usedforsecurity=False), 0, 0
    with path.open("wb") as file:
        for chunk in chunks:
            file.write(chunk)
            md5.update(chunk)
            crc64 = fastcrc.crc64.xz(chunk, crc64)
            size += len(chunk)
    return Content(path, size, md5.digest(), crc64)
