"""Judges a history by what the accounts have made and billed and by what lies in the folders; never by the ledger.

Each law is a function that yields what was broken, a sentence each.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING

from chaos.simulation.clocks import STARTS_AT
from chaos.simulation.facts import (
    dearest,
    early_dead,
    is_up_to_a_person,
    left_behind,
    letter_of,
    lookalikes,
    no_reason_to_hold,
    ours,
)
from wanrun.emulator.calls import Kind
from wanrun.errors import ExitCode
from wanrun.types import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from chaos.simulation.history import History
    from chaos.simulation.network import Sent
    from chaos.simulation.story import Letter
    from wanrun.emulator import Task
    from wanrun.outcome import Outcome

CREATES_PER_SECOND = 5
QUERIES_PER_SECOND = 20
RESTS = {State.DONE, State.HELD, State.FAILED, State.LOST}
WAITING = {State.NEW, State.CHANGED, State.MOVED}

#: what the exit code of a run says of its jobs, the gravest first
CODES = [
    (ExitCode.ATTENTION, {State.HELD, State.FAILED, State.BLOCKED, State.LOST}),
    (ExitCode.UNFINISHED, {State.UNSURE, State.IN_FLIGHT, State.TO_DELIVER, *WAITING}),
    (ExitCode.OK, {State.DONE}),
]


def judged(history: History) -> list[str]:
    """Return everything that was broken in a history."""
    return [*history.broken, *(problem for law in LAWS for problem in law(history))]


# The laws


def paid_once(history: History) -> Iterator[str]:
    """Nothing is paid more often than it was asked for at one time.

    A job that is held or lost stays so under the address that it had; who then asks for the same under another one
    gets another task.
    """
    billed = Counter(letter_of(task) for task in ours(history) if task.billed_seconds)
    allowed = history.asked_at_once + left_behind(history)
    for letter, count in billed.items():
        if count > allowed[letter]:
            yield f"{letter} was paid {count} times and asked for {allowed[letter]} times at most"


def nothing_lost(history: History) -> Iterator[str]:
    """The result of every billed task is in a folder, or `wanrun status` says that it is held or lost.

    One whose link died early is asked for until its day is over, and is in flight until then.
    """
    here = {*history.videos().values(), *history.cleared}
    here |= {each.task_id for each in history.standings if each.state is State.IN_FLIGHT} & early_dead(history)
    stated = defaultdict(set)
    for standing in history.standings:
        if standing.state in (State.HELD, State.LOST):
            for letter in history.letters_of[standing.address]:
                stated[letter].add(standing.task_id)
    for task in ours(history):
        if task.billed_seconds and task.id not in here and not stated[letter_of(task)] & {None, task.id}:
            yield f"the result of task {task.id} ({letter_of(task)}) is nowhere, and nothing is said of it"


def lost_is_gone(history: History) -> Iterator[str]:
    """What is said to be lost is to be had no more."""
    tasks = {task.id: task for task in ours(history)}
    for standing in history.standings:
        task = tasks.get(standing.task_id or "")
        if standing.state is State.LOST and task is not None and task.unknown_at is None:
            ended_at = (task.ended_at or STARTS_AT) - STARTS_AT
            if history.ended_at < ended_at + task.link_seconds:
                yield f"{standing.address} is said to be lost, but the service still has the result of task {task.id}"


def done_is_right(history: History) -> Iterator[str]:
    """What is done lies in its place: whole, made for this job and for no other, with a sidecar that says so."""
    mine = {task.id: task for task in [*ours(history), *lookalikes(history)]}
    videos, makers = history.videos(), []
    for job in history.final.jobs:
        if job.state is not State.DONE:
            continue
        path, letter = history.place(job.address), history.jobs[job.address]
        maker = videos.get(path)
        makers.append(maker)
        if maker not in mine:
            yield f"{job.address} is done, but its video is {'foreign' if maker else 'missing or broken'}"
        elif not _is_for(mine[maker], letter, history):
            yield f"{job.address} asks for {letter} and has {letter_of(mine[maker])}"
        elif json.loads(path.with_name(f"{path.name}.json").read_text())["task_id"] != maker:
            yield f"{job.address}: the sidecar names another task than the one that made the video"
    yield from (
        f"task {maker} made the videos of {count} jobs" for maker, count in Counter(makers).items() if count > 1
    )


def _is_for(task: Task, letter: Letter, history: History) -> bool:
    """Say whether a task made what is asked for; of another program's the service shows no more than the words."""
    if any(task.id in account.foreign for account in history.accounts):
        return task.prompt == history.story.prompt(letter)
    return letter_of(task) == letter


def all_rest(history: History) -> Iterator[str]:
    """Every job ends: with the service well again, nothing stays open, and what failed was made to fail."""
    if {job.address for job in history.final.jobs} != set(history.jobs):
        yield "the last run does not speak of every job"
    failing = {letter_of(task) for task in ours(history) if task.fate}
    is_too_dear = history.final.exit_code is ExitCode.STOPPED_BY_BUDGET
    for job in history.final.jobs:
        waits = is_too_dear and job.state in WAITING
        if job.state not in RESTS and not waits and not is_up_to_a_person(job, history):
            yield f"{job.address} is still {job.state} in the end: {job.why}"
        made_to = history.jobs[job.address] in failing or is_up_to_a_person(job, history)
        if job.state is State.FAILED and not made_to:
            yield f"{job.address} has failed, and no task of it did: {job.why}"


def codes_match(history: History) -> Iterator[str]:
    """The exit code of every run that came to its end is one that its states and reasons call for."""
    for outcome in history.outcomes:
        if outcome.exit_code not in set(codes_for(outcome)):
            states = sorted({job.state.value for job in outcome.jobs})
            yield f"a run ended with {outcome.exit_code!r} although its jobs are {', '.join(states)} {outcome.reasons}"


def limits_kept(history: History) -> Iterator[str]:
    """No life sends more than the account takes in any one second, and each waits as long as a 429 asks for."""
    for life, host in sorted({(sent.life, sent.host) for sent in history.network.sent}):
        mine = [sent for sent in history.network.sent if (sent.life, sent.host) == (life, host)]
        creates = [sent for sent in mine if sent.kind is Kind.CREATE]
        queries = [sent for sent in mine if sent.kind in (Kind.QUERY, Kind.LIST, Kind.CANCEL)]
        for name, calls, most in (("creates", creates, CREATES_PER_SECOND), ("queries", queries, QUERIES_PER_SECOND)):
            if (peak := _peak(calls)) > most:
                yield f"life {life} sent {peak} {name} within a second"
        yield from (f"life {life}: {problem}" for problem in _hasty(creates))


def budget_kept(history: History) -> Iterator[str]:
    """What was billed is never more than the budget, and a job is turned away only if it might not fit."""
    most = history.story.max_cost
    cost = sum((Decimal(task.cost) for task in ours(history)), Decimal(0))
    if most is not None and cost > most:
        yield f"{cost} CNY were billed with a budget of {most} CNY"
    if history.final.exit_code is ExitCode.STOPPED_BY_BUDGET:
        unsettled = sum(standing.state is not State.DONE for standing in history.standings) + 1
        if most is None or cost + unsettled * dearest(history) <= most:
            yield f"jobs were turned away with {cost} CNY of {most} CNY billed"


def held_for_a_reason(history: History) -> Iterator[str]:
    """A job is held only if the reply to a create for what it asks was missing, and nothing else can tell.

    That is: others asked for the same words, or it was not looked for in time, or somebody set the clock, or the
    service denies a task that it made meanwhile.
    """
    for job in history.final.jobs:
        if job.state is State.HELD and (missing := no_reason_to_hold(history.jobs[job.address], history)):
            yield f"{job.address} is held although {missing}: {job.why}"


def codes_for(outcome: Outcome) -> Iterator[ExitCode]:
    """Yield the exit codes that the documentation allows for an outcome."""
    states = {job.state for job in outcome.jobs}
    grave = bool(states & CODES[0][1])
    yield next(code for code, those in CODES if states & those)
    if State.LOST in states or outcome.exit_code is ExitCode.LOST:  # 7 in the run that finds it, also an old version's
        yield ExitCode.LOST
    if State.TO_DELIVER in states:  # something else is in the place
        yield ExitCode.ATTENTION
    if outcome.reasons:  # an earlier version that is held, too
        yield from [ExitCode.STOPPED_BY_SERVICE, ExitCode.STOPPED_BY_BUDGET, ExitCode.ATTENTION]
        yield from [] if grave else [ExitCode.UNFINISHED]


def _peak(calls: Iterable[Sent]) -> int:
    times = [sent.sent_at for sent in calls]
    return max((sum(at - 1 + 1e-6 < other <= at for other in times) for at in times), default=0)


def _hasty(creates: list[Sent]) -> Iterator[str]:
    for sent in creates:
        if sent.status == 429 and sent.read_at is not None and sent.response is not None:
            until = sent.read_at + float(sent.response.headers.get("Retry-After", 0))
            if any(sent.read_at < other.sent_at < until for other in creates):
                yield "a create left before the time that a 429 had asked for was over"


LAWS = (
    paid_once,
    nothing_lost,
    lost_is_gone,
    done_is_right,
    all_rest,
    codes_match,
    limits_kept,
    budget_kept,
    held_for_a_reason,
)
