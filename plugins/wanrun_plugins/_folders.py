"""Open folders below which no symbolic link is followed and no file is touched that was not asked for by name.

Everything goes through directory descriptors, so a link that is planted while we work is refused as well. Where the
system has none (Windows), plain paths and a look before each step have to do.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FOLDER_MODE = 0o755  #: less the umask; whoever else may write into a folder may plant things in it

DESCRIPTORS = {os.open, os.mkdir, os.stat, os.rename, os.unlink} <= os.supports_dir_fd and os.listdir in os.supports_fd

_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_COMMON = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_READ = os.O_RDONLY | _NOFOLLOW | _COMMON | getattr(os, "O_NONBLOCK", 0)  # a planted pipe must not block us
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NOFOLLOW | _COMMON
_FOLDER = os.O_RDONLY | _COMMON | getattr(os, "O_DIRECTORY", 0)
_LINK_IN_THE_WAY = frozenset({errno.ELOOP, errno.ENOTDIR, errno.EMLINK})  # the last is BSD's word for it


class Folder:
    """One open folder; made by `open_below`."""

    def __init__(self, path: Path, fd: int | None) -> None:
        self.path = path
        self._fd = fd

    def entry(self, name: str) -> os.stat_result | None:
        """Return what is there under a name, a link as a link, or None."""
        try:
            return os.stat(self._at(name), dir_fd=self._fd, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def names(self) -> list[str]:
        """Return the names of everything inside."""
        return os.listdir(self.path if self._fd is None else self._fd)  # noqa: PTH208  # pathlib takes no descriptor

    def open_file(self, name: str) -> BinaryIO:
        """Open a regular file to read it; raises OSError for a link and for anything else."""
        self._refuse_link(name)
        with self._naming(name):
            fd = os.open(self._at(name), _READ, dir_fd=self._fd)
        file = open(fd, "rb")  # noqa: PTH123, SIM115  # it is a descriptor, and the caller closes it
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            file.close()
            raise OSError(errno.EEXIST, "what is there is not a file", str(self.path / name))
        return file

    def create_file(self, name: str) -> BinaryIO:
        """Make a new file and open it to write it; the umask decides who else may read it."""
        with self._naming(name):
            return open(os.open(self._at(name), _CREATE, 0o644, dir_fd=self._fd), "wb")  # noqa: PTH123  # as above

    def rename(self, old: str, new: str) -> None:
        """Give a file its name in one step; `sync` puts that on disk."""
        with self._naming(new):
            os.replace(self._at(old), self._at(new), src_dir_fd=self._fd, dst_dir_fd=self._fd)

    def discard(self, name: str) -> None:
        """Remove a file if it is there."""
        with suppress(FileNotFoundError), self._naming(name):
            os.unlink(self._at(name), dir_fd=self._fd)

    def enter(self, name: str) -> Folder:
        """Open a folder inside this one, made if need be."""
        self._refuse_link(name)
        with self._naming(name):
            with suppress(FileExistsError):
                os.mkdir(self._at(name), FOLDER_MODE, dir_fd=self._fd)
                self.sync()
            if self._fd is None:
                return Folder(_checked(self.path / name), None)
            return Folder(self.path / name, os.open(name, _FOLDER | _NOFOLLOW, dir_fd=self._fd))

    def sync(self) -> None:
        """Return when the names of the files inside are on disk."""
        if self._fd is not None:
            os.fsync(self._fd)

    def close(self) -> None:
        """Close it."""
        if self._fd is not None:
            os.close(self._fd)

    def _at(self, name: str) -> str:
        return str(self.path / name) if self._fd is None else name

    def _refuse_link(self, name: str) -> None:
        entry = self.entry(name)
        if entry is not None and stat.S_ISLNK(entry.st_mode):
            raise OSError(errno.ELOOP, "a symbolic link is there, and links are not followed", str(self.path / name))

    @contextmanager
    def _naming(self, name: str) -> Iterator[None]:
        """Give errors the whole path, and a link that came between look and step its own words."""
        try:
            yield
        except OSError as exc:
            if exc.errno in _LINK_IN_THE_WAY:
                self._refuse_link(name)
            raise OSError(exc.errno, exc.strerror, str(self.path / name)) from exc


@contextmanager
def open_below(root: Path, names: Sequence[str], *, descriptors: bool = DESCRIPTORS) -> Iterator[Folder]:
    """Open the folder `root/names...`, made if need be; links are followed up to `root` and nowhere below it."""
    _make(root)
    folder = Folder(root, os.open(root, _FOLDER) if descriptors else None)
    try:
        for name in names:
            inner = folder.enter(name)
            folder.close()
            folder = inner
        yield folder
    finally:
        folder.close()


def _make(path: Path) -> None:
    """Make a folder with its parents, each put on disk."""
    if path.is_dir():
        return
    _make(path.parent)
    with suppress(FileExistsError):  # another delivery may have been quicker
        path.mkdir(mode=FOLDER_MODE)
    _checked(path)
    if DESCRIPTORS:
        fd = os.open(path.parent, _FOLDER)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _checked(path: Path) -> Path:
    if not path.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "this is not a folder", str(path))
    return path
