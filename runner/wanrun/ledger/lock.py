"""One run at a time uses a ledger: a lock file beside it, held with flock and naming who holds it."""

from __future__ import annotations

import errno
import os
import re
import socket
import time
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

from wanrun.errors import LedgerBusy, LedgerError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType


#: What the lock file holds: pid, since when in epoch seconds, host.
_WRITTEN = re.compile(r"([0-9]{1,10}) ([0-9]{1,11}) ([A-Za-z0-9._-]{1,253})")


class LedgerLock:
    """Holds a ledger for this process, from `__enter__` to `__exit__`; the kernel lets go if the process dies.

    Raises `LedgerBusy` at once when another process holds it.
    """

    def __init__(self, ledger: Path) -> None:
        self._ledger = ledger = ledger.resolve()  # one file has one lock, whatever links lead to it
        self._path = lock_file(ledger)
        self._descriptor: int | None = None

    def __enter__(self) -> LedgerLock:
        try:
            if not os.access(self._path.parent, os.W_OK) and self._path.parent.is_dir():
                raise PermissionError(errno.EACCES, "the folder is read-only")  # SQLite would find that out later
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise LedgerError.of(self._path, exc) from exc
        self._take(self._descriptor)
        return self

    def _take(self, descriptor: int) -> None:
        try:
            hold(descriptor)
        except OSError as exc:
            holder = _holder(os.pread(descriptor, 320, 0))
            self.__exit__(None, None, None)
            if exc.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise LedgerError.of(self._path, exc) from exc
            busy = LedgerBusy(
                f"{self._ledger} is in use by another run ({holder}); wait for it or stop it. "
                "A second ledger would pay for these jobs again"
            )
            busy.holder = holder
            raise busy from exc
        with suppress(OSError):  # on a full disk the ledger itself says so better; the lock holds without the pid
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()} {int(time.time())} {socket.gethostname()}\n".encode(), 0)

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def lock_file(ledger: Path) -> Path:
    """Return where the lock of a ledger is."""
    return ledger.with_suffix(".lock") if ledger.suffix == ".db" else ledger.with_name(f"{ledger.name}.lock")


def _holder(written: bytes) -> str:
    """Return who wrote the lock file, in words: the pid, the host if it is another one, and since when."""
    found = _WRITTEN.fullmatch(written.decode("ascii", "replace").strip())
    if found is None:  # it is being written just now
        return "pid unknown"
    pid, since, host = found.groups()
    where = "" if host == socket.gethostname() else f" on {host}"
    return f"pid {pid}{where}, since {datetime.fromtimestamp(int(since)).astimezone():%Y-%m-%d %H:%M:%S}"


def hold(descriptor: int) -> None:
    """Hold an open file for this process alone, until it is closed; raises OSError when another one holds it."""
    try:
        import fcntl
    except ImportError:  # Windows: without the hardening
        return
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def share(descriptor: int) -> None:
    """Keep others from holding an open file alone, until it is closed; waits for one that does. Blocking."""
    try:
        import fcntl
    except ImportError:  # Windows: without the hardening
        return
    fcntl.flock(descriptor, fcntl.LOCK_SH)
