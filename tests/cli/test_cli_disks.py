"""Disks that are full, read-only or broken: one line that says what to do, the right exit code, and nothing lost."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from cli_parts import FAST

from chaos.strace import why_not
from processes import COMMAND, Said

if TYPE_CHECKING:
    from cli_parts import Project

pytestmark = pytest.mark.slow
needs_strace = pytest.mark.skipif(why_not() is not None, reason=f"no faults can be injected: {why_not()}")

STATE = ".wanrun/emulator"
OUT = f"{STATE}/delivered/out"
INVALID, UNFINISHED = 2, 3


def run(project: Project, *before: str, stdout: int = subprocess.PIPE) -> Said:
    """Run the batch of a project as a process, below another program if need be."""
    environ = {"PATH": os.environ["PATH"], "HOME": str(project.folder), "PYTHONUTF8": "1"}
    command = [*before, *COMMAND, "run", "batch.yaml", *FAST]
    done = subprocess.run(command, cwd=project.folder, env=environ, stdout=stdout, stderr=subprocess.PIPE, check=False)
    return Said(done.returncode, (done.stdout or b"").decode(), done.stderr.decode())


def run_with(project: Project, path: str, fault: str, *calls: str) -> Said:
    """Run the batch where some calls on one path fail, for ever."""
    options = ["-f", "-qq", "-o", "/dev/null", "-e", "signal=none", "-P", str(project.folder / path)]
    options += ["-e", f"trace={','.join(calls)}", "-e", f"inject={','.join(calls)}:error={fault}"]
    return run(project, "strace", *options)


def tasks_made(project: Project) -> int:
    """Return how many tasks the emulator's account has made."""
    path = project.folder / STATE / "account/statement.json"
    return int(json.loads(path.read_text())["tasks_made"]) if path.exists() else 0


KEPT = "wanrun keeps its ledger and artifacts there"

#: What fails on which path, the exit code, and what is said.
TROUBLE = {
    "read-only state folder": (
        (STATE, "EROFS", "?access", "?faccessat", "?faccessat2"),
        (INVALID, f"the folder is read-only; {KEPT}: make it writable"),
    ),
    "read-only ledger": (
        (f"{STATE}/ledger.db", "EROFS", "openat"),
        (INVALID, f"ledger.db: Read-only file system; {KEPT}: make it writable"),
    ),
    "ledger of somebody else": (
        (f"{STATE}/ledger.db", "EACCES", "openat"),
        (INVALID, f"ledger.db: Permission denied; {KEPT}: make it writable"),
    ),
    "no space for a ledger": (
        (f"{STATE}/ledger.db", "ENOSPC", "openat"),
        (UNFINISHED, f"ledger.db: No space left on device; {KEPT}: free space, then run again"),
    ),
    "no space in the ledger": (
        (f"{STATE}/ledger.db", "ENOSPC", "pwrite64"),
        (UNFINISHED, "ledger.db: database or disk is full; free space, then run again"),
    ),
    "ledger on a broken disk": (
        (f"{STATE}/ledger.db", "EIO", "fdatasync"),
        (UNFINISHED, "ledger.db: disk I/O error; see whether the disk is full or failing, then run again"),
    ),
    "quota": (
        (f"{STATE}/artifacts/1.part", "EDQUOT", "write"),
        (UNFINISHED, "artifacts: Disk quota exceeded; free space or raise the quota, then run again"),
    ),
    "broken store": (
        (f"{STATE}/artifacts/1.part", "EIO", "fsync"),
        (UNFINISHED, "artifacts: Input/output error; see that the disk is well, then run again"),
    ),
    "store that became read-only": (
        (f"{STATE}/artifacts/1.part", "EROFS", "openat"),
        (UNFINISHED, "artifacts: Read-only file system; make it writable"),
    ),
    "read-only sink": (
        (f"{STATE}/delivered", "EROFS", "mkdirat"),
        (UNFINISHED, "the artifact is kept in the artifact store: make the folder writable and run again"),
    ),
}


@needs_strace
@pytest.mark.parametrize("what", TROUBLE)
def test_a_disk_that_takes_nothing_is_said_and_loses_nothing(project: Project, what: str) -> None:
    """The exit code says whether running again is enough; when the disk is well, it is, and nothing is paid again."""
    project.spec("one")
    failing, (code, words) = TROUBLE[what]

    said = run_with(project, *failing)
    again = run(project)

    assert said.exit_code == code, said
    assert words in said.all, said
    assert "Traceback" not in said.all
    assert again.exit_code == 0, again
    assert tasks_made(project) == 1
    assert (project.folder / OUT / "one.mp4").stat().st_size


def test_results_that_cannot_be_printed_are_said_to_be_missing(project: Project) -> None:
    """The run goes to its end, for it pays for things; its exit code says to run again, which prints them."""
    project.spec("one")
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        said = run(project, stdout=full.fileno())
    again = run(project)

    assert (said.exit_code, again.exit_code) == (UNFINISHED, 0), said
    assert said.stderr.endswith("standard output: No space left on device; free space, then run again\n")
    assert f"{OUT}/one.mp4" in again.stdout
    assert tasks_made(project) == 1


@pytest.mark.parametrize("args", [("--help",), ("status", "--emulator"), ("plugins", "--format", "json")], ids=" ".join)
def test_no_command_breaks_where_it_cannot_print(project: Project, args: tuple[str, ...]) -> None:
    """Exit code 3 and no traceback."""
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        done = subprocess.run([*COMMAND, *args], cwd=project.folder, stdout=full, stderr=subprocess.PIPE, check=False)

    assert (done.returncode, b"Traceback" in done.stderr) == (UNFINISHED, False), done.stderr


@needs_strace
def test_where_nothing_at_all_can_be_written_the_exit_code_says_so(project: Project) -> None:
    """Not even a temporary file for Python's own libraries, or a word to the terminal: running again goes on."""
    project.spec("one")
    options = ["-f", "-qq", "-o", "/dev/null", "-e", "signal=none"]
    options += ["-e", "trace=write", "-e", "inject=write:error=ENOSPC"]

    broken = run(project, "strace", *options)
    again = run(project)

    assert broken.exit_code == UNFINISHED
    assert again.exit_code == 0
