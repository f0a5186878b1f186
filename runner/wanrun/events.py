"""What the engine tells the world, as a closed list of names; `schemas/events.schema.json` describes each line.

The same stream feeds the screen, plain lines, `--events`, the ledger and every observer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from wanrun.types import NO_OPTIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wanrun.types import JSON


class EventName(StrEnum):
    """Every event there is; a name is never reused for something else."""

    RUN_STARTED = "run_started"
    JOB_PREPARED = "job_prepared"  #: its media can be read by the service
    JOB_SUBMITTED = "job_submitted"  #: a task exists; its id is on disk
    JOB_RUNNING = "job_running"  #: the service works on the task
    RESULT_EXPIRING = "result_expiring"  #: a result that is not fetched yet has only hours left
    JOB_FETCHED = "job_fetched"  #: the artifact is in the artifact store, checked
    DELIVERED = "delivered"  #: one sink has given its receipt
    DELIVERY_FAILED = "delivery_failed"  #: one sink has not; the artifact is kept
    JOB_DONE = "job_done"
    JOB_FAILED = "job_failed"  #: refused, failed or never prepared; not billed
    JOB_UNSURE = "job_unsure"  #: a create got no usable answer; whether it made a task is being found out
    JOB_ADOPTED = "job_adopted"  #: the task of such a create was found; its id is on disk
    JOB_RETRIED = "job_retried"  #: no task, or one that is not billed, came of it; the job gets another one
    JOB_HELD = "job_held"  #: a person must decide, or it might be paid for twice
    JOB_BLOCKED = "job_blocked"  #: what it chains from has ended without a result; nothing was submitted for it
    JOB_LOST = "job_lost"  #: paid, and no longer to be had
    WAITING = "waiting"  #: throttled or unreachable; says until when
    NOTIFIED = "notified"  #: a sink that hears of events has been told
    NOTIFY_FAILED = "notify_failed"  #: it has not; the next message tells it
    RUN_STOPPING = "run_stopping"  #: no new work from here on
    RUN_FINISHED = "run_finished"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened; `data` holds the fields that the schema lists for its name."""

    name: EventName
    at: float  #: epoch seconds, wall clock
    run: str  #: id of the run
    job: str | None = None  #: address, for events of one job
    data: Mapping[str, JSON] = field(default_factory=lambda: NO_OPTIONS)

    def to_json(self) -> dict[str, JSON]:
        """Return the event as the object of one JSON line."""
        at = datetime.fromtimestamp(self.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line: dict[str, JSON] = {"event": self.name.value, "at": at, "run": self.run}
        if self.job is not None:
            line["job"] = self.job
        return line | dict(self.data)
