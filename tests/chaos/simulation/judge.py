"""Judges a history by what the accounts have made and billed and by what lies in the folders; never by the ledger.

Each law is a function that yields what was broken, a sentence each.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING

from chaos.simulation.clocks import DAY, HOUR, STARTS_AT
from chaos.simulation.facts import (
    asked,
    creates,
    dearest,
    downloads,
    early_dead,
    fits,
    is_unreadable,
    is_up_to_a_person,
    left_behind,
    letter_of,
    lookalikes,
    maker_at,
    no_reason_to_hold,
    ours,
    video_url,
)
from chaos.simulation.service import link_dies_at
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
LINK_SPARE_SECONDS = HOUR  #: that a link lives on which is handed on
CLOCK_ERROR_SECONDS = 1e-3  #: of epoch times, which have fewer digits behind the point than those of a history
RESTS = {State.DONE, State.HELD, State.FAILED, State.LOST, State.BLOCKED}
ENDED = RESTS - {State.DONE}  #: without a result that others could be made from
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
    billed = Counter(letter_of(task, history) for task in ours(history) if task.billed_seconds)
    allowed = history.asked_at_once + history.once_more + left_behind(history)
    for letter, count in billed.items():
        most = sum(times for other, times in allowed.items() if fits(letter, other))
        if count > most:
            yield f"{letter} was paid {count} times and asked for {most} times at most"


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
        if task.billed_seconds and task.id not in here:
            letter = letter_of(task, history)
            said = any({None, task.id} & tasks for other, tasks in stated.items() if fits(letter, other))
            if not said:
                yield f"the result of task {task.id} ({letter}) is nowhere, and nothing is said of it"


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
            yield f"{job.address} asks for {letter} and has {letter_of(mine[maker], history)}"
        elif json.loads(path.with_name(f"{path.name}.json").read_text())["task_id"] != maker:
            yield f"{job.address}: the sidecar names another task than the one that made the video"
    yield from (
        f"task {maker} made the videos of {count} jobs" for maker, count in Counter(makers).items() if count > 1
    )


def _is_for(task: Task, letter: Letter, history: History) -> bool:
    """Say whether a task made what is asked for; of another program's the service shows no more than the words."""
    if any(task.id in account.foreign for account in history.accounts):
        return task.prompt == history.story.prompt(letter)
    return fits(letter_of(task, history), letter)


def made_from_results(history: History) -> Iterator[str]:
    """A create asks for what its run was asked for, and one for a chained job gives a result that is there.

    As a link only while that lives for another two hours, of which waiting for a place may take some.
    """
    for sent in creates(history):
        letter, maker = asked(sent, history), maker_at(video_url(sent), history)
        if not any(fits(letter, other) for other in history.letters_by_life[sent.life]):
            yield f"life {sent.life} made {letter}, which it was not asked for"
        if maker is None:
            continue
        if not maker.billed_seconds or _ended_at(maker) > sent.sent_at + CLOCK_ERROR_SECONDS:
            yield f"life {sent.life} made {letter} before the result was there that it is made from"
        dies_at = link_dies_at(video_url(sent))
        if (
            dies_at is not None
            and maker.link_seconds == DAY
            and dies_at - STARTS_AT - sent.sent_at < LINK_SPARE_SECONDS
        ):
            yield f"life {sent.life} made {letter} from a link that was about to die"


def newest_take_counts(history: History) -> Iterator[str]:
    """Of the takes of a job the newest is handed on, and one that a run brings home is waited for."""
    newest: dict[Letter, float] = {}
    for sent in creates(history):
        maker = maker_at(video_url(sent), history)
        if maker is None or history.asked_at_once[above := letter_of(maker, history)] != 1:
            continue  # two jobs that ask for the same have a result each
        if maker.created_at < newest.get(above, 0):
            yield f"life {sent.life} handed on an older take of {above} than before"
        newest[above] = maker.created_at
        for other in ours(history):
            if letter_of(other, history) == above and other.created_at > maker.created_at:
                brought_at = [read.read_at for read in downloads(other, history) if read.life == sent.life]
                if any(at is not None and sent.sent_at < at for at in brought_at[:1]):
                    yield f"life {sent.life} handed on an old take of {above}, and then brought a new one"


def _ended_at(task: Task) -> float:
    return (task.ended_at or math.inf) - STARTS_AT


def all_rest(history: History) -> Iterator[str]:
    """Every job ends: with the service well again, nothing stays open, and what failed was made to fail."""
    if {job.address for job in history.final.jobs} != set(history.jobs):
        yield "the last run does not speak of every job"
    failing = {letter_of(task, history) for task in ours(history) if task.fate and not is_unreadable(task, history)}
    is_too_dear = history.final.exit_code is ExitCode.STOPPED_BY_BUDGET
    for job in history.final.jobs:
        waits = is_too_dear and job.state in WAITING
        if job.state not in RESTS and not waits and not is_up_to_a_person(job, history):
            yield f"{job.address} is still {job.state} in the end: {job.why}"
        made_to = history.jobs[job.address] in failing or is_up_to_a_person(job, history)
        made_to |= job.address in history.upstream and bool(history.cleared and early_dead(history))  # neither is there
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


def blocked_with_reason(history: History) -> Iterator[str]:
    """A job is blocked if what it is made from has come to nothing, or was cleared away, and only then."""
    states = {job.address: job.state for job in history.final.jobs}
    for address, upstream in history.upstream.items():
        has_ended = states[upstream] in ENDED
        if states[address] is State.BLOCKED and not has_ended and not history.cleared:
            yield f"{address} is blocked although {upstream} is {states[upstream]}"
        if states[address] in WAITING and has_ended:
            yield f"{address} is {states[address]} although {upstream} is {states[upstream]}"


def codes_for(outcome: Outcome) -> Iterator[ExitCode]:
    """Yield the exit codes that the documentation allows for an outcome."""
    states = {job.state for job in outcome.jobs}
    grave = bool(states & CODES[0][1])
    yield next(code for code, those in CODES if states & those)
    if State.LOST in states or outcome.exit_code is ExitCode.LOST:  # 7 in the run that finds it, also an old version's
        yield ExitCode.LOST
    if State.TO_DELIVER in states:  # something else is in the place
        yield ExitCode.ATTENTION
    if any(job.state is State.DONE and job.why for job in outcome.jobs):  # a further take came to nothing
        yield from [ExitCode.ATTENTION, ExitCode.UNFINISHED]
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
    made_from_results,
    newest_take_counts,
    blocked_with_reason,
)
