"""`wanrun init`: what it writes is valid and runs as it is, says what to do about the rest, and replaces nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import yaml
from cli_parts import FAST

from media_files import make_video, png

if TYPE_CHECKING:
    from pathlib import Path

    from cli_parts import Project

pytestmark = pytest.mark.slow


def clips(folder: Path, *names: str) -> None:
    """Make clips that fit."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        make_video(folder / name, seconds=2)


def jobs_of(project: Project, spec: str) -> list[str]:
    """Return the jobs that a spec plans, by their ids."""
    said = project.wanrun("plan", spec, "--format", "json")
    assert said.exit_code == 0, said
    return [job["job"].partition("/")[2] for job in said.json["jobs"]]


def uncommented(text: str) -> str:
    """Return a spec with the jobs in its comments taken among the others, as it says there."""
    head, _, tail = text.partition("  # Not among them.")
    return head + re.sub(r"^  # (- id:|  )", r"  \1", "  # " + tail, flags=re.MULTILINE)


@pytest.mark.parametrize("name", [(), ("specs/spring.yaml",)])
def test_a_first_spec_is_valid_and_runs(project: Project, name: tuple[str, ...]) -> None:
    """With comments, and under the name that was asked for."""
    said = project.wanrun("init", *name)

    spec = name[0] if name else "edits.yaml"
    assert said.exit_code == 0, said
    assert said.stdout.startswith(f"{spec}: 3 jobs\n")
    assert (project.folder / spec).read_text().count("#") > 10
    assert project.wanrun("validate", spec).stdout == "3 jobs in 1 spec; no problems\n"
    assert project.wanrun(spec, *FAST).exit_code == 0


def test_settings_are_written_where_there_are_none(project: Project) -> None:
    """And are read as they are; those that are there are left alone."""
    kept = project.wanrun("init")
    before = (project.folder / "wanrun.toml").read_text()
    (project.folder / "wanrun.toml").unlink()
    (project.folder / "edits.yaml").unlink()
    written = project.wanrun("init", "--format", "json")

    assert "wanrun.toml" not in kept.stdout
    assert written.json["settings"] == str(project.folder / "wanrun.toml")
    assert (project.folder / "wanrun.toml").read_text() != before
    assert project.wanrun("validate", "edits.yaml").exit_code == 0


@pytest.mark.parametrize("options", [(), ("--from", "clips")], ids=["plain", "clips"])
def test_nothing_is_written_over(project: Project, options: tuple[str, ...]) -> None:
    """Neither a file nor what a link that leads nowhere would make."""
    clips(project.folder / "clips", "a.mp4")
    project.write("edits.yaml", "mine")
    (project.folder / "link.yaml").symlink_to("elsewhere.yaml")

    said = project.wanrun("init", *options)
    linked = project.wanrun("init", "link.yaml", *options)

    assert (said.exit_code, said.stdout) == (2, "")
    words = "is there already; give the new spec another name: wanrun init NAME.yaml\n"
    assert said.stderr == f"edits.yaml {words}"
    assert (linked.exit_code, linked.stderr) == (2, f"link.yaml {words}")
    assert (project.folder / "edits.yaml").read_text() == "mine"
    assert not (project.folder / "elsewhere.yaml").exists()


def test_a_folder_of_clips_becomes_one_matrix(project: Project) -> None:
    """As a glob where one finds just these."""
    clips(project.folder / "clips", "b.mp4", "a shot.mp4", "нож.mp4")
    (project.folder / "clips" / "coat.png").write_bytes(png())
    (project.folder / "clips" / "notes.txt").write_text("none")

    said = project.wanrun("init", "--from", "clips")

    text = (project.folder / "edits.yaml").read_text()
    assert (said.exit_code, said.stderr) == (0, "")
    assert '      clip: {glob: "clips/*.mp4"}\n' in text
    assert "Not among them" not in text
    assert jobs_of(project, "edits.yaml") == ["clay-a-shot", "clay-b", "clay-нож"]


def test_paths_start_at_the_specs_folder(project: Project) -> None:
    """Wherever the spec is, and from wherever it is written."""
    clips(project.folder / "media" / "new", "a.mp4", "b.mov")

    project.wanrun("init", "specs/spring.yaml", "--from", "media/new")

    text = (project.folder / "specs" / "spring.yaml").read_text()
    assert "      clip:\n        - ../media/new/a.mp4\n        - ../media/new/b.mov\n" in text
    assert jobs_of(project, "specs/spring.yaml") == ["clay-a", "clay-b"]


def test_clips_that_do_not_fit_are_listed_with_what_to_do(project: Project) -> None:
    """Their jobs stand in comments, and are valid and run once the signs are taken away."""
    clips(project.folder / "clips", "good.mp4")
    make_video(project.folder / "clips" / "long one.mov", seconds=12, size=(320, 160))
    make_video(project.folder / "clips" / "wide.mp4", seconds=3, size=(2600, 240))
    make_video(project.folder / "clips" / "short.mp4", seconds=1)
    (project.folder / "clips" / "torn.mp4").write_bytes((project.folder / "clips" / "good.mp4").read_bytes()[:500])

    said = project.wanrun("init", "--from", "clips")
    text = (project.folder / "edits.yaml").read_text()
    before = jobs_of(project, "edits.yaml")
    project.write("edits.yaml", uncommented(text))

    assert said.exit_code == 0
    assert said.stderr.count("not among them: ") == 4
    assert before == ["clay-good"]
    assert (
        "  # clips/long one.mov is 320 x 160 pixels, is 12.0 s long; with trim: 0-10, fit: true it is cut to 0-10 s, "
        "scaled to 480 x 240\n"
    ) in text
    assert "  # clips/short.mp4 is 1.0 s long; wan2.7-videoedit takes 2 to 10 s\n" in text
    assert re.search(r"^  # clips/torn.mp4 cannot be used: ", text, re.MULTILINE)
    assert jobs_of(project, "edits.yaml") == ["clay-good", "long-one", "wide"]
    assert project.wanrun("edits.yaml", *FAST).exit_code == 0


def test_where_no_clip_fits_each_is_made_to(project: Project) -> None:
    """The jobs are those that can be mended."""
    (project.folder / "clips").mkdir()
    for name in ("a.mp4", "b.mp4"):
        make_video(project.folder / "clips" / name, seconds=12)

    project.wanrun("init", "--from", "clips")

    assert (
        '      - video: {file: {path: "${{ matrix.clip }}", fit: true}}\n'
        in (project.folder / "edits.yaml").read_text()
    )
    assert jobs_of(project, "edits.yaml") == ["clay-a", "clay-b"]
    assert project.wanrun("edits.yaml", *FAST).exit_code == 0


ODD = ["a [1].mp4", "a #1.mp4", "a: b.mp4", "${{ vars.x }}.mp4", "it's.mp4", '"q".mp4', "true.mp4", "- x.mp4"]
ODD.append("e\u0301.mp4")  # a letter of two characters


def test_odd_names_are_only_names(project: Project) -> None:
    """Nothing in a file's name means anything to YAML, to a glob or to a template."""
    clips(project.folder / "my [new] clips", *ODD)

    said = project.wanrun("init", "--from", "my [new] clips")

    assert said.exit_code == 0, said
    text = (project.folder / "edits.yaml").read_text()
    axis = yaml.safe_load(text)["jobs"][0]["matrix"]["clip"]
    found = {path.replace("$${{", "${{").removeprefix("my [new] clips/") for path in axis}
    assert found == set(ODD) - {"a #1.mp4"} or found == set(ODD) - {"a [1].mp4"}
    assert "# my [new] clips/a " in text
    assert len(jobs_of(project, "edits.yaml")) == len(ODD) - 1


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--from", "nowhere"), "nowhere: No such file or directory; give a folder of clips"),
        (("--from", "empty"), "empty holds no clip that wan2.7-videoedit takes, or that can be made to fit"),
        (("edits.txt",), "edits.txt: give the spec a name that ends with .yaml"),
        (
            ("my spec.yaml",),
            "my spec.yaml: a spec is called like its file, and a space may not stand in it; write my-spec.yaml\n",
        ),
    ],
)
def test_what_cannot_be_begun_is_said(project: Project, args: tuple[str, ...], message: str) -> None:
    """And nothing is written."""
    (project.folder / "empty").mkdir()

    said = project.wanrun("init", *args)

    assert (said.exit_code, said.stdout) == (2, "")
    assert said.stderr.startswith(message), said
    assert sorted(path.name for path in project.folder.iterdir()) == ["empty", "wanrun.toml"]
