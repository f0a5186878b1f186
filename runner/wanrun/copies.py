"""Files of results by their bytes: whether one is whole, and a copy of it that is. All blocking."""

from __future__ import annotations

import hashlib
import os
from secrets import token_hex
from typing import TYPE_CHECKING

from wanrun.errors import SinkConflict
from wanrun.types import Artifact

if TYPE_CHECKING:
    from pathlib import Path

CHUNK_BYTES = 1024 * 1024


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file, in hex; raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_whole(artifact: Artifact) -> bool:
    """Say whether a file is there with the size and the checksum that it should have; raises OSError."""
    return artifact.is_there() and checksum(artifact.path) == artifact.sha256


def copy_artifact(artifact: Artifact, folder: Path) -> Artifact:
    """Copy a file into a folder (0600), under its checksum, whole or not at all: a link would let one change both.

    Raises `SinkConflict` when its checksum is not what it should be, OSError.
    """
    target = folder / f"{artifact.sha256}{artifact.suffix}"
    part = folder / f".wanrun-{token_hex(8)}.part"
    try:
        if _copy(artifact.path, part) != artifact.sha256:
            raise SinkConflict(f"{artifact.path} is damaged: its checksum is not what it was")
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return Artifact(target, artifact.sha256, artifact.bytes, artifact.suffix)


def _copy(source: Path, part: Path) -> str:
    """Copy bytes to a new file and onto the disk; returns their checksum."""
    mark = hashlib.sha256()
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o600)
    with os.fdopen(descriptor, "wb") as copy, source.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            mark.update(chunk)
            copy.write(chunk)
        copy.flush()
        os.fsync(copy.fileno())
    return mark.hexdigest()
