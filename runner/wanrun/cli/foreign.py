"""Commands that plugins offer: entry points in the group `wanrun.commands`, known by name, imported when called.

What one is called is all that `--help` knows of it, so that it waits for no plugin.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wanrun.errors import PluginError

if TYPE_CHECKING:
    from collections.abc import Collection
    from importlib.metadata import EntryPoint

GROUP = "wanrun.commands"


def foreign_commands() -> dict[str, str]:
    """Return the commands of installed plugins, each with the package that brings it."""
    return {point.name: _package(point) for point in _points()}


def load_command(name: str) -> click.Command | None:
    """Import a plugin's command; None where nobody offers it. Raises `PluginError` for one that cannot be used."""
    from wanrun.guards import Origin  # here, since `--help` does not wait for pluggy

    found = [point for point in _points() if point.name == name]
    if not found:
        return None
    if len(found) > 1:
        raise _error(found[1], f"it offers the command, and {_package(found[0])} does so too; remove one of the two")
    with Origin(name, _package(found[0])).guard(f"cannot import {found[0].value}"):
        command = found[0].load()
    if not isinstance(command, click.Command):
        raise _error(found[0], f"its command is {command!r:.60}; offer a click.Command")
    return command


def quarrels(taken: Collection[str]) -> list[PluginError]:
    """Return what is wrong with the names of plugins' commands that are `taken`, by wanrun itself."""
    words = "its command has the name of one of wanrun {}, which is used; give it another name"
    taking = [point for point in _points() if point.name in taken]
    if not taking:
        return []
    from importlib import metadata  # here for the same reason

    return [_error(point, words.format(metadata.version("wanrun"))) for point in taking]


def _points() -> list[EntryPoint]:
    if not any(map(_names_group, sys.path)):
        return []
    from importlib import metadata  # here, since it takes as long as all the rest of `--help`

    return sorted(metadata.entry_points(group=GROUP))


def _names_group(folder: str) -> bool:
    """Say whether a package that is installed in a folder names the group; a quick look, which takes no care."""
    try:
        return any(GROUP.encode() in file.read_bytes() for file in Path(folder).glob("*-info/entry_points.txt"))
    except OSError:
        return False


def _error(point: EntryPoint, words: str) -> PluginError:
    return PluginError(words, plugin=point.name, package=_package(point))


def _package(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "unknown package"
