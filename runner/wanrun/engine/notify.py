"""Notify: tell people what has happened, as `news` says when and `notices` says how; no job or run waits for it.

What is told is read from the ledger's events, and how far a destination has been told is written there as soon as a
notifier has returned. So a run that dies in between tells once more, and one that dies before leaves it to the next.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import trio

from wanrun.engine.calls import CallContext, CallTime
from wanrun.engine.news import CHANGES, GRAVE, JOB_EVENTS, TROUBLE
from wanrun.engine.notices import RUN_EVENTS, Facts, counted, make_notice
from wanrun.errors import ExitCode, SinkError, WanrunError
from wanrun.events import EventName
from wanrun.guards import GuardedNotifier, GuardedNotifyingSink
from wanrun.notices import NoticeName
from wanrun.redaction import redacted
from wanrun.rehearsal import UntoldNotifier

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wanrun.engine.news import Listener
    from wanrun.engine.notices import JobEnd
    from wanrun.engine.work import Work
    from wanrun.events import Event
    from wanrun.ledger import Spent
    from wanrun.types import SinkRef, State

CALL_SECONDS = 10  #: that a notifier may take for one notice
SPARE_SECONDS = 0.5  #: after which one that does not let itself be cancelled is left alone
MEMORY_CHARACTERS = 4000  #: that a notifier may have remembered


@dataclass(frozen=True, slots=True)
class End:
    """How a run ended."""

    exit_code: ExitCode
    jobs: Sequence[JobEnd]  #: of all its specs

    @property
    def grave(self) -> int | None:
        """The exit code, if a person must do something before another run can go on."""
        return int(self.exit_code) if self.exit_code in GRAVE else None


@dataclass(slots=True)
class _Context(CallContext):
    """What a notifier is lent: `hookspecs.NotifyContext`."""

    remembered: str | None
    seconds: float = CALL_SECONDS

    def remember(self, text: str) -> None:
        if len(text) > MEMORY_CHARACTERS:
            raise SinkError(f"it wants {len(text)} characters to be remembered; {MEMORY_CHARACTERS} are kept at most")
        self.remembered = redacted(text)


async def tell_meanwhile(work: Work) -> None:
    """Tell every destination of what is due while the run goes on; never returns."""
    async with trio.open_nursery() as nursery:
        for listener in work.news.listeners:
            nursery.start_soon(_tell_one_meanwhile, work, listener)
            if listener.wanted(NoticeName.RUN_PROGRESS):
                nursery.start_soon(_keep_one_shown, work, listener)
        await trio.sleep_forever()


async def _tell_one_meanwhile(work: Work, listener: Listener) -> None:
    while True:
        await listener.wait_until_due()
        await _tell(work, listener)


async def tell_at_the_end(work: Work, end: End) -> None:
    """Tell every destination of the rest, side by side: at most `CALL_SECONDS` and a little."""
    async with trio.open_nursery() as nursery:
        for listener in work.news.listeners:
            nursery.start_soon(_tell, work, listener, end)


async def _keep_one_shown(work: Work, listener: Listener) -> None:
    while True:
        await listener.wait_until_moved()
        async with listener.turn:
            await _show(work, listener)


async def _show(work: Work, listener: Listener) -> None:
    """Send one destination how the jobs stand, if that is not what it has been shown last; nothing else is told."""
    facts = Facts(
        run=work.run,
        at=work.world.now(),
        names=frozenset({NoticeName.RUN_PROGRESS}),
        specs=tuple(listener.wants),
        happened=(),
        counts=counted(work.news.states(listener)),
        spent=_spent(work, listener),
        account=work.ledger.account,
    )
    if facts.counts == listener.shown:
        return
    try:
        await _send(work, listener, facts)
    except WanrunError as exc:
        if listener.note is None:  # of failures in a row the first is enough
            _untold(work, listener, facts, exc)
    else:
        listener.note, listener.shown = None, facts.counts
    _keep_memory(work, listener)


async def _tell(work: Work, listener: Listener, end: End | None = None) -> None:
    """Send one destination what it has not been told, if there is anything that it wants to know."""
    async with listener.turn:
        await _tell_in_turn(work, listener, end)


async def _tell_in_turn(work: Work, listener: Listener, end: End | None) -> None:
    work.ledger.flush()  # what is told is on disk
    until = work.ledger.last_event()
    facts = _facts(work, listener, end, until)
    if facts is None:
        if end is not None:
            _record(work, listener, until, end)
        return
    if NoticeName.RUN_STARTED not in facts.names or facts.happened:
        listener.be_quiet()
    try:
        rehearsed = await _send(work, listener, facts)
    except WanrunError as exc:
        _untold(work, listener, facts, exc)
        _keep_memory(work, listener)
        return
    listener.is_told_of_start |= NoticeName.RUN_STARTED in facts.names
    listener.reasons_told = max(listener.reasons_told, len(facts.reasons))
    listener.shown = facts.counts or listener.shown
    listener.note = None
    title = make_notice(facts, listener.sink).title
    if rehearsed:
        listener.note = f"rehearsal: the sink {listener.sink.name} would have been told: {title}"
    with work.ledger.transaction():
        _keep_memory(work, listener)
        _record(work, listener, until, end)
        names = [name.value for name in NoticeName if name in facts.names]
        work.emit(EventName.NOTIFIED, sink=listener.sink.name, events=[*names], message=title, rehearsed=rehearsed)


def _keep_memory(work: Work, listener: Listener) -> None:
    """Write what the notifier wants to know again; nothing if that is there already."""
    if listener.remembered is not None and listener.remembered != listener.kept:
        work.ledger.remember(listener.digest, listener.remembered)
        listener.kept = listener.remembered


def _record(work: Work, listener: Listener, until: int, end: End | None) -> None:
    """Write how far a destination has been told, and at the end whether it knows of a stop that lasts."""
    work.ledger.told(listener.digest, listener.wants, until=until)
    if end is not None:
        work.ledger.note_stop(listener.digest, listener.wants, end.grave)


def _untold(work: Work, listener: Listener, facts: Facts, exc: WanrunError) -> None:
    """Note a failure, for the run's outcome and for those who listen; what was to be told stays untold."""
    names, message = [name.value for name in NoticeName if name in facts.names], redacted(str(exc))
    listener.note = f"the sink {listener.sink.name} was not told of {', '.join(names)}: {message}"
    work.emit(EventName.NOTIFY_FAILED, sink=listener.sink.name, events=[*names], message=message)


# What there is to tell


def _facts(work: Work, listener: Listener, end: End | None, until: int) -> Facts | None:
    """Return what a destination is to be told; None when there is nothing that its specs ask for."""
    happened: list[Event] = []
    for spec, wants in listener.wants.items():
        asked = {event for event, name in JOB_EVENTS.items() if name in wants}
        names = asked if listener.changed else asked | CHANGES | TROUBLE
        for event in work.ledger.untold(listener.digest, spec, names, until=until):
            listener.changed = True
            happened += [event] if event.name in asked else []
    told = {JOB_EVENTS[event.name] for event in happened} | set(_run_events(work, listener, end))
    if not told:
        return None
    is_of_run = not told.isdisjoint(RUN_EVENTS)
    return Facts(
        run=work.run,
        at=work.world.now(),
        names=frozenset(told),
        specs=tuple(listener.wants),
        happened=sorted(happened, key=lambda event: event.at),
        counts=_counts(work, listener, end) if is_of_run else {},
        places=_places(work, end),
        spent=_spent(work, listener),
        reasons=tuple(reason.words for reason in work.stop.reasons) if is_of_run else (),
        exit_code=None if end is None else end.exit_code,
        account=work.ledger.account,
    )


def _run_events(work: Work, listener: Listener, end: End | None) -> list[NoticeName]:
    """Return the events of the run itself that a destination is to be told of now.

    Of a run that has changed nothing it hears only if the service or a budget has stopped it, and the first time that
    they do.
    """
    reasons = work.stop.reasons
    known = work.ledger.stopped(listener.digest)
    is_news = listener.changed or any(each.exit_code in GRAVE and each.exit_code not in known for each in reasons)
    if not is_news:
        return []
    new = reasons[listener.reasons_told :]
    due = {
        NoticeName.RUN_STARTED: listener.changed and not listener.is_told_of_start,
        NoticeName.RUN_PROGRESS: listener.changed and end is not None,
        NoticeName.RUN_STOPPING: bool(new),
        NoticeName.BUDGET_REACHED: any(reason.exit_code is ExitCode.STOPPED_BY_BUDGET for reason in new),
        NoticeName.RUN_FINISHED: end is not None,
    }
    return [name for name, is_due in due.items() if is_due and listener.wanted(name)]


def _counts(work: Work, listener: Listener, end: End | None) -> dict[State, int]:
    if end is not None:
        return counted(job.state for job in end.jobs if listener.hears_of(job.address))
    if listener.wanted(NoticeName.RUN_PROGRESS):
        return counted(work.news.states(listener))
    asked = [job.planned for job in work.jobs if job.planned is not None and listener.hears_of(job.address)]
    return counted(planned.state for planned in asked)


def _places(work: Work, end: End | None) -> dict[str, tuple[str, ...]]:
    """Return where the results of jobs are, or will be when they are done."""
    if end is not None:
        return {job.address: job.places for job in end.jobs}
    asked = [job.planned for job in work.jobs if job.planned is not None]
    return {planned.job.address: tuple(goal.place for goal in planned.destinations) for planned in asked}


def _spent(work: Work, listener: Listener) -> dict[str, Spent]:
    """Return what this run has spent on the jobs of a destination's specs."""
    total: dict[str, Spent] = {}
    for spec in listener.wants:
        for currency, spent in work.budget.spent_by_run(spec).items():
            total[currency] = total[currency] + spent if currency in total else spent
    return total


# Sending


async def _send(work: Work, listener: Listener, facts: Facts) -> bool:
    """Call the notifier; say whether it was only a rehearsal. Raises `WanrunError` when it failed or took too long.

    Like a create that awaits its reply it is not cut off at once when the run stops, or it would be told twice.
    """
    notifier = work.catalog.notifier(listener.sink.kind)
    if isinstance(notifier, UntoldNotifier):
        return True
    assert isinstance(notifier, GuardedNotifier | GuardedNotifyingSink)  # `spec` refuses others
    notice = make_notice(facts, _with_secrets(listener.sink, work))
    context = _Context(work.world, listener.remembered)

    async def call() -> bool:
        await notifier.notify(notice, context)
        return True

    answered, time = False, CallTime(CALL_SECONDS)
    try:
        with work.stop.reply():
            answered = await work.calls.make(
                notifier, "notify", call, time, to=listener.sink.name, spare_seconds=SPARE_SECONDS
            )
    finally:
        listener.remembered = context.remembered  # also of a call that has failed after it had said something
    if not answered:
        raise SinkError("it did not return before the run was stopped")
    return False


def _with_secrets(sink: SinkRef, work: Work) -> SinkRef:
    return replace(sink, options=work.vault.opened(sink.options))
