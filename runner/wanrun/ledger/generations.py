"""A ledger store as names: the generations of a ledger, none of which is ever written twice, and their locks.

    00000012.jsonl.gz    generation 12
    00000012.lock        who goes on with it, as `lending.Claim` says it

Whoever puts the lock of the newest generation goes on with it, and gives it back as the one after. No correctness
hangs on anything being removed: what is old goes once it is surely not the newest, and its names are never used again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

KEPT = 10  #: generations, with their locks

_NAME = re.compile(r"([0-9]{8})\.(jsonl\.gz|lock)")


@dataclass(frozen=True, slots=True)
class Survey:
    """What a ledger store has."""

    newest: int  #: generation; 0: none yet
    is_locked: bool  #: somebody goes on with that
    spare: tuple[str, ...]  #: names of what is old


def surveyed(names: Iterable[str]) -> Survey:
    """Return what names say; those that are not ours mean nothing."""
    ours = {name: int(found[1]) for name in names if (found := _NAME.fullmatch(name))}
    newest = max((number for name, number in ours.items() if name == ledger_name(number)), default=0)
    spare = sorted(name for name, number in ours.items() if number <= newest - KEPT)
    return Survey(newest, lock_name(newest) in ours, tuple(spare))


def ledger_name(generation: int) -> str:
    """Return the name of a generation."""
    return f"{generation:08}.jsonl.gz"


def lock_name(generation: int) -> str:
    """Return the name of a generation's lock."""
    return f"{generation:08}.lock"
