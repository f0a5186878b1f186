"""`wanrun init`: a first spec to begin with."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from wanrun import api
from wanrun.cli.options import format_option, no_plugin_option
from wanrun.cli.output import counted, say, say_json
from wanrun.text import one_line

SHOWN = 20  #: clips that are not among the jobs


@click.command()
@click.argument("spec", default="edits.yaml", type=click.Path(path_type=Path))
@click.option(
    "--from",
    "clips",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Make a job for each clip of FOLDER; those that do not fit are listed with what to do.",
)
@no_plugin_option
@format_option
def init(spec: Path, clips: Path | None, without_plugins: tuple[str, ...], form: str) -> int:
    """Write a commented first spec, edits.yaml unless SPEC names another, and a wanrun.toml where there is none.

    What is written is valid as it is, and runs with --emulator. Nothing is written over.
    """
    started = api.init(spec, clips=clips, setup=api.Setup(without_plugins=without_plugins))
    if form == "json":
        say_json(_json(started))
        return 0
    say(f"{started.spec}: {counted(started.jobs, 'job')}")
    if started.settings is not None:
        say(f"{started.settings}: settings, all of them optional")
    for aside in started.asides[:SHOWN]:
        say(one_line(f"not among them: {aside.why}"), err=True)
    if len(started.asides) > SHOWN:
        say(f"... and {len(started.asides) - SHOWN} more", err=True)
    if started.asides:
        say(f"what to do about {'them' if len(started.asides) > 1 else 'it'} is in {started.spec}", err=True)
    say(f"next: wanrun plan {started.spec}, and to try it for nothing: wanrun {started.spec} --emulator")
    return 0


def _json(started: api.Started) -> dict[str, Any]:
    return {
        "spec": str(started.spec),
        "settings": str(started.settings) if started.settings is not None else None,
        "jobs": started.jobs,
        "asides": [asdict(each) for each in started.asides],
    }
