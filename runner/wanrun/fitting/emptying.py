"""Taking away what was made of local files, while no run relies on it: what is needed again is made again."""

from __future__ import annotations

import os
import re
import stat
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from wanrun.fitting.shelf import LEFT, SUFFIXES
from wanrun.ledger.lock import hold, share

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FOLDER = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0)
_MADE = re.compile(rf"[0-9a-f]{{64}}-[0-9a-f]{{64}}(?:{'|'.join(map(re.escape, SUFFIXES.values()))})")


def made_in(folder: Path) -> list[Path]:
    """Return what was made there, and what killed runs have left half made; what has another name is not ours."""
    if folder.is_symlink() or not folder.is_dir():
        return []
    ours = [each for each in sorted(folder.iterdir()) if _MADE.fullmatch(each.name) or LEFT.fullmatch(each.name)]
    return [each for each in ours if stat.S_ISREG(each.lstat().st_mode)]


@contextmanager
def relied_on(folder: Path) -> Iterator[None]:
    """Keep the folder, made if need be, from being emptied; where that cannot be, whoever makes a file says why."""
    with ExitStack() as stack:
        with suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(folder, _FOLDER)
            stack.callback(os.close, descriptor)
            share(descriptor)
        yield


@contextmanager
def unused(folder: Path) -> Iterator[bool]:
    """Hold the folder while it is emptied; gives False where a run, with whatever ledger, relies on what is in it."""
    if not folder.is_dir():
        yield True
        return
    descriptor = os.open(folder, _FOLDER)
    try:
        yield _is_held(descriptor)
    finally:
        os.close(descriptor)


def _is_held(descriptor: int) -> bool:
    try:
        hold(descriptor)
    except BlockingIOError:
        return False
    return True
