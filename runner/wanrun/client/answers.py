"""The service's answers as frozen dataclasses, one parser for each; JSON goes no further than here.

A parser takes whatever came and returns its dataclass or raises `Unreadable`. What may be missing is None.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum

from wanrun.client.fields import (
    Unreadable,
    count,
    link_expires_at,
    mapping,
    milliseconds_at,
    number,
    short,
    task_id,
    text,
    time_at,
)
from wanrun.client.text import clean
from wanrun.types import Usage


class TaskStatus(StrEnum):
    """How a task stands, in the service's words."""

    PENDING = "PENDING"  #: waits; can be cancelled
    RUNNING = "RUNNING"
    SUSPENDED = "SUSPENDED"  #: known to the service's SDK only
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"  #: not billed
    CANCELED = "CANCELED"
    UNKNOWN = "UNKNOWN"  #: no such task, or older than 24 h
    UNHEARD = "unheard"  #: a word that this version does not know; `Task.raw_status` keeps it

    @property
    def terminal(self) -> bool:
        """Whether the task stays so; a word never heard is taken for one that does not."""
        return self in _TERMINAL

    @classmethod
    def from_word(cls, word: str) -> TaskStatus:
        """Return the member for a word of the service, `UNHEARD` for any other."""
        return cls(word) if word in _WORDS else cls.UNHEARD


_TERMINAL = frozenset({TaskStatus.SUCCEEDED, TaskStatus.FAILED, TaskStatus.CANCELED, TaskStatus.UNKNOWN})
_WORDS = frozenset(status.value for status in TaskStatus if status is not TaskStatus.UNHEARD)


@dataclass(frozen=True, slots=True)
class ServiceIdentity:
    """Who answered: the real service, or an emulator's account by its id."""

    emulator: str | None  #: None: the real service


@dataclass(frozen=True, slots=True)
class Refusal:
    """What an error answer says, cleaned; None for what it does not say."""

    code: str | None
    message: str | None
    request_id: str | None


@dataclass(frozen=True, slots=True)
class Created:
    """A task was made."""

    task_id: str
    request_id: str | None  #: of this create; rows of the list call carry the same
    status: TaskStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One task as a query shows it; times are epoch seconds."""

    task_id: str
    status: TaskStatus
    raw_status: str  #: the service's own word, cleaned
    request_id: str | None  #: of this query
    submitted_at: float | None = None
    scheduled_at: float | None = None
    ended_at: float | None = None
    link: str | None = field(default=None, repr=False)  #: signed: whoever has it can read the result
    link_expires_at: float | None = None
    usage: Usage | None = None
    code: str | None = None
    message: str | None = None  #: cleaned
    orig_prompt: str | None = field(default=None, repr=False)  #: as the service holds it, not cleaned


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRow:
    """One task as the list shows it; times are epoch seconds."""

    task_id: str
    status: TaskStatus
    raw_status: str
    request_id: str | None  #: of the create that made it
    model: str | None = None
    created_at: float | None = None
    started_at: float | None = None
    ended_at: float | None = None
    region: str | None = None
    api_key_id: str | None = None


@dataclass(frozen=True, slots=True)
class TaskPage:
    """One page of the list."""

    rows: tuple[TaskRow, ...]
    total: int  #: tasks on all pages
    total_pages: int
    page_no: int


def parse_refusal(body: object) -> Refusal:
    """Read an error answer, flat or wrapped in `error`, with `message` or `msg`; never raises."""
    outer = mapping(body)
    inner = mapping(outer.get("error")) or outer
    said = text(inner.get("message")) or text(inner.get("msg"))
    request_id = short(outer.get("request_id")) or short(inner.get("request_id"))
    return Refusal(short(inner.get("code")), clean(said) or None if said else None, request_id)


def parse_created(body: object) -> Created:
    """Read the answer to a create; `Unreadable` when it names no task."""
    output = mapping(mapping(body).get("output"))
    made = task_id(output.get("task_id"))
    if made is None:
        raise Unreadable("it names no task")
    status = TaskStatus.from_word(text(output.get("task_status")) or TaskStatus.PENDING)
    return Created(made, short(mapping(body).get("request_id")), status)


def parse_task(body: object, *, asked: str) -> Task:
    """Read the answer to a query about the task `asked`; `Unreadable` without a status or for another task."""
    whole_body = mapping(body)
    output = mapping(whole_body.get("output"))
    word = text(output.get("task_status"))
    if word is None or output.get("task_id", asked) != asked:
        raise Unreadable("it does not say how the task stands")
    link, message = text(output.get("video_url")), text(output.get("message"))
    return Task(
        task_id=asked,
        status=TaskStatus.from_word(word),
        raw_status=clean(word, limit=80),
        request_id=short(whole_body.get("request_id")),
        submitted_at=time_at(output.get("submit_time")),
        scheduled_at=time_at(output.get("scheduled_time")),
        ended_at=time_at(output.get("end_time")),
        link=link,
        link_expires_at=link_expires_at(link) if link else None,
        usage=parse_usage(whole_body.get("usage")),
        code=short(output.get("code")),
        message=clean(message) if message else None,
        orig_prompt=text(output.get("orig_prompt")),
    )


def parse_usage(usage: object) -> Usage | None:
    """Read what a task used; None when the billed seconds cannot be known."""
    said = mapping(usage)
    taken, made = number(said.get("input_video_duration")), number(said.get("output_video_duration"))
    billed = number(said.get("duration"))
    if billed is None and taken is not None and made is not None:
        billed = taken + made
    return None if billed is None else Usage(billed, taken, made, count(said.get("SR")))


def parse_page(body: object, *, page_size: int) -> TaskPage:
    """Read one page of the list.

    `Unreadable` for a row without a task id and for a page without rows or total: an answer that cannot be read must
    never look like an account without the task that somebody is searching for.
    """
    said = mapping(body)
    rows, total = said.get("data"), count(said.get("total"))
    if rows is None and total == 0:
        rows = []
    if not isinstance(rows, list) or total is None:
        raise Unreadable("it is no page of tasks")
    pages = count(said.get("total_page"))
    pages = math.ceil(total / page_size) if pages is None else pages
    return TaskPage(tuple(_row(row) for row in rows), total, pages, count(said.get("page_no")) or 1)


def _row(row: object) -> TaskRow:
    said = mapping(row)
    listed = task_id(said.get("task_id"))
    if listed is None:
        raise Unreadable("a row of it names no task")
    word = text(said.get("status")) or ""
    return TaskRow(
        task_id=listed,
        status=TaskStatus.from_word(word),
        raw_status=clean(word, limit=80),
        request_id=short(said.get("request_id")),
        model=short(said.get("model_name")),
        created_at=milliseconds_at(said.get("gmt_create")),
        started_at=milliseconds_at(said.get("start_time")),
        ended_at=milliseconds_at(said.get("end_time")),
        region=short(said.get("region")),
        api_key_id=short(said.get("api_key_id")),
    )
