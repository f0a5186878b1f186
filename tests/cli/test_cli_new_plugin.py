"""`wanrun new-plugin`: what it writes passes its own tests and checks as it is, and is a plugin like any other."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cli_parts import FAST

from wanrun.testing import make_clip

if TYPE_CHECKING:
    from cli_parts import Project, Said

SPEC = """\
version: 1
defaults: {model: wan2.7-videoedit}
sinks:
  shelf:
    my-shelf:
      path: kept
jobs:
  - id: night
    prompt: Make it night.
    media: [{video: {my-shelf: street}}]
"""


def made(project: Project, name: str = "my-shelf") -> Path:
    """Write the package of a plugin and return its folder."""
    said = project.wanrun("new-plugin", name)
    assert said.exit_code == 0, said
    return project.folder / f"wanrun-{name}"


def in_it(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a Python tool in the package's folder, which is on the path as an installation would have it."""
    environ = {**os.environ, "PYTHONPATH": str(folder / "src"), "MYPYPATH": str(folder / "src")}
    words = (sys.executable, "-m", *words)
    return subprocess.run(words, cwd=folder, env=environ, capture_output=True, text=True, timeout=300, check=False)


def test_a_package_is_written_under_the_name(project: Project) -> None:
    """Every word of it, in files and their names, and the next step is said."""
    said = project.wanrun("new-plugin", "my-shelf")

    folder = project.folder / "wanrun-my-shelf"
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    texts = "".join(path.read_text() for path in folder.rglob("*") if path.is_file())
    assert said.stdout == (
        f"wanrun-my-shelf: {len(files)} files, the package wanrun-my-shelf\n"
        "next: cd wanrun-my-shelf && pip install -e '.[test]' && python -m pytest\n"
    )
    assert {"pyproject.toml", "README.md", ".gitignore", "src/wanrun_my_shelf/py.typed", "tests/test_sink.py"} <= files
    assert 'my-shelf = "wanrun_my_shelf"' in texts
    assert "class MyShelfSink:" in texts
    assert not [word for word in ("plug-name", "plug_name", "PlugName") if word in texts]


def test_the_folder_may_be_another_and_json_says_what_was_written(project: Project) -> None:
    """Folders above it are made."""
    said = project.wanrun("new-plugin", "shelf", "code/mine", "--format", "json")

    assert said.exit_code == 0, said
    assert (said.json["package"], said.json["folder"]) == ("wanrun-shelf", "code/mine")
    assert all((project.folder / "code" / "mine" / name).is_file() for name in said.json["files"])


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("My_Shelf", "use a-z and 0-9, a letter first, with single - between words; write my-shelf"),
        ("9lives", "use a-z and 0-9, a letter first, with single - between words; write lives"),
        ("../up", "use a-z and 0-9, a letter first, with single - between words; write up"),
        ("", "use a-z and 0-9, a letter first, with single - between words, such as shelf"),
        ("wanrun-shelf", "the package gets wanrun- in front by itself; write shelf"),
        ("a" * 41, "it has more than 40 characters"),
        ("file", "there is a source of that name already; wanrun plugins shows all"),
        ("folder", "there is a sink of that name already; wanrun plugins shows all"),
    ],
    ids=["capitals", "a digit first", "a path", "empty", "with the prefix", "long", "a source's", "a sink's"],
)
def test_a_name_that_cannot_be_is_refused(project: Project, name: str, why: str) -> None:
    """With what to write instead, and nothing is left behind."""
    before = set(project.folder.iterdir())

    said = project.wanrun("new-plugin", name)

    assert (said.exit_code, said.stderr) == (2, f'a plugin cannot be called "{name}": {why}\n')
    assert set(project.folder.iterdir()) == before


@pytest.mark.parametrize("is_there", ["a folder", "a file", "a dangling link"])
def test_nothing_is_written_over(project: Project, is_there: str) -> None:
    """Whatever has the name of its folder stays as it is."""
    target = project.folder / "wanrun-shelf"
    match is_there:
        case "a folder":
            target.mkdir()
        case "a file":
            target.write_text("mine")
        case _:
            target.symlink_to("nowhere")

    said = project.wanrun("new-plugin", "shelf")

    assert said.exit_code == 2
    assert said.stderr.startswith("wanrun-shelf is there already; ")
    assert not target.is_dir() or not list(target.iterdir())


def test_a_folder_that_cannot_be_written_is_said(project: Project) -> None:
    """In one line, with the path."""
    project.write("taken", "a file")

    said = project.wanrun("new-plugin", "shelf", "taken/inside")

    assert said.exit_code == 2
    assert said.stderr.count("\n") == 1
    assert "taken/inside" in said.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ("pytest", "-q", "-p", "no:cacheprovider"),
        ("mypy", "--strict", "src", "tests", "--cache-dir", "../mypy"),
        ("ruff", "check", "--no-cache", "."),
        ("ruff", "format", "--no-cache", "--check", "."),
    ],
    ids=["tests", "types", "style", "form"],
)
def test_it_passes_its_own_tests_types_and_style(project: Project, words: tuple[str, ...]) -> None:
    """As it is: with pytest, `mypy --strict`, and ruff as its pyproject has it."""
    done = in_it(made(project), *words)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def installed(project: Project) -> Path:
    """Put a new plugin beside wanrun, as pip would, and return the folder that is on the path."""
    site = made(project) / "src"
    info = site / "wanrun_my_shelf-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: wanrun-my-shelf\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text("[wanrun]\nmy-shelf = wanrun_my_shelf\n")
    return site


def ran(project: Project, site: Path, *words: str) -> Said:
    return project.process(*words, PYTHONPATH=str(site))


@pytest.mark.slow
def test_a_spec_uses_it_like_any_other(project: Project, installed: Path) -> None:
    """Its source is read, its sink delivered to, and what is misspelt is shown where it stands."""
    make_clip(project.folder / "library" / "street.mp4")
    project.write("batch.yaml", SPEC)
    project.write("wrong.yaml", SPEC.replace("path: kept", "paht: kept"))

    done = ran(project, installed, "batch.yaml", *FAST)
    wrong = ran(project, installed, "validate", "wrong.yaml")
    shown = ran(project, installed, "plugins")

    assert done.exit_code == 0, done
    (result,) = project.folder.rglob("night.mp4")
    assert result.parts[-3:] == ("kept", "batch", "night.mp4")
    assert wrong.exit_code == 2
    assert 'wrong.yaml:6:7: unknown key "paht"; did you mean "path"?' in wrong.stderr, wrong
    assert "wanrun-my-shelf" in shown.stdout
