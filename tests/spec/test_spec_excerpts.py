"""Where what is wrong ends: found in the file again, and null where that takes more than a look."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from wanrun.spec import load
from wanrun.spec.excerpts import Excerpts
from wanrun.types import Position, Problem

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wanrun.catalog import Catalog
    from wanrun.spec import Loaded

    LoadText = Callable[[str], Loaded]

HEAD = "version: 1\ndefaults: {model: wan2.7-videoedit}\n"
MEDIA = "media: [{video: a.mp4}]"


def cited(loaded: Loaded) -> list[str | None]:
    """Return what the problems are about, as the file has it; None where its end is not known."""
    excerpts = Excerpts(loaded.problems)
    found: list[str | None] = []
    for problem in loaded.problems:
        line, end = excerpts.line(problem), excerpts.end(problem)
        same = end is not None and end.line == problem.position.line
        found.append(line[problem.position.column - 1 : end.column - 1] if end and same else None)
    return found


@pytest.mark.parametrize(
    ("job", "about"),
    [
        (f"{{id: a b, {MEDIA}}}", "a b"),
        (f'{{id: "a b", {MEDIA}}}', '"a b"'),
        (f"{{id: a, promt: x, {MEDIA}}}", "promt"),
        (f"{{id: a, prompt: 5 , {MEDIA}}}", "5"),
        (f"{{id: a, prompt: 'it''s ${{{{ vars.b }}}}', {MEDIA}}}", "${{ vars.b }}"),
        (f'{{id: a, prompt: "é ${{{{ vars.b", {MEDIA}}}', None),
        (f"{{prompt: x, {MEDIA}}}", None),
        (f"{{id: a, parameters: {{duration: !x five}}, {MEDIA}}}", "!x"),
        ("{id: a, media: []}", None),
        ("{id: a, media: [a.mp4]}", "a.mp4"),
    ],
)
def test_an_end_is_that_of_a_value_a_key_or_a_template(load_text: LoadText, job: str, about: str | None) -> None:
    """Of a whole list or mapping only the start is known."""
    assert cited(load_text(f"{HEAD}jobs:\n  - {job}\n"))[0] == about


def test_a_first_key_is_told_from_the_mapping_that_it_starts(load_text: LoadText) -> None:
    """Both stand at one place."""
    loaded = load_text(f"{HEAD}jobs:\n  - promt: x\n    {MEDIA}\n")

    assert [(each.rule, about) for each, about in zip(loaded.problems, cited(loaded), strict=True)] == [
        ("missing-key", None),
        ("unknown-key", "promt"),
    ]


def test_a_text_of_several_lines_ends_on_another(load_text: LoadText) -> None:
    """Folded text that is too long, for one."""
    loaded = load_text(f"{HEAD}jobs:\n  - id: a\n    {MEDIA}\n    prompt: >\n      {'x' * 6000}\n    sinks: []\n")

    (problem,) = (each for each in loaded.problems if each.rule == "text-length")
    end = Excerpts([problem]).end(problem)

    assert (problem.position.line, end and end.line) == (6, 8)


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_what_stands_above_a_fault_of_yaml_is_known(load_text: LoadText, number: int) -> None:
    """And the fault's own place is a bare one."""
    loaded = load_text(HEAD + "jobs: " + "[" * number + "\n")

    (problem,) = loaded.problems

    assert Excerpts(loaded.problems).end(problem) is None


def test_a_file_that_is_gone_or_no_file_says_nothing(tmp_path: Path, catalog: Catalog) -> None:
    """It may have been removed since; and from a pipe, everything was read."""
    os.mkfifo(tmp_path / "pipe")
    problems = [Problem(Position(tmp_path / name, 1, 1), "x") for name in ("gone.yaml", "pipe")]
    excerpts = Excerpts([*problems, *load([tmp_path], catalog=catalog).problems])

    assert [excerpts.line(each) for each in problems] == ["", ""]
    assert [excerpts.end(each) for each in problems] == [None, None]


def test_of_a_table_nothing_is_said(load_text: LoadText, tmp_path: Path) -> None:
    """A spec can call any file a table, itself too."""
    loaded = load_text(f"{HEAD}jobs:\n  - {{id: a b, {MEDIA}}}\n  - {{id: r, table: {{csv: hero.yaml}}, {MEDIA}}}\n")
    excerpts = Excerpts(loaded.problems)

    said = [(each.rule, excerpts.line(each)[:9], excerpts.end(each) is None) for each in loaded.problems]

    assert loaded.problems[0].position.path == tmp_path / "hero.yaml"
    assert ("row-ragged", "", True) in said
    assert ("id-unfit", "  - {id: ", False) in said
