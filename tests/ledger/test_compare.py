"""Of two copies of a ledger it is known which one has gone on, by what they know of paid tasks."""

from __future__ import annotations

import shutil
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from ledger_parts import ARTIFACT, USAGE, enter, in_flight, intend

from wanrun.events import Event, EventName
from wanrun.ledger import AttemptState, Ledger
from wanrun.ledger.backup import snapshot
from wanrun.ledger.compare import Difference, compare, tasks_of
from wanrun.ledger.rows import DeliveryRow
from wanrun.types import Receipt

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ledger_parts import Book

    Step = Callable[[Ledger], object]


@pytest.fixture
def other(book: Book) -> Book:
    """Return a copy of a ledger with one task in flight."""
    with book.open() as ledger:
        in_flight(ledger, enter(ledger))
    copy = replace(book, path=book.path.with_name("copy.db"))
    shutil.copy(book.path, copy.path)
    return copy


def difference(here: Path, there: Path) -> Difference:
    with closing(snapshot(here)) as mine, closing(snapshot(there)) as theirs:
        return compare(mine, theirs)


def _event(ledger: Ledger) -> None:
    ledger.note(Event(EventName.RUN_STARTED, 5_000_000.0, "run", None, {"jobs": 1, "open": 1}))


def _succeed(ledger: Ledger) -> None:
    ledger.succeeded(1, usage=USAGE, started_at=1.0, ended_at=2.0)


def _fetch(ledger: Ledger) -> None:
    _succeed(ledger)
    ledger.fetched(1, ARTIFACT)


def _refetch(ledger: Ledger) -> None:
    _fetch(ledger)
    _event(ledger)
    ledger.unfetched(1)


def _deliver(ledger: Ledger) -> None:
    row = DeliveryRow(1, ARTIFACT.sha256, "digest", "disk", "out/one.mp4", "delivered", None)
    ledger.delivered(row, Receipt("out/one.mp4", 1000, ARTIFACT.sha256))


#: What goes on in a ledger, each as one step and in words.
STEPS: dict[str, tuple[Step, str]] = {
    "another task": (
        lambda ledger: in_flight(ledger, enter(ledger, "two", "1:bb"), "task-2"),
        "task task-2, in flight",
    ),
    "a create in the air": (
        lambda ledger: intend(ledger, enter(ledger, "two", "1:bb")),
        "a create without a task, inten",
    ),
    "a task ended": (_succeed, "task task-1, succeeded"),
    "a result fetched": (_fetch, "task task-1, fetched"),
    "a result to be fetched anew": (_refetch, "task task-1, succeeded"),
    "a failure": (lambda ledger: ledger.failed(1, status="FAILED", code=None, message="", again=False), "failed"),
    "a loss": (lambda ledger: ledger.ended(1, AttemptState.LOST, "gone"), "task task-1, lost"),
    "a delivery": (_deliver, "delivered: out/one.mp4"),
    "another task adopted": (lambda ledger: ledger.adopted(ledger.attempt(1), "task-9"), "task task-9, in flight"),
}


@pytest.mark.parametrize("name", STEPS)
def test_the_ledger_that_went_on_is_the_newer_one(book: Book, other: Book, name: str) -> None:
    """And it says what it knows that the other does not."""
    step, words = STEPS[name]
    with other.open() as ledger:
        step(ledger)

    there, here = difference(book.path, other.path), difference(other.path, book.path)

    assert (there.relation, here.relation) == ("newer", "older")
    assert there.there == here.here
    assert words in [known.what for known in there.there][-1] + there.there[0].what


NOTHING: dict[str, Step] = {
    "nothing": lambda _: None,
    "a run without a task": _event,
    "a job that is entered": lambda ledger: enter(ledger, "two", "1:bb"),
    "a look at a task": lambda ledger: ledger.seen(1, status="RUNNING", started_at=3.0),
    "a create that made no task": lambda ledger: ledger.withdrawn(intend(ledger, enter(ledger, "two", "1:bb")), "busy"),
    "a rename": lambda ledger: ledger.move(1, address="spring/new", spec_path="spring.yaml"),
}


@pytest.mark.parametrize("name", NOTHING)
def test_what_costs_nothing_makes_no_difference(book: Book, other: Book, name: str) -> None:
    """Neither copy would pay for anything again."""
    with other.open() as ledger:
        NOTHING[name](ledger)

    assert difference(book.path, other.path).relation == "same"
    assert difference(other.path, book.path).relation == "same"


def test_ledgers_that_both_went_on_have_diverged(book: Book, other: Book) -> None:
    """Each names its own task, although both have the same number."""
    for each, task in ((book, "task-2"), (other, "task-3")):
        with each.open() as ledger:
            in_flight(ledger, enter(ledger, task, f"1:{task}"), task)

    found = difference(book.path, other.path)

    assert found.relation == "diverged"
    assert tasks_of(found.here) == {"spring/task-2": ["task-2"]}
    assert tasks_of(found.there) == {"spring/task-3": ["task-3"]}


def test_two_tasks_for_one_job_have_diverged(book: Book, other: Book) -> None:
    """A create that was in the air when the copy was made became two tasks."""
    for each, task in ((book, "task-2"), (other, "task-3")):
        with each.open() as ledger:
            in_flight(ledger, enter(ledger, "two", "1:bb"), task)

    assert difference(book.path, other.path).relation == "diverged"


def test_an_answer_is_newer_than_its_doubt(book: Book, other: Book) -> None:
    """Also one that says that no task was made."""
    for each in (book, other):
        with each.open() as ledger:
            ledger.unsure(intend(ledger, enter(ledger, "two", "1:bb")), "no answer", request_id=None)
    shutil.copy(book.path, other.path)
    with other.open() as ledger:
        ledger.withdrawn(2, "not in the list")

    assert difference(book.path, other.path).relation == "newer"


def test_a_rebuilt_ledger_is_known_by_its_tasks(book: Book, other: Book) -> None:
    """Its rows have other numbers."""
    other.path.unlink()
    with other.open() as ledger:
        in_flight(ledger, enter(ledger, "zero", "1:00"), "task-0")
        in_flight(ledger, enter(ledger), "task-1")

    found = difference(book.path, other.path)

    assert found.relation == "newer"
    assert tasks_of(found.there) == {"spring/zero": ["task-0"]}


def test_a_delivery_that_lapsed_is_later_than_its_receipt(book: Book, other: Book) -> None:
    """Another result took its place."""
    for each in (book, other):
        with each.open() as ledger:
            _deliver(ledger)
    with other.open() as ledger:
        in_flight(ledger, enter(ledger, "two", "1:bb"), "task-2")
        ledger.gives_way(DeliveryRow(2, "cd" * 32, "digest", "disk", "out/one.mp4", "delivered", None))

    found = difference(book.path, other.path)

    assert found.relation == "newer"
    assert "lapsed: out/one.mp4" in [known.what for known in found.there]
