"""`wanrun plan`: what a run would do, what it would cost and what would stop it, for people, programs and reviews."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from wanrun import api
from wanrun.chains import upstreams
from wanrun.changes import medium_name
from wanrun.cli.markdown import page
from wanrun.cli.options import (
    emulator_flag,
    make_selection,
    make_setup,
    require_ledger_option,
    selection_options,
    setup_options,
    specs_argument,
)
from wanrun.cli.output import counted, say, say_json, table
from wanrun.cli.planned import (
    action_counts,
    duration_words,
    medium_words,
    money_words,
    price_words,
    seconds_words,
    state_counts,
)
from wanrun.cli.reports import problems_as
from wanrun.errors import ExitCode
from wanrun.policy import against
from wanrun.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from wanrun.forecast import Rate, Sum
    from wanrun.media import MediaFacts
    from wanrun.types import MediaRef

PLACES_SHOWN = 20  #: of one sort of obstacle


@click.command()
@specs_argument
@setup_options
@require_ledger_option
@emulator_flag
@selection_options
@click.option("--retry-failed", is_flag=True, help="Plan failed jobs anew; none of them was billed.")
@click.option(
    "--max-cost",
    metavar="AMOUNT",
    help='Show what stops a run that submits only as much as "30 CNY" pays for; a plan of --out keeps its run to it.',
)
@click.option("--exit-code", is_flag=True, help="End with exit code 6 when a run would do anything.")
@click.option("--out", metavar="FILE", help="Write the plan to FILE: wanrun run --plan FILE does it, or nothing.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "markdown"]),
    default="text",
    show_default=True,
    help="How to print the plan; markdown is a comment for a pull request.",
)
def plan(
    specs: tuple[Path, ...],
    form: str,
    retry_failed: bool,
    max_cost: str | None,
    exit_code: bool,
    out: str | None,
    **options: Any,
) -> int:
    """Show what a run would do about every job, what has changed, what it costs at most and what would stop it.

    Needs no key and no network, and writes nothing but --out and what it has learned of local files, so that a large
    one is read once. Exit code 2 when a policy vetoes a job, as a run would.
    """
    setup, selection = make_setup(options), make_selection(options)
    with problems_as(form):
        found = api.forecast(
            specs, setup, retry_failed=retry_failed, selection=selection, plan_file=out, max_cost=max_cost
        )
    if form == "json":
        say_json(_json(found))
    elif form == "markdown":
        say(page(found))
    else:
        _say_text(found)
    if found.is_vetoed:
        return int(ExitCode.INVALID)
    return int(ExitCode.CHANGES) if exit_code and found.has_work else 0


# For people


def _say_text(found: api.Forecast) -> None:
    for note in found.notes:
        say(f"note: {note}", err=True)
    rows = [
        (job.address, job.planned.state, job.planned.action, "; ".join(filter(None, _remarks(job))))
        for job in found.jobs
    ]
    if not found.jobs:
        say("no jobs")
        return
    lines = zip(table(rows).splitlines(), map(_below, found.jobs), strict=True)
    say("\n".join(text for line, below in lines for text in (line, *(f"    {each}" for each in below))))
    actions = ", ".join(f"{count} {action}" for action, count in action_counts(found).items())
    cost = f"; at most {money_words(found.total)} to submit" if found.total.cost else ""
    say(f"\n{counted(len(found.jobs), 'job')}: {actions}{cost}")
    for text in _summary(found):
        say(text)


def _remarks(job: api.JobForecast) -> Iterator[str]:
    yield job.planned.why
    if job.submits:
        refs = job.planned.job.media
        yield from (medium_words(ref, facts) for ref, facts in zip(refs, job.media, strict=True) if facts is not None)
        yield from (f"{each.file} {each.change}" for each in job.planned.fitted)
        if job.planned.cost is not None:
            length = f" for {seconds_words(job.seconds)}" if job.seconds is not None else ""
            yield f"at most {job.planned.cost}{length}"


def _below(job: api.JobForecast) -> Iterator[str]:
    """Yield what does not fit into a job's own line."""
    if job.changes is not None:
        yield from map(str, job.changes)
    for plugin, objection in job.objections:
        yield against(plugin, objection)
    if job.occupied is not None:
        yield one_line(job.occupied)


def _summary(found: api.Forecast) -> Iterator[str]:
    for what, sums in (("spec", found.specs), ("provider", found.providers)):
        if len(sums) > 1:
            yield from (_sum_words(f"{what} {name}", each) for name, each in sums.items() if each.submit)
    if found.rates:
        yield price_words(found.rates)
    yield from map(duration_words, found.durations)
    counts: Counter[str] = Counter()
    for each in found.obstacles:
        counts[each.what] += 1
        if counts[each.what] <= PLACES_SHOWN:
            yield one_line(f"would stop ({each.what}): {f'{each.job}: ' if each.job else ''}{each.words}")
    for what, count in counts.items():
        if count > PLACES_SHOWN:
            yield f"would stop ({what}): and {counted(count - PLACES_SHOWN, 'more job')}"


def _sum_words(what: str, each: Sum) -> str:
    return f"{what}: {each.submit} of {counted(each.jobs, 'job')} to submit, at most {money_words(each)}"


# For programs


def _json(found: api.Forecast) -> dict[str, Any]:
    return {
        "jobs": [_job(job) for job in found.jobs],
        "actions": dict(action_counts(found)),
        "states": dict(state_counts(found)),
        "most": {currency: money.plain for currency, money in found.total.cost.items()},
        "billed_seconds_at_most": float(found.total.seconds),
        "specs": {name: _sum(each) for name, each in found.specs.items()},
        "providers": {name: _sum(each) for name, each in found.providers.items()},
        "prices": [_rate(rate) for rate in found.rates],
        "durations": [
            {
                "provider": each.provider,
                "tasks": each.tasks,
                "at_once": each.at_once,
                "least_seconds": round(each.least_seconds, 1),
                "most_seconds": round(each.most_seconds, 1),
                "known_tasks": each.known_tasks,
            }
            for each in found.durations
        ],
        "obstacles": [
            {"what": each.what, "job": each.job, "words": each.words, "exit_code": int(each.exit_code)}
            for each in found.obstacles
        ],
        "notes": list(found.notes),
    }


def _job(found: api.JobForecast) -> dict[str, Any]:
    planned = found.planned
    job = planned.job
    return {
        "job": job.address,
        "state": planned.state.value,
        "action": planned.action.value,
        "why": planned.why,
        "changes": _changes(found),
        "model": job.model,
        "provider": job.provider,
        "tags": list(job.tags),
        "fingerprint": planned.fingerprint,
        "chains_from": list(upstreams(job)),
        "media": [_medium(ref, facts) for ref, facts in zip(job.media, found.media, strict=True)],
        "fitted": [asdict(each) for each in planned.fitted],
        "billed_seconds_at_most": float(found.seconds) if found.seconds is not None else None,
        "cost_at_most": f"{planned.cost.plain} {planned.cost.currency}" if planned.cost is not None else None,
        "spec": str(job.spec_path),
        "line": job.position.line,
        "places": [destination.place for destination in planned.destinations],
        "objections": [
            {"plugin": plugin, "message": each.message, "veto": each.veto} for plugin, each in found.objections
        ],
        "occupied": found.occupied,
    }


def _changes(found: api.JobForecast) -> list[dict[str, Any]] | None:
    if found.changes is None:
        return None
    return [{"what": each.what, "before": each.before, "after": each.after} for each in found.changes]


def _medium(ref: MediaRef, facts: MediaFacts | None) -> dict[str, Any]:
    known: Mapping[str, Any] = {}
    if facts is not None:
        known = {
            "format": facts.format,
            "bytes": facts.bytes,
            "width": facts.width,
            "height": facts.height,
            "seconds": facts.seconds,
        }
    return {"type": ref.type, "name": medium_name(ref), **known}


def _sum(each: Sum) -> dict[str, Any]:
    most = {currency: money.plain for currency, money in each.cost.items()}
    return {"jobs": each.jobs, "submit": each.submit, "billed_seconds_at_most": float(each.seconds), "most": most}


def _rate(rate: Rate) -> dict[str, Any]:
    price = rate.price
    return {
        "provider": rate.provider,
        "model": price.model.name,
        "region": price.region,
        "as_of": price.as_of,
        "currency": price.currency,
        "per_second": {resolution: str(amount) for resolution, amount in price.per_second.items()},
    }
