"""The part of the ledger that is about money: what was spent, and what is set aside for what may yet be billed.

Sums are made of attempts, each time anew, so they hold whatever run died in between. Amounts are in millionths of
their currency, as whole numbers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wanrun.ledger.database import Database
from wanrun.money import Money
from wanrun.types import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from wanrun.money import Price

    Prices = Callable[[str, str], Price | None]  #: provider, model -> its price


@dataclass(frozen=True, slots=True)
class Spent:
    """What has gone of one currency."""

    cost: Money  #: of tasks that were billed, by their usage
    reserved: Money  #: what everything else that may be billed costs at most: in flight, unsure, held, given up

    @property
    def total(self) -> Money:
        """What counts against a cap."""
        return self.cost + self.reserved

    def __add__(self, other: Spent) -> Spent:
        return Spent(self.cost + other.cost, self.reserved + other.reserved)


@dataclass(frozen=True, slots=True)
class Appraisal:
    """What an attempt costs that the ledger has no amount for: one of an earlier wanrun, or settled elsewhere."""

    attempt: int
    cost: Money | None  #: by its usage
    reserved: Money | None  #: at most, where no usage is known
    frees: Money | None = None  #: what the ledger has as reserved until the cost is written


class Spending(Database):
    """Sums over attempts; `store.Ledger` adds the rest."""

    def reserve(self, attempt: int, most: Money) -> None:
        """Set aside what an attempt may cost; in the transaction of its intention, or a crash would forget it."""
        self._write(
            "UPDATE attempts SET reserved = :amount, cost = NULL, currency = :currency WHERE id = :id",
            id=attempt,
            amount=most.millionths,
            currency=most.currency,
        )

    def settle(self, attempt: int, cost: Money) -> None:
        """Record what an attempt has cost, which frees the rest of what was set aside for it."""
        self._write(
            "UPDATE attempts SET cost = :amount, currency = :currency WHERE id = :id",
            id=attempt,
            amount=cost.millionths,
            currency=cost.currency,
        )

    def spent(self, *, spec: str | None = None, entries: Collection[int] | None = None) -> dict[str, Spent]:
        """Return what has gone, by currency: in all, or for the jobs of one spec, or by the latest of some entries."""
        which = "" if spec is None else _OF_SPEC
        which += "" if entries is None else _LATEST_OF
        rows = self._read(
            f"{_SPENT} {which} GROUP BY currency ORDER BY currency",  # constants
            prefix=f"{spec}/",
            entries=json.dumps(sorted(entries or ())),
        )
        return {row["currency"]: _spent(row["cost"], row["reserved"], row["currency"]) for row in rows}

    def spent_with(self, prices: Prices, *, spec: str | None = None) -> dict[str, Spent]:
        """Return what has gone, counting also what the ledger has no amount for; writes nothing."""
        return with_appraisals(self.spent(spec=spec), self.unpriced(prices, spec=spec))

    def unpriced(self, prices: Prices, *, spec: str | None = None) -> list[Appraisal]:
        """Return what attempts cost that may be billed and have no amount yet; what has no price is left out."""
        found = []
        which = "" if spec is None else _OF_SPEC
        for row in self._read(f"{_UNPRICED} {which} ORDER BY attempts.id", prefix=f"{spec}/"):
            price = prices(row["provider"], row["model"])
            usage = Usage(**json.loads(row["usage"])) if row["usage"] else None
            if price is not None and usage is not None:
                frees = None if row["reserved"] is None else Money.of_millionths(row["reserved"], row["currency"])
                found.append(Appraisal(row["id"], price.of_usage(usage), None, frees))
            elif price is not None and (most := price.of_any_task()) is not None:
                found.append(Appraisal(row["id"], None, most))
        return found

    def appraise(self, prices: Prices) -> None:
        """Give every attempt that may be billed its amount, as far as there are prices."""
        appraisals = self.unpriced(prices)
        if not appraisals:
            return
        with self.transaction():
            for each in appraisals:
                if each.cost is not None:
                    self.settle(each.attempt, each.cost)
                elif each.reserved is not None:
                    self.reserve(each.attempt, each.reserved)


def with_appraisals(spent: dict[str, Spent], appraisals: Iterable[Appraisal]) -> dict[str, Spent]:
    """Return sums with what was appraised added to them."""
    sums = dict(spent)
    for each in appraisals:
        money = each.cost or each.reserved
        assert money is not None
        nothing = _spent(0, 0, money.currency)
        added = Spent(each.cost or nothing.cost, each.reserved or nothing.reserved)
        sums[money.currency] = sums.get(money.currency, nothing) + added
        if each.frees is not None:
            before = sums[each.frees.currency]
            sums[each.frees.currency] = Spent(before.cost, before.reserved - each.frees)
    return dict(sorted(sums.items()))


def _spent(cost: int, reserved: int, currency: str) -> Spent:
    return Spent(Money.of_millionths(cost, currency), Money.of_millionths(reserved, currency))


#: Everything but what surely is not billed: an attempt in a state that nobody has thought of yet counts.
_MAY_COST = "attempts.state NOT IN ('withdrawn', 'refused', 'failed')"
_SPENT = (
    "SELECT currency, coalesce(sum(cost), 0) AS cost,"  # noqa: S608  # constants
    " coalesce(sum(CASE WHEN cost IS NULL THEN reserved END), 0) AS reserved"
    f" FROM attempts WHERE {_MAY_COST} AND currency IS NOT NULL"
)
_OF_SPEC = " AND entry IN (SELECT id FROM entries WHERE substr(address, 1, length(:prefix)) = :prefix)"
_LATEST_OF = (
    " AND id IN (SELECT max(id) FROM attempts WHERE entry IN (SELECT value FROM json_each(:entries)) GROUP BY entry)"
)
_UNPRICED = (
    "SELECT attempts.id, attempts.provider, model, usage, reserved, currency FROM attempts"  # noqa: S608  # constants
    " JOIN entries ON entries.id = attempts.entry"
    f" WHERE {_MAY_COST} AND cost IS NULL AND (reserved IS NULL OR usage IS NOT NULL)"
)
