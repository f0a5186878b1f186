"""The folder in which an account lasts: its history, its objects and its statement, for one emulator at a time."""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from wanrun.emulator.account import Account
from wanrun.emulator.store import FolderStore
from wanrun.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wanrun.types import JSON

_HISTORY, _STATEMENT, _LOCK, _OBJECTS = "history.jsonl", "statement.json", "lock", "objects"


class Home:
    """An account and the folder that it is kept in."""

    def __init__(self, account: Account, folder: Path, store: FolderStore) -> None:
        self.account, self.folder, self.store = account, folder, store
        self._history = _open_private(folder / _HISTORY, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._stated = -1
        self.connections = 0  #: that clients have opened since this emulator began to serve

    def save(self) -> None:
        """Write down what happened since the last time; a killed process has lost nothing that was written."""
        if text := self.account.dump():
            os.write(self._history, text.encode())

    def statement(self) -> dict[str, JSON]:
        """Return the account statement as it is served and written: with the connections, which no account knows."""
        return {**self.account.statement(), "connections": self.connections}

    def state(self) -> None:
        """Write the account statement, when it has changed, in one step."""
        if self._stated == len(self.account.history):
            return
        text = json.dumps(self.statement(), indent=2, ensure_ascii=False) + "\n"
        self._stated = len(self.account.history)
        part = self.folder / f"{_STATEMENT}.part"
        number = _open_private(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        with os.fdopen(number, "w", encoding="utf-8", errors="replace") as file:
            file.write(text)
        part.replace(self.folder / _STATEMENT)

    def close(self) -> None:
        """Write down the rest."""
        self.save()
        self.state()
        os.close(self._history)


@contextmanager
def open_home(folder: Path, **settings: Any) -> Iterator[Home]:
    """Open the account of a folder, which is made when it is not there; `settings` are those of `Account`.

    Raises `SettingsError` when another emulator uses the folder or its history is damaged.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(folder):
        store = FolderStore(folder / _OBJECTS)
        account = Account(store=store, **settings)
        account.load(_lines(folder / _HISTORY))
        home = Home(account, folder, store)
        try:
            yield home
        finally:
            home.close()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    number = _open_private(folder / _LOCK, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise SettingsError(f"{folder} is in use by another emulator; stop it or name another folder") from None
    finally:
        os.close(number)


def _lines(path: Path) -> list[str]:
    """Return the lines of a history, after cutting off a last one that a kill has torn."""
    if not path.is_file():
        return []
    raw = path.read_bytes()
    whole = raw[: raw.rfind(b"\n") + 1]
    if len(whole) < len(raw):
        os.truncate(path, len(whole))
    return whole.decode("utf-8", "replace").splitlines(keepends=True)


def _open_private(path: Path, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)
