"""Which combinations a matrix has, once `exclude` and `include` have been read: as GitHub Actions reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from wanrun.spec import Loaded

    LoadText = Callable[[str], Loaded]

AXES = "style: [clay, anime]\n      seconds: [5, 10]\n"


def made_by(load_text: LoadText, matrix: str, *, prompt: str = "p") -> list[str]:
    """Return the jobs of a matrix, each as its id and prompt."""
    loaded = load_text(
        "version: 1\ndefaults: {model: wan2.7-videoedit}\njobs:\n"
        f'  - id: "${{{{ matrix.style }}}}-${{{{ matrix.seconds }}}}"\n    matrix:\n      {matrix}'
        f"    prompt: {prompt}\n    media: [{{video: c.mp4}}]\n"
    )
    assert [str(problem) for problem in loaded.problems] == []
    return [f"{job.id} {job.prompt}" for job in loaded.jobs]


def test_an_exclude_takes_every_combination_with_all_of_its_values(load_text: LoadText) -> None:
    """Whatever the axes say that it leaves out."""
    made = made_by(load_text, f"{AXES}      exclude: [{{style: clay, seconds: 10}}, {{seconds: 5}}]\n")

    assert made == ["anime-10 p"]


def test_an_include_gives_its_other_keys_to_the_combinations_it_agrees_with(load_text: LoadText) -> None:
    """One without an axis gives to all of them; what comes later replaces what was added before."""
    include = "[{words: anything}, {style: clay, words: soft}, {style: clay, seconds: 10, words: hard}]"

    made = made_by(load_text, f"{AXES}      include: {include}\n", prompt="${{ matrix.words }}")

    assert made == ["clay-5 soft", "clay-10 hard", "anime-5 anything", "anime-10 anything"]


def test_an_include_that_agrees_with_none_is_a_combination_of_its_own(load_text: LoadText) -> None:
    """At the end, in the order written; later ones do not add to it."""
    include = "[{words: x}, {style: ink, seconds: 5, words: y}, {style: ink, seconds: 7, words: z}]"

    made = made_by(
        load_text, f"style: [clay]\n      seconds: [5]\n      include: {include}\n", prompt="${{ matrix.words }}"
    )

    assert made == ["clay-5 x", "ink-5 y", "ink-7 z"]


def test_an_include_can_bring_back_what_an_exclude_took(load_text: LoadText) -> None:
    """Excludes are read first, wherever they are written."""
    made = made_by(load_text, f"include: [{{style: clay, seconds: 5}}]\n      {AXES}      exclude: [{{style: clay}}]\n")

    assert made == ["anime-5 p", "anime-10 p", "clay-5 p"]


def test_a_matrix_can_consist_of_includes(load_text: LoadText) -> None:
    """Each is a combination, and vars can stand in them."""
    made = made_by(load_text, "include: [{style: clay, seconds: 5}, {style: ink, seconds: 9}]\n")

    assert made == ["clay-5 p", "ink-9 p"]


def test_of_a_mapping_the_keys_that_are_named_are_compared(load_text: LoadText) -> None:
    """So that an item does not repeat a long value."""
    loaded = load_text(
        'version: 1\ndefaults: {model: wan2.7-videoedit}\nvars: {out: ink}\njobs:\n  - id: "${{ matrix.style.name }}"\n'
        "    matrix:\n      style: [{name: clay, words: soft}, {name: ink, words: thin}]\n"
        '      exclude: [{style: {name: "${{ vars.out }}"}}]\n'
        "    prompt: ${{ matrix.style.words }}\n    media: [{video: c.mp4}]\n"
    )

    assert [str(problem) for problem in loaded.problems] == []
    assert [(job.id, job.prompt, job.case) for job in loaded.jobs] == [("clay", "soft", "matrix: style={clay, ...}")]


@pytest.mark.parametrize(
    ("axes", "items", "said"),
    [
        (1001, 0, "this matrix makes 100,100 jobs; at most 100,000 are allowed"),
        (900, 200, "200 items of include and exclude are too many for a matrix of 90,000 jobs; use a table"),
    ],
)
def test_a_small_file_cannot_keep_us_busy(load_text: LoadText, axes: int, items: int, said: str) -> None:
    """What would be compared is bounded too, not only what is made."""
    exclude = f"      exclude: [{', '.join(f'{{a: {number}}}' for number in range(items))}]\n" if items else ""
    matrix = f"    matrix:\n      a: {list(range(axes))}\n      b: {list(range(100))}\n{exclude}"

    loaded = load_text(
        'version: 1\ndefaults: {model: wan2.7-videoedit}\njobs:\n  - id: "${{ matrix.a }}-${{ matrix.b }}"\n'
        f"{matrix}    media: [{{video: c.mp4}}]\n"
    )

    assert [problem.message for problem in loaded.problems] == [said]
