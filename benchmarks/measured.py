"""Run a program and say what it took: seconds, CPU, memory.

Also a program itself, which is how `run_measured` uses it: the kernel counts the memory of whoever starts a process as
that process's own until it becomes another program, so what starts it has to be small.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True)
class Measured:
    """What a program took, from its start to its end."""

    wall_seconds: float
    cpu_seconds: float  #: user and system
    peak_mib: float  #: resident
    exit_code: int
    stdout: str


def run_measured(
    command: Sequence[str], *, folder: Path, environ: Mapping[str, str], limit_seconds: float = 400
) -> Measured:
    """Run a program in a folder; raises `RuntimeError` with what it said when it fails."""
    starter = [sys.executable, "-I", "-S", __file__, *command]
    errors = folder / "stderr.txt"
    with errors.open("w") as stderr:
        done = subprocess.run(
            starter,
            cwd=folder,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            timeout=limit_seconds,
            check=True,
        )
    out, _, told = done.stdout.rstrip("\n").rpartition("\n")
    measured = Measured(**json.loads(told), stdout=out)
    if measured.exit_code:
        raise RuntimeError(f"{' '.join(command)} ended with {measured.exit_code}:\n{errors.read_text()[-2000:]}")
    return measured


def _main(command: list[str]) -> None:
    """Run a program with this one's own streams, then print what it took as a last line."""
    started = time.monotonic()
    number = os.posix_spawn(command[0], command, os.environ)
    _, status, usage = os.wait4(number, 0)
    took = {
        "wall_seconds": time.monotonic() - started,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_mib": usage.ru_maxrss / 1024,
        "exit_code": os.waitstatus_to_exitcode(status),
    }
    print("\n" + json.dumps(took))


if __name__ == "__main__":
    _main(sys.argv[1:])
