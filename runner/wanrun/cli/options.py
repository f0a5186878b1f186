"""Options that several commands share, and the setup that they make."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from wanrun import api

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., Any]")

specs_argument = click.argument("specs", nargs=-1, required=True, metavar="SPECS...", type=click.Path(path_type=Path))
format_option = click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How to print the result on standard output.",
)


def setup_options(command: F) -> F:
    """Add the options that say where and against what a command works."""
    for option in reversed(
        [
            click.option("--config", type=click.Path(path_type=Path), help="Settings instead of wanrun.toml."),
            click.option("--ledger", type=click.Path(path_type=Path), help="Ledger file instead of .wanrun/ledger.db."),
            click.option("--base-url", metavar="URL", help="The service's address, such as https://host/api/v1."),
        ]
    ):
        command = option(command)
    return command


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
        emulator=api.EmulatorOptions(**embedded) if emulator else None,
    )


def _is_given(name: str) -> bool:
    return click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE
