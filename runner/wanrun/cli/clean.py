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
from wanrun.words import files_words

if TYPE_CHECKING:
    from collections.abc import Sequence

#: In which words a sort of file is shown.
_WORDS = {
    api.LeftoverSort.STAGED: "staged for the service",
    api.LeftoverSort.FITTED: "made to fit",
    api.LeftoverSort.PARTIAL: "partial downloads",
    api.LeftoverSort.RESULTS: "results, delivered everywhere",
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
    shown: list[str] = []
    asks = agree if yes else partial(_ask, shown if form == "text" else None) if is_terminal() else None
    with problems_as(form):
        done = api.clean(make_setup(options), results_of=specs, agree=asks)
    if form == "json":
        say_json(_json(done))
    else:
        _tell(done, shown, is_asked=asks is not None)
    return int(done.exit_code)


async def _ask(shown: list[str] | None, cleaning: api.Cleaning) -> bool:
    if shown is not None:
        _show(cleaning, shown)
    if not await ask(cleaning, "Remove"):
        raise SettingsError("not confirmed; nothing was removed")
    return True


def _tell(done: api.Cleaning, shown: list[str], *, is_asked: bool) -> None:
    _show(done, shown)
    for trouble in done.troubles:
        say(one_line(trouble.words), err=True)
    if done.removed:
        say(f"removed {_amount(done.removed)}")
    elif not done.found:
        say("nothing to remove")
    elif not is_asked:
        say(f"{done}; --yes removes it")


def _show(cleaning: api.Cleaning, shown: list[str]) -> None:
    """Print what can go and what stays, but for the lines that were shown before."""
    rows = [(_WORDS[sort], _amount(files)) for sort, files in _sorted(cleaning.found) if files]
    for line in [*table(rows).split("\n"), *map(one_line, cleaning.stays)]:
        if line and line not in shown:
            say(line)
            shown.append(line)


def _amount(files: Sequence[api.Leftover]) -> str:
    return files_words([each.bytes for each in files])


def _sorted(files: Sequence[api.Leftover]) -> list[tuple[api.LeftoverSort, list[api.Leftover]]]:
    return [(sort, [each for each in files if each.sort is sort]) for sort in api.LeftoverSort]


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
