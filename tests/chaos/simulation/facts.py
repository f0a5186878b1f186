"""What the judge has to know of a history: whose tasks are whose, what was in doubt and when, what a job may cost."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING

from chaos.simulation.clocks import DAY, HOUR, STARTS_AT
from chaos.simulation.story import letter_at
from wanrun.emulator.calls import Kind
from wanrun.types import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from chaos.simulation.history import History
    from chaos.simulation.network import Sent
    from chaos.simulation.story import Letter
    from wanrun.emulator import Task
    from wanrun.outcome import JobOutcome

LONGEST_DOUBT_SECONDS = 140.0  #: in the air, settling, and the margins of clocks
LONGEST_LOOK_SECONDS = 22 * HOUR  #: after which a task may not be told of any more
MOST_SECONDS = 20  #: of input and output, that a task is billed for


def ours(history: History) -> Iterator[Task]:
    """Yield the tasks that the program under test has made."""
    for account in history.accounts:
        yield from (task for task in account.tasks.values() if task.id not in account.foreign)


def letter_of(task: Task) -> Letter:
    """Return what a task was asked for."""
    return letter_at(task.media[0]["url"])


def early_dead(history: History) -> set[str | None]:
    """Return the tasks whose links died before their day was over."""
    return {task.id for task in ours(history) if task.link_seconds < DAY}


def left_behind(history: History) -> Counter[Letter]:
    """Return how many jobs for a letter are held or lost at an address that does not ask for it any more."""
    found: Counter[Letter] = Counter()
    for standing in history.standings:
        if standing.state in (State.HELD, State.LOST):
            found.update(history.letters_of[standing.address] - {history.jobs.get(standing.address, "")})
    return found


def denied(history: History) -> Iterator[Task]:
    """Yield the tasks, whoever made them, of which the service tells nothing any more: they may be any create's."""
    for account in history.accounts:
        yield from (task for task in account.tasks.values() if task.unknown_at is not None)


def lookalikes(history: History) -> Iterator[Task]:
    """Yield the tasks of other programs that nobody could tell from ours: the same words while we were in doubt."""
    doubts = [
        (history.story.prompt(letter), at)
        for letter in set(history.jobs.values())
        for at in in_doubt_at(letter, history)
    ]
    for account in history.accounts:
        for task in map(account.tasks.__getitem__, sorted(account.foreign)):
            if _may_be_of(task, (began for prompt, began in doubts if prompt == task.prompt)):
                yield task


def _may_be_of(task: Task, doubts: Iterable[float]) -> bool:
    """Say whether a task was made when one of these doubts was open, as far as clocks can tell."""
    ages = (task.created_at - STARTS_AT - began for began in doubts)
    return any(-10 <= seconds <= LONGEST_DOUBT_SECONDS for seconds in ages)


def in_doubt_at(letter: Letter, history: History) -> Iterator[float]:
    """Yield when a create for a letter left whose answer is missing, or may have been about to leave."""
    yield from (sent.sent_at for sent in doubtful_creates(history) if _asked(sent) == letter)
    yield from (at for life, at in history.died_at.items() if letter in history.letters_by_life[life])


def ambiguous(history: History) -> set[Letter]:
    """Return what creates were sent for without a clear answer, or what the service denies to have."""
    forgotten = {letter_of(task) for task in ours(history) if task.unknown_at is not None}
    return forgotten | {_asked(sent) for sent in doubtful_creates(history)}


def no_reason_to_hold(letter: Letter, history: History) -> str | None:
    """Say what speaks against holding a job; None when there is a reason to."""
    if any(letter_of(task) == letter and task.unknown_at is not None for task in ours(history)):
        return None
    doubts = list(in_doubt_at(letter, history))
    if not doubts:
        return "every create for it was answered"
    if any(_may_be_of(task, doubts) for task in denied(history)):
        return None
    prompt = history.story.prompt(letter)
    creates = [sent for sent in history.network.sent if sent.kind is Kind.CREATE]
    asked = sum(history.story.prompt(_asked(sent)) == prompt for sent in creates)
    foreign = sum(account.tasks[task].prompt == prompt for account in history.accounts for task in account.foreign)
    too_late = history.ended_at - min(doubts) > LONGEST_LOOK_SECONDS
    if foreign or asked > 1 or too_late or history.story.clock_steps:  # and so nobody knows when the create was
        return None
    return "nobody else asked for its words, and there was time to look for its task"


def doubtful_creates(history: History) -> Iterator[Sent]:
    """Yield the creates after which the program could not know whether they had made a task."""
    creates = (sent for sent in history.network.sent if sent.kind is Kind.CREATE)
    yield from (sent for sent in creates if not _is_clear(sent, history))


def _is_clear(sent: Sent, history: History) -> bool:
    """Say whether a life had an answer that says what came of a call, and lived to write it down."""
    if sent.read_at is None or sent.response is None or sent.read_at == history.died_at.get(sent.life):
        return False
    return sent.response.status_code < 500 and sent.response.headers.get("Content-Type") == "application/json"


def _asked(sent: Sent) -> Letter:
    return letter_at(json.loads(sent.content)["input"]["media"][0]["url"])


def dearest(history: History) -> Decimal:
    """Return the most that one task can cost, in CNY."""
    models = [model for account in history.accounts for model in account.models.values()]
    prices = [price["per_second"]["1080P"] for model in models for price in model.prices]  # type: ignore[call-overload,index]
    return MOST_SECONDS * max(map(Decimal, map(str, prices)))


def is_up_to_a_person(job: JobOutcome, history: History) -> bool:
    """Say whether a job waits for a person to clear its place, or to put back what somebody has cleared away.

    The first may happen when a life died between a sink's work and its receipt, and what it delivered was then renamed
    away from the place, more than once.
    """
    if job.state is State.TO_DELIVER and history.cleared:
        return True
    there = history.videos().get(history.place(job.address))
    renamed = history.story.changes_specs and bool(history.died_at)
    return renamed and job.state in (State.TO_DELIVER, State.FAILED) and there is not None
