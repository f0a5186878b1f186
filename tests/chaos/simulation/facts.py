"""What the judge has to know of a history: whose tasks are whose, what was in doubt and when, what a job may cost."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from chaos.simulation.chains import made_from
from chaos.simulation.clocks import DAY, HOUR, STARTS_AT
from chaos.simulation.story import VIDEOS, letter_at
from wanrun.emulator.calls import RESULTS, Kind
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
ANYTHING = "?"  #: in a letter: what the service does not tell of other programs' tasks
MOST_SECONDS = 20  #: of input and output, that a task is billed for


def ours(history: History) -> Iterator[Task]:
    """Yield the tasks that the program under test has made."""
    for account in history.accounts:
        yield from (task for task in account.tasks.values() if task.id not in account.foreign)


def letter_of(task: Task, history: History) -> Letter:
    """Return what a task was asked for; with `?` for what another program's task stands in for."""
    if any(task.id in account.foreign for account in history.accounts):
        return ANYTHING
    return letter_for(task.media[0]["url"], task.prompt, history)


def letter_for(url: str, prompt: str, history: History) -> Letter:
    """Return what is asked for with a video and words."""
    maker = maker_at(url, history)
    return letter_at(url) if maker is None else made_from(letter_of(maker, history), history.story.step(prompt))


def maker_at(url: str, history: History) -> Task | None:
    """Return the task whose result a URL leads to, as a link or an upload; None for other videos."""
    if url.startswith(VIDEOS):
        return None
    uploaded = (account.uploads.get(url) for account in history.accounts)
    name = next(filter(None, uploaded), None) or urlsplit(url).path.removeprefix(RESULTS).removesuffix(".mp4")
    return next(account.tasks[name] for account in history.accounts if name in account.tasks)


def fits(found: Letter, letter: Letter) -> bool:
    """Say whether what was asked for may have been this."""
    head, known, tail = found.partition(ANYTHING)
    return letter.startswith(head) and letter.endswith(tail) if known else found == letter


def is_unreadable(task: Task, history: History) -> bool:
    """Say whether a task was given what was not to be had any more, and so failed."""
    return any(task.id in account.unreadable for account in history.accounts)


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
    yield from (sent.sent_at for sent in doubtful_creates(history) if fits(asked(sent, history), letter))
    yield from (at for life, at in history.died_at.items() if letter in history.letters_by_life[life])


def ambiguous(history: History) -> set[Letter]:
    """Return what creates were sent for without a clear answer, or what the service denies to have."""
    forgotten = {letter_of(task, history) for task in ours(history) if task.unknown_at is not None}
    return forgotten | {asked(sent, history) for sent in doubtful_creates(history)}


def no_reason_to_hold(letter: Letter, history: History) -> str | None:
    """Say what speaks against holding a job; None when there is a reason to."""
    if any(task.unknown_at is not None and fits(letter_of(task, history), letter) for task in ours(history)):
        return None
    doubts = list(in_doubt_at(letter, history))
    if not doubts:
        return "every create for it was answered"
    if any(_may_be_of(task, doubts) for task in denied(history)):
        return None
    prompt = history.story.prompt(letter)
    same = sum(_input_of(sent)["prompt"] == prompt for sent in creates(history))
    foreign = sum(account.tasks[task].prompt == prompt for account in history.accounts for task in account.foreign)
    too_late = history.ended_at - min(doubts) > LONGEST_LOOK_SECONDS
    if foreign or same > 1 or too_late or history.story.clock_steps:  # and so nobody knows when the create was
        return None
    return "nobody else asked for its words, and there was time to look for its task"


def doubtful_creates(history: History) -> Iterator[Sent]:
    """Yield the creates after which the program could not know whether they had made a task."""
    yield from (sent for sent in creates(history) if not _is_clear(sent, history))


def creates(history: History) -> Iterator[Sent]:
    """Yield the creates that left, in that order."""
    yield from (sent for sent in history.network.sent if sent.kind is Kind.CREATE)


def _is_clear(sent: Sent, history: History) -> bool:
    """Say whether a life had an answer that says what came of a call, and lived to write it down."""
    if sent.read_at is None or sent.response is None or sent.read_at == history.died_at.get(sent.life):
        return False
    return sent.response.status_code < 500 and sent.response.headers.get("Content-Type") == "application/json"


def downloads(task: Task, history: History) -> Iterator[Sent]:
    """Yield the downloads of a task's result that were read to their end."""
    path = f"{RESULTS}{task.id}.mp4"
    for sent in history.network.sent:
        if sent.request.url.path == path and sent.read_at is not None and sent.status in (200, 206):
            yield sent


def asked(sent: Sent, history: History) -> Letter:
    """Return what a create asked for."""
    return letter_for(video_url(sent), _input_of(sent)["prompt"], history)


def video_url(sent: Sent) -> str:
    """Return the URL of the video that a create gave."""
    return str(_input_of(sent)["media"][0]["url"])


def _input_of(sent: Sent) -> Any:
    return json.loads(sent.content)["input"]


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
    story = history.story
    renamed = (story.changes_specs or story.chains.are_there) and bool(history.died_at)
    return renamed and job.state in (State.TO_DELIVER, State.FAILED) and there is not None
