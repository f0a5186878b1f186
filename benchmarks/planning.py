"""What a batch costs before it runs: `validate`, and `plan` against a ledger that knows every job, at three sizes."""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.account import environment
from benchmarks.contenders import spec
from benchmarks.measured import run_measured
from benchmarks.starting import WANRUN
from wanrun import api
from wanrun.engine.evidence import asked_of
from wanrun.fingerprint import prompt_key
from wanrun.ledger import DeliveryRow, Ledger
from wanrun.money import Money
from wanrun.project import make_private, open_project
from wanrun.types import Artifact, Receipt, Usage

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.sizes import Size
    from wanrun.plan import PlannedJob
    from wanrun.project import Project

VIDEO = "https://example.com/clip.mp4"
RESULT_BYTES = 1_000_000
MANY = 10_000  #: jobs; of more, one round tells


def measure(size: Size, folder: Path) -> dict[str, Any]:
    """Return the seconds and the memory of both commands for batches of growing size; each job is done."""
    rounds = {jobs: 1 if jobs > MANY else size.rounds for jobs in size.planned_jobs}
    return {"sizes": [_measure(jobs, times, folder / str(jobs)) for jobs, times in rounds.items()]}


def _measure(jobs: int, rounds: int, folder: Path) -> dict[str, Any]:
    folder.mkdir(parents=True)
    (folder / ".wanrun").mkdir()
    (folder / "batch.yaml").write_text(spec(jobs, video=VIDEO))
    record_done(folder)
    environ = environment(HOME=str(folder))
    found: dict[str, Any] = {"jobs": jobs}
    for name in ("validate", "plan"):
        command = (*WANRUN, name, "batch.yaml")
        took = [run_measured(command, folder=folder, environ=environ) for _ in range(rounds)]
        found[name] = {
            "seconds": [round(each.wall_seconds, 3) for each in took],
            "cpu_seconds": round(median(each.cpu_seconds for each in took), 3),
            "peak_mib": round(max(each.peak_mib for each in took), 1),
        }
    assert f"{jobs} nothing" in took[-1].stdout, took[-1].stdout[-200:]
    return found


def record_done(folder: Path) -> None:
    """Write the ledger of a run that has done every job of the batch, without running it."""
    setup = api.Setup(folder=folder, environ={})
    project = open_project(setup)
    plan = api.plan([folder / "batch.yaml"], setup)
    make_private(project.ledger_path.parent)
    with Ledger.open(project.ledger_path, now=time.time) as ledger, ledger.transaction():
        ledger.belong_to("service")
        for number, planned in enumerate(plan.jobs):
            _record(ledger, number, planned, project)


def _record(ledger: Ledger, number: int, planned: PlannedJob, project: Project) -> None:
    job = planned.job
    entry = ledger.enter(job, fingerprint=planned.fingerprint, spec_path=project.recorded(job.spec_path))
    attempt = ledger.intend(entry, prompt_key=prompt_key(job), asked=asked_of(planned.job), skew_seconds=0.0)
    ledger.reserve(attempt, planned.cost or Money.parse("1 CNY"))
    ledger.accepted(attempt, task_id=f"task-{number}", request_id=f"request-{number}")
    now = time.time()
    ledger.succeeded(attempt, usage=Usage(10.0, 5.0, 5.0, 720), started_at=now, ended_at=now + 60)
    ledger.settle(attempt, Money.parse("6 CNY"))
    artifact = Artifact(project.artifacts / f"{number:064x}.mp4", f"{number:064x}", RESULT_BYTES, ".mp4")
    ledger.fetched(attempt, artifact)
    for goal in planned.destinations:
        row = DeliveryRow(entry, artifact.sha256, goal.digest, goal.sink.name, goal.recorded, "delivered", None)
        ledger.delivered(row, Receipt(goal.place, artifact.bytes, artifact.sha256))
