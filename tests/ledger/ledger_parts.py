"""What the ledger's tests share: a job, a clock to set, and a ledger on a real file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from wanrun.ledger import AttemptState, Ledger
from wanrun.types import Artifact, Job, Position, Usage

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Position(Path("/home/me/spring.yaml"), 1, 1)
JOB = Job("spring", "one", HERE.path, HERE, "wan2.7-videoedit", "default", "clay", None, (), {}, ())
ARTIFACT = Artifact(Path("/store/ab.mp4"), "ab" * 32, 1000, ".mp4")
USAGE = Usage(billed_seconds=8.0, input_seconds=4.0, output_seconds=4.0, resolution=720)


def job(name: str) -> Job:
    """Return a job of another id."""
    return replace(JOB, id=name)


@dataclass
class Book:
    """A ledger file and the time that it is told."""

    path: Path
    at: float = 1_000_000.0

    def open(self) -> Ledger:
        """Open the ledger, as a new process would."""
        return Ledger.open(self.path, now=lambda: self.at)


def enter(ledger: Ledger, name: str = "one", mark: str = "1:aa") -> int:
    """Enter a job and return its entry."""
    return ledger.enter(job(name), fingerprint=mark, spec_path="spring.yaml")


def intend(ledger: Ledger, entry: int) -> int:
    """Intend a create and return the attempt."""
    return ledger.intend(entry, prompt_key="key")


def in_flight(ledger: Ledger, entry: int, task: str = "task-1") -> int:
    """Bring an entry's attempt to a task and return the attempt."""
    attempt = intend(ledger, entry)
    ledger.accepted(attempt, task_id=task, request_id="req-1")
    return attempt


def _flying(step: Callable[[Ledger, int], None]) -> Callable[[Ledger, int], int]:
    def bring(ledger: Ledger, entry: int) -> int:
        attempt = in_flight(ledger, entry)
        step(ledger, attempt)
        return attempt

    return bring


def _intended(step: Callable[[Ledger, int], None]) -> Callable[[Ledger, int], int]:
    def bring(ledger: Ledger, entry: int) -> int:
        attempt = intend(ledger, entry)
        step(ledger, attempt)
        return attempt

    return bring


def _fetch(ledger: Ledger, attempt: int) -> None:
    ledger.succeeded(attempt, usage=USAGE, started_at=10.0, ended_at=70.0)
    ledger.fetched(attempt, ARTIFACT)


def _hold(ledger: Ledger, attempt: int) -> None:
    ledger.unsure(attempt, "no answer", request_id=None)
    ledger.held(attempt, "two candidates", {"candidates": []})


def _end(state: AttemptState) -> Callable[[Ledger, int], int]:
    return _flying(lambda ledger, attempt: ledger.ended(attempt, state, "why"))


#: How an entry's attempt comes into each state.
WAYS: dict[AttemptState, Callable[[Ledger, int], int]] = {
    AttemptState.INTENDED: intend,
    AttemptState.WITHDRAWN: _intended(lambda ledger, attempt: ledger.withdrawn(attempt, "throttled")),
    AttemptState.UNSURE: _intended(lambda ledger, attempt: ledger.unsure(attempt, "no answer", request_id=None)),
    AttemptState.HELD: _intended(_hold),
    AttemptState.IN_FLIGHT: in_flight,
    AttemptState.SUCCEEDED: _flying(
        lambda ledger, attempt: ledger.succeeded(attempt, usage=USAGE, started_at=10.0, ended_at=70.0)
    ),
    AttemptState.FETCHED: _flying(_fetch),
    AttemptState.REFUSED: _intended(
        lambda ledger, attempt: ledger.refused(
            attempt, code="InvalidParameter", message="no", request_id="req-9", again=False
        )
    ),
    AttemptState.FAILED: _flying(
        lambda ledger, attempt: ledger.failed(attempt, status="FAILED", code="X", message="no", again=False)
    ),
    AttemptState.UNDECIDED: _end(AttemptState.UNDECIDED),
    AttemptState.LOST: _end(AttemptState.LOST),
    AttemptState.ABANDONED: _end(AttemptState.ABANDONED),
    AttemptState.DISMISSED: _end(AttemptState.DISMISSED),
}
