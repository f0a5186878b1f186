"""`docs/api.md` says what is: its example prints what the page prints, and no call, argument or field is missing."""

from __future__ import annotations

import dataclasses
import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from wanrun import State, api, errors

if TYPE_CHECKING:
    from collections.abc import Callable

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE = (DOCS / "api.md").read_text(encoding="utf-8")
EXAMPLE = DOCS / "api_example.py"


def block(language: str, number: int = 0) -> str:
    """Return a block of code of the page."""
    found = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    return str(found[number])


def test_the_example_is_on_the_page() -> None:
    """A reader copies what is tested."""
    assert block("python") == EXAMPLE.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_example_prints_what_the_page_says(tmp_path: Path) -> None:
    """A first run pays, at the emulator, and a second one does not."""
    (tmp_path / "edits.yaml").write_text(block("yaml"), encoding="utf-8")

    def run() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(EXAMPLE), "edits.yaml"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)

    first, second = run(), run()

    assert (first.returncode, first.stderr, first.stdout) == (0, "", block("text", 0))
    assert (second.returncode, second.stderr, second.stdout) == (0, "", block("text", 1))


@pytest.mark.slow
def test_the_example_says_what_is_wrong(tmp_path: Path) -> None:
    """In one line, with the exit code of the command line."""
    (tmp_path / "edits.yaml").write_text(block("yaml").replace("clay,", "clay, promt: x,"), encoding="utf-8")
    command = [sys.executable, str(EXAMPLE), "edits.yaml"]

    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)

    assert (said.returncode, said.stdout) == (2, "")
    assert said.stderr.startswith('edits.yaml:6:16: unknown key "promt"; did you mean "prompt"?')
    assert "Traceback" not in said.stderr


CALLS = [name for name in api.__all__ if inspect.isfunction(getattr(api, name))]


@pytest.mark.parametrize("name", CALLS)
def test_every_call_is_on_the_page_and_says_what_it_does(name: str) -> None:
    """By its name, with a docstring for the rest."""
    assert re.search(rf"`{name}[`(]", PAGE)
    assert getattr(api, name).__doc__


@pytest.mark.parametrize("field", [each.name for each in dataclasses.fields(api.Setup)])
def test_every_field_of_a_setup_is_on_the_page(field: str) -> None:
    """What the command line can say, a program can."""
    assert f"| `{field}` |" in PAGE


@pytest.mark.parametrize("call", [api.run, api.run_async, api.forecast, api.plan])
def test_every_argument_of_the_main_calls_is_on_the_page(call: Callable[..., object]) -> None:
    """Those that are for tests are called so."""
    names = set(inspect.signature(call).parameters) - {"paths", "setup"}

    assert {name for name in names if f"`{name}" not in PAGE} == set()


@pytest.mark.parametrize("kind", [api.Outcome, api.JobOutcome, api.Selection], ids=lambda kind: kind.__name__)
def test_every_fact_of_an_outcome_is_on_the_page(kind: type) -> None:
    """Also what a selection may choose by."""
    assert {each.name for each in dataclasses.fields(kind) if not re.search(rf"\b{each.name}\b", PAGE)} == set()


def test_states_and_errors_on_the_page_are_those_that_there_are() -> None:
    """Whoever decides by one of them can look it up."""
    named = re.findall(r"`(\w+)`", PAGE.partition("| error of `wanrun.errors` |")[2].partition("\n\n")[0])

    assert {state.value for state in State if f"`{state.value}`" not in PAGE} == set()
    assert named
    assert all(hasattr(errors, name) for name in named if name[0].isupper())
