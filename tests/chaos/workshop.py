"""A project folder, an emulator in a process of its own, and real runs that are interrupted at random instants.

Whoever interrupts says how (`kills`, `signals`). What came of it is judged by the emulator's own account statement,
by the files in the sink's folder and by a look at the ledger's file, never by what a run said of itself.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import tempfile
from collections import Counter
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from processes import COMMAND, Child, statement

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chaos.watcher import Watcher
    from wanrun.types import JSON

#: How long a lost reply is in doubt. Short, since the emulator's list lags by less.
SETTINGS = """\
[providers.default]
poll_seconds = 0.2
settle_seconds = 0.6
scan_gap_seconds = 0.2
[providers.default.limits]
queries_per_second = 15
"""
#: A create takes a while before its task is made and after, so that kills fall on both sides; results come slowly.
SLOW_CREATES: tuple[dict[str, Any], ...] = (
    {"on": "create", "do": {"latency_seconds": 0.2, "bytes_per_second": 1000}},
    {"on": "list", "do": {"lag_seconds": 0.3}},
    {"on": "download", "do": {"bytes_per_second": 300_000}},
)
SPEED = "200"  #: tasks of one to five minutes take 0.3 to 1.5 s
SPEC = """\
version: 1
defaults: {model: wan2.7-videoedit}
sinks:
  disk: {folder: {path: out, name: "${{ job.id }}.mp4"}}
jobs:
"""
JOB = "  - {{id: {0}, prompt: prompt of {0}, media: [{{video: https://example.com/{0}.mp4}}]}}\n"


@dataclass
class Workshop:
    """Where the batches are; `url` is the base URL of the emulator."""

    folder: Path
    url: str
    ids: list[str]  #: of every job so far

    @property
    def out(self) -> Path:
        """Where the results go."""
        return self.folder / "out"

    def batch(self, count: int) -> Batch:
        """Write a spec of so many jobs that nobody has seen yet."""
        ids = [f"job-{len(self.ids) + number}" for number in range(count)]
        self.ids += ids
        spec = self.folder / f"from-{ids[0]}.yaml"
        spec.write_text(SPEC + "".join(JOB.format(each) for each in ids))
        return Batch(spec.name, tuple(ids))

    def start(self, *command: str) -> Child:
        """Start a program in the project's folder."""
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "PYTHONUTF8": "1",
            "NO_PROXY": "127.0.0.1",
            "DASHSCOPE_API_KEY": "sk-test",
            "DASHSCOPE_HTTP_BASE_URL": self.url,
        }
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        # Without a buffer of ours nothing is read ahead, and so nothing is missing from what it says at its end.
        return Child(subprocess.Popen(command, cwd=self.folder, env=environ, bufsize=0, **pipes))

    def run(self, batch: Batch) -> Child:
        """Start a run of a batch."""
        return self.start(*COMMAND, "run", batch.spec)


@dataclass(frozen=True)
class Batch:
    """A spec and the ids of its jobs."""

    spec: str
    ids: tuple[str, ...]


@contextmanager
def workshop(faults: Sequence[dict[str, Any]] = SLOW_CREATES) -> Iterator[Workshop]:
    """Open one in a temporary folder, with its emulator and what goes wrong there."""
    with tempfile.TemporaryDirectory() as name:
        shop = Workshop(Path(name), "", [])
        shop.out.mkdir()
        (shop.folder / "wanrun.toml").write_text(SETTINGS)
        (shop.folder / "faults.json").write_text(json.dumps({"faults": list(faults)}))
        served = ("--port", "0", "--edit", "none", "--folder", "service", "--speed", SPEED, "--faults", "faults.json")
        service = shop.start(*COMMAND, "emulator", *served)
        try:
            line = service.line()
            assert "listens on" in line, line + service.line(err=True)
            shop.url = line.split()[-1]
            yield shop
        finally:
            service.signal(signal.SIGTERM)
            service.end()


def judge(shop: Workshop, watcher: Watcher) -> dict[str, JSON]:
    """Return what came of all batches, after runs that were left alone have ended."""
    tasks = statement(shop.url)["tasks"]
    paid = Counter(task["prompt"] for task in tasks if task["billed_seconds"])
    wanted = [f"prompt of {each}" for each in shop.ids]
    there = {path.stem for path in shop.out.glob("*.mp4")}
    return {
        "jobs": len(shop.ids),
        "tasks_made": len(tasks),
        "paid_twice": sum(count - 1 for count in paid.values()),
        "never_paid": sum(not paid[prompt] for prompt in wanted),
        "lost": sum(each not in there for each in shop.ids),
        "looks_at_the_folder": watcher.looks,
        "partial_files_seen": len(watcher.partial),
        "left_behind": sum(path.name.startswith(".") for path in shop.out.iterdir()),
    }


def look_into_ledger(shop: Workshop) -> dict[str, JSON]:
    """Say what is wrong with the ledger, and which tasks of the account it, or a sidecar, does not place rightly."""
    tasks = {task["task_id"]: task["prompt"] for task in statement(shop.url)["tasks"]}
    with closing(sqlite3.connect(shop.folder / ".wanrun" / "ledger.db")) as ledger:
        damage = [row[0] for row in ledger.execute("PRAGMA integrity_check") if row[0] != "ok"]
        damage += [str(row) for row in ledger.execute("PRAGMA foreign_key_check")]
        known = {row[0] for row in ledger.execute("SELECT task_id FROM attempts WHERE task_id IS NOT NULL")}
        (adopted,) = ledger.execute("SELECT count(*) FROM events WHERE name = 'job_adopted'").fetchone()
    return {
        "found_in_the_list": adopted,
        "ledger_damage": len(damage),
        "tasks_unknown_to_the_ledger": len(set(tasks) - known),
        "results_of_another_job": sum(not _is_own(path, tasks) for path in shop.out.glob("*.mp4.json")),
    }


def _is_own(sidecar: Path, prompts: dict[str, str]) -> bool:
    facts: dict[str, Any] = json.loads(sidecar.read_text())
    return prompts.get(facts["task_id"]) == f"prompt of {facts['job']}"
