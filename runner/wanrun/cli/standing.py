"""`wanrun status` and `wanrun resolve`: how jobs stand by the ledger, and settling by hand."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wanrun import api
from wanrun.cli.advice import RETRY_FAILED, advice, command
from wanrun.cli.money import spent_json, spent_words
from wanrun.cli.options import emulator_flag, format_option, make_setup, setup_options
from wanrun.cli.output import counted, local_time, say, say_json, table, wrapped
from wanrun.cli.reports import problems_as
from wanrun.project import open_project
from wanrun.text import one_line
from wanrun.types import State

if TYPE_CHECKING:
    from collections.abc import Mapping


@click.command()
@click.argument("jobs", nargs=-1, metavar="[JOBS]...")
@click.option("--links", is_flag=True, help="Show the links that sinks have given; whoever has one can read the file.")
@setup_options
@emulator_flag
@format_option
def status(jobs: tuple[str, ...], links: bool, form: str, **options: Any) -> int:
    """Show how every job of the ledger stands, or those that match JOBS (spec/job or job; * and ? match).

    Reads the ledger only; a run may be under way.
    """
    setup = make_setup(options)
    standings = api.status(setup, jobs, links=links)
    if form == "json":
        say_json(
            {"jobs": [_json(job) | (_links_json(job) if links else {}) for job in standings], **_money_json(setup)}
        )
        return 0
    if not standings:
        ledger = open_project(setup).ledger_path
        say("no jobs in the ledger" if ledger.is_file() else f"there is no ledger at {ledger}")
        return 0
    lines = table([(job.address, job.state, local_time(job.intended_at), _note(job)) for job in standings])
    for job, line in zip(standings, lines.split("\n"), strict=True):
        for each in (line, *(f"    {one_line(words)}" for words in _below(job, setup))):
            say("\n".join(wrapped(each)))
    counts = Counter(job.state.value for job in standings)
    say(f"\n{counted(len(standings), 'job')}: " + ", ".join(f"{count} {state}" for state, count in counts.items()))
    if counts[State.FAILED]:
        say(f"{RETRY_FAILED}: {command('run', setup)} SPEC --retry-failed")
    _say_money(setup)
    return 0


def _say_money(setup: api.Setup) -> None:
    money = api.spending(setup)
    if words := spent_words(money.spent):
        cap = f" of at most {money.max_cost}" if money.max_cost is not None else ""
        say(f"{'at the service this would be: ' if setup.emulator else ''}{words}{cap}")


def _money_json(setup: api.Setup) -> dict[str, Any]:
    money = api.spending(setup)
    return {"money": spent_json(money.spent), "max_cost": str(money.max_cost) if money.max_cost else None}


def _note(job: api.JobStanding) -> str:
    places = ", ".join(job.places) if job.state is State.DONE or not job.why else ""
    note = "; ".join(words for words in (places, job.why) if words)
    return note + (f", gone at {local_time(job.gone_at)}" if job.gone_at is not None else "")


def _below(job: api.JobStanding, setup: api.Setup) -> list[str]:
    """Return what stands below a job's line: the tasks that it may have, and what a person can do."""
    words = advice(job.address, job.state, setup)
    return [*_evidence(job), *_links(job), *([words] if words else [])]


def _links(job: api.JobStanding) -> list[str]:
    """Return the links that were asked for, a line each."""
    return [
        f"{each.sink}: the link has expired, {local_time(each.link.until)}"
        if each.is_over
        else f"{each.sink}: {each.link.url}" + (f" until {local_time(each.link.until)}" if each.link.until else "")
        for each in job.links
    ]


def _links_json(job: api.JobStanding) -> dict[str, Any]:
    return {
        "links": [
            {
                "sink": each.sink,
                "place": each.place,
                "url": None if each.is_over else each.link.url,
                "until": each.link.until,
                "expired": each.is_over,
            }
            for each in job.links
        ]
    }


def _evidence(job: api.JobStanding) -> list[str]:
    """Return the tasks that an undecided job may have, a line each."""
    evidence: Mapping[str, Any] = job.evidence or {}
    rows = [
        (f"task {each['task']}", f"made {local_time(each['created_at'], seconds=True)}", each["status"], each["why"])
        for each in evidence.get("candidates", [])
    ]
    more = evidence.get("more")
    return [*(table(rows).split("\n") if rows else []), *([f"and {more} more"] if more else [])]


def _json(job: api.JobStanding) -> dict[str, Any]:
    return {
        "job": job.address,
        "state": job.state.value,
        "why": job.why,
        "task": job.task_id,
        "intended_at": job.intended_at,
        "gone_at": job.gone_at,
        "places": list(job.places),
        "evidence": dict(job.evidence) if job.evidence is not None else None,
    }


@click.command()
@click.argument("job")
@click.option("--adopt", metavar="TASK", help="The service made this task for the job: go on with it.")
@click.option(
    "--spec",
    "specs",
    multiple=True,
    metavar="SPEC",
    type=click.Path(path_type=Path),
    help="With --adopt: the job is of this spec and new to the ledger, such as after it was lost.",
)
@click.option("--resubmit", is_flag=True, help="Make another task at the next run; if there was one, it is paid too.")
@click.option(
    "--abandon", is_flag=True, help="Give the job up; runs go on with exit code 1 until it is no longer in the spec."
)
@setup_options
@emulator_flag
@format_option
def resolve(
    job: str, adopt: str | None, specs: tuple[Path, ...], resubmit: bool, abandon: bool, form: str, **options: Any
) -> int:
    """Settle a JOB (spec/job, or job) that is held, unsure or lost; the next run goes on from there.

    A job is unsure when its create got no answer: a task may exist and cost money. A run finds out by itself; what it
    cannot decide is held, and `wanrun status` shows the tasks that it may be. Look at them in the service's console;
    adopt the one with that prompt and video if there is one, resubmit if there is none.
    """
    chosen = [
        decision
        for decision, given in (
            (api.Decision.ADOPT, adopt is not None),
            (api.Decision.RESUBMIT, resubmit),
            (api.Decision.ABANDON, abandon),
        )
        if given
    ]
    if len(chosen) != 1:
        raise click.UsageError("give one of --adopt TASK, --resubmit, --abandon")
    if specs and adopt is None:
        raise click.UsageError("--spec goes with --adopt TASK")
    setup = make_setup(options)
    if specs and adopt is not None:
        with problems_as(form):
            standing = api.adopt(job, adopt, specs, setup)
    else:
        standing = api.resolve(job, chosen[0], setup, task_id=adopt)
    if form == "json":
        say_json(_json(standing) | {"risk": standing.risk})
    else:
        say(f"{standing.address} is now {standing.state}" + (f"; {standing.risk}" if standing.risk else ""))
        if adopt is not None:
            say(f"{adopt} was not looked at; see whether it is the job's: {command('tasks', setup)} {adopt}")
    return 0
