"""Who hears of what in one run, and when the next message to each is due.

Nobody wants five hundred messages about five hundred jobs. Trouble is told `GATHER_SECONDS` after it came up, with all
that has come up meanwhile, so a run that is over by then says it in its one message at the end; to one destination
there is at most one message in `QUIET_SECONDS` while the run goes on. What went well waits for such a message. That a
run has begun is told at once, when it has done its first thing that lasts. Who keeps one message up to date hears how
the jobs stand besides, at most every `PROGRESS_SECONDS` and only when that has changed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import trio

from wanrun.errors import ExitCode
from wanrun.events import EventName
from wanrun.fingerprint import options_digest
from wanrun.notices import NoticeName
from wanrun.types import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from wanrun.events import Event
    from wanrun.ledger import Ledger
    from wanrun.project import Project
    from wanrun.spec import Spec
    from wanrun.types import SinkRef

GATHER_SECONDS = 120  #: from the first trouble to the message that tells of it
QUIET_SECONDS = 1800  #: between two messages to one destination while a run goes on
PROGRESS_SECONDS = 20  #: between two looks at how the jobs stand

#: What a spec calls the events of jobs.
JOB_EVENTS = {
    EventName.JOB_DONE: NoticeName.JOB_DONE,
    EventName.JOB_FAILED: NoticeName.JOB_FAILED,
    EventName.JOB_HELD: NoticeName.JOB_HELD,
    EventName.JOB_LOST: NoticeName.JOB_LOST,
    EventName.DELIVERY_FAILED: NoticeName.DELIVERY_FAILED,
    EventName.RESULT_EXPIRING: NoticeName.RESULT_EXPIRING,
}
#: After one of these something is no longer as it was.
CHANGES = frozenset(
    {
        EventName.JOB_SUBMITTED,
        EventName.JOB_UNSURE,
        EventName.JOB_ADOPTED,
        EventName.JOB_FETCHED,
        EventName.DELIVERED,
        EventName.JOB_DONE,
        EventName.JOB_FAILED,
        EventName.JOB_LOST,
    }
)
#: Changes too, but for those that an earlier run has met already, which only the ledger can tell.
TROUBLE = frozenset({EventName.JOB_HELD, EventName.DELIVERY_FAILED, EventName.RESULT_EXPIRING})
#: Where a job is after an event.
STATES = {
    EventName.JOB_UNSURE: State.UNSURE,
    EventName.JOB_SUBMITTED: State.IN_FLIGHT,
    EventName.JOB_ADOPTED: State.IN_FLIGHT,
    EventName.JOB_RETRIED: State.NEW,
    EventName.JOB_FETCHED: State.TO_DELIVER,
    EventName.JOB_DONE: State.DONE,
    EventName.JOB_FAILED: State.FAILED,
    EventName.JOB_HELD: State.HELD,
    EventName.JOB_BLOCKED: State.BLOCKED,
    EventName.JOB_LOST: State.LOST,
}
#: A stop that a person must do something about.
GRAVE = (ExitCode.STOPPED_BY_SERVICE, ExitCode.STOPPED_BY_BUDGET)


@dataclass(eq=False)
class Listener:
    """One destination, of what it hears, and how far this run has come with it."""

    digest: str
    sink: SinkRef
    wants: dict[str, frozenset[NoticeName]]  #: by the name of the spec
    changed: bool = False  #: this run has changed something in these specs
    is_told_of_start: bool = False
    reasons_told: int = 0  #: of the run's reasons to stop
    note: str | None = None  #: what a person should know at the end of the run
    turn: trio.Lock = field(default_factory=trio.Lock)  #: one message at a time
    moved: trio.Event = field(default_factory=trio.Event)  #: a job is no longer in the state that was shown last
    shown: Mapping[State, int] = field(default_factory=dict)  #: how the jobs stood then
    shown_at: float = -math.inf  #: on trio's clock
    remembered: str | None = None  #: what its notifier wants to know again
    kept: str | None = None  #: of which the ledger has this
    due_at: float = math.inf  #: on trio's clock, as `quiet_until`
    quiet_until: float = -math.inf
    woken: trio.Event = field(default_factory=trio.Event)

    def wanted(self, name: NoticeName) -> bool:
        """Say whether one of its specs asks for an event."""
        return any(name in names for names in self.wants.values())

    def hears_of(self, address: str) -> bool:
        """Say whether a job is one of its specs'."""
        return address.partition("/")[0] in self.wants

    def hear(self, event: Event) -> None:
        """Take note of an event, and of when it is to be told."""
        if event.name is EventName.RUN_STOPPING:
            if self.wanted(NoticeName.RUN_STOPPING) or self.wanted(NoticeName.BUDGET_REACHED):
                self._due_in(GATHER_SECONDS)
            return
        spec = event.job.partition("/")[0] if event.job is not None else ""
        if spec not in self.wants:
            return
        if event.name in CHANGES and not self.changed:
            self.changed = True
            if NoticeName.RUN_STARTED in self.wants[spec]:
                self._due_in(0, quiet=False)
                self.shown_at = trio.current_time()  # it says how the jobs stand, too
        if event.name in STATES and self.changed:
            self.moved.set()
        if JOB_EVENTS.get(event.name) in self.wants[spec]:
            self._due_in(QUIET_SECONDS if event.name is EventName.JOB_DONE else GATHER_SECONDS)

    def _due_in(self, seconds: float, *, quiet: bool = True) -> None:
        due_at = trio.current_time() + seconds
        self.due_at = min(self.due_at, max(due_at, self.quiet_until) if quiet else due_at)
        self.woken.set()

    async def wait_until_due(self) -> None:
        """Return when the next message is due, and let nothing be due from then on."""
        while trio.current_time() < self.due_at:
            self.woken = trio.Event()
            with trio.move_on_at(self.due_at):
                await self.woken.wait()
        self.due_at = math.inf

    async def wait_until_moved(self) -> None:
        """Return when it is time to show how the jobs stand, as something about that has changed."""
        await self.moved.wait()
        await trio.sleep_until(self.shown_at + PROGRESS_SECONDS)
        self.moved, self.shown_at = trio.Event(), trio.current_time()

    def be_quiet(self) -> None:
        """Let a while pass before the next message."""
        self.quiet_until = trio.current_time() + QUIET_SECONDS


class News:
    """The listeners of one run; hears its events."""

    def __init__(self, listeners: Iterable[Listener] = (), states: Mapping[str, State] | None = None) -> None:
        self.listeners = tuple(listeners)
        self._states = dict(states or {})  # of all jobs of the specs, by address

    def states(self, listener: Listener) -> Iterator[State]:
        """Yield how every job stands that a destination hears of."""
        yield from (state for address, state in self._states.items() if listener.hears_of(address))

    def begin(self, ledger: Ledger) -> None:
        """Let those listen that never did before: they hear of what happens from here on."""
        for listener in self.listeners:
            ledger.listen(listener.digest, listener.wants)
            listener.remembered = listener.kept = ledger.remembered(listener.digest)

    def hear(self, event: Event) -> None:
        """Take note of an event."""
        if event.name in STATES and event.job in self._states:
            self._states[event.job] = STATES[event.name]
        for listener in self.listeners:
            listener.hear(event)

    def notes(self) -> Iterator[str]:
        """Yield what a person should know at the end: who was not told, and who would have been."""
        yield from (listener.note for listener in self.listeners if listener.note is not None)


def listeners_of(specs: Iterable[Spec], project: Project) -> Iterator[Listener]:
    """Yield every destination that specs name in `notify`, once: specs that name the same one share it."""
    found: dict[str, Listener] = {}
    for spec in specs:
        for subscription in spec.notify:
            sink = replace(subscription.sink, sandbox=project.sandbox(spec.folder))
            is_local = project.catalog.sinks[sink.kind].local  # then another folder is another destination
            digest = options_digest(sink, project.recorded(spec.folder) if is_local else "")
            listener = found.setdefault(digest, Listener(digest, sink, {}))
            listener.wants[spec.name] = listener.wants.get(spec.name, frozenset()) | subscription.names
    yield from found.values()
