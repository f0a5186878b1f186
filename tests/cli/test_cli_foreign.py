"""Commands of plugins: found by name, listed without an import, and loaded when they are called."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from cli_parts import Project

    Install = Callable[..., None]

COMMAND = """
    import click
    from wanrun import SinkError
    print("imported")

    @click.command()
    @click.argument("name", default="you")
    @click.option("--fail", is_flag=True)
    def main(name, fail):
        "Greet."
        if fail:
            raise SinkError("nobody is there; try later")
        click.echo(f"hello {name}")
        return 3
"""


@pytest.fixture
def install(install_module: Install) -> Install:
    """Install a distribution with one command."""

    def install(name: str, code: str, *, command: str = "greet") -> None:
        module = f"command_{name}"
        install_module(name, code, module=module, entry_point=f"[wanrun.commands]\n{command} = {module}:main")

    return install


def test_a_plugin_s_command_is_called_like_our_own(project: Project, install: Install) -> None:
    """With its arguments, exit code, help, and errors that are said in a line."""
    install("polite", COMMAND)

    said = project.wanrun("greet", "world")
    failed = project.wanrun("greet", "--fail")
    misspelt = project.wanrun("geret")

    assert (said.exit_code, said.stdout) == (3, "imported\nhello world\n")
    assert (failed.exit_code, failed.stderr) == (3, "nobody is there; try later\n")
    assert "Greet." in project.wanrun("greet", "--help").stdout
    assert misspelt.stderr.startswith('no file and no command "geret"; did you mean "greet"?')


def test_the_help_lists_commands_of_plugins_without_importing_them(project: Project, install: Install) -> None:
    """By name, with the package that brings each."""
    install("polite", COMMAND)

    said = project.wanrun("--help")

    assert "Commands of plugins:\n  greet  Of the package polite 1.2.\n" in said.stdout
    assert "imported" not in said.stdout


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (
            "1 / 0",
            "plugin greet (polite 1.2): cannot import command_polite:main: ZeroDivisionError: division by zero\n",
        ),
        ("main = 3", "plugin greet (polite 1.2): its command is 3; offer a click.Command\n"),
    ],
    ids=["a failing import", "no command"],
)
def test_a_command_that_cannot_be_used_is_named(project: Project, install: Install, code: str, words: str) -> None:
    """With its package, and exit code 2."""
    install("polite", code)

    said = project.wanrun("greet")

    assert (said.exit_code, said.stderr) == (2, words)


def test_two_commands_of_one_name_are_both_named(project: Project, install: Install) -> None:
    """Neither wins."""
    install("one", COMMAND)
    install("two", COMMAND)

    said = project.wanrun("greet")

    assert said.exit_code == 2
    assert {name in said.stderr for name in ("one 1.2", "two 1.2")} == {True}


def test_no_command_takes_the_place_of_ours(project: Project, install: Install) -> None:
    """`wanrun plugins` says so, citing both, and ours is the one that is called."""
    install("grabby", COMMAND, command="status")

    said = project.wanrun("plugins")

    assert said.exit_code == 2
    assert said.stderr.startswith("plugin status (grabby 1.2): its command has the name of one of wanrun ")
    assert "imported" not in project.wanrun("status").stdout
    assert "Commands of plugins" not in project.wanrun("--help").stdout
