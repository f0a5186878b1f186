"""Death, a full disk and I/O errors at each write of the ledger, the artifact store, the folder sink and whole runs."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chaos import points, wholeruns
from chaos.parts import Found, Table
from chaos.strace import BROKEN_ONCE, ERRORS, FULL_DISK, KILL, Fault, why_not

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chaos.points import Series
    from wanrun.types import JSON

TITLE = "Every write"
HOW = """\
strace kills a process at its first write, at its second, and so on, until one goes through untouched; then the same
with *no space left on device* and *input/output error*, once and from that call on for ever. *ledger*: two jobs from
entry to receipt, every commit acknowledged to another process. *files*: a download becomes an artifact, is delivered,
and is replaced by another. *whole runs*: `wanrun run` with two jobs against the emulator; there the calls of each
thread are counted by themselves.

After each death and each error: what was acknowledged is there, SQLite finds the ledger sound, no file in sight is
partial; and the same story, or a second `wanrun run`, goes to its end. An error that could not be got over is one line
with exit code 3. For whole runs the account's own statement says that nothing was paid twice."""

SCRATCH_BYTES = 1 << 30  #: more than all that is played at once

Steps = Mapping[str, int]  #: every so manyth point of a call


@dataclass(frozen=True)
class Size:
    """Which points are played: every so manyth."""

    kill_step: int
    error_step: int
    without: tuple[str, ...]  #: calls before which nothing changes on disk that a later one does not see
    kills: Steps  #: of whole runs
    errors: Steps
    faults: tuple[Fault, ...] = ERRORS  #: of whole runs; the stories meet all


CI = Size(
    kill_step=3,
    error_step=8,
    without=("openat",),
    kills={"pwrite64": 80, "fdatasync": 60, "fsync": 5, "rename": 1, "renameat": 3},
    errors={"pwrite64": 250, "fsync": 8},
    faults=(FULL_DISK, BROKEN_ONCE),
)
FULL = Size(
    kill_step=1,
    error_step=1,
    without=(),
    kills=dict.fromkeys(wholeruns.CALLS, 1),
    errors=dict.fromkeys(wholeruns.CALLS, 4) | {"fsync": 1, "rename": 1, "renameat": 1, "write": 1},
)


def measure(size: Size) -> dict[str, JSON]:
    """Play all stories and whole runs; says so where strace cannot be used."""
    if reason := why_not():
        return {"not_measured": reason}
    with scratch() as folder:
        return {
            "ledger": counted(story_series("ledger", size, folder)),
            "files": counted(story_series("files", size, folder)),
            "whole runs": counted(run_series(size, folder)),
        }


def story_series(name: str, size: Size, folder: Path) -> list[Series]:
    """Play one story with every fault."""
    found = points.series_of(name, KILL, folder, step=size.kill_step, without=size.without)
    for fault in ERRORS:
        found += points.series_of(name, fault, folder, step=size.error_step, without=size.without)
    return found


def run_series(size: Size, folder: Path) -> list[Series]:
    """Play whole runs with every fault."""
    wanted: dict[Fault, Steps] = {KILL: size.kills} | dict.fromkeys(size.faults, size.errors)
    return wholeruns.series_of(folder, wanted)


@contextmanager
def scratch() -> Iterator[Path]:
    """Give a folder, in memory where there is such a file system: what is proven here does not need a slow disk."""
    memory = "/dev/shm"  # noqa: S108  # a folder of its own is made below it
    roomy = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > SCRATCH_BYTES
    with tempfile.TemporaryDirectory(dir=memory if roomy else None) as name:
        yield Path(name)


def counted(series: Sequence[Series]) -> dict[str, JSON]:
    """Return what came of some series, for the result file."""
    rows: list[dict[str, Any]] = [
        {"call": each.call, "fault": each.fault, "points": each.points, "struck": each.struck, "told": each.told}
        for each in series
    ]
    return {
        "series": rows,
        "struck": sum(each.struck for each in series),
        "not_ended_untouched": sum(not each.untouched for each in series),
        "problems": [problem for each in series for problem in each.problems],
    }


def tables(found: Found) -> Iterator[Table]:
    """Return how many points fired, and what was wrong after them."""
    if "not_measured" in found:
        yield Table(["not measured", ""], [[found["not_measured"], ""]])
        return
    names = [name for name in found if isinstance(found[name], dict) and "series" in found[name]]
    faults = [KILL.name, *(fault.name for fault in ERRORS)]
    rows = [
        [fault, *(sum(row["struck"] for row in found[name]["series"] if row["fault"] == fault) for name in names)]
        for fault in faults
    ]
    yield Table(
        ["points that fired", *names],
        [*rows, ["**facts lost, files torn, paid twice**", *(len(found[name]["problems"]) for name in names)]],
    )
    calls = {row["call"]: None for name in names for row in found[name]["series"]}
    yield Table(
        ["of these, at", *names],
        [
            [
                f"`{call}`",
                *(sum(row["struck"] for row in found[name]["series"] if row["call"] == call) for name in names),
            ]
            for call in calls
        ],
    )
