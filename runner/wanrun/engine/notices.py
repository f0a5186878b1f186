"""What a notice says: facts in, one message out, with the words for people. Sends nothing and reads no ledger."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from wanrun.engine.news import JOB_EVENTS
from wanrun.errors import ExitCode
from wanrun.events import EventName
from wanrun.notices import Notice, NoticeJob, NoticeName
from wanrun.text import one_line
from wanrun.types import State
from wanrun.words import line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from wanrun.events import Event
    from wanrun.ledger import Spent
    from wanrun.types import SinkRef

JOBS_SHOWN = 10  #: of one event in a notice's text; `Notice.jobs` holds all
SPECS_SHOWN = 3  #: in its title
RUN_EVENTS = (
    NoticeName.RUN_STARTED,
    NoticeName.RUN_PROGRESS,
    NoticeName.RUN_STOPPING,
    NoticeName.BUDGET_REACHED,
    NoticeName.RUN_FINISHED,
)

#: Events of jobs in the order in which a person wants to read them, each with how a title counts it.
_COUNTED = {
    NoticeName.JOB_LOST: "lost",
    NoticeName.JOB_HELD: "held",
    NoticeName.JOB_FAILED: "failed",
    NoticeName.DELIVERY_FAILED: "not delivered",
    NoticeName.RESULT_EXPIRING: "expiring",
    NoticeName.JOB_DONE: "done",
}
_ENDED = {
    ExitCode.LOST: "a paid result is lost",
    ExitCode.STOPPED_BY_SERVICE: "stopped by the service",
    ExitCode.STOPPED_BY_BUDGET: "stopped by a budget",
    ExitCode.UNFINISHED: "not finished",
    ExitCode.INTERRUPTED: "interrupted",
    ExitCode.TERMINATED: "terminated",
    ExitCode.HUNG_UP: "hung up",
}


class JobEnd(Protocol):
    """How one job stands at the end of a run: `outcome.JobOutcome`."""

    @property
    def address(self) -> str: ...
    @property
    def state(self) -> State: ...
    @property
    def places(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a notice is made of."""

    run: str
    at: float
    names: frozenset[NoticeName]  #: what it tells of
    specs: tuple[str, ...]
    happened: Sequence[Event]  #: to jobs, oldest first; what was not asked for is left out already
    counts: Mapping[State, int] = field(default_factory=dict)
    places: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  #: of results, by the job's address
    spent: Mapping[str, Spent] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    exit_code: ExitCode | None = None
    account: str | None = None

    @property
    def is_emulated(self) -> bool:
        """Whether nothing of it has cost anything."""
        return self.account is not None and self.account.startswith("emulator:")


def make_notice(facts: Facts, sink: SinkRef) -> Notice:
    """Return the notice that tells one destination these facts."""
    return Notice(
        names=tuple(name for name in NoticeName if name in facts.names),
        sink=sink,
        title=one_line(_title(facts)),
        text="\n".join(map(one_line, _lines(facts))),
        run=facts.run,
        at=facts.at,
        specs=facts.specs,
        account=facts.account,
        jobs=tuple(_job(event, facts) for event in facts.happened),
        counts=facts.counts,
        cost={currency: spent.cost.amount for currency, spent in facts.spent.items()},
        reserved={currency: spent.reserved.amount for currency, spent in facts.spent.items()},
        reasons=facts.reasons,
        exit_code=None if facts.exit_code is None else int(facts.exit_code),
    )


def _job(event: Event, facts: Facts) -> NoticeJob:
    assert event.job is not None
    name = JOB_EVENTS[event.name]
    message = (line(event) or "").removeprefix(f"{event.job}: ")
    places = facts.places.get(event.job, ()) if name is NoticeName.JOB_DONE else ()
    return NoticeJob(name=name, address=event.job, at=event.at, message=message, places=places)


def _title(facts: Facts) -> str:
    shown = ", ".join(facts.specs[:SPECS_SHOWN])
    more = len(facts.specs) - SPECS_SHOWN
    specs = f"{shown} and {more} more" if more > 0 else shown
    return f"{'emulator: ' if facts.is_emulated else ''}{specs}: {_headline(facts)}"


def _headline(facts: Facts) -> str:
    if facts.exit_code is not None and facts.names & frozenset(RUN_EVENTS):
        counts = ", ".join(f"{count} {state}" for state, count in facts.counts.items()) or "no jobs"
        ended = _ENDED.get(facts.exit_code)
        return f"{counts}; {ended}" if ended else counts
    happened = Counter(JOB_EVENTS[event.name] for event in facts.happened)
    counts = ", ".join(f"{happened[name]} {word}" for name, word in _COUNTED.items() if happened[name])
    if NoticeName.RUN_STARTED in facts.names:
        begun = ", ".join(f"{count} {state}" for state, count in facts.counts.items())
        return f"a run has begun: {begun}" if not counts else f"a run has begun, {counts}"
    if facts.reasons:
        return f"nothing more is submitted{f', {counts}' if counts else ''}"
    if facts.exit_code is not None:
        return counts
    if NoticeName.RUN_PROGRESS in facts.names:
        counts = ", ".join(f"{count} {state}" for state, count in facts.counts.items())
    return f"{counts}, and the run goes on"


def _lines(facts: Facts) -> Iterator[str]:
    yield from (f"stopped: {reason}" for reason in facts.reasons)
    for name in _COUNTED:
        mine = [event for event in facts.happened if JOB_EVENTS[event.name] is name]
        yield from (_line(event, facts) for event in mine[:JOBS_SHOWN])
        if len(mine) > JOBS_SHOWN:
            yield f"... and {len(mine) - JOBS_SHOWN} more {_COUNTED[name]}: wanrun status"
    if money := _money(facts.spent):
        yield f"{'at the service this would be' if facts.is_emulated else 'by this run'}: {money}"
    yield f"run {facts.run}"


def _line(event: Event, facts: Facts) -> str:
    if event.name is not EventName.JOB_DONE:
        return line(event) or ""
    places = ", ".join(facts.places.get(event.job or "", ()))
    return f"{event.job}: done{f', {places}' if places else ''}"


def _money(spent: Mapping[str, Spent]) -> str:
    """Say what has gone of each currency; empty where nothing has, nor may."""
    gone = [each for each in spent.values() if each.total.amount]
    return ", ".join(
        f"{each.cost} and up to {each.reserved} more" if each.reserved.amount else str(each.cost) for each in gone
    )


def counted(states: Iterable[State]) -> dict[State, int]:
    """Return how many there are of each state that occurs, in the order of states."""
    counts = Counter(states)
    return {state: counts[state] for state in State if counts[state]}
