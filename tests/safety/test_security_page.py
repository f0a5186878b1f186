"""The page about security names a test for each promise, and the test is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith(("| threat", "| ---"))]
NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


def promised_in(path: str) -> set[str]:
    """Return the names of a file's test functions."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {each.name for each in functions if each.name.startswith("test_")}


@pytest.mark.parametrize("row", ROWS, ids=[row.split("|")[1].strip()[:50] for row in ROWS])
def test_every_promise_names_tests_that_are_there(row: str) -> None:
    """A threat, a promise, and at least one test that exists."""
    _, threat, promise, tests, _ = row.split("|")

    named = NAMED.findall(tests)
    assert threat.strip()
    assert promise.strip()
    assert named
    for path, name in named:
        assert promised_in(path)
        assert not name or name in promised_in(path), f"{path} has no {name}"
