"""Looks at an output folder all the time, as a program that waits for results there would."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from wanrun.emulator.ready import ready_clip

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAUSE_SECONDS = 0.002


class Watcher:
    """Reads every file the first time it is seen under its name, and again whenever it is another one."""

    def __init__(self, folder: Path) -> None:
        self.looks = 0
        self.partial: list[str] = []  #: names of files that were not whole when they were seen
        self._folder = folder
        self._seen: dict[str, tuple[int, int]] = {}
        self._over = threading.Event()

    def watch(self) -> None:
        """Look until it is over."""
        while not self._over.wait(PAUSE_SECONDS):
            self.look()

    def look(self) -> None:
        """Look once; names that start with a dot are nobody's business."""
        self.looks += 1
        for path in self._folder.iterdir():
            if not path.name.startswith("."):
                self._check(path)

    def _check(self, path: Path) -> None:
        status = path.stat()
        if self._seen.get(path.name) == (status.st_ino, status.st_size):
            return
        self._seen[path.name] = (status.st_ino, status.st_size)
        if not _is_whole(path):
            self.partial.append(path.name)

    def end(self) -> None:
        """Look no more."""
        self._over.set()


@contextmanager
def watching(folder: Path) -> Iterator[Watcher]:
    """Watch a folder from a thread of its own."""
    watcher = Watcher(folder)
    thread = threading.Thread(target=watcher.watch, name="watcher")
    thread.start()
    try:
        yield watcher
    finally:
        watcher.end()
        thread.join()


def _is_whole(path: Path) -> bool:
    """Say whether a result is byte for byte what the emulator gives, or a sidecar a whole JSON object."""
    content = path.read_bytes()
    if path.suffix == ".mp4":
        return content == ready_clip().data
    try:
        return isinstance(json.loads(content), dict)
    except ValueError:
        return False
