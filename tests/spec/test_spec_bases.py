"""`extends`: what a spec gets from the files below it, and where everything in them starts and is reported."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from wanrun.spec import load

if TYPE_CHECKING:
    from collections.abc import Callable

    from wanrun.catalog import Catalog
    from wanrun.spec import Loaded
    from wanrun.types import Job

JOBS = "jobs:\n  - id: a\n    media: [{video: c.mp4}]\n"


@pytest.fixture
def load_files(tmp_path: Path, catalog: Catalog) -> Callable[..., Loaded]:
    """A function that writes files and loads those that are named; without names, `hero.yaml`."""

    def load_them(files: dict[str, str], *names: str) -> Loaded:
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(f"version: 1\n{text}", encoding="utf-8")
        return load([tmp_path / name for name in names or ("hero.yaml",)], catalog=catalog)

    return load_them


def only_job(loaded: Loaded) -> Job:
    assert [str(problem) for problem in loaded.problems] == []
    (job,) = loaded.jobs
    return job


def test_defaults_of_a_base_lie_below_the_specs_own(load_files: Callable[..., Loaded]) -> None:
    """Base, then what holds for the whole spec, then its defaults, then the job: mappings merge, lists are replaced."""
    base = "defaults:\n  model: wan2.7-videoedit\n  prompt: base\n  tags: [base]\n"
    base += "  retries: {service_fault: 1}\n  parameters: {seed: 1, watermark: true, duration: 2}\n"
    hero = "extends: base.yaml\nretries: {service_fault: 5}\n"
    hero += "defaults: {tags: [hero], parameters: {seed: 2, duration: 3}}\n"

    job = only_job(load_files({"base.yaml": base, "hero.yaml": hero + JOBS + "    parameters: {duration: 4}\n"}))

    assert (job.prompt, job.tags, job.retries.service_fault) == ("base", ("hero",), 5)
    assert dict(job.parameters) == {"seed": 2, "watermark": True, "duration": 4}


def test_a_base_extends_another(load_files: Callable[..., Loaded]) -> None:
    """The nearest one goes before."""
    files = {
        "far.yaml": "defaults: {model: wan2.7-videoedit, prompt: far, negative_prompt: far}\n",
        "near.yaml": "extends: far.yaml\ndefaults: {prompt: near}\n",
        "hero.yaml": "extends: near.yaml\n" + JOBS,
    }

    job = only_job(load_files(files))

    assert (job.prompt, job.negative_prompt) == ("near", "far")


def test_a_spec_gives_the_vars_of_a_base_other_values(load_files: Callable[..., Loaded]) -> None:
    """What the base makes of them follows; vars of the spec itself can refer to those of the base."""
    base = 'vars: {season: spring, title: "${{ vars.season }} of ${{ spec.name }}"}\n'
    base += "defaults: {model: wan2.7-videoedit, prompt: '${{ vars.title }}, ${{ vars.mine }}'}\n"
    hero = "extends: base.yaml\nvars: {season: autumn, mine: 'calm ${{ vars.title }}'}\n"

    job = only_job(load_files({"base.yaml": base, "hero.yaml": hero + JOBS}))

    assert job.prompt == "autumn of hero, calm autumn of hero"


def test_a_sink_of_the_spec_takes_the_place_of_the_bases(load_files: Callable[..., Loaded]) -> None:
    """Whole, whatever its kind, and where the base has it."""
    base = "defaults: {model: wan2.7-videoedit}\nsinks: {disk: {folder: {path: a, name: x.mp4}}, copy: {folder: b}}\n"
    hero = "extends: base.yaml\nsinks: {disk: {folder: c}}\n"

    job = only_job(load_files({"base.yaml": base, "hero.yaml": hero + JOBS}))

    assert [(sink.name, dict(sink.options)) for sink in job.sinks] == [("disk", {"path": "c"}), ("copy", {"path": "b"})]


def test_paths_start_at_the_folder_of_the_file_they_are_written_in(
    load_files: Callable[..., Loaded], tmp_path: Path
) -> None:
    """Media and sinks of a base at the base; what a template in the spec makes at the spec, wherever its vars are."""
    base = "vars: {clip: c.mp4}\nsinks: {disk: {folder: {path: out, name: '${{ job.id }}.mp4'}}}\n"
    base += "defaults: {model: wan2.7-videoedit, media: [{video: base.mp4}]}\n"
    hero = "extends: ../common/base.yaml\nsinks: {copy: {folder: results}}\n"
    hero += "jobs:\n  - id: a\n  - {id: b, media: [{video: '${{ vars.clip }}'}]}\n"

    loaded = load_files({"common/base.yaml": base, "specs/hero.yaml": hero}, "specs/hero.yaml")

    assert [str(problem) for problem in loaded.problems] == []
    first, second = loaded.jobs
    assert [ref.folder.name for ref in first.media] == ["common"]
    assert [ref.folder.name for ref in second.media] == ["specs"]
    assert [(sink.name, sink.folder.name) for sink in first.sinks] == [("disk", "common"), ("copy", "specs")]
    at = first.media[0].position
    assert (at.path, at.line) == (tmp_path / "common" / "base.yaml", 4)


def test_a_base_is_named_as_the_spec_was(
    load_files: Callable[..., Loaded], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, catalog: Catalog
) -> None:
    """And what is wrong in it is said once, after the specs, at its own line and column."""
    base = "defaults:\n  model: wan2.7-videoedit\n  prompt: a ${{ vars.no }}\n"
    files = {f"specs/{name}.yaml": "extends: ../common/base.yaml\n" + JOBS for name in ("one", "two")}
    load_files({"common/base.yaml": base, **files}, "specs/one.yaml")
    monkeypatch.chdir(tmp_path)

    problems = load([Path("specs/one.yaml"), Path("specs/two.yaml")], catalog=catalog).problems

    assert [str(problem) for problem in problems if "base" in str(problem)] == [
        'common/base.yaml:4:13: vars.no is not defined (spec "one"; and 1 more)'
    ]


def test_a_base_that_is_named_with_the_specs_is_no_spec(load_files: Callable[..., Loaded]) -> None:
    """So that a pattern such as specs/*.yaml may take it along."""
    base = "defaults: {model: wan2.7-videoedit}\n"

    loaded = load_files({"base.yaml": base, "hero.yaml": "extends: base.yaml\n" + JOBS}, "base.yaml", "hero.yaml")

    assert [spec.name for spec in loaded.specs] == ["hero"]
    assert (loaded.problems, loaded.bases) == ((), ())


@pytest.mark.parametrize("base", [None, "defaults: {model: 'x\n", "- no base"])
def test_without_its_base_a_spec_is_not_looked_at_any_further(
    load_files: Callable[..., Loaded], base: str | None
) -> None:
    """Its vars, sinks and models would all seem to be missing, at every job; its form is checked."""
    hero = "extends: base.yaml\njobs:\n  - {id: a, promt: '${{ vars.x }}', sinks: [disk], media: [{video: a.mp4}]}\n"
    other = "defaults: {model: wan2.7-videoedit, prompt: x}\n"
    other += "jobs:\n  - {id: b, media: [{video: {job: hero/a}}]}\n"
    files = {"hero.yaml": hero, "other.yaml": other} | ({"base.yaml": base} if base else {})

    first, second = load_files(files, "hero.yaml", "other.yaml").problems

    assert {first.position.path.name, second.position.path.name} <= {"hero.yaml", "base.yaml"}
    assert 'unknown key "promt"' in f"{first} {second}"


class TestAlone:
    """A base that is named without a spec that extends it, as pre-commit names the files that were changed."""

    def test_it_is_checked_as_a_base(self, load_files: Callable[..., Loaded], tmp_path: Path) -> None:
        """Without a word about jobs, and with every name that only its specs have."""
        base = "defaults: {model: wan2.7-videoedit, prompt: 'Make it ${{ vars.season }}.', media: [{video: c.mp4}]}\n"
        base += "sinks: {disk: {folder: {path: out, name: '${{ matrix.look }}-${{ vars.season.slug }}.mp4'}}}\n"

        loaded = load_files({"base.yaml": base}, "base.yaml")

        assert [str(problem) for problem in loaded.problems] == []
        assert (loaded.specs, loaded.bases) == ((), (tmp_path / "base.yaml",))

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("defaults: {promt: x}\n", '2:12: unknown key "promt"; did you mean "prompt"?'),
            ("default: {prompt: x}\n", '2:1: unknown key "default"; did you mean "defaults"?'),
            ("vars: {a: '${{ vars.b }}'}\n", "2:12: vars.b is not defined; known: vars.a"),
            ("defaults: {prompt: '${{ var.a }}'}\n", '2:21: var is not defined; did you mean "vars"?'),
            ("defaults: {prompt: '${{ vars.a'}\n",
             '2:21: "${{" without "}}"; to write these characters themselves: $${{'),
            ("sinks: {disk: {folder: {pth: out}}}\n", '2:25: unknown key "pth"; did you mean "path"?'),
            ("sinks: {disk: {floder: out}}\n",
             '2:16: no plugin offers the sink "floder"; did you mean "folder"? installed: '),
            ("defaults: {media: [{video: {fiel: a.mp4}}]}\n", '2:29: no plugin offers the source "fiel"'),
            ("extends: no.yaml\n", "2:10: no.yaml: no such file"),
        ],
    )  # fmt: skip
    def test_what_is_wrong_with_it_is_said_at_its_place(
        self, load_files: Callable[..., Loaded], text: str, said: str
    ) -> None:
        """As far as it is wrong whatever a spec makes of it."""
        problems = load_files({"base.yaml": text}, "base.yaml").problems

        assert len(problems) == 1
        assert f"base.yaml:{said}" in str(problems[0])

    @pytest.mark.parametrize("text", ["", "name: hero\n", "job: []\n", "defaults: {}\nbudget: {max_cost: 1 CNY}\n"])
    def test_a_spec_that_has_lost_its_jobs_is_a_spec(self, load_files: Callable[..., Loaded], text: str) -> None:
        """What has something that only specs have, or has nothing to share, is no base."""
        loaded = load_files({"hero.yaml": text})

        assert '"jobs"' in str(loaded.problems[0])
        assert loaded.bases == ()

    def test_bases_of_bases_are_checked_once(self, load_files: Callable[..., Loaded], tmp_path: Path) -> None:
        """In whatever order they are named; what stands highest is what was checked alone."""
        files = {"far.yaml": "defaults: {promt: x}\n", "near.yaml": "extends: far.yaml\nvars: {a: b}\n"}

        for names in (("far.yaml", "near.yaml"), ("near.yaml", "far.yaml")):
            loaded = load_files(files, *names)

            assert [problem.position.path.name for problem in loaded.problems] == ["far.yaml"]
            assert loaded.bases == (tmp_path / "near.yaml",)


@pytest.mark.parametrize("extends", ["nope.yaml", "hero.yaml", "broken.yaml", "[base.yaml]", '""', "null"])
def test_of_a_base_that_cannot_be_read_nothing_else_is_said(load_files: Callable[..., Loaded], extends: str) -> None:
    """What the jobs lack may be in it: their model, a var, a sink, a job that another spec chains from."""
    job = 'jobs:\n  - {id: a, prompt: "${{ vars.x }}", sinks: [disk], media: [{video: clip.mp4}]}\n'
    files = {
        "broken.yaml": "vars: {x: 1\n",
        "hero.yaml": f"extends: {extends}\n{job}",
        "next.yaml": JOBS.replace("c.mp4", "{job: hero/b}").replace("- id: a", "- model: wan2.7-videoedit\n    id: n"),
    }

    (problem,) = load_files(files, "hero.yaml", "next.yaml").problems

    assert problem.position.path.name == ("broken.yaml" if extends == "broken.yaml" else "hero.yaml")


def test_a_spec_with_jobs_is_no_base(load_files: Callable[..., Loaded]) -> None:
    """What it would be worth to others is not for them to guess."""
    files = {"base.yaml": JOBS, "hero.yaml": "extends: base.yaml\ndefaults: {model: wan2.7-videoedit}\n" + JOBS}

    (problem,) = load_files(files).problems

    assert problem.position.line == 2
    assert problem.message == 'unknown key "jobs"; allowed: version, extends, vars, defaults, sinks'


def test_an_anchor_that_is_used_twice_keeps_its_place(load_files: Callable[..., Loaded]) -> None:
    """A value with two places in the tree is moved into the base's lines once."""
    base = "x-look: &look {seed: -1}\ndefaults: {model: wan2.7-videoedit, parameters: *look, x-other: *look}\n"

    (problem,) = load_files({"base.yaml": base, "hero.yaml": "extends: base.yaml\n" + JOBS}).problems

    assert (problem.position.path.name, problem.position.line, problem.position.column) == ("base.yaml", 2, 22)


def test_ten_specs_share_a_base_however_they_name_it(load_files: Callable[..., Loaded]) -> None:
    """It is one file, and what is wrong with it is one problem."""
    files = {"base.yaml": "defaults: {model: wan2.7-videoedit, prompt: 5}\n"}
    for number in range(10):
        extends = f"extends: {'./' * number}base.yaml\n"
        files[f"s{number}.yaml"] = extends + JOBS.replace("id: a", f"id: j{number}")

    (problem,) = load_files(files, *(name for name in files if name != "base.yaml")).problems

    assert problem.position.path.name == "base.yaml"
