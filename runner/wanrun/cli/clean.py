"""`wanrun clean`: what nobody needs any more, shown, and removed once a person agrees."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wanrun import api
from wanrun.cli.asking import agree, ask, is_terminal
from wanrun.cli.options import emulator_flag, format_option, make_setup, setup_options, with_patterns
from wanrun.cli.output import say, say_json, table
from wanrun.cli.reports import problems_as
from wanrun.errors import SettingsError
from wanrun.text import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

#: In which words a sort of file is shown.
_WORDS = {
    api.Sort.STAGED: "on their way to the service",
    api.Sort.FITTED: "made to fit",
    api.Sort.PARTIAL: "partial downloads",
    api.Sort.RESULTS: "results, delivered everywhere",
}


@click.command()
@click.argument("specs", nargs=-1, metavar="[SPECS]...", type=click.Path(path_type=Path), callback=with_patterns)
@click.option(
    "--results",
    is_flag=True,
    help="Also the results of these SPECS that are done: a sink or a chain that is added later then cannot have them.",
)
@click.option("--yes", is_flag=True, help="Do not ask; without it nothing is removed where nobody can be asked.")
@setup_options
@emulator_flag
@format_option
def clean(specs: tuple[Path, ...], results: bool, yes: bool, form: str, **options: Any) -> int:
    """Remove what nobody needs any more: at a terminal it asks first, elsewhere it only shows it unless told --yes.

    That is what was made of local files that did not fit, downloads that are over, and in the place of [staging] what
    no link can be read of any more. Whatever a job refers to that is not over stays, and so do the ledger and what was
    rescued. The results of jobs that are not done, or that another one is yet to be made from, are never touched.
    Exit code 3 or 1 if something could not be removed.
    """
    if results != bool(specs):
        raise click.UsageError("--results and the SPECS whose results may go belong together")
    asks = agree if yes else partial(_ask, form) if is_terminal() else None
    with problems_as(form):
        done = api.clean(make_setup(options), results_of=specs, agree=asks)
    if form == "json":
        say_json(_json(done))
    else:
        _tell(done, was_shown=asks is not None and not yes and bool(done.found), yes=yes)
    return int(done.exit_code)


async def _ask(form: str, cleaning: api.Cleaning) -> bool:
    if form == "text":
        _show(cleaning)
    if not await ask(cleaning, "Remove"):
        raise SettingsError("not confirmed; nothing was removed")
    return True


def _tell(done: api.Cleaning, *, was_shown: bool, yes: bool) -> None:
    if not was_shown:
        _show(done)
    for trouble in done.troubles:
        say(one_line(trouble.words), err=True)
    if done.removed:
        say(f"removed {api.amount(done.removed)}")
    elif not done.found:
        say("nothing to remove")
    elif not yes and not was_shown:
        say(f"{done}; --yes removes it")


def _show(cleaning: api.Cleaning) -> None:
    rows = [(_WORDS[sort], api.amount(files)) for sort, files in _sorted(cleaning.found) if files]
    say(table(rows)) if rows else None
    for words in cleaning.stays:
        say(one_line(words))


def _sorted(files: Sequence[api.Removable]) -> list[tuple[api.Sort, list[api.Removable]]]:
    return [(sort, [each for each in files if each.sort is sort]) for sort in api.Sort]


def _json(done: api.Cleaning) -> dict[str, Any]:
    removed = dict(_sorted(done.removed))
    return {
        "exit_code": int(done.exit_code),
        "exit": done.exit_code.name.lower(),
        "found": [
            {
                "sort": sort.value,
                "count": len(files),
                "bytes": sum(each.bytes for each in files),
                "files": [{"name": each.name, "bytes": each.bytes} for each in files],
                "removed": len(removed[sort]),
                "removed_bytes": sum(each.bytes for each in removed[sort]),
            }
            for sort, files in _sorted(done.found)
        ],
        "stays": list(done.stays),
        "troubles": [trouble.words for trouble in done.troubles],
    }
