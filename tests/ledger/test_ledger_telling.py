"""How much of what happened each destination has been told, as the ledger keeps it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from wanrun.events import Event, EventName

if TYPE_CHECKING:
    from ledger_parts import Book

    from wanrun.ledger import Ledger

ALL = frozenset(EventName)
FAILED, HELD, SUBMITTED = EventName.JOB_FAILED, EventName.JOB_HELD, EventName.JOB_SUBMITTED
UNDELIVERED = EventName.DELIVERY_FAILED


def happen(ledger: Ledger, name: EventName, job: str = "spring/one", **data: str) -> None:
    """Note an event."""
    ledger.note(Event(name, 1.0, "run-1", job, data))


def untold(ledger: Ledger, destination: str = "a", spec: str = "spring") -> list[tuple[str, str | None]]:
    """Return name and job of what a destination has not been told."""
    events = ledger.untold(destination, spec, ALL, until=ledger.last_event())
    return [(event.name.value, event.job) for event in events]


def test_a_destination_hears_from_the_time_on_that_it_listens(book: Book) -> None:
    """Not of what was before; and to say again that it listens changes nothing."""
    with book.open() as ledger:
        happen(ledger, FAILED, "spring/before")
        ledger.listen("a", ["spring"])
        happen(ledger, FAILED)
        ledger.listen("a", ["spring"])

        assert untold(ledger) == [("job_failed", "spring/one")]
        assert untold(ledger, "b") == []


def test_what_was_told_is_not_told_again(book: Book) -> None:
    """In another process either; each spec and each destination has its own mark."""
    with book.open() as ledger:
        ledger.listen("a", ["spring", "autumn"])
        ledger.listen("b", ["spring"])
        happen(ledger, FAILED)
        happen(ledger, FAILED, "autumn/one")
        ledger.told("a", ["spring"], until=ledger.last_event())
    with book.open() as ledger:
        assert untold(ledger) == []
        assert untold(ledger, spec="autumn") == [("job_failed", "autumn/one")]
        assert untold(ledger, "b") == [("job_failed", "spring/one")]


def test_a_spec_whose_name_begins_like_another_is_another(book: Book) -> None:
    """`spring` hears nothing of `spring-2`, nor of what only matches as a pattern."""
    with book.open() as ledger:
        ledger.listen("a", ["spring", "s_ring"])
        happen(ledger, FAILED, "spring-2/one")

        assert untold(ledger) == []
        happen(ledger, FAILED)
        assert untold(ledger, spec="s_ring") == []


def test_what_every_run_finds_anew_is_news_once_a_take(book: Book) -> None:
    """Held, not delivered, expiring: told when it is first found, and again after another task was submitted."""
    with book.open() as ledger:
        ledger.listen("a", ["spring"])
        happen(ledger, SUBMITTED)
        for _ in range(2):
            happen(ledger, UNDELIVERED, sink="disk")
            happen(ledger, HELD)
        happen(ledger, UNDELIVERED, sink="nas")

        assert [name for name, _ in untold(ledger)] == [
            "job_submitted",
            "delivery_failed",
            "job_held",
            "delivery_failed",
        ]
        ledger.told("a", ["spring"], until=ledger.last_event())
        happen(ledger, UNDELIVERED, sink="nas")
        assert untold(ledger) == []
        happen(ledger, SUBMITTED)
        happen(ledger, UNDELIVERED, sink="nas")
        assert [name for name, _ in untold(ledger)] == ["job_submitted", "delivery_failed"]


def test_a_failure_is_always_news(book: Book) -> None:
    """Nothing fails again unless a person asked for it."""
    with book.open() as ledger:
        ledger.listen("a", ["spring"])
        happen(ledger, FAILED, stage="prepare")
        ledger.told("a", ["spring"], until=ledger.last_event())
        happen(ledger, FAILED, stage="prepare")

        assert untold(ledger) == [("job_failed", "spring/one")]


def test_a_mark_beyond_the_last_event_is_set_right(book: Book) -> None:
    """The events of a ledger that was made anew are counted anew."""
    with book.open() as ledger:
        happen(ledger, FAILED)
        ledger.listen("a", ["spring"])
        ledger.told("a", ["spring"], until=1000)
        ledger.listen("a", ["spring"])
        happen(ledger, FAILED)

        assert untold(ledger) == [("job_failed", "spring/one")]


@pytest.mark.parametrize("code", [4, 5])
def test_a_stop_is_known_until_a_run_is_not_stopped(book: Book, code: int) -> None:
    """By its exit code, destination by destination."""
    with book.open() as ledger:
        ledger.listen("a", ["spring", "autumn"])
        ledger.listen("b", ["spring"])
        ledger.note_stop("a", ["spring", "autumn"], code)

        assert (ledger.stopped("a"), ledger.stopped("b")) == ({code}, set())
        ledger.note_stop("a", ["spring", "autumn"], None)
        assert ledger.stopped("a") == set()


def test_what_a_notifier_remembers_is_there_in_another_process(book: Book) -> None:
    """For each destination the last of it; the ledger's own facts are not among that."""
    with book.open() as ledger:
        assert ledger.remembered("a") is None
        ledger.remember("a", "first")
        ledger.remember("a", "second")
        ledger.remember("account", "nobody's")
    with book.open() as ledger:
        assert [ledger.remembered(name) for name in ("a", "b", "account")] == ["second", None, "nobody's"]
        assert ledger.account is None
