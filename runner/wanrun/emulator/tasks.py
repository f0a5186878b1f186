"""The service's record of one attempt, and the forms in which the service shows it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from wanrun.emulator import stamps

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wanrun.types import JSON

KEPT_SECONDS = 24 * 3600.0  #: how long the service keeps a task's record, and a result after its end


class Status(StrEnum):
    """The service's own words for where a task stands."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"
    UNKNOWN = "UNKNOWN"


@dataclass(slots=True)
class Task:
    """One task; times are epoch seconds, lengths are seconds."""

    id: str
    request_id: str  #: of the create call
    model: str
    prompt: str
    created_at: float
    parameters: dict[str, Any] = field(default_factory=dict)
    media: list[dict[str, str]] = field(default_factory=list)  #: type and url, data URLs shortened
    resolution: str = "1080P"
    status: Status = Status.PENDING
    ready_at: float = 0.0  #: from when on it may run
    seconds: float = 0.0  #: how long it runs
    scheduled_at: float | None = None
    due_at: float | None = None  #: when its processing time is over
    ended_at: float | None = None
    worked: bool = True  #: whether the result is there
    code: str = ""
    message: str = ""
    input_seconds: float = 0.0
    output_seconds: float = 0.0
    cost: str = "0"  #: a decimal number in `currency`
    currency: str = ""
    result: str = ""  #: key of the result in the store; empty: the ready clip
    link_seconds: float = KEPT_SECONDS  #: how long the link to the result works
    unknown_at: float | None = None  #: from when on the service does not know it (a scripted fault)
    fate: list[str] = field(default_factory=list)  #: code and message with which it will fail (a scripted fault)

    @property
    def ended(self) -> bool:
        """Whether it will not change any more."""
        return self.ended_at is not None

    @property
    def billed_seconds(self) -> float:
        """Input and output together, once it has succeeded."""
        return round(self.input_seconds + self.output_seconds, 2) if self.status is Status.SUCCEEDED else 0.0

    @property
    def link_until(self) -> int:
        """When the link to the result dies, in whole epoch seconds."""
        return int((self.ended_at or 0.0) + self.link_seconds)

    def shown(self, now: float) -> Status:
        """Return the status that the service shows: after a day it knows nothing of the task."""
        gone_at = self.created_at + KEPT_SECONDS
        if self.unknown_at is not None:
            gone_at = min(gone_at, self.unknown_at)
        return Status.UNKNOWN if now >= gone_at else self.status

    def to_line(self) -> dict[str, Any]:
        """Return every field, for the account's history."""
        return asdict(self)

    @classmethod
    def from_line(cls, line: Mapping[str, Any]) -> Task:
        """Return the task of a history line; fields that are not known are left away."""
        known = {item.name for item in fields(cls)}
        task = cls(**{name: value for name, value in line.items() if name in known})
        task.status = Status(task.status)
        return task


def query_body(task: Task, *, link: str, now: float, request_id: str) -> dict[str, JSON]:
    """Return what a query says of a task."""
    status = task.shown(now)
    output: dict[str, JSON] = {"task_id": task.id, "task_status": status.value}
    body: dict[str, JSON] = {"request_id": request_id, "output": output}
    if status in (Status.UNKNOWN, Status.CANCELED):
        return body
    times = {"submit_time": task.created_at, "scheduled_time": task.scheduled_at, "end_time": task.ended_at}
    output |= {name: stamps.as_text(at) for name, at in times.items() if at is not None}
    if status is Status.FAILED:
        output |= {"code": task.code, "message": task.message}
    if status is Status.SUCCEEDED:
        output |= {"orig_prompt": task.prompt, "video_url": link}
        body["usage"] = _usage(task)
    return body


def _usage(task: Task) -> dict[str, JSON]:
    return {
        "duration": task.billed_seconds,
        "input_video_duration": round(task.input_seconds, 2),
        "output_video_duration": round(task.output_seconds, 2),
        "video_count": 1,
        "SR": int(task.resolution.rstrip("Pp")),
    }


def list_row(task: Task, *, region: str, now: float) -> dict[str, JSON]:
    """Return what the list says of a task: no link, prompt, usage or error code."""
    row: dict[str, JSON] = {
        "api_key_id": "1001",
        "caller_parent_id": "2001",
        "caller_uid": "2001",
        "gmt_create": stamps.as_milliseconds(task.created_at),
    }
    times = {"start_time": task.scheduled_at, "end_time": task.ended_at}
    row |= {name: stamps.as_milliseconds(at) for name, at in times.items() if at is not None}
    return row | {
        "model_name": task.model,
        "region": region,
        "request_id": task.request_id,
        "status": task.shown(now).value,
        "task_id": task.id,
        "user_api_unique_key": f"apikey:v1:aigc:video-generation:video-synthesis:{task.model}",
    }


def unknown_body(task_id: str, request_id: str) -> dict[str, JSON]:
    """Return what a query says of a task that nobody made."""
    return {"request_id": request_id, "output": {"task_id": task_id, "task_status": Status.UNKNOWN.value}}
