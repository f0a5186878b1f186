"""What counts as spent: everything that was billed, and at its most everything that may be yet."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from ledger_parts import USAGE, WAYS, enter, in_flight, intend

from wanrun.ledger import AttemptState
from wanrun.models import shipped_models
from wanrun.money import Money, price_of

if TYPE_CHECKING:
    from ledger_parts import Book

    from wanrun.ledger import Ledger
    from wanrun.money import Price

FREE = {AttemptState.WITHDRAWN, AttemptState.REFUSED, AttemptState.FAILED}
MOST, COST = Money(Decimal("22.127809"), "CNY"), Money(Decimal("4.403544"), "CNY")


def beijing(_provider: str, model: str) -> Price | None:
    """Return the price of the one model there is."""
    return next((price_of(each, "beijing") for each in shipped_models() if each.name == model), None)


def sums(ledger: Ledger, **which: object) -> tuple[str, str]:
    """Return what was spent and what is reserved."""
    found = ledger.spent(**which).get("CNY")  # type: ignore[arg-type]
    return (found.cost.plain, found.reserved.plain) if found else ("0", "0")


@pytest.mark.parametrize("state", AttemptState)
def test_a_reservation_counts_until_it_surely_was_not_billed(book: Book, state: AttemptState) -> None:
    """Unsure, held, lost and given up count like what is in flight; only what surely failed is free."""
    with book.open() as ledger:
        attempt = WAYS[state](ledger, enter(ledger))
        ledger.reserve(attempt, MOST)

        assert sums(ledger) == ("0", "0" if state in FREE else MOST.plain)


@pytest.mark.parametrize("state", [AttemptState.FETCHED, AttemptState.LOST, AttemptState.DISMISSED])
def test_a_settled_attempt_counts_by_what_it_cost(book: Book, state: AttemptState) -> None:
    """Whatever became of its result, the money is gone, and no more than that."""
    with book.open() as ledger:
        attempt = WAYS[state](ledger, enter(ledger))
        ledger.reserve(attempt, MOST)
        ledger.settle(attempt, COST)

    with book.open() as again:
        assert sums(again) == (COST.plain, "0")


def test_another_attempt_does_not_hide_the_first(book: Book) -> None:
    """A job that a person has paid for twice counts twice."""
    with book.open() as ledger:
        entry = enter(ledger)
        first = in_flight(ledger, entry)
        ledger.reserve(first, MOST)
        ledger.ended(first, AttemptState.DISMISSED, "set aside")
        second = intend(ledger, entry)
        ledger.reserve(second, COST)

        assert sums(ledger) == ("0", (MOST + COST).plain)
        assert sums(ledger, entries={entry}) == ("0", COST.plain)
        assert sums(ledger, entries=set()) == ("0", "0")


def test_a_spec_has_its_own_sum(book: Book) -> None:
    """By its name, and not by one that only begins alike."""
    with book.open() as ledger:
        ledger.reserve(in_flight(ledger, enter(ledger)), COST)

        assert sums(ledger, spec="spring") == ("0", COST.plain)
        assert sums(ledger, spec="sprin") == sums(ledger, spec="spring-2") == sums(ledger, spec="%") == ("0", "0")


def test_sums_have_no_rounding(book: Book) -> None:
    """A thousand times a tenth of a cent is a whole amount."""
    with book.open() as ledger, ledger.transaction():
        for number in range(1000):
            attempt = in_flight(ledger, enter(ledger, f"job-{number}"), f"task-{number}")
            ledger.settle(attempt, Money(Decimal("0.001001"), "CNY"))

        assert sums(ledger) == ("1.001", "0")


def test_what_has_no_amount_is_appraised(book: Book) -> None:
    """By its usage, also where money was only set aside, or as the longest there is; what failed stays without."""
    with book.open() as ledger:
        done = in_flight(ledger, enter(ledger, "done"), "task-2")
        ledger.succeeded(done, usage=USAGE, started_at=None, ended_at=70.0)
        in_flight(ledger, enter(ledger, "flying"), "task-3")
        WAYS[AttemptState.FAILED](ledger, enter(ledger, "failed"))
        ledger.reserve(done, MOST)
        expected = ("4.8", "20.1")  # 8 s at 0.6 CNY; 20.1 s at 1 CNY

        looked_at = ledger.spent_with(beijing)["CNY"]
        nothing_written = sums(ledger)
        ledger.appraise(beijing)
        ledger.appraise(beijing)

        assert (looked_at.cost.plain, looked_at.reserved.plain) == expected
        assert nothing_written == ("0", MOST.plain)
        assert sums(ledger) == expected


def test_without_a_price_nothing_is_made_up(book: Book) -> None:
    """A model that is gone, or that nobody has priced, leaves attempts without an amount."""
    with book.open() as ledger:
        in_flight(ledger, enter(ledger))

        ledger.appraise(lambda *_: None)

        assert ledger.spent_with(lambda *_: None) == {}
