"""`wanrun validate`: looking at specs without doing anything about them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from wanrun import api
from wanrun.cli.options import format_option, make_setup, setup_options, specs_argument
from wanrun.cli.output import counted, say, say_json
from wanrun.errors import SpecError

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@specs_argument
@setup_options
@format_option
def validate(specs: tuple[Path, ...], form: str, **options: Any) -> int:
    """Check specs, and the files they name, without network, key or ledger.

    Every problem is printed as file:line:column, all at once; exit code 2 if there is any.
    """
    setup = make_setup(options)
    if form == "json":
        return _validate_json(specs, setup)
    batch = api.load(specs, setup)
    for note in batch.notes:
        say(f"note: {note}", err=True)
    say(f"{counted(len(batch.jobs), 'job')} in {counted(len(batch.specs), 'spec')}; no problems")
    return 0


def _validate_json(specs: tuple[Path, ...], setup: api.Setup) -> int:
    try:
        batch = api.load(specs, setup)
    except SpecError as exc:
        say_json({"jobs": 0, "notes": [], "problems": [_problem(problem) for problem in exc.problems]})
        return int(exc.exit_code)
    say_json({"jobs": len(batch.jobs), "notes": list(batch.notes), "problems": []})
    return 0


def _problem(problem: Any) -> dict[str, Any]:
    at = problem.position
    return {"path": str(at.path), "line": at.line, "column": at.column, "message": problem.message}
