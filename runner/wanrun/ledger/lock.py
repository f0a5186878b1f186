"""One run at a time uses a ledger: a lock file beside it, held with flock and naming the holder's pid."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from wanrun.errors import LedgerBusy, LedgerError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType


class LedgerLock:
    """Holds a ledger for this process, from `__enter__` to `__exit__`; the kernel lets go if the process dies.

    Raises `LedgerBusy` at once when another process holds it.
    """

    def __init__(self, ledger: Path) -> None:
        self._ledger = ledger = ledger.resolve()  # one file has one lock, whatever links lead to it
        self._path = ledger.with_suffix(".lock") if ledger.suffix == ".db" else ledger.with_name(f"{ledger.name}.lock")
        self._descriptor: int | None = None

    def __enter__(self) -> LedgerLock:
        try:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise LedgerError(f"{self._path}: {exc.strerror}; the ledger's folder must be writable") from exc
        self._take(self._descriptor)
        return self

    def _take(self, descriptor: int) -> None:
        try:
            _lock(descriptor)
        except OSError as exc:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            self.__exit__(None, None, None)
            if exc.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise LedgerError(f"{self._path}: {exc.strerror}") from exc
            raise LedgerBusy(
                f"{self._ledger} is in use by another run (pid {holder}); wait for it or stop it. "
                "A second ledger would pay for these jobs again"
            ) from exc
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _lock(descriptor: int) -> None:
    try:
        import fcntl
    except ImportError:  # Windows: without the hardening
        return
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
