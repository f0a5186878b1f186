"""Any sequence of what a ledger can be told, with crashes and reopening in between, against a model of a few lines."""

from __future__ import annotations

import itertools
import shutil
import sqlite3
import tempfile
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from ledger_parts import ARTIFACT, USAGE, intend, job

from wanrun.errors import LedgerError
from wanrun.ledger import AttemptState, DeliveryRow, Ledger
from wanrun.money import Money
from wanrun.types import Receipt

pytestmark = pytest.mark.slow

S = AttemptState
NAMES = ("one", "two", "three")
MARKS = ("1:aa", "1:bb")
PLACES = ("/out/a.mp4", "/out/b.mp4")
#: A file system in memory, where there is one: a commit on disk takes a millisecond, and there are 20,000 of them.
MEMORY = Path("/dev/shm")  # noqa: S108

#: The last attempt of an entry that may be followed by another, or by another try.
FREE = {None, S.WITHDRAWN, S.REFUSED, S.FAILED, S.DISMISSED}
#: A task was made, and neither its failure nor a person says that it does not count.
PAID = {S.IN_FLIGHT, S.SUCCEEDED, S.FETCHED, S.UNDECIDED, S.LOST, S.ABANDONED}
#: Nothing was billed, and nothing will be.
FREE_OF_CHARGE = {S.WITHDRAWN, S.REFUSED, S.FAILED}


class Crash(Exception):
    """Something breaks off here."""


@dataclass
class Try:
    """What the model knows of an attempt."""

    state: AttemptState
    task: str | None = None
    reserved: int = 0  #: millionths, as `cost`
    cost: int | None = None
    replaced: bool = False  #: a person wanted another take
    again: bool = False  #: another attempt is due


@dataclass
class Known:
    """What the model knows of an entry."""

    address: str
    mark: str
    tries: list[Try] = field(default_factory=list)
    delivered: dict[str, str] = field(default_factory=dict)  #: state by place

    @property
    def last(self) -> Try | None:
        """The attempt that stands: the last; or, if that is a further take that came to nothing, the one before."""
        newest = self.tries[-1] if self.tries else None
        if newest is None or newest.state not in FREE_OF_CHARGE or newest.again:
            return newest
        return next((each for each in reversed(self.tries) if each.state not in FREE), newest)

    @property
    def state(self) -> AttemptState | None:
        """How that stands."""
        return self.last.state if self.last else None

    @property
    def gives_way(self) -> bool:
        """Whether nothing was ever sent for it that may have made a task."""
        return {each.state for each in self.tries} <= {S.WITHDRAWN} and not self.delivered

    @property
    def steps_aside(self) -> bool:
        """Whether all that was sent for it came to nothing; what is known of it is kept."""
        return {each.state for each in self.tries} <= FREE and not self.gives_way and bool(self.tries)


class LedgerMachine(RuleBasedStateMachine):
    """A ledger, and what it ought to hold."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None))
        self.at = 1_000_000.0
        self.files = (self.folder / f"{number}.db" for number in itertools.count())
        self.tasks = (f"task-{number}" for number in itertools.count())
        self.path = next(self.files)
        self.known: dict[int, Known] = {}
        self.ever_accepted: dict[str, int] = {}  #: the entry of every task that was acknowledged

    def teardown(self) -> None:
        """Look at the file once more, with other eyes."""
        self.ledger.close()
        with closing(sqlite3.connect(self.path)) as raw:
            damage = (
                raw.execute("PRAGMA integrity_check").fetchall() + raw.execute("PRAGMA foreign_key_check").fetchall()
            )
        shutil.rmtree(self.folder)
        assert damage == [("ok",)]

    # Lives

    @initialize()
    def open(self) -> None:
        """Open the file, as every process does."""
        self.ledger = Ledger.open(self.path, now=self.now)

    def now(self) -> float:
        """Return a later time each time."""
        self.at += 1
        return self.at

    @rule()
    def reopen(self) -> None:
        """End the process and start another."""
        self.ledger.close()
        self.open()

    @rule(name=st.sampled_from(NAMES), die=st.booleans())
    def break_off(self, name: str, die: bool) -> None:
        """Nothing of a transaction is kept that is broken off, by an error or by the death of the process."""
        left = next(self.files)
        with suppress(Crash), self.ledger.transaction():
            intend(self.ledger, self.ledger.enter(job(name), fingerprint="1:cc", spec_path="lost.yaml"))
            self._copy_to(left)
            raise Crash
        if die:
            self.ledger.close()
            self.path = left  # the files as they lay then
            self.open()

    def _copy_to(self, path: Path) -> None:
        for suffix in ("", "-journal"):
            if (source := Path(f"{self.path}{suffix}")).exists():
                shutil.copy(source, f"{path}{suffix}")

    @rule()
    def interrupted(self) -> None:
        """Begin a run: what a dead one left without an answer is unsure now."""
        found = {attempt.entry for attempt in self.ledger.interrupted()}

        assert found == {entry for entry, known in self.known.items() if known.state is S.INTENDED}
        for entry in found:
            self.known[entry].last.state = S.UNSURE

    # Entries

    @rule(name=st.sampled_from(NAMES), mark=st.sampled_from(MARKS))
    def enter(self, name: str, mark: str) -> None:
        """Ask for a job: the entry that there is, or a new one."""
        entry = self.ledger.enter(job(name), fingerprint=mark, spec_path="spring.yaml")

        there = self._at(f"spring/{name}", mark)
        assert there in (None, entry)
        self.known.setdefault(entry, Known(f"spring/{name}", mark))

    def _at(self, address: str, mark: str) -> int | None:
        return next(
            (entry for entry, known in self.known.items() if (known.address, known.mark) == (address, mark)), None
        )

    @precondition(lambda self: self.known)
    @rule(data=st.data(), name=st.sampled_from(NAMES))
    def move(self, data: st.DataObject, name: str) -> None:
        """Give an entry another address: one in the way gives way only if it surely has no task that counts."""
        entry = data.draw(st.sampled_from(sorted(self.known)))
        known, address = self.known[entry], f"spring/{name}"
        there = self._at(address, known.mark)
        other = self.known[there] if there not in (None, entry) else None
        if other is not None and not other.gives_way and not other.steps_aside:
            with pytest.raises(LedgerError):
                self.ledger.move(entry, address=address, spec_path="new.yaml")
            return

        self.ledger.move(entry, address=address, spec_path="new.yaml")

        if other is not None and other.steps_aside:
            other.address = known.address
        elif other is not None:
            del self.known[there]
        known.address = address

    # Attempts

    @precondition(lambda self: self.known)
    @rule(data=st.data(), reserved=st.integers(1, 9), again=st.booleans())
    def intend(self, data: st.DataObject, reserved: int, again: bool) -> None:
        """Intend a create: refused wherever a task was made, or may have been, and still counts.

        Only where it ended well, and a person says which one is to be replaced, there is another.
        """
        entry = data.draw(st.sampled_from(sorted(self.known)))
        known = self.known[entry]
        again = again and known.state in (S.SUCCEEDED, S.FETCHED)
        if known.state not in FREE and not again:
            with pytest.raises(LedgerError, match="already has an attempt"):
                intend(self.ledger, entry)
            return

        replaces = self.ledger.entry(entry).attempt.id if again else None
        with self.ledger.transaction():
            attempt = self.ledger.intend(entry, prompt_key="key", replaces=replaces)
            self.ledger.reserve(attempt, yuan(reserved))

        if again:
            known.last.replaced = True
        if known.tries and known.tries[-1].state is S.WITHDRAWN:
            known.tries.pop()
        known.tries.append(Try(S.INTENDED, reserved=reserved))

    def _draw(self, data: st.DataObject, *states: AttemptState) -> tuple[int, Known] | None:
        """Draw an entry that stands so; None when there is none."""
        there = sorted(entry for entry, known in self.known.items() if known.state in states)
        if not there:
            return None
        entry = data.draw(st.sampled_from(there))
        return self.ledger.entry(entry).attempt.id, self.known[entry]

    def _entry_of(self, known: Known) -> int:
        return next(entry for entry, each in self.known.items() if each is known)

    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        """The create has an answer, or none."""
        if not (drawn := self._draw(data, S.INTENDED)):
            return
        attempt, known = drawn
        match state := data.draw(st.sampled_from([S.WITHDRAWN, S.REFUSED, S.UNSURE, S.IN_FLIGHT, S.IN_FLIGHT])):
            case S.WITHDRAWN:
                self.ledger.withdrawn(attempt, "throttled")
            case S.REFUSED:
                known.last.again = data.draw(st.booleans())
                self.ledger.refused(attempt, code="X", message="no", request_id="r", again=known.last.again)
            case S.UNSURE:
                self.ledger.unsure(attempt, "no answer", request_id=None)
            case _:
                self._accept(attempt, known)
        known.last.state = state

    def _accept(self, attempt: int, known: Known) -> None:
        task = next(self.tasks)
        self.ledger.accepted(attempt, task_id=task, request_id="r")
        known.last.task = task
        self.ever_accepted[task] = self._entry_of(known)

    @rule(data=st.data())
    def adopt(self, data: st.DataObject) -> None:
        """An unsure create turns out to have made a task, or another job's, which no second entry may have."""
        if not (drawn := self._draw(data, S.UNSURE, S.HELD)):
            return
        attempt, known = drawn
        if self.ever_accepted and data.draw(st.booleans()):
            foreign = data.draw(st.sampled_from(sorted(self.ever_accepted)))
            with pytest.raises(LedgerError):
                self.ledger.accepted(attempt, task_id=foreign, request_id=None)
            return

        self._accept(attempt, known)

        known.last.state = S.IN_FLIGHT

    @rule(data=st.data())
    def hold(self, data: st.DataObject) -> None:
        """Whether an unsure create made a task cannot be decided."""
        if not (drawn := self._draw(data, S.UNSURE)):
            return
        attempt, known = drawn

        self.ledger.held(attempt, "two tasks may be its", {"candidates": []})

        known.last.state = S.HELD

    @rule(data=st.data())
    def look(self, data: st.DataObject) -> None:
        """A look at a task: it goes on, or has ended one way or the other."""
        if not (drawn := self._draw(data, S.IN_FLIGHT)):
            return
        attempt, known = drawn
        state = data.draw(st.sampled_from([S.IN_FLIGHT, S.SUCCEEDED, S.SUCCEEDED, S.FAILED, S.UNDECIDED, S.LOST]))
        match state:
            case S.IN_FLIGHT:
                self.ledger.seen(attempt, status="RUNNING", started_at=10.0)
            case S.SUCCEEDED:
                known.last.cost = data.draw(st.integers(0, known.last.reserved))
                with self.ledger.transaction():
                    self.ledger.succeeded(attempt, usage=USAGE, started_at=10.0, ended_at=70.0)
                    self.ledger.settle(attempt, yuan(known.last.cost))
            case S.FAILED:
                known.last.again = data.draw(st.booleans())
                self.ledger.failed(attempt, status="FAILED", code="X", message="no", again=known.last.again)
            case _:
                self.ledger.ended(attempt, state, "why")
        known.last.state = state

    @rule(data=st.data())
    def fetch(self, data: st.DataObject) -> None:
        """A result comes home, is gone before, or has to be fetched once more."""
        if not (drawn := self._draw(data, S.SUCCEEDED, S.FETCHED)):
            return
        attempt, known = drawn
        if known.state is S.FETCHED:
            self.ledger.unfetched(attempt)
            known.last.state = S.SUCCEEDED
        elif data.draw(st.integers(0, 9)):
            self.ledger.fetched(attempt, ARTIFACT)
            known.last.state = S.FETCHED
        else:
            self.ledger.ended(attempt, S.LOST, "its link is dead")
            known.last.state = S.LOST

    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        """A person gives an attempt up, or asks for another one."""
        if not (drawn := self._draw(data, S.UNSURE, S.HELD, S.UNDECIDED, S.LOST)):
            return
        attempt, known = drawn
        state = data.draw(st.sampled_from([S.DISMISSED, S.ABANDONED]))
        self.ledger.ended(attempt, state, "a person said so")
        known.last.state = state

    # Deliveries

    @rule(data=st.data(), place=st.sampled_from(PLACES), well=st.booleans())
    def deliver(self, data: st.DataObject, place: str, well: bool) -> None:
        """A sink answers for an artifact: what was at that place before has lapsed."""
        if not (drawn := self._draw(data, S.FETCHED)):
            return
        _, known = drawn
        row = DeliveryRow(self._entry_of(known), ARTIFACT.sha256, place, "disk", place, "delivered", None)
        if not well:
            self.ledger.undelivered(replace(row, state="failed", message="no space"))
            known.delivered[place] = "failed"
            return

        self.ledger.delivered(row, Receipt(place, bytes=ARTIFACT.bytes, sha256=ARTIFACT.sha256))

        for other in self.known.values():
            if other.delivered.get(place) == "delivered":
                other.delivered[place] = "lapsed"
        known.delivered[place] = "delivered"

    # What always holds

    @invariant()
    def the_ledger_holds_what_it_was_told(self) -> None:
        """Every entry, the state and task of its last attempt, and its deliveries."""
        told = {
            entry.id: (
                entry.address,
                entry.fingerprint,
                entry.attempt and (entry.attempt.state, entry.attempt.task_id),
                {row.place: row.state for row in entry.deliveries},
            )
            for entry in self.ledger.entries()
        }
        assert told == {
            entry: (
                known.address,
                known.mark,
                known.last and (known.last.state, known.last.task),
                known.delivered,
            )
            for entry, known in self.known.items()
        }

    @invariant()
    def what_was_acknowledged_stays(self) -> None:
        """No task is ever forgotten, and each belongs to the job it was made for, wherever that moved."""
        assert self.ledger.jobs_of_tasks() == {
            task: self.known[entry].address for task, entry in self.ever_accepted.items()
        }

    @invariant()
    def an_entry_has_one_task_that_counts(self) -> None:
        """All others of it have failed, or a person has dismissed or replaced them."""
        for known in self.known.values():
            count = [each for each in known.tries if each.state in PAID | {S.UNSURE, S.HELD, S.INTENDED}]
            assert sum(not each.replaced for each in count) <= 1

    @invariant()
    def what_may_be_billed_counts_as_spent(self) -> None:
        """By its cost where that is known, and at most where it is not; also what a person gave up or had anew."""
        tries = [each for known in self.known.values() for each in known.tries if each.state not in FREE_OF_CHARGE]
        spent = self.ledger.spent()["CNY"] if tries else None

        assert (spent.cost if spent else yuan(0)) == yuan(sum(each.cost or 0 for each in tries))
        assert (spent.reserved if spent else yuan(0)) == yuan(sum(each.reserved for each in tries if each.cost is None))


def yuan(amount: int) -> Money:
    """Return an amount."""
    return Money(Decimal(amount), "CNY")


TestLedger = pytest.mark.slow(LedgerMachine.TestCase)
TestLedger.settings = settings(
    max_examples=250, stateful_step_count=50, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
