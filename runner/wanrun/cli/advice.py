"""What a person can do about a job that a run cannot settle, as commands that look at the same ledger."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from wanrun.types import State

if TYPE_CHECKING:
    from wanrun import api

_ADVICE = {
    State.HELD: "look for its task with {tasks}, then: {resolve} --adopt TASK | --resubmit | --abandon",
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
    return words.format(resolve=f"{command('resolve', setup)} {address}", tasks=command("tasks", setup))
