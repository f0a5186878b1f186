"""`wanrun status` and `wanrun resolve`: how jobs stand by the ledger, and settling by hand."""

from __future__ import annotations

from collections import Counter
from typing import Any

import click

from wanrun import api
from wanrun.cli.advice import advice
from wanrun.cli.options import emulator_flag, format_option, make_setup, setup_options
from wanrun.cli.output import counted, local_time, say, say_json, table


@click.command()
@click.argument("jobs", nargs=-1, metavar="[JOBS]...")
@setup_options
@emulator_flag
@format_option
def status(jobs: tuple[str, ...], form: str, **options: Any) -> int:
    """Show how every job of the ledger stands, or those that match JOBS (spec/job or job; * and ? match).

    Reads the ledger only; a run may be under way.
    """
    setup = make_setup(options)
    standings = api.status(setup, jobs)
    if form == "json":
        say_json({"jobs": [_json(job) for job in standings]})
        return 0
    if not standings:
        say("no jobs in the ledger" if not jobs else f"no job in the ledger matches {' '.join(jobs)}")
        return 0
    say(table([(job.address, job.state, local_time(job.intended_at), _note(job, setup)) for job in standings]))
    counts = Counter(job.state.value for job in standings)
    say(f"\n{counted(len(standings), 'job')}: " + ", ".join(f"{count} {state}" for state, count in counts.items()))
    return 0


def _note(job: api.JobStanding, setup: api.Setup) -> str:
    note = job.why or ", ".join(job.places)
    words = advice(job.address, job.state, setup)
    return f"{note}; {words}" if words else note


def _json(job: api.JobStanding) -> dict[str, Any]:
    return {
        "job": job.address,
        "state": job.state.value,
        "why": job.why,
        "task": job.task_id,
        "intended_at": job.intended_at,
        "places": list(job.places),
    }


@click.command()
@click.argument("job")
@click.option("--adopt", metavar="TASK", help="The service made this task for the job: go on with it.")
@click.option("--resubmit", is_flag=True, help="Make another task at the next run; if there was one, it is paid too.")
@click.option("--abandon", is_flag=True, help="Give the job up.")
@setup_options
@emulator_flag
@format_option
def resolve(job: str, adopt: str | None, resubmit: bool, abandon: bool, form: str, **options: Any) -> int:
    """Settle a JOB (spec/job, or job) that is held or lost; the next run goes on from there.

    A job is held when its create got no answer: a task may exist and cost money. Look in the service's console for
    one that was made at that time with that prompt; adopt it if there is one, resubmit if there is none.
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
    standing = api.resolve(job, chosen[0], make_setup(options), task_id=adopt)
    if form == "json":
        say_json(_json(standing))
    else:
        say(f"{standing.address} is now {standing.state}")
    return 0
