"""Ledgers of earlier releases, kept as files: they open, nothing in them is forgotten, and nothing is paid for again.

`make_golden.py` made them, each with the code that wrote ledgers of that version.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from wanrun import api
from wanrun.emulator import virtual_clock
from wanrun.emulator.ready import Clip, ready_clip
from wanrun.errors import LedgerError
from wanrun.ledger import Ledger
from wanrun.ledger.sql import MIGRATIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock

    from simulation import Simulation

HERE = Path(__file__).parent / "golden"
GOLDEN = sorted(HERE.iterdir())
golden = pytest.mark.parametrize("project", GOLDEN, ids=lambda path: path.name)

#: How each job of a golden project stands for a plan of this version.
PLANNED = {
    "abandoned/abandoned": "lost",
    "batch/done": "done",
    "batch/failed": "failed",
    "batch/flying": "in flight",
    "batch/killed": "unsure",
    "batch/refused": "failed",
    "batch/throttled": "new",
    "batch/to-deliver": "to deliver",
    "batch/undecided": "held",
    "batch/unfetched": "in flight",
    "batch/unsure-made": "unsure",
    "batch/unsure-not-made": "unsure",
    "changed/changed": "done",
    "lost/lost": "lost",
    "moved/moved": "done",
}
#: And after a run. What a person has to settle stays with the person.
RUN = dict.fromkeys(PLANNED, "done") | {
    "abandoned/abandoned": "lost",
    "batch/failed": "failed",
    "batch/refused": "failed",
    "batch/undecided": "held",
    "lost/lost": "lost",
}


@pytest.fixture
def revive(simulate: Callable[..., Simulation], tmp_path: Path) -> Callable[[Path], Simulation]:
    """Return a function that puts a golden project where it was, an hour later, with its account."""

    def bring_back(project: Path) -> Simulation:
        (artifact,) = project.glob("*.mp4")
        sim = simulate()
        for path in [*project.glob("*.yaml"), *project.glob("*.toml")]:
            shutil.copy(path, tmp_path)
        shutil.copy(project / "ledger.db", tmp_path / ".wanrun")
        (tmp_path / ".wanrun" / "artifacts").mkdir()
        shutil.copy(artifact, tmp_path / ".wanrun" / "artifacts")
        sim.clock = virtual_clock(facts(project)["ended_at"] + 3600)
        sim.account = sim.new_account(ready=Clip(artifact.read_bytes(), ready_clip().seconds))
        sim.account.load((project / "account.jsonl").read_text().splitlines(keepends=True))
        return sim

    return bring_back


def facts(project: Path) -> dict[str, Any]:
    """Return when a golden project was left, and what was billed by then."""
    return dict(json.loads((project / "facts.json").read_text()))


def states(outcome: api.Outcome) -> dict[str, str]:
    """Return each job's state by its address."""
    return {job.address: job.state.value for job in outcome.jobs}


@golden
def test_an_older_ledger_is_migrated_and_keeps_every_value(project: Path, tmp_path: Path) -> None:
    """Every table and column that it had holds what it held."""
    path = Path(shutil.copy(project / "ledger.db", tmp_path))
    before = content(path)

    with Ledger.open(path, now=lambda: 0.0) as ledger:
        damage = ledger.damage()

    after = content(path)
    assert damage == []
    assert user_version(path) == len(MIGRATIONS)
    assert {
        table: [{name: row[name] for name in rows[0]} for row in after[table]] for table, rows in before.items() if rows
    } == {table: rows for table, rows in before.items() if rows}


@golden
def test_a_migrated_ledger_has_the_columns_of_a_new_one(project: Path, tmp_path: Path) -> None:
    """Nobody has changed a step of the migrations after a release took it."""
    old, new = Path(shutil.copy(project / "ledger.db", tmp_path)), tmp_path / "new.db"
    for path in (old, new):
        Ledger.open(path, now=lambda: 0.0).close()

    assert columns(old) == columns(new)


def columns(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Return what every table and index is made of."""
    with closing(sqlite3.connect(path)) as raw:
        names = [row[0] for row in raw.execute("SELECT name FROM sqlite_master ORDER BY name")]
        return {
            name: raw.execute(f"PRAGMA table_info({name})").fetchall()
            + raw.execute(f"PRAGMA index_info({name})").fetchall()
            for name in names
        }


def content(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of every table."""
    with closing(sqlite3.connect(path)) as raw:
        raw.row_factory = sqlite3.Row
        tables = [row["name"] for row in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {table: [dict(row) for row in raw.execute(f"SELECT * FROM {table}")] for table in tables}  # noqa: S608


def user_version(path: Path) -> int:
    """Return the version of a ledger's tables."""
    with closing(sqlite3.connect(path)) as raw:
        return int(raw.execute("PRAGMA user_version").fetchone()[0])


@golden
async def test_nothing_that_was_done_is_changed_or_new(
    project: Path, revive: Callable[[Path], Simulation], autojump_clock: MockClock
) -> None:
    """Neither tables nor fingerprints have drifted: a plan finds every job as it was left."""
    sim = revive(project)

    planned = api.plan(sorted(sim.folder.glob("*.yaml")), sim.setup)

    assert {each.job.address: each.state.value for each in planned.jobs} == PLANNED


@golden
async def test_a_run_on_an_older_ledger_pays_for_nothing_twice(
    project: Path, revive: Callable[[Path], Simulation], autojump_clock: MockClock
) -> None:
    """It brings home what is paid for, and pays for what surely never was."""
    sim = revive(project)

    outcome = await sim.run(*sorted(sim.folder.glob("*.yaml")))

    assert states(outcome) == RUN
    assert sim.billed() == facts(project)["billed"] | {"prompt of throttled": 1, "prompt of unsure-not-made": 1}


@golden
def test_a_ledger_of_a_newer_version_is_refused_and_not_altered(project: Path, tmp_path: Path) -> None:
    """The file, its folder and what lies beside it stay byte for byte."""
    path = Path(shutil.copy(project / "ledger.db", tmp_path))
    with closing(sqlite3.connect(path)) as raw:
        raw.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    before = {each.name: each.read_bytes() for each in tmp_path.iterdir()}

    with pytest.raises(LedgerError, match=f"newer wanrun .version {len(MIGRATIONS) + 1}"):
        Ledger.open(path, now=lambda: 0.0)

    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == before
