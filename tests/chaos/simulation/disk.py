"""A disk that forgets: at a death, bytes that were not synced may be gone, and names that were not synced may be old.

Stands between Python's `os` and the folders of one simulation. Files are judged as POSIX does: only `fsync` of a file
keeps its bytes, only `fsync` of a folder keeps what its names lead to. SQLite goes past it; its files are left out.
"""

from __future__ import annotations

import os
from collections import defaultdict
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from chaos.simulation.life import Life

WRITING = os.O_WRONLY | os.O_RDWR
_REAL = {name: getattr(os, name) for name in ("open", "close", "write", "ftruncate", "fsync", "replace", "unlink")}


@dataclass(frozen=True, slots=True)
class Renaming:
    """A name that was given or taken away, not synced yet, and how to take that back."""

    old: str | None  #: the name before; None: the file was made under the new one
    new: str | None  #: None: the file was removed
    kept: Path | None  #: another link to what was lost by it, if anything was


class Disk:
    """The folders of one simulation, over all its lives."""

    def __init__(self, root: Path, attic: Path, chance: random.Random) -> None:
        """Watch the files below `root`; `attic` is a folder on the same file system for what was replaced."""
        self._root, self._attic, self._chance = str(root), attic, chance
        self._life: Life | None = None
        self._paths: dict[int, str] = {}  # of open descriptors
        self._synced: dict[int, int] = {}  # inode -> how many of its bytes are safe
        self._renamings: dict[str, list[Renaming]] = defaultdict(list)  # by folder, since its last fsync
        self._links = 0

    @contextmanager
    def plugged(self, life: Life) -> Iterator[None]:
        """Let a life use the disk; when it has died, forget what it had not synced."""
        self._life = life
        for name in _REAL:
            setattr(os, name, getattr(self, f"_{name}"))
        try:
            yield
        finally:
            for name, function in _REAL.items():
                setattr(os, name, function)
            if life.dead:
                self._forget()
            for known in (self._paths, self._synced, self._renamings):
                known.clear()
            for link in self._attic.iterdir():
                link.unlink()

    def _forget(self) -> None:
        for folder, renamings in self._renamings.items():
            count = len(renamings)
            lasting = self._chance.choice([count, count, self._chance.randint(0, count), 0])
            for renaming in reversed(renamings[lasting:]):
                _take_back(Path(folder), renaming)
        for path in list(Path(self._root).rglob("*")):
            facts = path.lstat()
            synced = self._synced.get(facts.st_ino, facts.st_size)
            if synced < facts.st_size and self._chance.random() < 0.9:
                os.truncate(path, self._chance.randint(synced, facts.st_size))

    # What the program calls instead of `os`

    def _open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        where = self._where(path, dir_fd)
        if where is None:
            return int(_REAL["open"](path, flags, mode, dir_fd=dir_fd))
        is_new = bool(flags & os.O_CREAT) and not Path(where).exists()
        if flags & (WRITING | os.O_CREAT):
            self._step("write")
        descriptor = int(_REAL["open"](path, flags, mode, dir_fd=dir_fd))
        self._paths[descriptor] = where
        if flags & WRITING:
            facts = os.fstat(descriptor)
            self._synced.setdefault(facts.st_ino, 0 if is_new else facts.st_size)
        if is_new:
            self._note(where, Renaming(None, Path(where).name, None))
        return descriptor

    def _close(self, descriptor: int) -> None:
        self._paths.pop(descriptor, None)
        _REAL["close"](descriptor)

    def _write(self, descriptor: int, data: Any) -> int:
        if descriptor in self._paths:
            self._step("write")
        return int(_REAL["write"](descriptor, data))

    def _ftruncate(self, descriptor: int, length: int) -> None:
        if descriptor in self._paths:
            self._step("write")
            number = os.fstat(descriptor).st_ino
            self._synced[number] = min(self._synced.get(number, 0), length)
        _REAL["ftruncate"](descriptor, length)

    def _fsync(self, descriptor: int) -> None:
        path = self._paths.get(descriptor)
        if path is None:
            _REAL["fsync"](descriptor)
            return
        self._step("sync")
        facts = os.fstat(descriptor)
        if Path(path).is_dir():
            self._renamings.pop(path, None)
        else:
            self._synced[facts.st_ino] = facts.st_size
        self._step("synced")

    def _replace(self, old: Any, new: Any, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None) -> None:
        before, after = self._where(old, src_dir_fd), self._where(new, dst_dir_fd)
        if before is None or after is None:
            _REAL["replace"](old, new, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
            return
        self._step("rename")
        kept = self._keep(after)
        _REAL["replace"](before, after)
        self._note(after, Renaming(Path(before).name, Path(after).name, kept))
        self._step("renamed")

    def _unlink(self, path: Any, *, dir_fd: int | None = None) -> None:
        where = self._where(path, dir_fd)
        if where is None:
            _REAL["unlink"](path, dir_fd=dir_fd)
            return
        self._step("write")
        kept = self._keep(where)
        _REAL["unlink"](where)
        self._note(where, Renaming(Path(where).name, None, kept))

    # Bookkeeping

    def _where(self, path: Any, dir_fd: int | None) -> str | None:
        """Return the absolute path of a file that is watched, else None."""
        text = os.fspath(path)
        if dir_fd is not None:
            text = f"{self._paths.get(dir_fd, '')}/{text}"
        watched = text.startswith(self._root) and not Path(text).name.startswith("ledger.")
        return text if watched else None

    def _step(self, kind: str) -> None:
        assert self._life is not None
        self._life.step(kind)

    def _keep(self, path: str) -> Path | None:
        if not Path(path).exists():
            return None
        self._links += 1
        link = self._attic / str(self._links)
        link.hardlink_to(path)
        return link

    def _note(self, path: str, renaming: Renaming) -> None:
        self._renamings[str(Path(path).parent)].append(renaming)


def _take_back(folder: Path, renaming: Renaming) -> None:
    with suppress(FileNotFoundError):  # of an older file whose making was taken back, too
        if renaming.new is not None and renaming.old is None:
            (folder / renaming.new).unlink()
        elif renaming.new is not None and renaming.old is not None:
            (folder / renaming.new).rename(folder / renaming.old)
    lost_name = renaming.new or renaming.old
    if renaming.kept is not None and lost_name is not None:
        (folder / lost_name).unlink(missing_ok=True)
        (folder / lost_name).hardlink_to(renaming.kept)
