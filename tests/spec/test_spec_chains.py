"""Chains in specs: what `{job: ID}` means within a spec, over a matrix and between specs, and what is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from wanrun.chains import in_order, upstreams
from wanrun.spec import Loaded, load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wanrun.catalog import Catalog

    LoadText = Callable[[str], Loaded]

HEAD = "version: 1\ndefaults: {model: wan2.7-videoedit, prompt: Make it night.}\n"


def chains_of(loaded: Loaded) -> dict[str, tuple[str, ...]]:
    """Return what each job chains from; there must be nothing wrong."""
    assert [str(problem) for problem in loaded.problems] == []
    return {job.address: upstreams(job) for job in loaded.jobs}


def words_of(loaded: Loaded) -> list[str]:
    """Return what is wrong, without the file's name."""
    return [
        f"{each.position.path.name}:{each.position.line}:{each.position.column}: {each.message}"
        for each in loaded.problems
    ]


def test_an_id_is_of_the_same_spec_in_short_and_long_form(load_text: LoadText) -> None:
    """Both forms name one job; where it stands in the file does not matter."""
    loaded = load_text(
        HEAD + "jobs:\n"
        "  - {id: short, media: [{video: {job: first}}]}\n"
        "  - {id: long, media: [{video: {job: {id: hero/first}}}]}\n"
        "  - {id: first, media: [{video: a.mp4}]}\n"
    )

    assert chains_of(loaded) == {"hero/short": ("hero/first",), "hero/long": ("hero/first",), "hero/first": ()}


def test_each_combination_chains_from_its_counterpart(load_text: LoadText) -> None:
    """A template in the reference makes a chain over a matrix."""
    style, matrix = "${{ matrix.style }}", "matrix: {style: [clay, anime]}"
    loaded = load_text(
        HEAD + "jobs:\n"
        f'  - {{id: "{style}", {matrix}, media: [{{video: a.mp4}}]}}\n'
        f'  - {{id: "{style}-night", {matrix}, media: [{{video: {{job: "{style}"}}}}]}}\n'
    )

    chains = chains_of(loaded)

    assert chains["hero/clay-night"] == ("hero/clay",)
    assert chains["hero/anime-night"] == ("hero/anime",)


def test_a_job_of_another_spec_of_the_command_is_named_by_its_address(tmp_path: Path, catalog: Catalog) -> None:
    """The order in which specs are named does not matter."""
    (tmp_path / "two.yaml").write_text(HEAD + "name: second\njobs: [{id: b, media: [{video: {job: first/a}}]}]\n")
    (tmp_path / "one.yaml").write_text(HEAD + "name: first\njobs: [{id: a, media: [{video: a.mp4}]}]\n")

    loaded = load([tmp_path / "two.yaml", tmp_path / "one.yaml"], catalog=catalog)

    assert chains_of(loaded) == {"second/b": ("first/a",), "first/a": ()}


def test_a_spec_that_is_not_part_of_the_command_is_asked_for(tmp_path: Path, catalog: Catalog) -> None:
    """Nobody can say what another file holds that was not named."""
    (tmp_path / "two.yaml").write_text(HEAD + "jobs: [{id: b, media: [{video: {job: first/a}}]}]\n")

    loaded = load([tmp_path / "two.yaml"], catalog=catalog)

    assert words_of(loaded) == ['two.yaml:3:38: no spec of this command is called "first"; name its file, too']


def test_what_could_not_be_read_is_not_said_to_be_missing(tmp_path: Path, catalog: Catalog) -> None:
    """One mistake is one problem: a broken spec or job does not make its chains wrong, too."""
    (tmp_path / "one.yaml").write_text("version: 1\n\tjobs: []\n")
    (tmp_path / "two.yaml").write_text(
        HEAD + "jobs:\n"
        "  - {id: a, media: [{video: {job: one/x}}]}\n"
        "  - {id: b, media: [{video: {job: fine-after-all}}]}\n"
        '  - {id: "${{ matrix.n }}-after-all", matrix: {n: []}, media: [{video: a.mp4}]}\n'
        "  - {id: c, media: [{video: {job: broken}}]}\n"
        "  - {id: broken, parameters: {resolution: 72P}, media: [{video: a.mp4}]}\n"
    )

    loaded = load([tmp_path / "one.yaml", tmp_path / "two.yaml"], catalog=catalog)

    assert [word for word in words_of(loaded) if "no job" in word or "no spec" in word] == []
    assert len(loaded.problems) == 3


def test_a_wrong_name_is_said_beside_other_mistakes(load_text: LoadText) -> None:
    """All problems of a job come at once."""
    loaded = load_text(
        HEAD + "jobs:\n"
        "  - {id: first, media: [{video: a.mp4}]}\n"
        "  - {id: b, parameters: {resolution: 72P}, media: [{video: {job: frist}}]}\n"
    )

    assert [word.partition(";")[0] for word in words_of(loaded)] == [
        'hero.yaml:5:38: parameters.resolution is "72P"',
        'hero.yaml:5:66: there is no job "frist" in this spec',
    ]


CIRCLES = {
    "of one": ("  - {id: a, media: [{video: {job: a}}]}\n", "4:35", "a -> a", ""),
    "over a matrix": (
        '  - {id: "${{ matrix.n }}-a", matrix: {n: [1, 2, 3]}, media: [{video: {job: "${{ matrix.n }}-b"}}]}\n'
        '  - {id: "${{ matrix.n }}-b", matrix: {n: [1, 2, 3]}, media: [{video: {job: "${{ matrix.n }}-a"}}]}\n',
        "4:77",
        "1-a -> 1-b -> 1-a",
        " (matrix: n=1; and 2 more)",
    ),
    "with a tail": (
        "  - {id: tail, media: [{video: {job: c}}]}\n"
        "  - {id: b, media: [{video: {job: c}}]}\n"
        "  - {id: c, media: [{video: {job: b}}]}\n"
        "  - {id: d, media: [{video: {job: b}}]}\n",
        "5:35",
        "b -> c -> b",
        "",
    ),
}


@pytest.mark.parametrize(("jobs", "at", "way", "case"), CIRCLES.values(), ids=list(CIRCLES))
def test_a_circle_is_told_once_by_its_way(load_text: LoadText, jobs: str, at: str, way: str, case: str) -> None:
    """It starts at the job that comes first in the file, and what merely leads into it is fine."""
    loaded = load_text(HEAD + "jobs:\n" + jobs)

    said = f"this chain leads back to itself: {way}; take one of its references out{case}"
    assert words_of(loaded) == [f"hero.yaml:{at}: {said}"]


def test_a_circle_between_specs_names_both(tmp_path: Path, catalog: Catalog) -> None:
    """Ids alone would not say where to look."""
    (tmp_path / "one.yaml").write_text(HEAD + "jobs: [{id: a, media: [{video: {job: two/b}}]}]\n")
    (tmp_path / "two.yaml").write_text(HEAD + "jobs: [{id: b, media: [{video: {job: one/a}}]}]\n")

    loaded = load([tmp_path / "one.yaml", tmp_path / "two.yaml"], catalog=catalog)

    (word,) = words_of(loaded)
    assert word.startswith("one.yaml:3:38: this chain leads back to itself: one/a -> two/b -> one/a;")


def test_two_circles_are_two_problems(load_text: LoadText) -> None:
    """Each is told where it is."""
    loaded = load_text(
        HEAD + "jobs:\n"
        "  - {id: a, media: [{video: {job: b}}]}\n"
        "  - {id: b, media: [{video: {job: a}}]}\n"
        "  - {id: c, media: [{video: {job: d}}]}\n"
        "  - {id: d, media: [{video: {job: c}}]}\n"
    )

    assert [word.partition("; ")[0].rpartition(": ")[2] for word in words_of(loaded)] == ["a -> b -> a", "c -> d -> c"]


def test_jobs_come_behind_what_they_chain_from_and_else_as_written(load_text: LoadText) -> None:
    """What is counted and priced in order is counted and priced the same each time; long chains need no stack."""
    links = "".join(f"  - {{id: c{n}, media: [{{video: {{job: c{n + 1}}}}}]}}\n" for n in range(1500))
    loaded = load_text(
        HEAD + f"jobs:\n  - {{id: x, media: [{{video: a.mp4}}]}}\n{links}  - {{id: c1500, media: [{{video: a.mp4}}]}}\n"
        "  - {id: y, media: [{video: {job: x}}]}\n"
    )
    assert chains_of(loaded)

    ordered = [job.id for job in in_order(loaded.jobs)]

    assert ordered == ["x", *(f"c{n}" for n in range(1500, -1, -1)), "y"]
