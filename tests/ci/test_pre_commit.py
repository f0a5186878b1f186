"""The hook for pre-commit, installed and run by pre-commit itself from a repository made of the working tree."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from ci_parts import JOB, ROOT, SPEC, git

if TYPE_CHECKING:
    from collections.abc import Callable

    Commit = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.slow

CONFIG = """\
repos:
  - repo: file://{0}
    rev: {1}
    hooks:
      - id: wanrun-validate
"""
CHAINED = """\
version: 1
extends: base.yaml
jobs:
  - {id: two, prompt: p, media: [{video: {job: other/one}}]}
"""


@pytest.fixture(scope="module")
def hooks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository of the working tree; what pre-commit installs from it is beside it, for all tests."""
    return _of_working_tree(tmp_path_factory.mktemp("hooks") / "wanrun")


@pytest.fixture
def commit(tmp_path: Path, hooks: Path) -> Commit:
    """Return what tries to commit a spec with some text in a repository that uses the hook."""
    edits = tmp_path / "edits"
    edits.mkdir()
    git(edits, "init", "--quiet")
    (edits / ".pre-commit-config.yaml").write_text(CONFIG.format(hooks, git(hooks, "rev-parse", "HEAD")))
    (edits / "specs").mkdir()
    (edits / "other.yaml").write_text("not: a spec\n")
    env = {**os.environ, "PRE_COMMIT_HOME": str(hooks.with_name("home")), "PYTHONUTF8": "1"}

    def run(text: str, name: str = "batch.yaml") -> subprocess.CompletedProcess[str]:
        (edits / "specs" / name).write_text(text, encoding="utf-8")
        git(edits, "add", "--all")
        program = Path(sys.executable).parent / "pre-commit"
        done = subprocess.run([program, "run"], cwd=edits, env=env, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            git(edits, "commit", "--quiet", "--message", name)
        return done

    return run


def _of_working_tree(folder: Path) -> Path:
    """Make a repository of the files that git knows here, as they are now."""
    folder.mkdir()
    git(folder, "init", "--quiet")
    names = git(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file() and not name.startswith("tests/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())
    git(folder, "add", "--all", "--force")
    git(folder, "commit", "--quiet", "--message", "As it is")
    return folder


def test_a_bad_spec_is_not_committed_and_a_good_one_or_a_base_is(commit: Commit) -> None:
    """With each problem at its line, in an environment that pre-commit has made."""
    good = commit(SPEC + JOB.format("one"))
    base = commit(SPEC.partition("jobs:")[0])
    bad = commit(SPEC.replace("defaults", "defualts") + JOB.format("one"))

    assert good.returncode == 0, good.stdout + good.stderr
    assert "wanrun validate" in good.stdout
    assert "Passed" in good.stdout
    assert base.returncode == 0, base.stdout + base.stderr
    assert bad.returncode == 1
    assert 'specs/batch.yaml:2:1: unknown key "defualts"; did you mean "defaults"?' in bad.stdout


def test_a_commit_of_one_spec_is_checked_with_the_others(commit: Commit) -> None:
    """A chain may lead to a spec that has not changed, and a base is changed alone."""
    base = "version: 1\ndefaults: {model: wan2.7-videoedit}\n"
    commits = [
        commit(SPEC + JOB.format("one"), "other.yaml"),
        commit(base, "base.yaml"),  # which nothing extends yet
        commit(CHAINED, "chained.yaml"),
        commit(base + "vars: {season: spring}\n", "base.yaml"),
    ]
    bad = commit(base + "sink: {}\n", "base.yaml")

    assert [each.returncode for each in commits] == [0, 0, 0, 0], [each.stdout for each in commits]
    assert bad.returncode == 1
    assert 'specs/base.yaml:3:1: unknown key "sink"' in bad.stdout
