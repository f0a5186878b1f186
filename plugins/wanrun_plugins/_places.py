"""Turns the options of a folder sink into the place of one file, which never lies outside the folder."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from wanrun import SinkError

if TYPE_CHECKING:
    from wanrun import Job, Sandbox, SinkRef

DEFAULT_FOLDER = "out"
SUFFIXES = (".mp4",)  #: a name may end with; nothing that a double click would run
SIDECAR_SUFFIX = ".json"
MAX_PART_BYTES = 255  #: of one name, on nearly every file system

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  #: and halves of characters, which no disk can store
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)


@dataclass(frozen=True)
class Place:
    """Where a file goes: links are followed up to `root`, and nothing below it is trusted."""

    root: Path
    folders: tuple[str, ...]
    name: str

    @property
    def path(self) -> Path:
        """The absolute path of the file."""
        return self.root.joinpath(*self.folders, self.name)

    def __str__(self) -> str:
        """Return the path as text, which is asked for far more often."""
        return os.path.join(self.root, *self.folders, self.name)  # noqa: PTH118  # ten times as fast


def place_of(sink: SinkRef, job: Job) -> Place:
    """Return the place that a sink's options give a job's file; raises `SinkError` for one that is not allowed."""
    written = str(sink.options.get("name", f"{job.id}{SUFFIXES[0]}"))
    *folders, name = _parts(written)
    if not name.endswith(SUFFIXES):
        raise SinkError(f"{_shown(written)}: the name of a result ends with {' or '.join(SUFFIXES)}")
    if len(os.fsencode(name + SIDECAR_SUFFIX)) > MAX_PART_BYTES:
        raise SinkError(f"{_shown(written)}: the name is too long; give at most {MAX_PART_BYTES - 5} bytes")
    root, below = _root(str(sink.options.get("path", DEFAULT_FOLDER)), sink.folder, sink.sandbox)
    return Place(root, (*below, *folders), name)


@lru_cache(maxsize=1024)
def _root(written: str, folder: Path, sandbox: Sandbox | None) -> tuple[Path, tuple[str, ...]]:
    """Return the folder that is trusted, and the folders below it that are not; the same for most jobs of a batch."""
    if _CONTROL.search(written):
        raise SinkError(f"{_shown(written)}: a path has no control characters")
    if sandbox is None:
        return Path(os.path.normpath(folder / written)), ()
    inner = PurePath(written)
    path = Path(os.path.normpath(sandbox.folder / inner.relative_to(inner.anchor)))
    if not path.is_relative_to(sandbox.root):
        raise SinkError(f"{_shown(written)}: with --emulator results stay in {sandbox.root}, and this leads out of it")
    return sandbox.root, path.relative_to(sandbox.root).parts


def _parts(written: str) -> list[str]:
    """Return the parts of a name between its slashes, each one harmless on every system."""
    parts = written.split("/")
    for part in parts:
        reason = _objection(part)
        if reason:
            raise SinkError(f"{_shown(written)}: {reason}")
    return parts


def _objection(part: str) -> str | None:
    if part in ("", ".", ".."):
        return "the name stays in the folder; write parts between single slashes, none of them . or .."
    if "\\" in part or _CONTROL.search(part):
        return "a name has no backslashes or control characters"
    if _DEVICE.fullmatch(part):
        return f'"{part}" is a device on Windows; choose another name'
    if part.endswith((".", " ")):
        return "a part of a name does not end with a dot or a blank"
    if len(part.encode()) > MAX_PART_BYTES:
        return f"a part of a name has at most {MAX_PART_BYTES} bytes"
    return None


def _shown(written: str) -> str:
    return _CONTROL.sub("?", written)[:100]
