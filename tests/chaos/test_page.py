"""The page about reliability is what the committed results give, and the command that makes them works."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from chaos import parts

ROOT = Path(__file__).resolve().parents[2]


def python(*args: str) -> subprocess.CompletedProcess[str]:
    """Run Python as at the project root."""
    environ = os.environ | {"PYTHONPATH": "tests"}
    return subprocess.run([sys.executable, *args], cwd=ROOT, env=environ, capture_output=True, text=True, timeout=100)


def test_the_page_is_what_the_results_give() -> None:
    """Rendering again changes nothing; nothing is run for it."""
    done = python("-m", "chaos.render", "--check")

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", parts.NAMES)
def test_each_part_is_whole(name: str) -> None:
    """It has all that the page and the command need."""
    part = parts.part(name)

    assert part.TITLE
    assert part.HOW.strip()
    assert type(part.CI) is type(part.FULL)
    assert callable(part.measure)
    assert callable(part.tables)


@pytest.mark.slow
def test_the_command_writes_a_result_with_its_circumstances(tmp_path: Path) -> None:
    """Date, machine, versions, size and seed stand beside the figures, so that they can be had again."""
    done = python("-m", "chaos", "cancels", "--ci", "--seed", "7", "--results", str(tmp_path))

    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "cancels.json").read_text())
    assert found["size"]["seed"] == 7
    assert {"measured_at", "python", "sqlite", "took_seconds"} <= found["machine"].keys()
    assert parts.part("cancels").tables(found)
