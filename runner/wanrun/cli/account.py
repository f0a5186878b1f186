"""`wanrun tasks` and `wanrun cancel`: the account's tasks, whoever made them, and taking back what still waits."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wanrun import api
from wanrun.cli.advice import command
from wanrun.cli.options import emulator_flag, emulator_options, format_option, make_setup, setup_options
from wanrun.cli.output import counted, local_time, say, say_json, table
from wanrun.errors import ExitCode
from wanrun.text import one_line
from wanrun.words import line, megabytes

if TYPE_CHECKING:
    from wanrun.events import Event
    from wanrun.types import Usage

_NOT_KNOWN = "is not known to the service, or is older than 24 h"
#: What is said of a task that could not be cancelled, by the service's word for how it stands.
_NOT_CANCELLED = {
    "PENDING": "is not cancelled yet though the service agreed; look again in a moment",
    "RUNNING": "runs already: too late to cancel it",
    "SUCCEEDED": "has ended and is billed: too late to cancel it",
    "FAILED": "has failed already; it is not billed",
    "UNKNOWN": _NOT_KNOWN,
}


@click.command()
@click.argument("task", required=False, metavar="[TASK]")
@click.option("--cancel", metavar="TASK", help="Cancel a task that still waits, and say what became of it.")
@click.option("--download", metavar="TASK", help="Download the result of a finished task, checked and whole.")
@click.option("--to", type=click.Path(path_type=Path), metavar="FILE", help="With --download: where to; TASK.mp4 here.")
@click.option(
    "--status",
    type=click.Choice(api.STATUSES, case_sensitive=False),
    help="List only the tasks that the service says this of.",
)
@click.option("--model", metavar="NAME", help="List only the tasks of one model.")
@click.option("--provider", metavar="NAME", default="default", show_default=True, help="Whose account, by wanrun.toml.")
@setup_options
@emulator_flag
@emulator_options
@format_option
def tasks(
    task: str | None,
    cancel: str | None,
    download: str | None,
    to: Path | None,
    status: str | None,
    model: str | None,
    provider: str,
    form: str,
    **options: Any,
) -> int:
    """List the account's tasks of the last 24 hours, whichever program made them, or show one TASK.

    The newest is first, and those that the ledger knows say which job they are of. Nothing here touches the ledger:
    to cancel one's own jobs there is wanrun cancel. The list needs the key; with --emulator it is the embedded
    account's.
    """
    _check_choice(task, cancel, download, to=to, filters=bool(status or model))
    setup = make_setup(options)
    common: dict[str, Any] = {"provider": provider, "observe": _hear}
    if download is not None:
        return _downloaded(api.download(download, to, setup, **common), form)
    if cancel is not None:
        return _cancelled(api.cancel_task(cancel, setup, **common), setup, form)
    if task is not None:
        return _one(api.task(task, setup, **common), form)
    return _all(api.tasks(setup, status=status, model=model, **common), form)


def _check_choice(*chosen: str | None, to: Path | None, filters: bool) -> None:
    """Refuse what does not go together."""
    given = sum(choice is not None for choice in chosen)
    if given > 1:
        raise click.UsageError("give one of TASK, --cancel TASK, --download TASK")
    if filters and given:
        raise click.UsageError("--status and --model choose from the list; they do not go with one task")
    if to is not None and chosen[-1] is None:
        raise click.UsageError("--to without --download")


def _hear(event: Event) -> None:
    say(one_line(line(event) or ""), err=True)


def _all(found: list[api.ListedTask], form: str) -> int:
    if form == "json":
        say_json({"tasks": [asdict(each) for each in found]})
        return 0
    if not found:
        say("no tasks in the last 24 h")
        return 0
    say(table([_row(each) for each in found]))
    counts = ", ".join(f"{count} {status}" for status, count in Counter(each.status for each in found).items())
    known = sum(each.job is not None for each in found)
    say(f"\n{counted(len(found), 'task')} in the last 24 h: {counts}; {known} of this ledger")
    return 0


def _row(task: api.ListedTask) -> tuple[str, ...]:
    worked = _span(task.started_at, task.ended_at)
    return (local_time(task.created_at), task.task, task.status, worked, task.model or "", task.job or "")


def _one(found: api.TaskFacts, form: str) -> int:
    code = ExitCode.OK if found.is_known else ExitCode.ATTENTION
    if form == "json":
        say_json(asdict(found))
    else:
        say(table([(name, value) for name, value in _lines(found) if value]))
        if not found.is_known:
            say(f"task {found.task} {_NOT_KNOWN}", err=True)
    return int(code)


def _lines(task: api.TaskFacts) -> list[tuple[str, str | None]]:
    until = f", until {local_time(task.link_expires_at)}" if task.link_expires_at else ""
    return [
        ("task", task.task),
        ("status", task.status),
        ("job", task.job),
        ("submitted", _second(task.submitted_at)),
        ("started", _second(task.started_at)),
        ("ended", _second(task.ended_at)),
        ("waited", _span(task.submitted_at, task.started_at)),
        ("worked", _span(task.started_at, task.ended_at)),
        ("usage", _usage(task.usage)),
        ("code", task.code),
        ("message", task.message),
        ("prompt", task.prompt),
        ("link", f"{task.link} (without its query{until})" if task.link else None),
    ]


def _usage(usage: Usage | None) -> str:
    if usage is None:
        return ""
    spans = ((usage.input_seconds, "in"), (usage.output_seconds, "out"))
    parts = [f"{seconds:g} s {word}" for seconds, word in spans if seconds is not None]
    size = f", {usage.resolution}P" if usage.resolution else ""
    return f"{usage.billed_seconds:g} s billed" + (f" ({', '.join(parts)})" if parts else "") + size


def _second(at: float | None) -> str:
    return local_time(at, seconds=True)


def _span(start: float | None, end: float | None) -> str:
    """Return how long something lasted, as people say it; empty where that is not known."""
    if start is None or end is None or end < start:
        return ""
    minutes, seconds = divmod(round(end - start), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def _cancelled(found: api.TaskFacts, setup: api.Setup, form: str) -> int:
    if form == "json":
        say_json({**asdict(found), "cancelled": found.is_cancelled})
    elif found.is_cancelled:
        say(f"task {found.task} is cancelled and not billed")
        if found.job:
            say(f"it is of the job {found.job}; to say so in the ledger: {command('cancel', setup)} {found.job}")
    else:
        say(f"task {found.task} {_NOT_CANCELLED.get(found.status, f'is {found.status}')}", err=True)
    return int(ExitCode.OK if found.is_cancelled else ExitCode.ATTENTION)


def _downloaded(found: api.Downloaded, form: str) -> int:
    if form == "json":
        say_json({"task": found.task, "path": str(found.path), "bytes": found.bytes, "sha256": found.sha256})
    else:
        place = str(found.path).removeprefix(f"{Path.cwd()}/")
        say(f"{place} ({megabytes(found.bytes)}, sha256 {found.sha256[:12]})")
    return 0


@click.command()
@click.argument("jobs", nargs=-1, required=True, metavar="JOB...")
@setup_options
@emulator_flag
@emulator_options
@format_option
def cancel(jobs: tuple[str, ...], form: str, **options: Any) -> int:
    """Cancel the tasks of jobs (spec/job or job; * and ? match) that still wait at the service.

    A cancelled job is not billed and shows as failed; --retry-failed submits it anew. A task that runs already cannot
    be cancelled: the next run fetches its result. Exit code 1 if a job could not be cancelled.
    """
    setup = make_setup(options)
    found = api.cancel(jobs, setup, observe=_hear)
    if form == "json":
        say_json({"jobs": [asdict(each) for each in found]})
    elif not found:
        say(f"nothing of {' '.join(jobs)} is in flight")
    else:
        say(table([(each.address, "cancelled" if each.cancelled else "not cancelled", each.why) for each in found]))
    return int(ExitCode.OK if all(each.cancelled for each in found) else ExitCode.ATTENTION)
