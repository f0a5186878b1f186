"""A program for strace: plays one story again and again, each time in a child that meets its fault one call later.

Arguments: the story, a folder, and the points to play, each as `CALL:POINT:IDLE`. strace counts calls by process, so a
child comes to a point of its story at the number at which the fault happens by making that many idle calls first, which
change nothing. Reports are JSON lines, written by a call that is never injected.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from wanrun.errors import WanrunError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Ack = Callable[[str], None]


class Story(Protocol):
    """Something with consequences on disk: a module of this package whose name ends with `_story`."""

    #: the calls that are injected
    CALLS: Sequence[str]

    def play(self, folder: Path, ack: Ack) -> None:
        """Do it, or what is left of it, in a folder; `ack` is told of each fact once it counts as done."""

    def problems(self, folder: Path, acks: Sequence[str]) -> list[str]:
        """Return what is wrong after a death or an error: facts that were acknowledged and are not there."""

    def unfinished(self, folder: Path) -> list[str]:
        """Return what is missing or left over after the story was played to its end."""


def story(name: str) -> Story:
    """Return a story by its name."""
    module: Any = import_module(f"chaos.{name}_story")
    return module


_NOWHERE = os.open(os.devnull, os.O_RDWR)
_HERE = os.open(".", os.O_RDONLY)

#: A call of each kind that changes nothing; most are refused, which counts all the same.
IDLE: dict[str, Callable[[], object]] = {
    "pwrite64": lambda: os.pwrite(_NOWHERE, b"", 0),
    "write": lambda: os.write(_NOWHERE, b""),
    "fdatasync": lambda: os.fdatasync(_NOWHERE),
    "fsync": lambda: os.fsync(_NOWHERE),
    "ftruncate": lambda: os.ftruncate(_NOWHERE, 0),
    "openat": lambda: os.open("", os.O_RDONLY),
    "mkdir": lambda: os.mkdir(""),  # noqa: PTH102  # here and below: the call itself is meant
    "mkdirat": lambda: os.mkdir("", dir_fd=_HERE),
    "unlink": lambda: os.unlink(""),  # noqa: PTH108
    "unlinkat": lambda: os.unlink("", dir_fd=_HERE),
    "rename": lambda: os.rename("", ""),  # noqa: PTH104
    "renameat": lambda: os.rename("", "", src_dir_fd=_HERE, dst_dir_fd=_HERE),
}


def main(name: str, folder: str, *points: str) -> None:
    """Play each point in a child of its own and report how it ended."""
    told = story(name)
    gc.disable()  # a child makes the calls of its story, and nobody else's
    for point in points:
        call, number, idle_calls = point.split(":")
        child = os.fork()
        if child == 0:
            _play(told, Path(folder) / f"{call}-{number}", point, IDLE.get(call), int(idle_calls))
        _, status = os.waitpid(child, 0)
        _report(point=point, pid=child, killed=os.WIFSIGNALED(status))


def _play(told: Story, folder: Path, point: str, idle: Callable[[], object] | None, idle_calls: int) -> None:
    """Be the child: never returns."""
    try:
        for _ in range(idle_calls):
            with suppress(OSError):
                idle()  # type: ignore[misc]  # only a point without idle calls has none
        told.play(folder, lambda fact: _report(point=point, ack=fact))
    except WanrunError as exc:
        _report(point=point, error=str(exc), exit_code=int(exc.exit_code))
    except BaseException as exc:
        _report(point=point, bug=repr(exc))
    else:
        _report(point=point, whole=True)
    os._exit(0)


def _report(**facts: object) -> None:
    os.writev(1, [json.dumps(facts).encode() + b"\n"])


if __name__ == "__main__":
    main(*sys.argv[1:])
