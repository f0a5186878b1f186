"""kill -9 at random instants of real runs, and how a runner without a ledger fares under the same."""

from __future__ import annotations

import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from chaos.lives import NEEDS_A_PERSON, interruptions, live_through
from chaos.parts import Found, Table
from chaos.watcher import watching
from chaos.workshop import judge, look_into_ledger, workshop

if TYPE_CHECKING:
    from collections.abc import Callable

    from chaos.workshop import Batch, Workshop
    from processes import Child
    from wanrun.types import JSON

NAIVE = Path(__file__).with_name("naive.py")
TITLE = "Killed at random instants"
HOW = """\
`wanrun run` as a real process, against the emulator in another one, killed with SIGKILL again and again until its batch
is done; then the next batch, on the same ledger. Each life ends at a random instant after the run has read its plan. A
create takes a while before its task is made and after, so that kills fall on both sides; the list call shows a new task
only later, as the service's may; the settle time is as short as that allows. Nobody helps: no `wanrun resolve`.

The emulator's account statement says what was paid, the sink's folder what is there. Another program reads that folder
all the time, and every file as soon as it has its name. The baseline is a runner of forty lines without a ledger, which
makes one job at a time and, when it is started again, makes every job whose file is not there."""


@dataclass(frozen=True)
class Size:
    """How often, and how long a life lasts at most once it works."""

    kills: int
    baseline_kills: int
    jobs: int = 12  #: of one batch
    life_seconds: float = 0.8
    seed: int = 1


CI = Size(kills=30, baseline_kills=0)  #: twice, so that two processors share them
FULL = Size(kills=500, baseline_kills=200)


def measure(size: Size) -> dict[str, JSON]:
    """Kill wanrun, and then the baseline, so many times."""
    found: dict[str, JSON] = {"wanrun": _measured(size, size.kills, lambda shop, batch: shop.run(batch), ledger=True)}
    if size.baseline_kills:
        found["baseline"] = _measured(size, size.baseline_kills, _naive, ledger=False)
    return found


def _naive(shop: Workshop, batch: Batch) -> Child:
    return shop.start(sys.executable, str(NAIVE), shop.url, *batch.ids)


def _measured(size: Size, kills: int, start: Callable[[Workshop, Batch], Child], *, ledger: bool) -> dict[str, JSON]:
    coming = interruptions(size.seed, count=kills, within_seconds=size.life_seconds, signals=[signal.SIGKILL])
    with workshop() as shop, watching(shop.out) as watcher:
        lives = live_through(shop, start, list(coming), jobs=size.jobs)
        watcher.look()
        ends: dict[str, JSON] = {"kills": sum(life.exit_code == -signal.SIGKILL for life in lives)}
        if ledger:
            ends["batches_for_a_person"] = sum(life.exit_code == NEEDS_A_PERSON for life in lives)
            ends |= look_into_ledger(shop)
        return ends | judge(shop, watcher)


def tables(found: Found) -> list[Table]:
    """Return the figures, wanrun's beside the baseline's."""
    columns = [name for name in ("wanrun", "baseline") if name in found]
    rows = [(words, *[found[name].get(key, "") for name in columns]) for key, words in ROWS.items()]
    return [Table(["", *columns], rows)]


ROWS = {
    "kills": "kills",
    "found_in_the_list": "tasks whose create was cut off, found in the account's list",
    "jobs": "jobs",
    "tasks_made": "tasks made",
    "paid_twice": "paid more than once",
    "never_paid": "never made",
    "batches_for_a_person": "batches with a job held for a person",
    "lost": "paid or not, without a file at the end",
    "results_of_another_job": "files that are another job's",
    "partial_files_seen": "partial files seen",
    "looks_at_the_folder": "looks at the folder",
    "left_behind": "temporary files left behind",
    "ledger_damage": "faults in the ledger's file",
    "tasks_unknown_to_the_ledger": "tasks that the ledger does not know",
}
