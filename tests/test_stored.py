"""A ledger in a ledger store: whatever happens between several machines, at most one of them has one that runs accept.

The store is in memory and exact; the ledgers are real files, each machine has a folder, and what a machine does can
be interrupted before and after every call to the store.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from wanrun import SinkError
from wanrun.api.stored import Visit
from wanrun.errors import LedgerError, SettingsError
from wanrun.ledger import Ledger, LedgerLock
from wanrun.ledger.generations import KEPT, ledger_name, lock_name, surveyed
from wanrun.project import Setup, open_project
from wanrun.types import Job, Position

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wanrun.api.carrying import Imported
    from wanrun.api.stored import GivenBack

NOW = 1_795_000_000.0


class Killed(BaseException):
    """The process is gone."""


@dataclass
class Shelf:
    """What all machines see of the store."""

    objects: dict[str, bytes] = field(default_factory=dict)
    before: Callable[[str], None] = lambda _: None  #: called before each call, with the machine's name
    after: Callable[[str], None] = lambda _: None


@dataclass
class Store:
    """The store as one machine reaches it."""

    shelf: Shelf
    machine: str

    def place(self) -> str:
        return "memory:"

    def names(self) -> list[str]:
        self.shelf.before(self.machine)
        names = [*self.shelf.objects, "a person's own.txt"]
        self.shelf.after(self.machine)
        return names

    def read(self, name: str, to: Path) -> None:
        self.shelf.before(self.machine)
        to.write_bytes(self.shelf.objects[name])
        self.shelf.after(self.machine)

    def create(self, name: str, path: Path) -> bool:
        self.shelf.before(self.machine)
        data = path.read_bytes()
        is_there = self.shelf.objects.setdefault(name, data) == data
        self.shelf.after(self.machine)
        return is_there

    def remove(self, name: str) -> None:
        self.shelf.before(self.machine)
        self.shelf.objects.pop(name, None)
        self.shelf.after(self.machine)


@dataclass
class Machine:
    """A folder with a ledger, and what is done there."""

    name: str
    folder: Path
    shelf: Shelf

    def __post_init__(self) -> None:
        self.folder.mkdir()
        self._project = open_project(Setup(folder=self.folder, ledger=self.folder / "ledger.db"))
        self._visit = Visit(self._project, Store(self.shelf, self.name))

    def take(self, replace: str | None = None) -> Imported:
        with self._lock():
            return self._visit.take(self.name, replace)

    def look(self, replace: str | None = None) -> Imported:
        with self._lock():
            return self._visit.look(replace)

    def give_back(self) -> GivenBack:
        with self._lock():
            return self._visit.give_back()

    def pay(self, name: str) -> None:
        """Do what a run does to the ledger: submit one job."""
        with self._lock(), self.ledger() as ledger:
            ledger.check_not_lent()
            path = self.folder / "batch.yaml"
            job = Job("batch", name, path, Position(path, 1, 1), "wan", "default", name, None, (), {}, ())
            entry = ledger.enter(job, fingerprint=name, spec_path="batch.yaml")
            ledger.accepted(ledger.intend(entry, prompt_key=name), task_id=f"task of {name}", request_id=None)

    def ledger(self) -> Ledger:
        return Ledger.open(self.folder / "ledger.db", now=lambda: NOW)

    def runs(self) -> bool:
        """Say whether a run would be let in."""
        if not (self.folder / "ledger.db").is_file():
            return False
        with self.ledger() as ledger:
            return ledger.hindrance() is None

    def knows(self) -> set[str]:
        with self.ledger() as ledger:
            return {entry.address.partition("/")[2] for entry in ledger.entries()}

    def _lock(self) -> LedgerLock:
        return LedgerLock(self.folder / "ledger.db")


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def machines(tmp_path: Path, shelf: Shelf) -> list[Machine]:
    """Two machines; the first one has put a ledger there that knows a job."""
    one, two = (Machine(name, tmp_path / name, shelf) for name in ("one", "two"))
    one.pay("first")
    assert one.give_back().generation == 1
    return [one, two]


# One after the other


def test_a_ledger_goes_from_one_to_the_other_and_back(machines: list[Machine], shelf: Shelf) -> None:
    """Each knows what the other has paid for, and only who has taken it may run."""
    one, two = machines

    assert (one.runs(), two.runs()) == (False, False)
    assert two.take().generation == 1
    assert (one.runs(), two.runs(), two.knows()) == (False, True, {"first"})
    two.pay("second")
    assert two.give_back().generation == 2
    assert (one.runs(), two.runs()) == (False, False)
    one.take()
    assert (one.runs(), two.runs(), one.knows()) == (True, False, {"first", "second"})
    assert sorted(shelf.objects) == ["00000001.jsonl.gz", "00000001.lock", "00000002.jsonl.gz", "00000002.lock"]


def test_of_two_one_gets_it_and_the_other_is_told_who(machines: list[Machine]) -> None:
    """And keeps a copy to look at."""
    one, two = machines
    two.take()

    with pytest.raises(
        LedgerError, match=r"generation 1 of memory: was lent to two at 20.* UTC, and is not given back"
    ):
        one.take()

    assert (one.runs(), one.look().lent is not None, one.knows()) == (False, True, {"first"})


def test_a_look_takes_nothing(machines: list[Machine], shelf: Shelf) -> None:
    """Nor does it let go of what is taken."""
    one, two = machines

    assert two.look().lent is not None
    assert list(shelf.objects) == ["00000001.jsonl.gz"]
    assert not two.runs()
    one.take()
    one.pay("second")
    assert one.look().lent is None
    assert (one.runs(), one.knows()) == (True, {"first", "second"})


def test_everything_may_be_done_twice(machines: list[Machine], shelf: Shelf) -> None:
    """With the same end."""
    one, _ = machines
    assert not one.give_back().is_new

    for _ in range(2):
        one.take()
        assert one.runs()
    one.pay("second")
    assert one.give_back().is_new
    assert not one.give_back().is_new
    assert surveyed(shelf.objects).newest == 2


def test_what_was_not_taken_is_not_given_back(machines: list[Machine], tmp_path: Path, shelf: Shelf) -> None:
    """Neither another ledger, nor a copy of one that another has; each stays what it was."""
    other = Machine("other", tmp_path / "other", shelf)
    other.pay("else")
    one, two = machines
    one.take()
    two.look()

    with pytest.raises(SettingsError, match="has generation 1 already, which the ledger here was not taken from"):
        other.give_back()
    with pytest.raises(LedgerError, match="was lent to one at"):
        two.give_back()

    assert (other.runs(), two.runs(), len(shelf.objects)) == (True, False, 2)


def test_a_ledger_is_taken_back_from_one_that_is_lost(machines: list[Machine]) -> None:
    """By giving it back as the next generation; the lost one can give nothing back any more, and is told why."""
    one, two = machines
    two.take()
    two.pay("lost")
    one.look()

    with one.ledger() as ledger:
        ledger.reclaim("two")
    assert not one.runs()
    assert one.give_back().generation == 2
    with pytest.raises(LedgerError, match=r"is from somebody else, .*\n  batch/lost: task task of lost, in flight\n"):
        two.give_back()
    assert not two.runs()
    one.take()
    assert (one.runs(), two.runs()) == (True, False)
    with pytest.raises(SettingsError, match="is older than") as refused:
        two.look()
    assert two.look(str(refused.value).split()[-1]).kept is not None


def test_one_that_finds_its_ledger_taken_back_runs_no_more(machines: list[Machine]) -> None:
    """Though it never tried to give it back."""
    one, two = machines
    two.take()
    one.look()
    with one.ledger() as ledger:
        ledger.reclaim("two")
    one.give_back()
    one.take()

    with pytest.raises(LedgerError, match="was lent to one at"):
        two.take()

    assert (one.runs(), two.runs()) == (True, False)


def test_what_is_old_is_removed_but_for_the_last(machines: list[Machine], shelf: Shelf) -> None:
    """A failure of that is said, and no more."""
    one, _ = machines
    for number in range(KEPT + 2):
        one.take()
        one.pay(f"job-{number}")
        one.give_back()
    newest = KEPT + 3
    kept = range(newest - KEPT + 1, newest + 1)

    assert set(shelf.objects) == {ledger_name(each) for each in kept} | {lock_name(each) for each in kept[:-1]}
    one.take()
    shelf.after = refuse_removal(shelf)
    assert "what is old was not removed: no" in str(one.give_back().note)


def refuse_removal(shelf: Shelf) -> Callable[[str], None]:
    def after(_: str) -> None:
        if ledger_name(4) not in shelf.objects:
            raise SinkError("no")

    return after


def test_a_store_that_has_less_than_it_had_is_refused(machines: list[Machine], shelf: Shelf) -> None:
    """It is another one, or somebody has removed what is paid for."""
    one, _ = machines
    one.take()
    one.give_back()
    del shelf.objects[ledger_name(2)]

    for command in (one.take, one.look, one.give_back):
        with pytest.raises(SettingsError, match=r"has no generation after 1, .* is of generation 2"):
            command()


@pytest.mark.parametrize("written", [b"", b"{}", b"[" * 100_000, b'{"to": "", "at": 1, "token": "", "generation": 1}'])
def test_a_lock_that_is_none_is_said(machines: list[Machine], shelf: Shelf, written: bytes) -> None:
    """And nobody has the ledger."""
    one, two = machines
    shelf.objects[lock_name(1)] = written

    for command in (two.look, one.take, two.take):
        with pytest.raises(SettingsError, match=r"memory:: 00000001.lock does not say who goes on with the ledger"):
            command()

    assert (one.runs(), two.runs()) == (False, False)


def test_one_that_comes_very_late_takes_the_newest(machines: list[Machine], shelf: Shelf) -> None:
    """Though the lock that it puts is there no more: its generation has long been removed, with what was paid since."""
    one, two = machines
    calls = Counter[str]()

    def before(machine: str) -> None:
        calls[machine] += 1
        if (machine, calls[machine]) == ("two", 3):  # it has read generation 1, and is about to put its lock
            for number in range(KEPT + 1):
                one.take()
                one.pay(f"job-{number}")
                one.give_back()

    shelf.before = before
    assert two.take().generation == KEPT + 2

    assert (two.runs(), two.knows()) == (True, one.knows())
    assert lock_name(1) in shelf.objects  # which harms nobody, and goes with what is old


def test_one_services_ledger_never_takes_anothers_place(machines: list[Machine], tmp_path: Path, shelf: Shelf) -> None:
    """Of the service itself and of an emulator, as with files."""
    one, two = machines
    one.take()
    with one.ledger() as ledger:
        ledger.belong_to("service")
    one.give_back()
    with two.ledger() as ledger:
        ledger.belong_to("emulator:7")

    for command in (two.look, two.take):
        with pytest.raises(SettingsError, match="generation 2 of memory: belongs to the service itself"):
            command()

    assert two.runs()


# Whatever happens


class Watch:
    """Sees after every call that at most one machine has a ledger that runs accept."""

    def __init__(self, machines: list[Machine], shelf: Shelf) -> None:
        self.machines, self.calls = machines, Counter[str]()
        self.kill: tuple[str, int, str] | None = None  #: machine, number of its call, before or after
        shelf.before, shelf.after = self._before, self._after

    def check(self) -> None:
        running = [each.name for each in self.machines if each.runs()]
        assert len(running) <= 1, running

    def _before(self, machine: str) -> None:
        self.calls[machine] += 1
        self._meet(machine, "before")

    def _after(self, machine: str) -> None:
        self.check()
        self._meet(machine, "after")

    def _meet(self, machine: str, when: str) -> None:
        if self.kill == (machine, self.calls[machine], when):
            raise Killed


def live(machine: Machine, paid: set[str], turns: int = 1) -> None:
    """Take, pay and give back some times; killed, begin again; told that another has it, leave."""
    while turns:
        try:
            machine.take()
            assert machine.knows() == paid  # so nothing is paid twice
            name = f"job-{len(paid)}"
            machine.pay(name)
            paid.add(name)
            machine.give_back()
            turns -= 1
        except Killed:
            continue
        except LedgerError:  # another one has it
            return


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("call", range(1, 9))
def test_a_kill_at_any_call_loses_nothing(machines: list[Machine], shelf: Shelf, call: int, when: str) -> None:
    """Another machine either gets the ledger or is told who has it, and the killed one goes on where it was."""
    one, two = machines
    watch, paid = Watch(machines, shelf), {"first"}
    watch.kill = ("one", call, when)
    try:
        one.take()
        one.pay("one-x")
        paid.add("one-x")
        one.give_back()
    except Killed:
        pass

    live(two, paid)
    live(one, paid)
    live(two, paid)

    assert one.knows() | two.knows() == paid
    assert (one.runs(), two.runs()) == (False, False)


class Turns:
    """Lets machines in threads of their own go on one call at a time, as a seed says."""

    def __init__(self, names: list[str], seed: int) -> None:
        self._go = {name: threading.Semaphore(0) for name in names}
        self._arrived = threading.Semaphore(0)
        self._left = set(names)
        self._random = random.Random(seed)

    def wait(self, name: str) -> None:
        self._arrived.release()
        self._go[name].acquire()

    def leave(self, name: str) -> None:
        self._left.discard(name)
        self._arrived.release()

    def play(self, threads: list[threading.Thread]) -> None:
        for thread in threads:
            thread.start()
            self._arrived.acquire()
        while self._left:
            self._go[self._random.choice(sorted(self._left))].release()
            self._arrived.acquire()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("seed", [1, 2, *(pytest.param(each, marks=pytest.mark.slow) for each in range(3, 20))])
def test_two_at_once_never_both_run(machines: list[Machine], shelf: Shelf, seed: int) -> None:
    """In any order of their calls, with kills among them; and whoever runs knows all that was paid for."""
    watch, turns, errors = Watch(machines, shelf), Turns(["one", "two"], seed), list[BaseException]()
    before, paid, dice = shelf.before, {"first"}, random.Random(seed)

    def in_turn(machine: str) -> None:
        turns.wait(machine)
        if dice.random() < 0.08:
            watch.kill = (machine, watch.calls[machine] + 1, dice.choice(["before", "after"]))
        before(machine)

    def lead(machine: Machine) -> None:
        try:
            for _ in range(4):
                live(machine, paid)
        except BaseException as exc:
            errors.append(exc)
        finally:
            turns.leave(machine.name)

    shelf.before = in_turn
    turns.play([threading.Thread(target=lead, args=(each,)) for each in machines])

    assert errors == []
    watch.check()
