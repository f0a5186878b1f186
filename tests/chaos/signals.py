"""SIGINT and SIGTERM at random instants of real runs: how soon they end, how, and what the next run makes of it."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from chaos.lives import NEEDS_A_PERSON, interruptions, live_through
from chaos.parts import Found, Table
from chaos.watcher import watching
from chaos.workshop import judge, look_into_ledger, workshop

if TYPE_CHECKING:
    from chaos.lives import Life
    from wanrun.types import JSON

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}

TITLE = "Interrupted at random instants"
HOW = """\
The same as above with SIGINT or SIGTERM instead of SIGKILL, one for each life, at a random instant after the run has
read its plan. A run that is told to stop makes nothing new, gives creates that await their reply up to 5 s, and ends
with 130 or 143; one that was at its end anyway may end with 0. A signal in the instants before a run listens, or after
it has said everything, ends the process as it would any other, which a shell shows as 130 or 143 too. The judges are
the same."""


@dataclass(frozen=True)
class Size:
    """How many signals, and when at the latest."""

    signals: int
    jobs: int = 12  #: of one batch
    life_seconds: float = 0.8
    seed: int = 2


CI = Size(signals=12)
FULL = Size(signals=100)


def measure(size: Size) -> dict[str, JSON]:
    """Interrupt so many runs."""
    coming = interruptions(size.seed, count=size.signals, within_seconds=size.life_seconds, signals=list(CODES))
    with workshop() as shop, watching(shop.out) as watcher:
        lives = live_through(shop, lambda shop, batch: shop.run(batch), list(coming), jobs=size.jobs)
        watcher.look()
        return _ends(lives) | judge(shop, watcher) | look_into_ledger(shop)


def _ends(lives: list[Life]) -> dict[str, JSON]:
    told = [life for life in lives if life.told is not None]
    seconds = [life.seconds for life in told]
    return {
        "signals": len(told),
        "other_exit_codes": [
            life.exit_code for life in told if life.exit_code not in (CODES[life.told], -life.told, 0)
        ],
        "ended_by_the_signal_itself": sum(life.exit_code < 0 for life in told),
        "ended_anyway": sum(life.exit_code == 0 for life in told),
        "tracebacks": sum("Traceback" in life.said for life in lives),
        "median_seconds": round(median(seconds), 3),
        "longest_seconds": round(max(seconds), 3),
        "batches_for_a_person": sum(life.exit_code == NEEDS_A_PERSON for life in lives),
    }


def tables(found: Found) -> list[Table]:
    """Return the figures."""
    rows = [("signals", found["signals"]), ("ended with another exit code", len(found["other_exit_codes"]))]
    return [Table(["", "wanrun"], [*rows, *[(words, found[key]) for key, words in ROWS.items()]])]


ROWS = {
    "ended_by_the_signal_itself": "ended by the signal itself, before it listened or after",
    "ended_anyway": "was at its end anyway",
    "tracebacks": "tracebacks printed",
    "median_seconds": "median seconds from the signal to the end",
    "longest_seconds": "longest",
    "jobs": "jobs",
    "paid_twice": "paid more than once",
    "batches_for_a_person": "batches with a job held for a person",
    "lost": "paid or not, without a file at the end",
    "partial_files_seen": "partial files seen",
    "ledger_damage": "faults in the ledger's file",
}
