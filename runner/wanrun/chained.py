"""What chains make of a plan: which jobs wait for another one's result, and which are blocked since none will come."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from wanrun.chains import addresses_in_order, in_order, upstreams
from wanrun.plan import standing
from wanrun.types import Action, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from wanrun.ledger import Attempt, Entry
    from wanrun.plan import Plan, PlannedJob
    from wanrun.types import Job

LINK_SPARE_SECONDS = 2 * 3600  #: that a link has to live on, for a task that may queue for long
_ENDED = (State.FAILED, State.HELD, State.BLOCKED, State.LOST)  #: and nothing will come of it by itself


def with_chains(plan: Plan, *, artifacts: Path, now: float) -> Plan:
    """Return a plan, jobs already chosen, in which no job is submitted whose inputs will not be there.

    A job waits for one that this run brings to its result. It is blocked if the other one has ended without, or is
    left alone by this run and has none yet; then its action is nothing, and its clause says what to do.
    """
    known = {each.job.address: each for each in (*plan.others, *plan.jobs)}
    mine = {each.job.address for each in plan.jobs}
    for job in in_order(each.job for each in plan.jobs):
        planned = known[job.address]
        if planned.action is not Action.SUBMIT:
            continue
        for address in upstreams(job):
            upstream = known[address]
            obstacle = _obstacle(upstream, is_mine=address in mine, artifacts=artifacts, now=now)
            if obstacle is not None:
                planned = replace(planned, state=State.BLOCKED, action=Action.NOTHING, why=obstacle)
                break
            if is_coming(upstream) and not planned.why:
                planned = replace(planned, why=waits_for(address))
        known[job.address] = planned
    return replace(plan, jobs=tuple(known[each.job.address] for each in plan.jobs))


def _obstacle(upstream: PlannedJob, *, is_mine: bool, artifacts: Path, now: float) -> str | None:
    """Say why a job has no result for others and this run will not bring it one; None where it has, or will."""
    address, entry = upstream.job.address, upstream.entry
    if is_mine and is_coming(upstream):
        return None
    if entry is not None and (result := entry.result) is not None:
        is_there = result.artifact(artifacts).is_there() or lives_on(result, now)
        return None if is_there else gone(address, entry, artifacts)
    if upstream.state in _ENDED:
        return blocked_by(address, upstream.state, upstream.why)
    if not is_mine:
        return f"{address} has no result yet, and this run leaves it alone; choose it, too"
    return None  # left to another run, as what chains from it then is


def is_coming(planned: PlannedJob) -> bool:
    """Say whether a run that a job is part of will try to bring it a result that it has not yet."""
    return planned.action in (Action.SUBMIT, Action.RESUME)


def lives_on(result: Attempt, now: float) -> bool:
    """Say whether a link to a result can be had, by a query, that lives long enough to be a task's input."""
    return result.link_gone_at is not None and now + LINK_SPARE_SECONDS < result.link_gone_at


def waits_for(address: str) -> str:
    """Return the clause of a job that waits for another one's result."""
    return f"after {address}"


def blocked_by(address: str, state: State, why: str) -> str:
    """Return the clause of a job that chains from one that has ended without a result: the first such one above it."""
    if state is State.BLOCKED and why:
        return why
    return f"{address}, which it chains from, is {state}" + (f": {why}" if why else "")


def gone(address: str, entry: Entry, artifacts: Path) -> str:
    """Return the clause of a job that chains from one whose result was in the artifact store and is no longer."""
    assert entry.result is not None
    artifact = entry.result.artifact(artifacts)
    delivered = [row for row in entry.deliveries if row.state == "delivered" and row.artifact_sha256 == artifact.sha256]
    copy = f"copy {delivered[0].place} there" if delivered else "put the file back"
    return (
        f"the result of {address} is no longer at {artifact.path}; {copy}, or pay for another take: --again {address}"
    )


def at_end(jobs: Iterable[Job], stands: Callable[[str], tuple[State, str]]) -> Mapping[str, tuple[State, str]]:
    """Return state and clause, at the end of a run, of the jobs that have no task because of what they chain from.

    `stands` says how a job stands by itself, by its address.
    """
    found: dict[str, tuple[State, str]] = {}
    for job in in_order(jobs):
        state, why = stands(job.address)
        if state not in (State.NEW, State.CHANGED) or why:
            continue
        for address in upstreams(job):
            theirs, reason = found.get(address) or stands(address)
            if theirs in _ENDED:
                found[job.address] = State.BLOCKED, blocked_by(address, theirs, reason)
                break
            if theirs not in (State.TO_DELIVER, State.DONE):
                found[job.address] = state, waits_for(address)
    return found


def by_ledger(entries: Mapping[str, Entry]) -> Mapping[str, tuple[State, str]]:
    """Return state and clause of every job where only the ledger is at hand: its entries that count, by address.

    Empty where no job chains from another. Versions of different times may seem to chain in a circle.
    """
    if not any(entry.chains_from for entry in entries.values()):
        return {}
    found: dict[str, tuple[State, str]] = {}
    for address in addresses_in_order({each: entry.chains_from for each, entry in entries.items()}):
        state, _, why = standing(entries[address], None)
        found[address] = (state, why) if state is not State.NEW or why else _behind(entries[address].chains_from, found)
    return found


def _behind(chains_from: Iterable[str], stands: Mapping[str, tuple[State, str]]) -> tuple[State, str]:
    """Return state and clause of a job without a task, by those that it chains from."""
    waits = ""
    for address in chains_from:
        state, why = stands.get(address, (State.NEW, ""))
        if state in _ENDED:
            return State.BLOCKED, blocked_by(address, state, why)
        if state not in (State.TO_DELIVER, State.DONE):
            waits = waits or waits_for(address)
    return State.NEW, waits
