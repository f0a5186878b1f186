"""What a person waits for at the prompt: `--help`, and the check of a large spec."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from benchmarks.account import environment
from benchmarks.contenders import spec
from benchmarks.measured import run_measured

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.sizes import Size

#: As the installed script does it, without its own file.
WANRUN = (sys.executable, "-c", "from wanrun.cli import main; main()")

LIGHT = {"python": (sys.executable, "-c", "pass"), "help": (*WANRUN, "--help")}
HEAVY = {"validate": (*WANRUN, "validate", "batch.yaml"), "plan": (*WANRUN, "plan", "batch.yaml")}


def measure(size: Size, folder: Path) -> dict[str, Any]:
    """Return the seconds of each start, in turns, so that a busy moment of the machine meets all of them.

    The first of each is left out: it fills the caches of the machine and of Python.
    """
    folder.mkdir(parents=True)
    (folder / ".wanrun").mkdir()
    (folder / "batch.yaml").write_text(spec(size.matrix_jobs, video="https://example.com/clip.mp4"))
    environ = environment(HOME=str(folder))
    seconds: dict[str, list[float]] = {}
    for commands, times in ((LIGHT, size.starts), (HEAVY, size.rounds)):
        for _ in range(times + 1):
            for name, command in commands.items():
                took = run_measured(command, folder=folder, environ=environ)
                seconds.setdefault(name, []).append(round(took.wall_seconds, 4))
    return {"matrix_jobs": size.matrix_jobs, "seconds": {name: every[1:] for name, every in seconds.items()}}
