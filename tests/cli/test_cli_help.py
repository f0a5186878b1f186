"""What the command line says of itself, and to whoever calls it wrongly."""

from __future__ import annotations

import re
from importlib import metadata
from typing import TYPE_CHECKING

import pytest

from wanrun.cli import COMMANDS
from wanrun.errors import ExitCode

if TYPE_CHECKING:
    from cli_parts import Project


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_the_help_lists_the_commands_and_exit_codes(project: Project, flag: str) -> None:
    """The first screen is enough to begin with."""
    said = project.wanrun(flag)

    assert said.exit_code == 0, said
    for name, (_, words) in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(words)}$", said.stdout, re.MULTILINE), name
    known = {int(number) for part in re.findall(r"[;:] ([\d/]+) ", said.stdout) for number in part.split("/")}
    assert known == set(map(int, ExitCode)) - {ExitCode.BUG}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(project: Project, command: str) -> None:
    """A sentence that stands alone, and a word on every option; nothing runs over."""
    said = project.wanrun(command, "--help")

    assert said.exit_code == 0, said
    lines = said.stdout.splitlines()
    assert lines[0].startswith(f"Usage: wanrun {command} [OPTIONS]")
    assert lines[2].startswith("  ")
    assert max(map(len, lines)) <= 100
    for option in re.finditer(r"^  (?:-\w, )?--[\w-]+(.*)\n(.*)", said.stdout, re.MULTILINE):
        assert re.search(r"  +\w", option[1]) or option[2].startswith(" " * 20), option[0]


def test_no_arguments_show_the_help(project: Project) -> None:
    """Somebody who only types the name is told what there is."""
    said = project.wanrun()

    assert said.exit_code == 2
    assert "Usage: wanrun" in said.stderr
    assert "see wanrun" not in said.stderr


def test_the_version_is_the_package_s(project: Project) -> None:
    """One line for bug reports."""
    assert project.wanrun("--version").stdout == f"wanrun {metadata.version('wanrun')}\n"


@pytest.mark.parametrize(
    ("word", "near"), [("stauts", "status"), ("validte", "validate"), ("pln", "plan"), ("emulater", "emulator")]
)
def test_a_misspelt_command_is_named(project: Project, word: str, near: str) -> None:
    """A bare word that is no file is taken for a command."""
    said = project.wanrun(word)

    assert (said.exit_code, said.stdout) == (2, "")
    assert said.stderr.startswith(f'no file and no command "{word}"; did you mean "{near}"?\n')


@pytest.mark.parametrize("name", ["plan.yaml", "specs/status", "nothing-like-it"])
def test_what_looks_like_a_file_is_taken_for_one(project: Project, name: str) -> None:
    """A missing spec is said to be missing, not to be a command."""
    said = project.wanrun(name, "--emulator")

    assert said.exit_code == 2
    assert said.stderr.startswith(f"{name}:1:1: ")


def test_a_file_named_like_a_misspelt_command_is_run(project: Project) -> None:
    """A file that is there wins over a guess."""
    project.write("stauts", "nonsense")

    assert project.wanrun("stauts").stderr.startswith("stauts:1:1: ")


@pytest.mark.parametrize(
    ("args", "message", "see"),
    [
        (("plan",), "Missing argument 'SPECS...'.", "wanrun plan"),
        (("status", "--nonsense"), "No such option '--nonsense'.", "wanrun status"),
        (("run", "a.yaml", "--speed", "fast"), "Invalid value for '--speed'", "wanrun run"),
        (("resolve",), "Missing argument 'JOB'.", "wanrun resolve"),
        (("resolve", "a/b"), "give one of --adopt TASK, --resubmit, --abandon", "wanrun resolve"),
        (("resolve", "a/b", "--adopt", "x", "--abandon"), "give one of --adopt TASK", "wanrun resolve"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_misuse_is_two_lines(project: Project, args: tuple[str, ...], message: str, see: str) -> None:
    """What is wrong, and where to read on."""
    said = project.wanrun(*args)

    assert (said.exit_code, said.stdout) == (2, "")
    assert said.stderr.startswith(message)
    assert said.stderr.endswith(f"see {see} --help\n")
