"""What a person can do about a job that a run cannot settle, as commands that look at the same ledger."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from wanrun.types import State

if TYPE_CHECKING:
    from wanrun import api

RETRY_FAILED = "failed jobs are not billed; to try them anew"  #: the beginning of a sentence, said once for all

_ADVICE = {
    State.HELD: (
        "{status} shows the tasks it may be, {tasks} TASK its prompt; then {resolve} --adopt TASK | --resubmit | "
        "--abandon"
    ),
    State.UNSURE: "run it again to find out, or: {resolve} --adopt TASK | --resubmit | --abandon",
    State.LOST: "to pay for it again: {resolve} --resubmit",
}


def command(name: str, setup: api.Setup) -> str:
    """Return `wanrun NAME` with the options that make it look at the ledger of a setup."""
    parts = ["wanrun", name]
    parts += ["--emulator"] if setup.emulator else []
    parts += ["--ledger", shlex.quote(str(setup.ledger))] if setup.ledger else []
    return " ".join(parts)


def advice(address: str, state: State, setup: api.Setup) -> str | None:
    """Return what to do about a job in this state; None where nothing is to be decided."""
    words = _ADVICE.get(state)
    if words is None:
        return None
    about_it = {name: f"{command(name, setup)} {address}" for name in ("resolve", "status")}
    return words.format(tasks=command("tasks", setup), **about_it)
