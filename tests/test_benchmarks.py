"""The benchmarks work, and the page that shows their results is what the committed results give."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = {"wanrun", "SDK 1.x, threads", "SDK 1.x, asyncio", "SDK 2.x, threads"}


def python(*args: str) -> subprocess.CompletedProcess[str]:
    """Run Python as at the project root."""
    return subprocess.run([sys.executable, *args], cwd=ROOT, capture_output=True, text=True, timeout=100)


def test_the_page_is_what_the_results_give() -> None:
    """Rendering again changes nothing; nothing is measured for it."""
    done = python("-m", "benchmarks.render", "--check")

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", ["starting", "planning", "uploading", "delivering", "pace", "limited"])
def test_each_benchmark_measures(name: str, tmp_path: Path) -> None:
    """At a tiny size each writes one result file, with the facts of the machine."""
    done = python("-m", "benchmarks", name, "--tiny", "--results", str(tmp_path))

    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / f"{name}.json").read_text())["machine"]["python"]


@pytest.mark.slow
def test_every_program_ends_its_jobs_where_nothing_limits_them(tmp_path: Path) -> None:
    """What is compared has done the same work."""
    done = python("-m", "benchmarks", "unlimited", "--tiny", "--results", str(tmp_path))

    assert done.returncode == 0, done.stderr
    [rows] = json.loads((tmp_path / "unlimited.json").read_text())["rounds"]
    assert {row["contender"] for row in rows} == PROGRAMS
    assert all(row["ended"] == row["jobs"] for row in rows)
