"""Options that several commands share, and the setup that they make."""

from __future__ import annotations

import glob
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from wanrun import api

if TYPE_CHECKING:
    from collections.abc import Callable

_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)\s*([smhd])?")

F = TypeVar("F", bound="Callable[..., Any]")


def with_patterns(context: click.Context, parameter: click.Parameter, specs: tuple[Path, ...]) -> tuple[Path, ...]:
    """Return specs with what a pattern stands for, where no shell has seen to it: in pre-commit, systemd, Windows."""
    return tuple(each for path in specs for each in _matches(path) or [path])


def _matches(path: Path) -> list[Path]:
    """Return the files that a pattern stands for, in the order of their names; none for the name of a file."""
    if path.exists() or not glob.has_magic(str(path)):
        return []
    names = glob.glob(str(path), recursive=True)  # noqa: PTH207  # a pattern may be absolute, which Path.glob refuses
    return [Path(name) for name in sorted(names)]


specs_argument = click.argument(
    "specs",
    nargs=-1,
    required=True,
    metavar="SPECS...",
    type=click.Path(path_type=Path),
    callback=with_patterns,
)
format_option = click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How to print the result on standard output; an error that leaves none is on standard error only.",
)


config_option = click.option("--config", type=click.Path(path_type=Path), help="Settings instead of wanrun.toml.")
no_plugin_option = click.option(
    "--no-plugin",
    "without_plugins",
    multiple=True,
    metavar="NAME",
    help="Do without an installed plugin; not even import it.",
)


def setup_options(command: F) -> F:
    """Add the options that say where and against what a command works."""
    for option in reversed(
        [
            config_option,
            click.option("--ledger", type=click.Path(path_type=Path), help="Ledger file instead of .wanrun/ledger.db."),
            click.option("--base-url", metavar="URL", help="The service's address, such as https://host/api/v1."),
            no_plugin_option,
        ]
    ):
        command = option(command)
    return command


require_ledger_option = click.option(
    "--require-ledger",
    is_flag=True,
    help="Exit with 2 if there is no ledger, which would be begun anew: for CI, where each job would be paid again.",
)

emulator_flag = click.option(
    "--emulator", is_flag=True, help="Use the embedded emulator and its own ledger: no key, no network, no cost."
)


def emulator_options(command: F) -> F:
    """Add the options that say how an emulator behaves."""
    for option in reversed(
        [
            click.option(
                "--speed",
                type=click.FloatRange(min=0.01),
                default=60.0,
                show_default=True,
                help="Emulator: how many times faster than the service tasks are queued and worked on.",
            ),
            click.option(
                "--edit",
                type=click.Choice(["auto", "none"]),
                default="auto",
                show_default=True,
                help="Emulator: edit for real, or give every task one ready video.",
            ),
            click.option(
                "--faults", type=click.Path(path_type=Path), help="Emulator: a script of faults, YAML or JSON."
            ),
        ]
    ):
        command = option(command)
    return command


deliver_option = click.option(
    "--deliver", is_flag=True, help="With --emulator: let sinks that reach beyond this machine deliver for real."
)


def budget_options(command: F) -> F:
    """Add the options that say what a run may spend."""
    command = click.option(
        "--yes", is_flag=True, help="Do not ask, however many jobs there are and whatever they may cost."
    )(command)
    return click.option("--max-cost", metavar="AMOUNT", help='Submit only as much as this pays for, such as "30 CNY".')(
        command
    )


def make_consent(options: dict[str, Any]) -> dict[str, Any]:
    """Take the options of `budget_options` out of a command's own and return what they are to a run."""
    from wanrun.cli.asking import agree, ask, is_terminal  # here, since `--help` does not wait for trio

    confirm = agree if options.pop("yes") else ask if is_terminal() else None
    return {"max_cost": options.pop("max_cost"), "confirm": confirm}


def selection_options(command: F) -> F:
    """Add the options that choose among the jobs of the specs."""
    for option in reversed(
        [
            click.option(
                "--only", multiple=True, metavar="PATTERN", help="Take only the jobs that match: spec/job, or job."
            ),
            click.option("--exclude", multiple=True, metavar="PATTERN", help="Leave out the jobs that match."),
            click.option("--only-changed", is_flag=True, help="Take only the jobs that are new or have changed."),
            click.option(
                "--tag", multiple=True, metavar="NAME", help="Take only jobs with this tag, or with one of several."
            ),
            click.option(
                "--limit",
                type=click.IntRange(min=1),
                metavar="N",
                help="Submit at most N jobs, the first ones; leave the others to another run.",
            ),
            click.option(
                "--again",
                multiple=True,
                metavar="PATTERN",
                help="Make one more task for each matching job that is done or failed: pay for it once more.",
            ),
        ]
    ):
        command = option(command)
    return command


def make_selection(options: dict[str, Any]) -> api.Selection:
    """Take the options of `selection_options` out of a command's own and return what they choose."""
    names = ("only", "exclude", "tag", "only_changed", "limit", "again")
    return api.Selection(**{name: options.pop(name) for name in names})


def seconds_of(_context: click.Context, _option: click.Parameter, value: str | None) -> float | None:
    """Return the seconds of a span of time: `90s`, `30m`, `2h`, or a number of seconds."""
    if value is None:
        return None
    found = _DURATION.fullmatch(value.strip().lower())
    if found is None:
        raise click.BadParameter(f'"{value}" is no span of time; give 90s, 30m, 2h or a number of seconds')
    return float(found[1]) * _UNIT_SECONDS[found[2] or "s"]


def make_setup(options: dict[str, Any]) -> api.Setup:
    """Take the shared options out of a command's own and return the setup they make."""
    emulator = options.pop("emulator", False)
    embedded = {name: options.pop(name) for name in ("speed", "edit", "faults", "deliver") if name in options}
    if not emulator and (without := [f"--{name}" for name in embedded if _is_given(name)]):
        raise click.UsageError(f"{' and '.join(without)} without --emulator")
    if emulator and options.get("base_url"):
        raise click.UsageError("--emulator and --base-url exclude each other")
    return api.Setup(
        config=options.pop("config"),
        ledger=options.pop("ledger"),
        base_url=options.pop("base_url"),
        require_ledger=options.pop("require_ledger", False),
        without_plugins=options.pop("without_plugins"),
        emulator=api.EmulatorOptions(**embedded) if emulator else None,
    )


def _is_given(name: str) -> bool:
    return click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE
