"""`wanrun validate`: looking at specs without doing anything about them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from wanrun import api
from wanrun.cli.options import make_setup, setup_options, specs_argument
from wanrun.cli.output import counted, say
from wanrun.cli.reports import FORMATS, problems_as, say_report

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@specs_argument
@setup_options
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", *FORMATS]),
    default="text",
    show_default=True,
    help="How to print problems; json, github (annotations of a workflow) and sarif go to standard output.",
)
def validate(specs: tuple[Path, ...], form: str, **options: Any) -> int:
    """Check specs, and the files they name, without network, key or ledger.

    A file without jobs that has what bases have is checked as one, as far as that goes without a spec that extends it.

    Every problem is printed as file:line:column, all at once, at a terminal with the line it is about; exit code 2 if
    there is any.
    """
    setup = make_setup(options)
    with problems_as(form):
        batch = api.load(specs, setup)
    if form != "text":
        say_report(form, (), batch.notes, jobs=len(batch.jobs))
        return 0
    for note in batch.notes:
        say(f"note: {note}", err=True)
    say(f"{_counts(batch)}; no problems")
    return 0


def _counts(batch: api.Batch) -> str:
    """Say how much was checked."""
    bases = counted(len(batch.bases), "base")
    if not batch.specs:
        return bases
    jobs = f"{counted(len(batch.jobs), 'job')} in {counted(len(batch.specs), 'spec')}"
    return f"{jobs}, {bases}" if batch.bases else jobs
