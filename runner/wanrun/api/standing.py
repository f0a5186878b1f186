"""How jobs stand, by the ledger alone, and settling by hand what wanrun may not decide."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from wanrun.api.looking import ledger_of
from wanrun.chained import by_ledger
from wanrun.errors import LedgerError, SettingsError
from wanrun.ledger import AttemptState, Ledger, LedgerLock
from wanrun.ledger.rows import latest
from wanrun.plan import standing
from wanrun.project import Setup, open_project
from wanrun.selection import names
from wanrun.types import State

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wanrun.ledger import Entry
    from wanrun.types import JSON, Link

    Links = Mapping[tuple[int, str, str], Link]  # by entry, checksum and destination, as the ledger gives them


_TASK_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")  # it becomes part of an address


NO_LINKS: Links = MappingProxyType({})
RESOLVABLE = (State.HELD, State.UNSURE, State.LOST)
UNSETTLED = (*RESOLVABLE, State.IN_FLIGHT)


class Decision(StrEnum):
    """What a person can say about a job that is held, unsure or lost."""

    ADOPT = "adopt"  #: this task is the job's
    RESUBMIT = "resubmit"  #: make another task, and pay for it if there is one already
    ABANDON = "abandon"  #: give the job up


#: What is risked by settling by hand what a run would settle by itself.
_RISKS = {
    Decision.ADOPT: "if its create made another task, that one is paid for too, and its result is not fetched",
    Decision.RESUBMIT: "if its create made a task after all, both are paid for; a run would have found out",
    Decision.ABANDON: "if its create made a task after all, it is paid for, and its result is not fetched",
}


@dataclass(frozen=True, slots=True)
class SinkLink:
    """A link by which whoever has it can read what a sink was given."""

    sink: str
    place: str
    link: Link

    @property
    def is_over(self) -> bool:
        """Whether it has expired."""
        return self.link.until is not None and self.link.until <= time.time()


@dataclass(frozen=True, slots=True)
class JobStanding:
    """How one job stands by the ledger."""

    address: str
    state: State
    why: str
    task_id: str | None
    intended_at: float | None  #: epoch seconds of the latest create
    places: tuple[str, ...]
    gone_at: float | None = None  #: epoch seconds after which a result in flight can no longer be had
    evidence: Mapping[str, JSON] | None = None  #: of a held or unsure job: what reconciling has found so far
    links: tuple[SinkLink, ...] = ()  #: to what was delivered, if they were asked for
    risk: str = ""  #: of a decision just made: what it may cost; empty where it risks nothing


def status(setup: Setup | None = None, patterns: Sequence[str] = (), *, links: bool = False) -> list[JobStanding]:
    """Return how every job of the ledger stands, or those that a pattern matches, in the order they were entered.

    A job that has changed has several versions: the one that was asked for last is listed, and with it every other
    that is held, lost or in flight, since money may hang on it. A pattern is matched against `spec/job`, one without
    `/` against the job's id. `links` asks for the links that sinks have given to what was delivered: whoever sees one
    can read the file. Raises `LedgerError`, and `SettingsError` for a pattern that is no job's.
    """
    project = open_project(setup or Setup())
    if patterns and not project.ledger_path.is_file():
        raise SettingsError(f"there is no ledger at {project.ledger_path}; nothing to show")
    with ledger_of(project) as ledger:
        entries, known = ledger.entries(), ledger.links() if links else {}
    check_patterns(entries, patterns)
    return standings(entries, patterns, known)


def standings(
    entries: Sequence[Entry],
    patterns: Sequence[str] = (),
    links: Links = NO_LINKS,
) -> list[JobStanding]:
    """Return how the jobs of these entries stand, as `status` lists them."""
    current = latest(entries)
    chained = by_ledger(current)
    return [
        _in_chain(standing_of(entry, links), chained) if entry is current[entry.address] else standing_of(entry, links)
        for entry in entries
        if matches(entry, patterns) and (entry is current[entry.address] or standing(entry, None)[0] in UNSETTLED)
    ]


def _in_chain(job: JobStanding, chained: Mapping[str, tuple[State, str]]) -> JobStanding:
    """Return how a job stands, with what those make of it that it chains from."""
    state, why = chained.get(job.address, (job.state, job.why))
    return replace(job, state=state, why=why)


def matches(entry: Entry, patterns: Sequence[str]) -> bool:
    """Say whether one of the patterns is an entry's, or there are none; see `status`."""
    return not patterns or names(entry.address, patterns)


def check_patterns(entries: Sequence[Entry], patterns: Sequence[str]) -> None:
    """Raise `SettingsError` for a pattern that is no job's, since it must be misspelt."""
    for pattern in patterns:
        if not any(matches(entry, [pattern]) for entry in entries):
            raise SettingsError(f'no job in the ledger matches "{pattern}"; wanrun status lists them')


def standing_of(entry: Entry, links: Links = NO_LINKS) -> JobStanding:
    """Return how one entry stands."""
    state, _, why = standing(entry, None)
    attempt = entry.attempt
    return JobStanding(
        address=entry.address,
        state=state,
        why=why,
        task_id=attempt.task_id if attempt else None,
        intended_at=attempt.intended_at if attempt else None,
        places=tuple(row.place for row in entry.deliveries if row.state == "delivered"),
        gone_at=attempt.gone_at if attempt else None,
        evidence=attempt.evidence if attempt and state in (State.HELD, State.UNSURE) else None,
        links=tuple(
            SinkLink(row.sink, row.place, link)
            for row in entry.deliveries
            if (link := links.get((entry.id, row.artifact_sha256, row.options_digest))) is not None
        ),
    )


def resolve(job: str, decision: Decision, setup: Setup | None = None, *, task_id: str | None = None) -> JobStanding:
    """Settle one job that is held, unsure or lost, and return how it stands then; the next run goes on from there.

    A job in flight may be given another task as long as nobody has looked at the one it has: it may be mistyped.
    `job` is its address, or its id where that is enough; `task_id` goes with `ADOPT`. Raises `SettingsError` when
    the job or the decision does not fit, `LedgerBusy` while a run uses the ledger.
    """
    project = open_project(setup or Setup())
    if not project.ledger_path.is_file():
        raise SettingsError(f"there is no ledger at {project.ledger_path}; nothing to resolve")
    with LedgerLock(project.ledger_path), Ledger.open(project.ledger_path, now=time.time) as ledger:
        ledger.interrupted()
        entry = _find(job, ledger)
        risk = _risk(entry, decision, task_id)
        _decide(entry, decision, ledger, task_id)
        return replace(standing_of(ledger.entry(entry.id)), risk=risk)


def _risk(entry: Entry, decision: Decision, task_id: str | None) -> str:
    state = standing(entry, None)[0]
    if state is State.UNSURE:
        return _RISKS[decision]
    if state is State.IN_FLIGHT and entry.attempt is not None and entry.attempt.task_id != task_id:
        return f"if task {entry.attempt.task_id} was made for it, that one is paid for too, and its result not fetched"
    return ""


def _find(job: str, ledger: Ledger) -> Entry:
    """Return the version of a job to resolve: the one asked for last if it can be, else the youngest that can."""
    entries = ledger.entries()
    named = [entry for entry in entries if job in (entry.address, entry.address.partition("/")[2])]
    addresses = sorted({entry.address for entry in named})
    if not named:
        raise SettingsError(f'no job "{job}" in the ledger; wanrun status lists them')
    if len(addresses) > 1:
        raise SettingsError(f'"{job}" is a job of several specs; name one of {", ".join(addresses)}')
    current = latest(named)[addresses[0]]
    open_ones = [entry for entry in named if standing(entry, None)[0] in RESOLVABLE]
    return current if current in open_ones or not open_ones else open_ones[-1]


def _decide(entry: Entry, decision: Decision, ledger: Ledger, task_id: str | None) -> None:
    state, _, _ = standing(entry, None)
    attempt = entry.attempt
    mistyped = decision is Decision.ADOPT and _is_never_seen(entry)
    if attempt is None or (state not in RESOLVABLE and not mistyped):
        raise SettingsError(f"{entry.address} is {state}; only a job that is held, unsure or lost is resolved by hand")
    if decision is Decision.ADOPT:
        _adopt(entry, ledger, task_id)
    elif decision is Decision.RESUBMIT:
        ledger.ended(attempt.id, AttemptState.DISMISSED, "set aside for another task")
    else:
        ledger.ended(attempt.id, AttemptState.ABANDONED, "abandoned by hand")


def _is_never_seen(entry: Entry) -> bool:
    """Say whether the task of a job in flight is on somebody's word alone: no look has shown it."""
    attempt = entry.attempt
    return attempt is not None and attempt.state is AttemptState.IN_FLIGHT and attempt.task_status is None


def checked_task(task_id: str | None) -> str:
    """Return a task id that was typed by hand; raises `SettingsError` for what cannot be one."""
    if task_id is None or not _TASK_ID.fullmatch(task_id):
        raise SettingsError("that is no task id; copy it from the service's console")
    return task_id


def _adopt(entry: Entry, ledger: Ledger, task_id: str | None) -> None:
    assert entry.attempt is not None
    task_id = checked_task(task_id)
    try:
        ledger.adopted(entry.attempt, task_id)
    except LedgerError as exc:
        raise SettingsError(f"task {task_id} already belongs to another job of this ledger") from exc
