"""Whose task is it: an unsure attempt compared with what the account's list shows, and what follows. Pure, without I/O.

Time alone never decides. A task is adopted because the list names the create's own request id, or because it is the
only one of its time that echoes what the job asked for, and nobody else on the account is known to ask for the same.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from wanrun.client import TaskStatus
from wanrun.fingerprint import PROMPT_CHARACTERS, digest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from wanrun.client import Task, TaskRow
    from wanrun.ledger import UnsureAttempt
    from wanrun.types import JSON, Job, Usage

MARGIN_SECONDS = 5  #: between the service's clocks, and for a `Date` that counts whole seconds
UNKNOWN_SKEW_SECONDS = 600  #: more of it where nobody knows how far ours is off
ANY_TIME_SECONDS = 48 * 3600  #: more than the list shows: how far ours was off then is not known, it may have been set
AIR_SECONDS = 60  #: that a create waits for its answer at most; a process that dies takes its creates with it
LENGTH_SECONDS = 1.0  #: two lengths of one video that differ by more are not of one video
DECIDED_SECONDS = 23 * 3600  #: after its create an attempt is held; the list forgets its task an hour later
START_CHARACTERS = 500  #: of a long prompt, by which one is known that the service has cut elsewhere than we do
SCANS = 2  #: of the whole list, before what they do not show is believed not to be there
SHOWN = 50  #: candidates that the evidence names

_NOT_BILLED = (TaskStatus.FAILED, TaskStatus.CANCELED)


class Finding(StrEnum):
    """What a candidate is, as far as one can tell."""

    OURS = "ours"  #: the list names the request id of our create
    ALIKE = "alike"  #: it echoes what the job asked for
    OPEN = "open"  #: it has not ended, so it echoes nothing yet
    UNCLEAR = "unclear"  #: it has ended, and what it shows does not tell
    OTHER = "other"  #: it is surely not ours


@dataclass(frozen=True, slots=True)
class Candidate:
    """One task that an unsure attempt may have made."""

    row: TaskRow
    finding: Finding
    why: str  #: one clause for people
    asks_the_same: bool = False  #: whoever made it may have asked for what our job asks for
    differs: bool = False  #: by a figure that the service may count in another way than we do
    is_denied: bool = False  #: the list has it, made when the create was in the air, and a query knows no such task

    def to_json(self) -> dict[str, JSON]:
        """Return what the ledger keeps of it."""
        return {
            "task": self.row.task_id,
            "created_at": self.row.created_at,
            "status": self.row.raw_status,
            "finding": self.finding.value,
            "why": self.why,
        }


@dataclass(frozen=True, slots=True)
class Sought:
    """What a task must be like to be the one that an unsure attempt may have made; times by the service's clock."""

    model: str
    prompt_key: str
    request_id: str | None
    intended_at: float
    from_at: float
    until_at: float
    likely_from: float  #: what was made earlier is hardly ours, but may be
    likely_until: float  #: and what was made later
    air_until: float  #: when the create was in the air no longer, whatever became of its answer
    words: str | None  #: `words_key` of the job's prompt, empty without one; None: made by an older wanrun
    resolution: int | None  #: None: not asked for
    input_seconds: float | None = None  #: of the local video, where it can be known and counts as a whole
    start: str | None = None  #: `words_key` of how a long prompt begins
    length: int = 0  #: of the prompt in characters, its spaces counted as `words_key` does


def asked_of(job: Job, *, input_seconds: float | None = None) -> dict[str, JSON]:
    """Return what the ledger notes with an intention, so that any later run can compare a task with it.

    `input_seconds` is the length of the job's local video, where it can be known and counts as a whole.
    """
    text = _plain(job.prompt or "")
    return {
        "words": words_key(job.prompt) if job.prompt else "",
        "start": words_key(text[:START_CHARACTERS]) if len(text) > START_CHARACTERS else None,
        "length": len(text),
        "resolution": _lines(job.parameters.get("resolution")),
        "input_seconds": input_seconds,
    }


def words_key(prompt: str) -> str:
    """Return what two prompts have in common that differ in nothing but how their spaces are written."""
    return digest({"words": _plain(prompt)})


def _plain(prompt: str) -> str:
    return " ".join(unicodedata.normalize("NFC", prompt[:PROMPT_CHARACTERS]).split())


def _lines(resolution: object) -> int | None:
    digits = str(resolution).removesuffix("P")
    return int(digits) if digits.isascii() and digits.isdigit() else None


def sought(
    attempt: UnsureAttempt,
    *,
    skew_seconds: float | None,
    settle_seconds: float,
    over_at: float,
    input_seconds: float | None = None,
) -> Sought:
    """Say what is sought; the create was over by `over_at`, by the service's clock.

    `skew_seconds` stands in where the attempt does not know its own, but only for what is likely: between then and
    now our clock may have been set, so that a task of any earlier time may be the attempt's.
    """
    known = attempt.skew_seconds if attempt.skew_seconds is not None else skew_seconds
    skew, likely_margin = (known, MARGIN_SECONDS) if known is not None else (0.0, UNKNOWN_SKEW_SECONDS)
    margin = likely_margin if attempt.skew_seconds is not None else ANY_TIME_SECONDS
    air_until = attempt.intended_at + AIR_SECONDS
    answered_at = max(attempt.answered_at, air_until)  # our clock may have been set back meanwhile
    heard_at = air_until if attempt.broken_at is None else min(attempt.broken_at, air_until)
    asked = attempt.asked or {}
    words, resolution, start = asked.get("words"), asked.get("resolution"), asked.get("start")
    length, noted_seconds = asked.get("length"), asked.get("input_seconds")
    return Sought(
        model=attempt.model,
        prompt_key=attempt.prompt_key,
        request_id=attempt.request_id,
        intended_at=attempt.intended_at + skew,
        from_at=attempt.intended_at + skew - margin,
        until_at=min(answered_at + skew + margin, over_at + MARGIN_SECONDS) + settle_seconds,
        likely_from=attempt.intended_at + skew - likely_margin,
        likely_until=heard_at + skew + likely_margin,
        air_until=air_until + skew + likely_margin,
        words=words if isinstance(words, str) else None,
        resolution=resolution if isinstance(resolution, int) else None,
        input_seconds=noted_seconds if isinstance(noted_seconds, int | float) else input_seconds,
        start=start if isinstance(start, str) else None,
        length=length if isinstance(length, int) else 0,
    )


def candidates(rows: Iterable[TaskRow], known: Collection[str], target: Sought) -> list[TaskRow]:
    """Return the tasks that the attempt may have made: of its time and model, and of no attempt in the ledger.

    What failed or was cancelled costs nothing and is left out, unless it has the create's own request id.
    """
    return [
        row
        for row in rows
        if row.task_id not in known
        and (_is_ours(row, target) or (_may_be(row, target) and row.status not in _NOT_BILLED))
    ]


def witnesses(rows: Iterable[TaskRow], known: Collection[str], target: Sought) -> list[TaskRow]:
    """Return tasks of other times that nobody here has made, the nearest first: do others ask for the same?"""
    found = [
        row
        for row in rows
        if row.task_id not in known
        and _is_same_model(row.model, target.model)
        and row.status is TaskStatus.SUCCEEDED
        and not _in_window(row, target)
    ]
    return sorted(found, key=lambda row: abs((row.created_at or 0) - target.intended_at))


def _is_ours(row: TaskRow, target: Sought) -> bool:
    return target.request_id is not None and row.request_id == target.request_id


def _may_be(row: TaskRow, target: Sought) -> bool:
    return _is_same_model(row.model, target.model) and _in_window(row, target)


def _is_same_model(theirs: str | None, ours: str) -> bool:
    """Say whether two names may be of one model: the list may name the dated version that carried a task out."""
    if theirs is None:
        return True
    one, other = theirs.casefold(), ours.casefold()
    return one.startswith(other) or other.startswith(one)


def _in_window(row: TaskRow, target: Sought) -> bool:
    return row.created_at is None or target.from_at <= row.created_at <= target.until_at


def _was_in_the_air(row: TaskRow, target: Sought) -> bool:
    return row.created_at is None or target.likely_from <= row.created_at <= target.air_until


def compare(row: TaskRow, task: Task | None, target: Sought, *, own_keys: Collection[str] = ()) -> Candidate:
    """Say what a candidate is; `task` is what a query shows of it, needed once it has succeeded.

    `own_keys` are the ids of the API keys that this ledger's tasks were made with.
    """
    if _is_ours(row, target):
        return Candidate(row, Finding.OURS, "the list names the request id of this create")
    status = row.status if task is None else task.status
    if status in _NOT_BILLED:
        return Candidate(row, Finding.OTHER, "not billed")
    if not status.terminal:
        return Candidate(row, Finding.OPEN, "it has not ended, so it does not show its prompt yet")
    if task is None or status is TaskStatus.UNKNOWN:
        denied = status is TaskStatus.UNKNOWN and _was_in_the_air(row, target)
        return Candidate(row, Finding.UNCLEAR, "the service does not tell what it is", is_denied=denied)
    finding, why = _compared(row, task, target, own_keys)
    if finding is not Finding.OTHER and task.orig_prompt and _same_words(task.orig_prompt, target):
        difference = _difference(task.usage, target)
        if difference is not None:
            return Candidate(row, Finding.UNCLEAR, f"the same prompt, but {difference}", differs=True)
        return Candidate(row, finding, why, asks_the_same=True)
    return Candidate(row, finding, why)


def weighed(found: Sequence[Candidate]) -> list[Candidate]:
    """Return candidates with what differs in a figure taken for another's, if one is there that does not differ.

    Alone it may be ours: the service may count what we have measured in another way.
    """
    if not any(each.finding in (Finding.OURS, Finding.ALIKE) for each in found):
        return list(found)
    return [replace(each, finding=Finding.OTHER) if each.differs else each for each in found]


def _difference(usage: Usage | None, target: Sought) -> str | None:
    """Return how what a task used differs from what the job would have used."""
    if usage is None:
        return None
    if None not in (usage.resolution, target.resolution) and usage.resolution != target.resolution:
        return f"{usage.resolution}P"
    taken, ours = usage.input_seconds, target.input_seconds
    if taken is not None and ours is not None and abs(taken - ours) > LENGTH_SECONDS:
        return f"a video of {taken:g} s and not {ours:.1f} s"
    return None


def _compared(row: TaskRow, task: Task, target: Sought, own_keys: Collection[str]) -> tuple[Finding, str]:
    prompt = task.orig_prompt
    if not target.words and target.words is not None:
        if prompt:
            return Finding.OTHER, "it has a prompt, and the job has none"
        return Finding.UNCLEAR, "neither has a prompt by which it could be told"
    if not prompt:
        return Finding.UNCLEAR, "it does not show its prompt"
    if not _same_words(prompt, target):
        if _is_cut(prompt, target):
            return Finding.UNCLEAR, f"its prompt begins as the job's and ends after {len(prompt)} characters"
        return Finding.OTHER, "another prompt"
    if target.request_id is not None and row.request_id is not None:
        return Finding.UNCLEAR, "the same prompt, but made by another request"
    if row.created_at is not None and not target.likely_from <= row.created_at <= target.likely_until:
        when = "before the create" if row.created_at < target.likely_from else "when the create was over"
        return Finding.UNCLEAR, f"the same prompt, but made {when}"
    if own_keys and row.api_key_id is not None and row.api_key_id not in own_keys:
        return Finding.UNCLEAR, "the same prompt, but made with another API key"
    taken = task.usage.input_seconds if task.usage is not None else None
    return Finding.ALIKE, "the same prompt" + (f", a video of {taken:g} s" if taken is not None else "")


def _is_cut(prompt: str, target: Sought) -> bool:
    """Say whether a prompt may be ours, of which the service kept less than we think: it may count in other units."""
    text = _plain(prompt)
    is_long = START_CHARACTERS <= len(text) < target.length
    return is_long and words_key(text[:START_CHARACTERS]) == target.start


def _same_words(prompt: str, target: Sought) -> bool:
    if words_key(prompt) == target.words:
        return True
    return digest({"model": target.model, "prompt": prompt[:PROMPT_CHARACTERS]}) == target.prompt_key


class Step(StrEnum):
    """What to do about an unsure attempt."""

    WAIT = "wait"
    ADOPT = "adopt"
    WITHDRAW = "withdraw"  #: surely no task: it may be submitted again
    HOLD = "hold"


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do, and why in one clause."""

    step: Step
    why: str
    row: TaskRow | None = None  #: the task to adopt


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What counts besides the candidates."""

    age_seconds: float  #: since the create, by the service's clock
    settled: bool  #: the list was read as a whole, and long enough after the create
    empty_scans: int = 0  #: such readings without anything that could be ours, far enough apart, this one included
    unclear_scans: int = 0  #: such readings that showed nothing but what cannot be told
    rival: str | None = None  #: why what looks alike may be somebody else's; a clause for people
    awaited: str | None = None  #: what has to be known before it is said whose it is; a clause for people


def decide(found: Sequence[Candidate], now: Circumstances) -> Decision:
    """Say what to do about an attempt, given every task that it may have made."""
    by_finding: Mapping[Finding, list[TaskRow]] = {
        finding: [each.row for each in found if each.finding is finding] for finding in Finding
    }
    ours, alike = by_finding[Finding.OURS], by_finding[Finding.ALIKE]
    if len(ours) == 1:
        return Decision(Step.ADOPT, "the list names the request id of its create", ours[0])
    waiting = by_finding[Finding.OPEN]
    decision = Decision(Step.WAIT, "its task is looked for in the account's list")
    if waiting:
        decision = Decision(Step.WAIT, f"waits until {_named(waiting)} has ended, which may be its own")
    elif now.settled:
        decision = _decide_settled([*ours, *alike], [each for each in found if each.finding is Finding.UNCLEAR], now)
    if decision.step in (Step.WAIT, Step.WITHDRAW) and now.age_seconds > DECIDED_SECONDS:
        return Decision(Step.HOLD, "whether its create made a task was not found out within 23 h")
    return decision


def _decide_settled(alike: Sequence[TaskRow], unclear: Sequence[Candidate], now: Circumstances) -> Decision:
    """Decide when all that could be seen has been."""
    like_it = [each.row for each in unclear if each.asks_the_same]
    denied = [each.row for each in unclear if each.is_denied]
    if alike and now.awaited is not None:
        return Decision(Step.WAIT, f"waits until it is known {now.awaited}")
    if len(alike) == 1 and not like_it and not denied and now.rival is None:
        return Decision(Step.ADOPT, "no other task of that time has its prompt", alike[0])
    if len(alike) + len(like_it) > 1 and alike:
        return Decision(Step.HOLD, f"{len(alike) + len(like_it)} tasks may be the one that its create made")
    if alike:
        against = now.rival or f"so may {_named(denied)}, which the service lists and tells nothing of"
        return Decision(Step.HOLD, f"{_named(alike)} may be the one that its create made, but {against}")
    if unclear and now.unclear_scans >= SCANS:
        return Decision(Step.HOLD, f"it cannot be told whether its create made {_named([one.row for one in unclear])}")
    if not unclear and now.empty_scans >= SCANS:
        return Decision(Step.WITHDRAW, "its create made no task: the account's list does not have it")
    return Decision(Step.WAIT, "its task is not in the account's list so far; one more look tells")


def _named(rows: Sequence[TaskRow]) -> str:
    more = f" or one of {len(rows) - 1} more" if len(rows) > 1 else ""
    return f"task {rows[0].task_id}{more}"


@dataclass(slots=True)
class Evidence:
    """What was found about one unsure attempt, as the ledger keeps it and `status` shows it."""

    target: Sought
    scans: list[dict[str, JSON]] = field(default_factory=list)  #: when, whether whole, how many tasks

    def to_json(self, why: str, found: Sequence[Candidate]) -> dict[str, JSON]:
        """Return it as one JSON object, what is most likely ours first; bounded, however busy the account is."""
        order = list(Finding)
        first = sorted(found, key=lambda each: order.index(each.finding))
        return {
            "why": why,
            "from_at": round(self.target.from_at, 3),
            "until_at": round(self.target.until_at, 3),
            "request_id": self.target.request_id,
            "scans": list(self.scans[-SCANS * 2 :]),
            "candidates": [each.to_json() for each in first[:SHOWN]],
            "more": max(0, len(first) - SHOWN),
        }
