"""Money: amounts, caps on them, what a model costs, and what a job may cost at most. Pure; decimal throughout.

A task is billed by the second, its input's and its result's together, at the price of its resolution.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from wanrun.models import Model
    from wanrun.types import Job, MediaRef, Usage

GIVE_AMOUNT = 'an amount with its currency, such as "200 CNY"'  #: the end of a sentence that starts with "give"
MILLION = 1_000_000  #: the ledger counts in millionths, so that its sums are whole numbers
ROUNDING_SECONDS = Decimal("0.05")  #: that the service's own count of a length may be above ours
_WRITTEN = re.compile(r"(?P<amount>(?:0|[1-9][0-9]{0,8})(?:\.[0-9]{1,6})?) (?P<currency>[A-Z]{3})")
_CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Money:
    """An amount of one currency; prints as `12.34 CNY`."""

    amount: Decimal
    currency: str

    @classmethod
    def parse(cls, text: object) -> Self:
        """Read an amount such as `200 CNY`; raises `ValueError` for anything else."""
        written = _WRITTEN.fullmatch(text) if isinstance(text, str) else None
        if written is None and isinstance(text, str) and text[:1] in ("-", "+") and cls.is_written(text[1:]):
            raise ValueError(f"an amount has no sign; give {GIVE_AMOUNT}")
        if written is None:
            raise ValueError(f"give {GIVE_AMOUNT}")
        return cls(Decimal(written["amount"]), written["currency"])

    @staticmethod
    def is_written(text: object) -> bool:
        """Say whether `parse` takes this."""
        return isinstance(text, str) and _WRITTEN.fullmatch(text) is not None

    @classmethod
    def of_millionths(cls, count: int, currency: str) -> Self:
        """Make an amount of what the ledger counts in."""
        return cls(Decimal(count) / MILLION, currency)

    @property
    def millionths(self) -> int:
        """The amount as the ledger counts it, never less than it is."""
        return int((self.amount * MILLION).to_integral_value(ROUND_CEILING))

    @property
    def plain(self) -> str:
        """The amount alone with all its digits, for programs: `12.3404`."""
        return f"{self.amount.normalize():f}" if self.amount else "0"

    def __add__(self, other: Money) -> Money:
        assert self.currency == other.currency
        return Money(self.amount + other.amount, self.currency)

    def __sub__(self, other: Money) -> Money:
        assert self.currency == other.currency
        return Money(self.amount - other.amount, self.currency)

    def __str__(self) -> str:
        return f"{self.amount.quantize(_CENT, ROUND_HALF_UP)} {self.currency}"


@dataclass(frozen=True, slots=True)
class Cap:
    """The most that may be spent: by all jobs, by those of one spec, or by what this run submits."""

    words: str  #: what it is called: `max_cost in wanrun.toml`
    most: Money
    advice: str  #: how to make room: `Raise it`
    spec: str | None = None  #: the name of the spec whose jobs it covers; None: all
    this_run: bool = False  #: only what this run submits counts

    def covers(self, address: str) -> bool:
        """Say whether the money of the job at an address counts here."""
        return self.spec is None or address.startswith(f"{self.spec}/")


def room_for(wanted: Money, rooms: Iterable[int]) -> Money:
    """Return how much of what is wanted there is room for below every cap, each with its room in millionths."""
    least = min(rooms, default=wanted.millionths)
    return wanted if least >= wanted.millionths else Money.of_millionths(max(0, least), wanted.currency)


def total(amounts: Iterable[Money]) -> dict[str, Money]:
    """Return the sums of amounts by currency, in the order of the alphabet."""
    sums: dict[str, Money] = {}
    for each in amounts:
        sums[each.currency] = sums[each.currency] + each if each.currency in sums else each
    return dict(sorted(sums.items()))


@dataclass(frozen=True, slots=True)
class Price:
    """What one model costs in one region."""

    model: Model
    region: str
    currency: str
    per_second: Mapping[str, Decimal]  #: by resolution
    as_of: str = ""  #: the day on which it was looked up, such as 2026-11-22; empty where nobody says

    def of_job(self, job: Job, length_of: Callable[[MediaRef], float | None]) -> Money | None:
        """Return what a job costs at most; `length_of` gives the seconds of a medium, None where nobody knows them.

        None where the model file does not bound the length of a result.
        """
        seconds = most_seconds(job, self.model, length_of)
        if seconds is None:
            return None
        return self._of(seconds, job.parameters.get("resolution", self.model.defaults.get("resolution")))

    def key_of_job(self, job: Job, length_of: Callable[[MediaRef], float | None]) -> tuple[object, ...]:
        """Return what jobs have in common that cost the same at this price."""
        asked = (repr(job.parameters.get("resolution")), repr(job.parameters.get("duration")))
        return (*asked, *((ref.type, length_of(ref)) for ref in job.media))

    def of_usage(self, usage: Usage) -> Money:
        """Return what a task has cost that used this."""
        resolution = None if usage.resolution is None else f"{usage.resolution}P"
        return self._of(Decimal(repr(usage.billed_seconds)), resolution)

    def of_any_task(self) -> Money | None:
        """Return what any one task of the model costs at most; None where the model file sets no bound."""
        longest = _longest(self.model)
        return None if longest is None else self._of(2 * (longest + ROUNDING_SECONDS), None)

    def _of(self, seconds: Decimal, resolution: object) -> Money:
        per_second = self.per_second.get(str(resolution), max(self.per_second.values()))
        return Money(seconds * per_second, self.currency)


def price_of(model: Model, region: str) -> Price | None:
    """Return the latest price of a model in a region; None where its file has none."""
    known = [price for price in model.prices if price.get("region") == region]
    if not known:
        return None
    price = max(known, key=lambda each: str(each.get("as_of", "")))
    per_second = price["per_second"]
    assert isinstance(per_second, Mapping)
    rates = {resolution: Decimal(str(rate)) for resolution, rate in per_second.items()}
    return Price(model, region, str(price["currency"]), rates, str(price.get("as_of", "")))


def most_seconds(job: Job, model: Model, length_of: Callable[[MediaRef], float | None]) -> Decimal | None:
    """Return the seconds that a job is billed for at most: those of its inputs and of its result.

    A length that nobody knows counts as the longest that the model takes. Whether the service bills what the
    parameter `duration` cuts off is not documented, so the whole input counts.
    """
    taken = Decimal(0)
    for ref in job.media:
        longest = model.media[ref.type].max_seconds if ref.type in model.media else None
        if longest is not None:
            taken += _seconds(length_of(ref), longest) + ROUNDING_SECONDS
    made = _made_seconds(job, model, taken)
    return None if made is None else taken + made


def result_seconds(job: Job, model: Model, length_of: Callable[[MediaRef], float | None]) -> float | None:
    """Return how long a job's result is at most; None where the model file does not bound it. `length_of` as above."""
    taken = Decimal(0)
    for ref in job.media:
        longest = model.media[ref.type].max_seconds if ref.type in model.media else None
        if longest is not None:
            taken += min(_seconds(length_of(ref), longest), Decimal(repr(longest)))
    asked = job.parameters.get("duration", model.defaults.get("duration"))
    most = taken or _longest(model)
    if isinstance(asked, int | float) and asked > 0:
        most = Decimal(repr(asked)) if most is None else min(most, Decimal(repr(asked)))
    return None if most is None else float(most)


def _seconds(known: float | None, longest: float) -> Decimal:
    return Decimal(repr(longest if known is None else known))


def _made_seconds(job: Job, model: Model, taken: Decimal) -> Decimal | None:
    asked = job.parameters.get("duration", model.defaults.get("duration"))
    if isinstance(asked, int | float) and asked > 0:
        return Decimal(repr(asked)) + ROUNDING_SECONDS
    return taken or _longest(model)


def _longest(model: Model) -> Decimal | None:
    bounds = [limits.max_seconds for limits in model.media.values() if limits.max_seconds is not None]
    return Decimal(repr(max(bounds))) if bounds else None
