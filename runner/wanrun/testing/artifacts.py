"""Files for tests: artifacts as they lie in the artifact store, and clips that a job may start from."""

from __future__ import annotations

import random
from hashlib import sha256
from typing import TYPE_CHECKING

from wanrun.emulator.ready import ready_clip
from wanrun.types import Artifact

if TYPE_CHECKING:
    from pathlib import Path

BLOCK_BYTES = 1024 * 1024


def make_artifact(folder: Path, content: bytes = b"a result", *, suffix: str = ".mp4") -> Artifact:
    """Write a file into a folder, which is made if need be, and return it as an artifact."""
    digest = sha256(content).hexdigest()
    path = folder / f"{digest}{suffix}"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return Artifact(path, digest, len(content), suffix)


def make_large_artifact(folder: Path, blocks: int, *, suffix: str = ".mp4") -> Artifact:
    """Write a file of so many blocks of 1 MiB, no two of them alike, and return it as an artifact."""
    folder.mkdir(parents=True, exist_ok=True)
    path, digest = folder / f"large-{blocks}{suffix}", sha256()
    block = random.Random(blocks).randbytes(BLOCK_BYTES - 8)  # noqa: S311  # the same bytes in every run
    with path.open("wb") as file:
        for number in range(blocks):
            for part in (number.to_bytes(8), block):
                digest.update(part)
                file.write(part)
    return Artifact(path, digest.hexdigest(), blocks * BLOCK_BYTES, suffix)


def make_clip(path: Path, *, number: int = 0) -> Path:
    """Write a short video that the service takes, in other bytes for another number; its folder is made if need be."""
    free = b"free" + number.to_bytes(8)  # a box of an mp4 that players pass over
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(ready_clip().data + (4 + len(free)).to_bytes(4) + free)
    return path
