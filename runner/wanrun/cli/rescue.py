"""`wanrun rescue`: every finished result of the account that is not on disk yet."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wanrun import api
from wanrun.cli.advice import command
from wanrun.cli.options import emulator_flag, emulator_options, format_option, make_setup, setup_options
from wanrun.cli.output import counted, say, say_json
from wanrun.text import one_line
from wanrun.words import line, megabytes

if TYPE_CHECKING:
    from wanrun.events import Event

#: The order in which they are counted up, each in words.
_WORDS = {
    api.Fate.STORED: "in the artifact store",
    api.Fate.RESCUED: "rescued",
    api.Fate.THERE: "there already",
    api.Fate.RUNNING: "not ended yet",
    api.Fate.NO_VIDEO: "without a video",
    api.Fate.LATER: "to be tried again",
    api.Fate.STUCK: "for a person to look at",
    api.Fate.LOST: "lost",
}
_QUIET = (api.Fate.THERE, api.Fate.RUNNING, api.Fate.NO_VIDEO)


@click.command()
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Where results of tasks that the ledger does not know go; .wanrun/rescued without it.",
)
@click.option("--all", "everything", is_flag=True, help="Into the folder also what the artifact store has already.")
@click.option("--provider", metavar="NAME", help="One provider of wanrun.toml only.")
@setup_options
@emulator_flag
@emulator_options
@format_option
def rescue(into: Path | None, everything: bool, provider: str | None, form: str, **options: Any) -> int:
    """Fetch every finished result of the last 24 hours that is not on disk yet, whichever program asked for it.

    What jobs of the ledger wait for goes into the artifact store, and the next run only delivers it. Everything else
    becomes TASK.mp4 in a folder, with a sidecar TASK.mp4.json, and no job gets a task by this. Run again it goes on.
    Exit code 3 if something may be fetched later, 7 if a paid result is found lost.
    """
    setup = make_setup(options)
    text = form == "text"
    report = api.rescue(
        setup,
        into=into,
        provider=provider,
        everything=everything,
        observe=_hear,
        heard=_show if text else lambda _: None,
    )
    if text:
        _sum_up(report, setup)
    else:
        say_json(_json(report))
    return int(report.exit_code)


def _hear(event: Event) -> None:
    say(one_line(line(event) or ""), err=True)


def _show(task: api.RescuedTask) -> None:
    """Print what became of one task, if that is worth a line."""
    name = f"task {task.task}" + (f" of {task.job}" if task.job else "")
    if task.path is not None and task.fate not in _QUIET:
        say(one_line(f"{name}: {_WORDS[task.fate]}, {_near(task.path)} ({megabytes(task.bytes)})"))
    elif task.fate not in _QUIET:
        say(one_line(f"{name}: {task.fate}: {task.why}"), err=True)


def _sum_up(report: api.RescueReport, setup: api.Setup) -> None:
    for trouble in report.troubles:
        say(one_line(trouble.words), err=True)
    for task in report.tasks:
        for job in task.claims:
            say(f"task {task.task} may be that of {job}: {command('resolve', setup)} {job} --adopt {task.task}")
    counts = Counter(task.fate for task in report.tasks)
    found = ", ".join(f"{counts[fate]} {words}" for fate, words in _WORDS.items() if counts[fate])
    say(f"{counted(len(report.tasks), 'task')}: {found}" if found else "nothing to rescue")
    if counts[api.Fate.STORED]:
        say("what is in the artifact store is delivered by the next run of its spec")
    if counts[api.Fate.RESCUED] + counts[api.Fate.THERE]:
        say(f"rescued results are in {_near(report.folder)}")


def _near(path: Path) -> str:
    return str(path).removeprefix(f"{Path.cwd()}/")


def _json(report: api.RescueReport) -> dict[str, Any]:
    return {
        "exit_code": int(report.exit_code),
        "exit": report.exit_code.name.lower(),
        "folder": str(report.folder),
        "troubles": [trouble.words for trouble in report.troubles],
        "tasks": [
            {
                "task": task.task,
                "provider": task.provider,
                "model": task.model,
                "job": task.job,
                "fate": task.fate.value,
                "why": task.why,
                "path": str(task.path) if task.path else None,
                "bytes": task.bytes,
                "sha256": task.sha256,
                "claims": list(task.claims),
            }
            for task in report.tasks
        ],
    }
