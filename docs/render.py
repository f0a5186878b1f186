"""Writes the pages that the program itself has the words for; a test compares them.

`commands.md` is what every command says of itself with `--help`, the table of `problems.md` the rules of specs,
`spec.md` (see `spec_page.py`) what their schema says, the reference of `plugins.md` what plugins may import.
"""

from __future__ import annotations

from pathlib import Path

import click
from plugins_page import plugins_page
from spec_page import spec_page

from wanrun.cli import COMMANDS, app
from wanrun.rules import RULES

COMMANDS_PAGE = Path(__file__).with_name("commands.md")
PROBLEMS_PAGE = Path(__file__).with_name("problems.md")
SPEC_PAGE = Path(__file__).with_name("spec.md")
PLUGINS_PAGE = Path(__file__).with_name("plugins.md")
HEAD = """# Commands

What `wanrun COMMAND --help` prints. Written by `docs/render.py`; change the help texts, not this page.
"""
RULES_HEAD = "<!-- Below: written by docs/render.py from runner/wanrun/rules.py. -->\n"


def commands() -> str:
    """Return the page of commands."""
    parts = [HEAD, _section("wanrun", app, None)]
    with click.Context(app, info_name="wanrun", max_content_width=100, terminal_width=100) as parent:
        for name in COMMANDS:
            parts += _sections(f"wanrun {name}", _command(parent, name), parent)
    return "\n".join(parts)


def problems() -> str:
    """Return the page of problems: what is written there by hand, and the table of rules anew."""
    words = PROBLEMS_PAGE.read_text(encoding="utf-8").partition(RULES_HEAD)[0]
    rows = [f"| `{rule.id}` | {rule.text} |\n" for rule in RULES.values()]
    return "".join([words, RULES_HEAD, "\n| rule | says |\n| --- | --- |\n", *rows])


def plugins() -> str:
    """Return the page for authors of plugins: what is written there by hand, and the rest anew."""
    return plugins_page(PLUGINS_PAGE.read_text(encoding="utf-8"))


def _command(parent: click.Context, name: str) -> click.Command:
    command = app.get_command(parent, name)
    assert command is not None
    return command


def _sections(title: str, command: click.Command, parent: click.Context) -> list[str]:
    """Return the section of a command, and those of its own commands if it is a group of some."""
    parts = [_section(title, command, parent)]
    if isinstance(command, click.Group):
        with click.Context(command, info_name=title.rpartition(" ")[2], parent=parent) as context:
            parts += [_section(f"{title} {name}", inner, context) for name, inner in command.commands.items()]
    return parts


def _section(title: str, command: click.Command, parent: click.Context | None) -> str:
    name = title.rpartition(" ")[2]
    with click.Context(
        command, info_name=name, parent=parent, max_content_width=100, terminal_width=100,
        help_option_names=["-h", "--help"],
    ) as context:  # fmt: skip
        text = command.get_help(context)
    return f"## {title}\n\n```text\n{text}\n```\n"


if __name__ == "__main__":
    COMMANDS_PAGE.write_text(commands(), encoding="utf-8")
    PROBLEMS_PAGE.write_text(problems(), encoding="utf-8")
    SPEC_PAGE.write_text(spec_page(), encoding="utf-8")
    PLUGINS_PAGE.write_text(plugins(), encoding="utf-8")
