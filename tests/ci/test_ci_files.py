"""The files for CI are what their readers take: by their schemas, by a linter of workflows, and by each other."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ci_parts import ACTION, ROOT

PAGES = ROOT / "docs" / "ci"
WORKFLOWS = sorted(PAGES.glob("github-*.yml"))
SCHEMAS = {
    "github-actions": [ROOT / "action.yml"],
    "github-workflows": WORKFLOWS,
    "gitlab-ci": [PAGES / "gitlab-ci.yml"],
}


def said_of(*command: object) -> str:
    """Run one of the environment's programs; what it finds wrong fails the test."""
    program = Path(sys.executable).parent / str(command[0])
    done = subprocess.run([program, *map(str, command[1:])], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("schema", SCHEMAS)
def test_the_files_are_what_their_schemas_say(schema: str) -> None:
    """By the copies of schemastore's schemas that come with check-jsonschema."""
    assert SCHEMAS[schema]

    said_of("check-jsonschema", "--builtin-schema", f"vendor.{schema}", *SCHEMAS[schema])


def test_a_linter_of_workflows_finds_nothing() -> None:
    """Least rights, pinned actions, no credentials left behind, and no text of strangers in a shell."""
    said_of("zizmor", "--offline", "--no-progress", "--persona", "auditor", ROOT / "action.yml", *WORKFLOWS)


def test_no_expression_stands_in_a_script() -> None:
    """What a stranger can choose comes to the shell in variables, whatever a linter makes of it."""
    scripts = [step["run"] for step in ACTION["runs"]["steps"]]

    assert not [script for script in scripts if "${{" in script]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_the_examples_give_the_action_what_it_knows(path: Path) -> None:
    """Every input, and the one that it cannot do without."""
    jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]
    (uses,) = [step for job in jobs.values() for step in job["steps"] if "/wanrun@" in step.get("uses", "")]

    assert uses["with"].keys() <= ACTION["inputs"].keys()
    assert uses["with"]["command"] in path.name


def test_every_input_is_described() -> None:
    """In a sentence, and on the page."""
    page = (PAGES / "github.md").read_text(encoding="utf-8")

    for name, each in ACTION["inputs"].items():
        assert each["description"].endswith(".")
        assert f"`{name}`" in page


def test_actions_of_others_are_the_same_everywhere() -> None:
    """One commit each, with the release it is."""
    text = "".join(path.read_text(encoding="utf-8") for path in WORKFLOWS)
    used = set(re.findall(r"uses: (actions/[\w-]+)@([0-9a-f]{40}) # (v[\d.]+)$", text, re.MULTILINE))

    assert len(used) == len({name for name, _, _ in used}) == 2


@pytest.mark.parametrize("path", sorted((ROOT / ".github" / "action").glob("*.sh")), ids=lambda path: path.name)
def test_the_scripts_are_well_formed_and_can_be_run(path: Path) -> None:
    """And say what they are for."""
    done = subprocess.run(["bash", "-n", path], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert path.stat().st_mode & 0o111
    assert path.read_text(encoding="utf-8").startswith("#!/usr/bin/env bash\n# ")
