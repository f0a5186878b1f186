"""`wanrun run`, the default: plan and carry out specs, showing progress, and say at the end what came of it."""

from __future__ import annotations

import json
import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from wanrun import api
from wanrun.cli.advice import RETRY_FAILED, advice, command
from wanrun.cli.money import spent_json, spent_words
from wanrun.cli.options import (
    budget_options,
    deliver_option,
    emulator_flag,
    emulator_options,
    format_option,
    make_consent,
    make_selection,
    make_setup,
    require_ledger_option,
    seconds_of,
    selection_options,
    setup_options,
    with_patterns,
)
from wanrun.cli.output import counted, is_one_screen, say, say_json
from wanrun.cli.reports import problems_as
from wanrun.errors import ExitCode, SettingsError
from wanrun.events import EventName
from wanrun.progress import view_for
from wanrun.streams import silence
from wanrun.text import one_line, printable, printable_json
from wanrun.types import Action, State

if TYPE_CHECKING:
    from collections.abc import Collection

    from wanrun.events import Event

PLACES_SHOWN = 20


@click.command()
@click.argument("specs", nargs=-1, metavar="SPECS...", type=click.Path(path_type=Path), callback=with_patterns)
@setup_options
@require_ledger_option
@emulator_flag
@emulator_options
@deliver_option
@selection_options
@click.option("--retry-failed", is_flag=True, help="Submit failed jobs anew; none of them was billed.")
@click.option(
    "--max-wait",
    callback=seconds_of,
    metavar="DURATION",
    help="After so long (90s, 30m, 2h), submit no more and end within a minute; cancel nothing. Run again to collect.",
)
@click.option(
    "--no-wait", is_flag=True, help="Bring home what has ended, fill the tasks in flight, and leave; run again later."
)
@click.option(
    "--plan",
    "plan_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Do what wanrun plan --out FILE has planned, or nothing if anything has changed since; SPECS may be left out.",
)
@budget_options
@click.option("--events", metavar="FILE|-", help="Write every event as a JSON line to FILE, or - for standard output.")
@click.option("-q", "--quiet", is_flag=True, help="Show only what needs attention while the run lasts.")
@format_option
def run(specs: tuple[Path, ...], form: str, events: str | None, quiet: bool, **options: Any) -> int:
    """Plan and carry out specs, and resume what is unfinished; the default command.

    Each job becomes one task, is watched, and its result is fetched and delivered to its sinks. What is done is
    never paid for again: running the same specs once more submits nothing. It is safe to stop it at any time.
    """
    setup, consent, selection = make_setup(options), make_consent(options), make_selection(options)
    if not specs and options["plan_file"] is None:
        raise click.UsageError("Missing argument 'SPECS...'.")
    if options["plan_file"] is not None:
        if selection != api.Selection() or options["retry_failed"]:
            raise click.UsageError("--plan says already which jobs to take; leave the options that choose jobs out")
        options["selection"] = None
    else:
        options["selection"] = selection
    if (max_wait := options.pop("max_wait")) is not None:
        options["max_wait_seconds"] = max_wait
    if form == "json" and events == "-":
        raise click.UsageError("--format json and --events - both write to standard output; give --events a file")
    told: set[object] = set()  # reasons for stopping that the terminal shows already
    with problems_as(form), ExitStack() as stack:
        lines = stack.enter_context(_EventLines(events)) if events else None
        view = stack.enter_context(view_for(quiet=quiet, live=events != "-", clean=_clean))

        def observe(event: Event) -> None:
            view(event)
            if event.name is EventName.RUN_STOPPING:
                told.add(event.data["reason"])
            if lines is not None:
                lines.write(event)

        outcome = api.run(
            specs,
            setup,
            observe=observe,
            planned=_announce(quiet),
            signals=True,
            **options,
            **consent,
        )
    if lines is not None and lines.failure:
        say(f"{events}: {lines.failure}; not every event is in it", err=True)
    if form == "json":
        say_json(_json(outcome))
    else:
        err = events == "-"
        _sum_up(outcome, setup, err=err, told=told if err or is_one_screen() else set())
    return int(outcome.exit_code)


class _EventLines:
    """The event stream as JSON lines, each whole and flushed."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._stream: TextIO = sys.stdout
        self.failure: str | None = None  #: why not every event could be written

    def __enter__(self) -> _EventLines:
        if self._target != "-":
            try:
                self._stream = open(self._target, "a", encoding="utf-8", opener=_private)  # Path.open has no opener
            except OSError as exc:
                raise SettingsError(f"{self._target}: {exc.strerror} (given by --events)") from exc
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._stream is not sys.stdout:
            self._stream.close()

    def write(self, event: Event) -> None:
        """Append one event; a stream that fails is given up and the run goes on, since it is paying for things."""
        try:
            self._stream.write(printable_json(json.dumps(event.to_json(), ensure_ascii=True)) + "\n")
            self._stream.flush()
        except OSError as exc:
            silence(self._stream)
            self.failure = None if isinstance(exc, BrokenPipeError) else exc.strerror


def _private(path: str, flags: int) -> int:
    """Open a file that, when it is made, is the user's alone: prompts and names of clients stand in events."""
    return os.open(path, flags, 0o600)


def _announce(quiet: bool) -> Any:
    def announce(planned: api.Plan, batch: api.Batch) -> None:
        for note in batch.notes:
            say(f"note: {note}", err=True)
        if quiet:
            return
        submit, resume = planned.count(Action.SUBMIT), planned.count(Action.RESUME)
        parts = [counted(len(planned.jobs), "job"), f"{submit} to submit"]
        parts += [f"{resume} to resume"] if resume else []
        deliver = planned.count(Action.DELIVER)
        parts += [f"{deliver} to deliver"] if deliver else []
        say(", ".join(parts), err=True)

    return announce


def _sum_up(outcome: api.Outcome, setup: api.Setup, *, err: bool, told: Collection[object]) -> None:
    """Say where the results are, what needs a person, and what running again would do; `told` reasons are known."""
    places = [place for job in outcome.jobs for place in job.places]
    for place in places[:PLACES_SHOWN]:
        say(_short(place), err=err)
    if len(places) > PLACES_SHOWN:
        say(f"... and {len(places) - PLACES_SHOWN} more: {command('status', setup)}", err=err)
    for job in outcome.jobs:
        if job.state is State.TO_DELIVER or job.exit_code not in (ExitCode.OK, ExitCode.UNFINISHED):
            say(one_line(f"{job.address} is {job.state}: {job.why}"), err=err)
            if words := advice(job.address, job.state, setup):
                say(f"  {words}", err=err)
    if any(job.state is State.FAILED for job in outcome.jobs):
        say(f"{RETRY_FAILED}: the same command with --retry-failed", err=err)
    for note in outcome.run_notes:
        say(f"note: {note}", err=err)
    if words := _money(outcome, setup):
        say(words, err=err)
    for reason in outcome.reasons:
        if reason not in told:
            say(one_line(reason), err=err)
    counts = ", ".join(f"{count} {state}" for state, count in outcome.counts().items()) or "no jobs"
    say(f"{counts}; {_submitted(outcome)}. Ledger: {_short(str(outcome.ledger))}", err=err)
    if outcome.exit_code is ExitCode.UNFINISHED:
        say("run again to go on", err=err)


def _money(outcome: api.Outcome, setup: api.Setup) -> str:
    """Say what this run has cost, and what has gone in all; empty where nothing was ever submitted."""
    mine, all_together = spent_words(outcome.spent_by_run), spent_words(outcome.spent)
    if setup.emulator:
        return f"at the service this would be: {mine}" if mine else ""
    if not mine or mine == all_together:
        return f"{'by this run' if mine else 'in all'}: {all_together}" if all_together else ""
    return f"by this run: {mine}; in all: {all_together}"


def _submitted(outcome: api.Outcome) -> str:
    parts = [f"{counted(outcome.submitted, 'task')} submitted"] if outcome.submitted else []
    parts += [f"{counted(outcome.unsure, 'task')} may have been made"] if outcome.unsure else []
    return ", ".join(parts) or "nothing was submitted"


def _short(place: str) -> str:
    """Return a path below the working directory without it."""
    return place.removeprefix(f"{Path.cwd()}/")


def _clean(text: str) -> str:
    """Return a line that a terminal can take, and whose paths are not longer than they need to be."""
    return printable(text).replace(f" {Path.cwd()}/", " ")


def _json(outcome: api.Outcome) -> dict[str, Any]:
    return {
        "run": outcome.run,
        "exit_code": int(outcome.exit_code),
        "exit": outcome.exit_code.name.lower(),
        "submitted": outcome.submitted,
        "unsure": outcome.unsure,
        "money": spent_json(outcome.spent),
        "money_of_run": spent_json(outcome.spent_by_run),
        "reasons": list(outcome.reasons),
        "notes": [*outcome.notes, *outcome.run_notes],
        "ledger": str(outcome.ledger),
        "states": {state.value: count for state, count in outcome.counts().items()},
        "jobs": [
            {"job": job.address, "state": job.state.value, "why": job.why, "places": list(job.places)}
            for job in outcome.jobs
        ],
    }
