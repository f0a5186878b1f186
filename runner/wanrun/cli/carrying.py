"""`wanrun ledger new`, `export`, `import` and `reclaim`: one ledger, carried from machine to machine.

As a file, or through the ledger store of the settings.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from wanrun import api
from wanrun.cli.advice import command
from wanrun.cli.options import emulator_flag, format_option, make_setup, setup_options
from wanrun.cli.output import counted, local_time, say, say_json
from wanrun.errors import ExitCode
from wanrun.words import megabytes


@click.command(short_help="Make an empty one, before anything has run.")
@setup_options
@emulator_flag
@format_option
def new(form: str, **options: Any) -> int:
    """Make an empty ledger where there is none, so that the first run, too, can be told --require-ledger."""
    path = api.new_ledger(make_setup(options))
    if form == "json":
        say_json({"ledger": str(path)})
    else:
        say(f"{_near(path)}: an empty ledger")
    return int(ExitCode.OK)


@click.command(short_help="Write it to one file, to be carried elsewhere.")
@click.argument("file", metavar="[FILE|-]", required=False)
@click.option("--store", is_flag=True, help="Give it back to the ledger store of wanrun.toml; instead of FILE.")
@click.option("--force", is_flag=True, help="Let the file take the place of one that is there.")
@click.option(
    "--lent-to",
    metavar="WHO",
    help="Who goes on with the ledger, in a few words: whoever imports the file can look at it, and no run uses it.",
)
@setup_options
@emulator_flag
@format_option
def export(file: str | None, store: bool, force: bool, lent_to: str | None, form: str, **options: Any) -> int:
    """Write the ledger to FILE, or to standard output: lines of text with a checksum, packed if FILE ends in .gz.

    With --store it goes to the ledger store that [ledger_store] in wanrun.toml names, as the generation after the one
    that was taken or reclaimed here, or as the first. From then on no run uses it here, until it is taken again.

    All that is known of paid tasks is in it, also of those in the air, unsure or held. Artifacts are not, nor any
    secret. While a run uses the ledger, the file holds one state of it and says that the run goes on: whoever imports
    it can look at it, and no run uses it, since it would pay again for what is submitted meanwhile.
    """
    _check_one(file, store)
    if store and (force or lent_to is not None):
        raise click.UsageError("--force and --lent-to are for a FILE; whoever takes it from the store says who it is")
    if file is None:
        return _give_back(form, make_setup(options))
    if form == "json" and file == "-":
        raise click.UsageError("--format json and FILE - both write to standard output; name a file")
    made = api.export_ledger(file, make_setup(options), lent_to=lent_to, replace_it=force)
    if made.path is None:
        return int(ExitCode.OK)
    if form == "json":
        lent = made.lent.to if made.lent else None
        say_json({"ledger": str(made.ledger), "path": str(made.path), "bytes": made.bytes, "lent_to": lent})
        return int(ExitCode.OK)
    say(f"{_near(made.path)} ({megabytes(made.bytes)})" + (f", {made.lent.words()}" if made.lent else ""))
    return int(ExitCode.OK)


def _give_back(form: str, setup: api.Setup) -> int:
    made = api.give_back_ledger(setup)
    if form == "json":
        say_json(_given_back(made))
        return int(ExitCode.OK)
    known = "" if made.is_new else ", which knows all that is known here already"
    say(f"{_near(made.ledger)} is given back: generation {made.generation} of {made.place}{known}")
    if made.note is not None:
        say(made.note, err=True)
    return int(ExitCode.OK)


def _check_one(file: str | None, store: bool) -> None:
    """Raise `UsageError` unless one of the two is given."""
    if (file is None) is not store:
        raise click.UsageError("name a FILE, or give --store for the ledger store of wanrun.toml")


@click.command("import", short_help="Take such a file as the ledger.")
@click.argument("file", metavar="[FILE|-]", required=False)
@click.option("--store", is_flag=True, help="Take the newest one of the ledger store of wanrun.toml; instead of FILE.")
@click.option(
    "--lend-to",
    metavar="WHO",
    help="With --store: who goes on with the ledger, in a few words. Without it, it is only looked at.",
)
@click.option(
    "--replace",
    metavar="STATE",
    help="The state of the ledger here that gives way although the file does not know all of it; as refused before.",
)
@setup_options
@emulator_flag
@format_option
def import_(file: str | None, store: bool, lend_to: str | None, replace: str | None, form: str, **options: Any) -> int:
    """Take FILE, written by `wanrun ledger export`, as the ledger here, in one step.

    With --store it is the newest generation in the ledger store that [ledger_store] in wanrun.toml names. With
    --lend-to it is yours to run with until you give it back (wanrun ledger export --store); of several at once one gets
    it, and the others are told who. Without, you can look at it, and no run uses it. After whatever went wrong, the
    same command goes on where it was.

    A file that is older than the ledger here, or has diverged from it, is refused with what it does not know, and so
    is one of another service, and one from before the ledger here was lent. A ledger that gives way is kept beside the
    new one. What is said about results: which are not in the artifact store here, whether anything needs them, and
    until when the service has them.
    """
    _check_one(file, store)
    if lend_to is not None and not store:
        raise click.UsageError("--lend-to is for --store; a FILE says itself who goes on with it")
    setup = make_setup(options)
    made = (
        api.import_ledger(file, setup, replace=replace)
        if file is not None
        else api.take_ledger(setup, lend_to=lend_to, replace=replace)
    )
    if form == "json":
        say_json(_imported(made))
        return int(ExitCode.OK)
    counts = ", ".join(f"{count} {state}" for state, count in made.states.items()) or "nothing submitted yet"
    known = " known already;" if made.relation == "same" else ""
    say(f"{_near(made.ledger)}:{known} {counts}; as of {_utc(made.made_at)}")
    _say_missing(made)
    if made.gone_at is not None:
        say(f"the first result of what is in flight is gone at {local_time(made.gone_at)}; run before")
    if made.generation is not None and made.lent is None:
        say(f"generation {made.generation} is yours: run with it, then give it back with wanrun ledger export --store")
    elif made.lent is not None and made.lent.is_free:
        say(f"generation {made.generation}, to look at: no run uses it until it is taken (--lend-to WHO)")
    elif made.lent is not None:
        say(f"it is {made.lent.words()}: look at it as you like; no run uses it until it is given back")
    _say_replaced(made, setup)
    return int(ExitCode.OK)


@click.command(short_help="Take it back from one who will not give it back.")
@click.argument("who")
@setup_options
@emulator_flag
@format_option
def reclaim(who: str, form: str, **options: Any) -> int:
    """Take back a ledger that was lent to WHO and not given back, such as to a machine that died.

    What was submitted there is not in it. Before this, look at wanrun tasks, and for each task that no job has:
    wanrun resolve JOB --adopt TASK --spec SPEC. What is older than 24 h is listed no more; wait no longer than that.

    One of a ledger store goes back there next (wanrun ledger export --store), and is used once it is taken again.
    """
    made = api.reclaim_ledger(who, make_setup(options))
    if form == "json":
        say_json({"ledger": str(made.ledger), "lent_to": None, "goes_back_as": made.goes_back_as})
        return int(ExitCode.OK)
    say(f"{_near(made.ledger)} is no longer lent to {who}")
    if made.goes_back_as is not None:
        say(f"it goes back to the ledger store next, as generation {made.goes_back_as}: wanrun ledger export --store")
    return int(ExitCode.OK)


def _say_missing(made: api.Imported) -> None:
    spare = sum(not result.is_needed for result in made.missing)
    if spare:
        say(f"{counted(spare, 'result')} not in the artifact store here: delivered, and nothing needs them")
    for result in made.missing:
        if result.is_needed and result.until is not None:
            say(f"{result.job}: its result is not here, nor delivered; the service has it until {_utc(result.until)}")
        elif result.is_needed:
            say(f"{result.job}: its result is not here, nor delivered, and gone at the service; bring it here:")
            say(f"  {result.artifact} of .wanrun/artifacts where the ledger comes from")


def _say_replaced(made: api.Imported, setup: api.Setup) -> None:
    if made.kept is None:
        return
    say(f"the ledger that was here is kept as {_near(made.kept)}")
    for job, tasks in made.forgotten.items():
        for task in tasks:
            say(f"{job}: task {task} is known no more; unless it is to be paid for again:")
            say(f"  {command('resolve', setup)} {job} --adopt {task} --spec SPEC")


def _imported(made: api.Imported) -> dict[str, Any]:
    return {
        "ledger": str(made.ledger),
        "was": made.relation.value if made.relation else None,
        "made_at": made.made_at,
        "states": {state.value: count for state, count in made.states.items()},
        "missing": [
            {"job": each.job, "artifact": each.artifact, "needed": each.is_needed, "until": each.until}
            for each in made.missing
        ],
        "gone_at": made.gone_at,
        "lent_to": made.lent.to or None if made.lent else None,
        "generation": made.generation,
        "free": made.lent is not None and made.lent.is_free,
        "kept": str(made.kept) if made.kept else None,
        "forgotten": {job: list(tasks) for job, tasks in made.forgotten.items()},
    }


def _given_back(made: api.GivenBack) -> dict[str, Any]:
    return {
        "ledger": str(made.ledger),
        "store": made.place,
        "generation": made.generation,
        "new": made.is_new,
        "note": made.note,
    }


def _utc(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _near(path: Path) -> str:
    return str(path).removeprefix(f"{Path.cwd()}/")
