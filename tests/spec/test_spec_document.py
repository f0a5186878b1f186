"""Reading a file: whatever its bytes are, it becomes a tree or one clear problem."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from wanrun.spec import load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wanrun.catalog import Catalog
    from wanrun.spec import Loaded

    LoadText = Callable[[str], Loaded]

JOB = "jobs: [{id: a, model: wan2.7-videoedit, media: [{video: c.mp4}]}]\n"


def said_of(loaded: Loaded) -> list[str]:
    return [f"{problem.position.line}:{problem.position.column}: {problem.message}" for problem in loaded.problems]


def said_of_bytes(data: bytes, tmp_path: Path, catalog: Catalog) -> list[str]:
    (tmp_path / "hero.yaml").write_bytes(data)
    return said_of(load([tmp_path / "hero.yaml"], catalog=catalog))


def test_a_missing_file_is_one_problem(tmp_path: Path, catalog: Catalog) -> None:
    """It is named as it was given."""
    assert said_of(load([tmp_path / "no.yaml"], catalog=catalog)) == ["1:1: there is no such file"]


def test_a_pattern_that_the_shell_left_alone_is_named_as_one(tmp_path: Path, catalog: Catalog) -> None:
    """A shell hands on a pattern that matches nothing."""
    assert said_of(load([tmp_path / "*.yaml"], catalog=catalog)) == [
        "1:1: there is no such file; no file matches this pattern"
    ]


def test_a_folder_is_one_problem(tmp_path: Path, catalog: Catalog) -> None:
    """With what to name instead."""
    assert said_of(load([tmp_path], catalog=catalog)) == [
        "1:1: this is a folder; name the spec files in it, such as specs/*.yaml"
    ]


def test_a_circle_of_links_is_one_problem(tmp_path: Path, catalog: Catalog) -> None:
    """Whatever the path leads to, or does not."""
    (tmp_path / "a.yaml").symlink_to("b.yaml")
    (tmp_path / "b.yaml").symlink_to("a.yaml")

    assert len(load([tmp_path / "a.yaml"], catalog=catalog).problems) == 1


def test_bytes_that_are_not_utf_8_are_one_problem(tmp_path: Path, catalog: Catalog) -> None:
    """At the byte that is none."""
    assert said_of_bytes(b"version: 1\nname: caf\xe9\n", tmp_path, catalog) == [
        "2:10: this is not UTF-8 text; save the file as UTF-8"
    ]


def test_a_control_character_is_one_problem(tmp_path: Path, catalog: Catalog) -> None:
    """At its place, by its code."""
    assert said_of_bytes(b"version: 1\nname: a\x07b\n", tmp_path, catalog) == [
        "2:8: the character U+0007 may not stand in a spec; leave it out"
    ]


def test_a_mark_of_byte_order_and_other_line_ends_are_taken(tmp_path: Path, catalog: Catalog) -> None:
    """Editors of other systems write them."""
    data = b"\xef\xbb\xbf" + ("version: 1\n" + JOB).replace("\n", "\r\n").encode()

    assert said_of_bytes(data, tmp_path, catalog) == []


def test_a_huge_file_is_not_read(tmp_path: Path, catalog: Catalog) -> None:
    """One byte more than allowed is enough to say so."""
    assert said_of_bytes(b"#" * (10 * 1024 * 1024 + 1), tmp_path, catalog) == [
        "1:1: the file is larger than 10 MiB; split it into several specs"
    ]


def test_deep_nesting_is_refused(load_text: LoadText) -> None:
    """Before anything is built from it, by us or, much deeper, by YAML's own parser."""
    said = "this is nested more than 32 levels deep"

    assert said_of(load_text("version: 1\nvars: {a: " + "[" * 100 + "]" * 100 + "}")) == [f"2:41: {said}"]
    (problem,) = said_of(load_text("version: 1\nvars: {a: " + "[" * 100_000))
    assert problem.endswith(f": {said}")


def test_a_bomb_of_aliases_is_refused(load_text: LoadText) -> None:
    """Nine lines that would mean a billion values."""
    lines = ["version: 1", "x-a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"x-a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]

    (problem,) = said_of(load_text("\n".join(lines)))

    assert "the file holds more than 500,000 values, aliases written out" in problem


def test_too_many_aliases_are_refused(load_text: LoadText) -> None:
    """However small they are."""
    (problem,) = said_of(load_text("version: 1\nx-a: &a 1\nx-b: [" + "*a, " * 101 + "]\n"))

    assert "this is alias number 101; 100 are allowed" in problem


def test_aliases_cannot_nest_deeper_than_allowed(load_text: LoadText) -> None:
    """The depth that counts is that of the values, not that of the text."""
    lines = ["version: 1", "x-a0: &a0 [x]"] + [f"x-a{n}: &a{n} [*a{n - 1}]" for n in range(1, 40)]

    (problem,) = said_of(load_text("\n".join(lines)))

    assert "nested more than 32 levels deep" in problem


@pytest.mark.parametrize("number", ["1" * 65, "1e400", ".nan", "-.INF"])
def test_numbers_that_json_cannot_hold_are_refused(load_text: LoadText, number: str) -> None:
    """Nothing later could store or compare them."""
    (problem,) = said_of(load_text(f"version: 1\nvars: {{a: {number}}}\n{JOB}"))

    assert problem.startswith("2:11: ")
    assert "number" in problem


def test_a_lone_surrogate_is_refused(load_text: LoadText) -> None:
    """It could not be written to any file or request."""
    assert len(said_of(load_text(f'version: 1\nvars: {{a: "\\ud800"}}\n{JOB}'))) == 1


def test_the_name_of_the_file_must_do_as_a_name(tmp_path: Path, catalog: Catalog) -> None:
    """Unless the spec has a name of its own."""
    path = tmp_path / "my spec.yaml"
    path.write_text("version: 1\n" + JOB, encoding="utf-8")

    assert said_of(load([path], catalog=catalog)) == [
        '1:1: the file\'s name makes the name of the spec "my spec", and a space may not stand in it; '
        'write name: "my-spec"'
    ]

    path.write_text("version: 1\nname: mine\n" + JOB, encoding="utf-8")

    assert load([path], catalog=catalog).jobs[0].address == "mine/a"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('    prompt: "in \\"quotes\\" ${{ vars.no }}"\n', (6, 28)),
        ("    prompt: >\n      folded\n      text ${{ vars.no }}\n", (8, 12)),
        ("    prompt: $${{ and ${{ vars.no }}\n", (6, 22)),
        ("    prompt: ${{ vars.yes }} and\n      ${{ vars.no }}\n", (7, 7)),
    ],
)
def test_a_problem_with_a_template_stands_at_the_template(
    load_text: LoadText, text: str, place: tuple[int, int]
) -> None:
    """However the text around it is written."""
    spec = "version: 1\nvars: {yes: x}\njobs:\n  - id: a\n    media: [{video: c.mp4}]\n" + text
    spec = spec.replace("jobs:", "defaults: {model: wan2.7-videoedit}\njobs:").replace("    media", "    media", 1)

    (problem,) = load_text(spec).problems

    line, column = place
    assert (problem.position.line, problem.position.column) == (line + 1, column)
