"""Story: two jobs go through the ledger, from their entry to their receipt."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from wanrun.events import Event, EventName
from wanrun.ledger import AttemptState, DeliveryRow, Ledger, LedgerLock
from wanrun.types import Artifact, Job, Position, Receipt, Usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chaos.stories import Ack
    from wanrun.ledger import Entry

CALLS = ("openat", "pwrite64", "fdatasync", "fsync", "ftruncate", "unlink")
JOBS = ("one", "two")
STEPS = ("entered", "intended", "in_flight", "succeeded", "fetched", "delivered")
SHA = "ab" * 32

_HERE = Position(Path("/home/me/spring.yaml"), 1, 1)
_ARTIFACT = Artifact(Path("/store/ab.mp4"), SHA, 1000, ".mp4")
_USAGE = Usage(billed_seconds=8.0, input_seconds=4.0, output_seconds=4.0, resolution=720)


def play(folder: Path, ack: Ack) -> None:
    """Bring every job to its receipt, from wherever it stands."""
    folder.mkdir(exist_ok=True)
    path = folder / "ledger.db"
    with LedgerLock(path), Ledger.open(path, now=time.time) as ledger:
        ack("opened")
        ledger.interrupted()
        for job in JOBS:
            while (step := _step(ledger, job)) != "delivered":
                following = STEPS[STEPS.index(step) + 1] if step else STEPS[0]
                _take(ledger, job, following)
                ack(f"{job} {following}")


def problems(folder: Path, acks: Sequence[str]) -> list[str]:
    """Compare what is in the file with what was acknowledged: all of it, and at most the one fact more."""
    if not (folder / "ledger.db").exists():
        return [f"{ack} was acknowledged, and there is no ledger" for ack in acks]
    with Ledger.open(folder / "ledger.db", now=time.time) as ledger:
        found = ledger.damage()
        for job in JOBS:
            said = [ack.partition(" ")[2] for ack in acks if ack.startswith(f"{job} ")]
            found += _compare(job, said[-1] if said else None, _step(ledger, job))
            found += _torn(ledger, job)
    return found


def unfinished(folder: Path) -> list[str]:
    """Say which job did not get its receipt."""
    with Ledger.open(folder / "ledger.db", now=time.time) as ledger:
        return ledger.damage() + [f"{job} is {_step(ledger, job)}" for job in JOBS if _step(ledger, job) != STEPS[-1]]


def _compare(job: str, said: str | None, found: str | None) -> list[str]:
    ranks = {None: 0} | {step: rank for rank, step in enumerate(STEPS, start=1)}
    if ranks[said] <= ranks[found] <= ranks[said] + 1:
        return []
    return [f"{job} was acknowledged as {said} and is {found}"]


def _torn(ledger: Ledger, job: str) -> list[str]:
    """Say which facts stand there without the event that was written in one transaction with them, or the reverse."""
    step = _step(ledger, job)
    rank = STEPS.index(step) if step else -1
    names = [row["name"] for row in ledger.events() if row["job"] == _address(job)]
    due = {EventName.JOB_SUBMITTED: "in_flight", EventName.JOB_DONE: "delivered"}
    wanted = {name.value: int(rank >= STEPS.index(step)) for name, step in due.items()}
    return [f"{job}: {name} {names.count(name)} times, not {n}" for name, n in wanted.items() if names.count(name) != n]


def _step(ledger: Ledger, job: str) -> str | None:
    entry = _entry(ledger, job)
    if entry is None or entry.attempt is None:
        return "entered" if entry else None
    if entry.deliveries:
        return "delivered"
    known = {AttemptState.INTENDED: "intended", AttemptState.UNSURE: "intended"}
    return known.get(entry.attempt.state, entry.attempt.state.value)


def _entry(ledger: Ledger, job: str) -> Entry | None:
    return next((entry for entry in ledger.entries() if entry.address == _address(job)), None)


def _address(job: str) -> str:
    return f"spring/{job}"


def _take(ledger: Ledger, job: str, step: str) -> None:
    """Write one fact as the engine does."""
    entry = _entry(ledger, job)
    number, attempt = (entry.id, entry.attempt.id if entry.attempt else 0) if entry else (0, 0)
    if step == "entered":
        asked = Job("spring", job, _HERE.path, _HERE, "wan2.7-videoedit", "default", job, None, (), {}, ())
        ledger.enter(asked, fingerprint="f1:0123", spec_path="spring.yaml")
    elif step == "intended":
        ledger.intend(number, prompt_key=job)
    elif step == "in_flight":
        with ledger.transaction(costly=True):
            ledger.accepted(attempt, task_id=f"task-{job}", request_id="req-1")
            ledger.note(Event(EventName.JOB_SUBMITTED, 1.0, "run-1", _address(job), {"task": f"task-{job}"}))
    elif step == "succeeded":
        ledger.succeeded(attempt, usage=_USAGE, started_at=10.0, ended_at=70.0)
    elif step == "fetched":
        ledger.fetched(attempt, _ARTIFACT)
    else:
        row = DeliveryRow(number, SHA, "d1:0123", "disk", f"out/{job}.mp4", "delivered", None)
        with ledger.transaction():
            ledger.delivered(row, Receipt(row.place, bytes=1000, sha256=SHA))
            ledger.note(Event(EventName.JOB_DONE, 2.0, "run-1", _address(job), {}))
