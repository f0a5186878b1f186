"""`wanrun validate` and `wanrun plan`: looking at specs without doing anything about them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from wanrun import api
from wanrun.cli.options import (
    emulator_flag,
    format_option,
    make_selection,
    make_setup,
    require_ledger_option,
    selection_options,
    setup_options,
    specs_argument,
)
from wanrun.cli.output import counted, say, say_json, table
from wanrun.errors import SpecError
from wanrun.money import total
from wanrun.types import Action

if TYPE_CHECKING:
    from collections.abc import Mapping
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


@click.command()
@specs_argument
@setup_options
@require_ledger_option
@emulator_flag
@selection_options
@click.option("--retry-failed", is_flag=True, help="Plan failed jobs anew; none of them was billed.")
@format_option
def plan(specs: tuple[Path, ...], form: str, retry_failed: bool, **options: Any) -> int:
    """Show the state of every job and what a run would do about it. Needs no key and no network; writes nothing."""
    setup, selection = make_setup(options), make_selection(options)
    planned = api.plan(specs, setup, retry_failed=retry_failed, selection=selection)
    if form == "json":
        most: dict[str, Any] = {currency: money.plain for currency, money in _most(planned).items()}
        say_json({"jobs": [_job(job) for job in planned.jobs], "actions": _actions(planned), "most": most})
        return 0
    say(table([(job.job.address, job.state, job.action, job.why) for job in planned.jobs]))
    actions = ", ".join(f"{count} {action}" for action, count in _actions(planned).items())
    cost = "".join(f"; at most {money} to submit" for money in _most(planned).values())
    say(f"\n{counted(len(planned.jobs), 'job')}: {actions}{cost}" if planned.jobs else "no jobs")
    return 0


def _actions(planned: api.Plan) -> dict[str, Any]:
    return dict(Counter(job.action.value for job in planned.jobs))


def _most(planned: api.Plan) -> Mapping[str, api.Money]:
    """Return what the jobs to be submitted cost at most, by currency."""
    submit = [job for job in planned.jobs if job.action is Action.SUBMIT]
    return total(job.cost for job in submit if job.cost is not None)


def _job(planned: api.PlannedJob) -> dict[str, Any]:
    job = planned.job
    return {
        "job": job.address,
        "state": planned.state.value,
        "action": planned.action.value,
        "why": planned.why,
        "model": job.model,
        "provider": job.provider,
        "fingerprint": planned.fingerprint,
        "cost_at_most": f"{planned.cost.plain} {planned.cost.currency}" if planned.cost is not None else None,
        "spec": str(job.spec_path),
        "places": [destination.place for destination in planned.destinations],
    }
