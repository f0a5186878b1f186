"""`wanrun ledger`: the ledger as a file: a copy of it, whether it is sound, and a new one from sidecars.

How it is carried elsewhere is in `carrying`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from wanrun import api
from wanrun.cli import carrying
from wanrun.cli.about import show_checkup
from wanrun.cli.advice import command
from wanrun.cli.options import emulator_flag, format_option, make_setup, setup_options
from wanrun.cli.output import counted, say, say_json
from wanrun.errors import ExitCode
from wanrun.text import one_line
from wanrun.words import megabytes


@click.group(no_args_is_help=True)
def ledger() -> None:
    """Copy the ledger, carry it elsewhere, check it, or rebuild it from the sidecars beside delivered results."""


for _command in (carrying.new, carrying.export, carrying.import_, carrying.reclaim):
    ledger.add_command(_command)


@ledger.command(short_help="Copy it to a file; a run may be writing.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Let the copy take the place of a file that is there.")
@setup_options
@emulator_flag
@format_option
def backup(file: Path, force: bool, form: str, **options: Any) -> int:
    """Copy the ledger to FILE, whole or not at all; a run may be writing meanwhile.

    The copy is checked before it has its name, and only its owner may read it. Artifacts are files of their own, in
    .wanrun/artifacts. To use a copy, put it in the ledger's place while nothing runs. What was submitted after it was
    made is not in it, and the next run would pay for it again; before that, look at wanrun tasks, and for each such
    task: wanrun resolve JOB --adopt TASK --spec SPEC.
    """
    made = api.back_up_ledger(file, make_setup(options), replace_it=force)
    if form == "json":
        say_json({"ledger": str(made.ledger), "path": str(made.path), "bytes": made.bytes})
    else:
        say(f"{_near(made.path)} ({megabytes(made.bytes)}), checked")
    return int(ExitCode.OK)


@ledger.command(short_help="Look whether it is sound, and the artifacts are there.")
@click.option("--deep", is_flag=True, help="Read every artifact whole and compare its checksum.")
@setup_options
@emulator_flag
@format_option
def check(deep: bool, form: str, **options: Any) -> int:
    """Check that the ledger is sound and that the artifacts it names are there, and say what to do if not.

    A run may be under way. Exit code 1 if something is wrong.
    """
    return show_checkup(api.check_ledger(make_setup(options), deep=deep), form)


@ledger.command(short_help="Make a new one from the sidecars beside results.")
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path))
@click.option("--into", type=click.Path(path_type=Path), metavar="FILE", help="Make it there, not in the usual place.")
@setup_options
@emulator_flag
@format_option
def rebuild(folders: tuple[Path, ...], into: Path | None, form: str, **options: Any) -> int:
    """Make a new ledger from the sidecars (*.mp4.json) below FOLDERS, by default the whole project.

    Each result is checked against its sidecar and copied into the artifact store, so that the next run of the same
    specs pays for none of them and delivers none again. A ledger that is there is never touched. What was in flight,
    failed or held is in no sidecar, and the next run would pay for it again; before that, look at wanrun tasks, and
    for each such task: wanrun resolve JOB --adopt TASK --spec SPEC. Budgets count only the delivered results from then
    on. Exit code 1 if a sidecar could not be used as it is.
    """
    setup = make_setup(options)
    made = api.rebuild_ledger(folders, setup, into=into)
    code = ExitCode.ATTENTION if made.troubles or not made.tasks else ExitCode.OK
    if form == "json":
        say_json(_rebuilt(made, code))
        return int(code)
    for trouble in made.troubles:
        say(one_line(f"{_near(trouble.path)}: {trouble.why}"), err=True)
    if not made.tasks:
        say("no sidecar that can be used was found; no ledger was made", err=True)
        return int(code)
    counts = (counted(made.jobs, "job"), counted(made.tasks, "task"), f"{made.deliveries} delivered")
    say(f"{_near(made.ledger)}: {', '.join(counts)}; {megabytes(made.copied_bytes)} copied into the artifact store")
    say("what was in flight is not in it, and the next run would pay for it again; before that, look at")
    say(f"  {command('tasks', setup)}")
    say("and for each task that is in flight or not delivered:")
    say(f"  {command('resolve', setup)} JOB --adopt TASK --spec SPEC")
    say("budgets count only the delivered results from here on")
    return int(code)


def _rebuilt(made: api.Rebuilt, code: ExitCode) -> dict[str, Any]:
    return {
        "exit_code": int(code),
        "exit": code.name.lower(),
        "ledger": str(made.ledger) if made.tasks else None,
        "account": made.account,
        "jobs": made.jobs,
        "tasks": made.tasks,
        "deliveries": made.deliveries,
        "copied_bytes": made.copied_bytes,
        "rescued": made.rescued,
        "problems": [{"path": str(trouble.path), "why": trouble.why} for trouble in made.troubles],
    }


def _near(path: Path) -> str:
    return str(path).removeprefix(f"{Path.cwd()}/")
