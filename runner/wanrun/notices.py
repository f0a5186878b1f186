"""What a sink that hears of events is told: one message at a time, as data and in words; all of it for plugins."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    from wanrun.types import SinkRef, State


class NoticeName(StrEnum):
    """What a spec can ask to be told of; `schemas/spec.schema.json` describes each, and a name is never reused."""

    RUN_STARTED = "run_started"  #: the run has done its first thing that lasts
    RUN_PROGRESS = "run_progress"  #: how the jobs stand has changed; told often, for who can change what was said
    RUN_STOPPING = "run_stopping"  #: nothing more is submitted
    BUDGET_REACHED = "budget_reached"  #: as `run_stopping`, because of a budget
    RUN_FINISHED = "run_finished"
    JOB_DONE = "job_done"
    JOB_FAILED = "job_failed"
    JOB_HELD = "job_held"
    JOB_LOST = "job_lost"
    DELIVERY_FAILED = "delivery_failed"
    RESULT_EXPIRING = "result_expiring"


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeJob:
    """What has happened to one job; fields are only ever added."""

    name: NoticeName
    address: str  #: of the job: `spec/id`
    at: float  #: when it happened, epoch seconds
    message: str = ""  #: what happened, in one line, with what the service or a sink said; empty for one that is done
    places: tuple[str, ...] = ()  #: where the result of a job that is done has gone


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One message to one destination: what has happened since the last one. Fields are only ever added.

    `title` and `text` say it all in plain words, for a plugin that only passes them on; they may quote the service
    and other plugins, so escape what your medium takes for markup.
    """

    names: tuple[NoticeName, ...]  #: what it is about, of what the spec asks for
    sink: SinkRef  #: the destination with its options; secrets have their values
    title: str  #: one line
    text: str  #: several lines, the title not among them; may be empty
    run: str  #: id of the run that tells
    at: float  #: epoch seconds
    specs: tuple[str, ...]  #: names of the specs that it is about
    account: str | None = None  #: where the jobs are: `service`, or `emulator:ID`; None: nobody has answered yet
    jobs: tuple[NoticeJob, ...] = ()  #: every job that something has happened to, in that order; may be thousands
    counts: Mapping[State, int] = field(default_factory=dict)  #: jobs by state, in notices of the run itself
    cost: Mapping[str, Decimal] = field(default_factory=dict)  #: of what this run has submitted so far, by currency
    reserved: Mapping[str, Decimal] = field(default_factory=dict)  #: what that may cost besides, at most, by currency
    reasons: tuple[str, ...] = ()  #: why the run submits nothing more, if so
    exit_code: int | None = None  #: of the run; None while it lasts
