"""Make a golden project: what this version leaves behind, with a job in every state. To be made once for each version
of the ledger's tables, by the last release that writes it, and never again: later versions are tested against it.

PYTHONPATH=tests python tests/ledger/make_golden.py tests/ledger/golden/NAME
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import trio
from trio.testing import MockClock

from simulation import Simulation
from wanrun import api

if TYPE_CHECKING:
    from wanrun.events import Event

DAY = 24 * 3600.0
NO_LIST = {"on": "list", "do": {"status": 503}}  # without it nothing about a lost reply can be decided

#: What becomes of each job of the batch, by a word of its prompt.
FATES = [
    {"on": "create", "prompt": "of failed", "do": {"fail": {"code": "DataInspectionFailed"}}},
    {"on": "create", "prompt": "of refused", "do": {"status": 400, "code": "InvalidParameter"}},
    {"on": "create", "prompt": "of throttled", "do": {"status": 429, "code": "Throttling.RateQuota"}},
    {"on": "create", "prompt": "of unsure-made", "do": {"lose_reply": True}},
    {"on": "create", "prompt": "of unsure-not-made", "do": {"reset": "before"}},
    {"on": "create", "prompt": "of killed", "do": {"lose_reply": True}},
    {"on": "create", "prompt": "of undecided", "do": {"unknown_after_seconds": 30}},
    {"on": "query", "prompt": "of flying", "do": {"status": 503}},
    {"on": "download", "prompt": "of unfetched", "do": {"status": 503}},
]
BATCH = [
    *("failed", "refused", "throttled", "unsure-made", "unsure-not-made", "killed", "undecided", "flying"),
    *("unfetched", "to-deliver", "done"),
]


def main(target: Path) -> None:
    """Make the project in virtual time and keep what it needs to go on: specs, settings, ledger, artifact, account."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        trio.run(_live, folder, clock=MockClock(autojump_threshold=0))
        target.mkdir(parents=True)
        for path in [*folder.glob("*.yaml"), *folder.glob("*.toml"), *folder.glob("*.json*")]:
            shutil.copy(path, target)
        shutil.copy(folder / ".wanrun" / "ledger.db", target)
        (artifact,) = (folder / ".wanrun" / "artifacts").glob("*.mp4")  # every task has the emulator's ready clip
        shutil.copy(artifact, target)


async def _live(folder: Path) -> None:
    sim = Simulation(folder)
    await _lose(sim)
    await _abandon(sim)
    await _change(sim)
    await _move(sim)
    await _do_batch(sim)
    _tell(sim)
    _kill(sim)
    (folder / "account.jsonl").write_text(sim.account.dump())
    (folder / "facts.json").write_text(json.dumps({"ended_at": sim.clock(), "billed": sim.billed()}, indent=1) + "\n")


async def _lose(sim: Simulation) -> None:
    """A result that nobody fetched for a day."""
    spec = sim.clips("lost", name="lost.yaml")
    await sim.leave_in_flight(spec)
    await trio.sleep(DAY + 3600)
    await sim.run(spec)


async def _abandon(sim: Simulation) -> None:
    """A job that a person gave up, when its reply was lost."""
    sim.faults({"on": "create", "do": {"unknown_after_seconds": 30}})
    await sim.run(sim.clips("abandoned", name="abandoned.yaml"))
    sim.faults()
    api.resolve("abandoned", api.Decision.ABANDON, sim.setup)


async def _change(sim: Simulation) -> None:
    """A job that was done once with other words, and then again."""
    await sim.run(sim.clips("changed", name="changed.yaml", prompt="first prompt of {}"))
    await sim.run(sim.clips("changed", name="changed.yaml"))


async def _move(sim: Simulation) -> None:
    """A job that was done under another name."""
    spec = sim.clips("moved", name="moved.yaml")
    text = spec.read_text()
    spec.write_text(text.replace("id: moved", "id: before"))
    await sim.run(spec)
    spec.write_text(text)
    await sim.run(spec)


async def _do_batch(sim: Simulation) -> None:
    """All the rest in one spec."""
    foreign = sim.folder / "out" / "to-deliver.mp4"
    foreign.parent.mkdir(exist_ok=True)

    def get_in_the_way(event: Event) -> None:
        if (event.name, event.job) == ("job_submitted", "batch/to-deliver"):  # sooner, and it would not be paid for
            foreign.write_bytes(b"not ours")

    sim.faults(*FATES, NO_LIST)
    await sim.run(sim.clips(*BATCH), observe=get_in_the_way)


def _tell(sim: Simulation) -> None:
    """Leave the marks of somebody who hears of the batch, and knows all but its last events."""
    with sim.ledger() as ledger:
        ledger.listen("a destination", ["batch", "moved"])
        ledger.told("a destination", ["batch", "moved"], until=ledger.last_event() - 5)
        ledger.note_stop("a destination", ["batch"], 5)


def _kill(sim: Simulation) -> None:
    """Leave the row that a run leaves which is killed while a create awaits its reply."""
    with closing(sqlite3.connect(sim.folder / ".wanrun" / "ledger.db")) as ledger:
        changed = ledger.execute(
            "UPDATE attempts SET state = 'intended', answered_at = NULL, message = NULL"
            " WHERE entry = (SELECT id FROM entries WHERE address = 'batch/killed')"
        )
        assert changed.rowcount == 1
        ledger.commit()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
