"""`wanrun new-plugin`: a package to make a plugin of one's own of."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wanrun import api
from wanrun.cli.options import format_option
from wanrun.cli.output import counted, say, say_json

if TYPE_CHECKING:
    from wanrun.types import JSON


@click.command("new-plugin")
@click.argument("name")
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@format_option
def new_plugin(name: str, folder: Path | None, form: str) -> int:
    """Write the package of a plugin, wanrun-NAME, with a source and a sink that a spec uses as NAME.

    It goes into FOLDER, or wanrun-NAME here. Its own tests pass as it is; change it from there. Nothing is written
    over.
    """
    started = api.new_plugin(name, folder)
    if form == "json":
        files: list[JSON] = [str(path) for path in started.files]
        say_json({"name": name, "package": started.package, "folder": str(started.folder), "files": files})
        return 0
    say(f"{started.folder}: {counted(len(started.files), 'file')}, the package {started.package}")
    say(f"next: cd {shlex.quote(str(started.folder))} && pip install -e '.[test]' && python -m pytest")
    return 0
