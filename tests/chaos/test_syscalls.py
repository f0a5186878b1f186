"""Whatever happens at a write of the ledger, the store or the sink, what was acknowledged is there and nothing torn."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from chaos import strace, syscalls
from chaos.points import process
from chaos.strace import KILL

if TYPE_CHECKING:
    from pathlib import Path

    from chaos.points import Series

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(strace.why_not() is not None, reason=f"no faults can be injected: {strace.why_not()}"),
]


def _check(found: list[Series]) -> None:
    """See that every series fired, ended with an untouched point, and left nothing wrong."""
    assert [problem for each in found for problem in each.problems] == []
    assert [f"{each.call}, {each.fault}" for each in found if not each.untouched] == []
    for fault in {each.fault for each in found}:
        series = [each for each in found if each.fault == fault]
        print(f"{fault}: {sum(each.struck for each in series)} points fired at {', '.join(e.call for e in series)}")
        assert sum(each.struck for each in series)
        assert fault == KILL.name or sum(each.told for each in series), f"{fault} was never told"


@pytest.mark.parametrize("name", ["ledger", "files"])
def test_a_story_survives_its_every_write(name: str) -> None:
    """Killed at each, or with a full or broken disk from there on: the next one goes on where it was."""
    with syscalls.scratch() as folder:
        _check(syscalls.story_series(name, syscalls.CI, folder))


def test_a_run_survives_what_happens_at_its_writes() -> None:
    """From the command to the account's statement: nothing is paid twice, and the next run brings everything home."""
    with syscalls.scratch() as folder:
        _check(syscalls.run_series(syscalls.CI, folder))


def test_output_that_can_never_be_written_has_the_documented_exit_code(tmp_path: Path) -> None:
    """Not Python's own, which is what it fails with over text that is still in a stream when it ends."""
    command = [sys.executable, "-c", "from wanrun.cli import main; main()", "schema"]
    inject = ["inject=write:error=ENOSPC:when=1+"]
    environ = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}

    done = strace.traced(command, tmp_path / "log", calls=["write"], inject=inject, cwd=tmp_path, env=environ)

    assert (done.returncode, "Traceback" in done.stderr) == (3, False), done


FIRST = """
import sys
from pathlib import Path
from chaos.stories import story
Path(sys.argv[2]).mkdir()
story(sys.argv[1]).play(Path(sys.argv[2]) / "story", lambda ack: None)
"""


def test_a_file_is_on_disk_before_it_has_its_name_and_the_name_before_anybody_hears_of_it(tmp_path: Path) -> None:
    """In the store, at the sink and for its sidecar: the file is synced, renamed, and its folder is synced."""
    log = tmp_path / "order.log"
    command = [sys.executable, "-c", FIRST, "files", str(tmp_path / "here")]
    order = ["strace", "-f", "-qq", "-y", "-o", str(log), "-e", "trace=fsync,rename,renameat", "--seccomp-bpf"]
    subprocess.run([*order, *command], check=True, cwd=tmp_path, env=process()["env"])

    lines = [
        line.partition(" ")[2].lstrip() for line in log.read_text().splitlines() if str(tmp_path / "here/story") in line
    ]
    renames = [number for number, line in enumerate(lines) if line.startswith("rename")]
    assert len(renames) == 6  # two artifacts, each with its file and its sidecar at the sink
    for number in renames:
        source = lines[number].split('"')[1].rpartition("/")[2]
        assert any(line.startswith("fsync") and f"/{source}>" in line for line in lines[:number]), lines[number]
        assert any(line.startswith("fsync") and _is_folder(line) for line in lines[number + 1 :]), lines[number]


def _is_folder(line: str) -> bool:
    return line.partition(">")[0].endswith(("/artifacts", "/out"))
