"""Amounts, prices, and what a job may cost at most."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wanrun.models import Model, shipped_models
from wanrun.money import Money, Price, price_of, total
from wanrun.types import Job, MediaRef, Position, Usage

HERE = Position(Path("/home/me/spring.yaml"), 1, 1)
VIDEO = MediaRef("video", "file", {}, Path("/home/me"), HERE)
IMAGE = replace(VIDEO, type="reference_image")
JOB = Job("spring", "one", HERE.path, HERE, "wan2.7-videoedit", "default", "clay", None, (VIDEO, IMAGE), {}, ())
MODEL = next(model for model in shipped_models() if model.name == "wan2.7-videoedit")
AMOUNTS = st.integers(0, 10**14).map(lambda count: Money(Decimal(count) / 10**6, "CNY"))


def price(region: str = "singapore", model: Model = MODEL) -> Price:
    """Return a price that is known."""
    found = price_of(model, region)
    assert found is not None
    return found


def cost(seconds: float | None, region: str = "beijing", **parameters: Any) -> Decimal:
    """Return what the job costs at most with a video of this length."""
    money = price(region).of_job(replace(JOB, parameters=parameters), lambda ref: seconds if ref is VIDEO else None)
    assert money is not None
    return money.amount


@pytest.mark.parametrize(
    ("text", "amount", "shown"),
    [
        ("200 CNY", "200", "200.00 CNY"),
        ("0 CNY", "0", "0.00 CNY"),
        ("0.5 USD", "0.5", "0.50 USD"),
        ("12.345 CNY", "12.345", "12.35 CNY"),
        ("0.000001 CNY", "0.000001", "0.00 CNY"),
    ],
)
def test_an_amount_is_written_with_its_currency(text: str, amount: str, shown: str) -> None:
    """It keeps every digit and shows two."""
    money = Money.parse(text)

    assert (money.amount, str(money)) == (Decimal(amount), shown)


@pytest.mark.parametrize(
    "text",
    [
        *("", "200", "CNY", "CNY 200", "200CNY", "200 cny", "200 YUAN", "-1 CNY", "+1 CNY", "1e3 CNY", "1,000 CNY"),
        *("01 CNY", ".5 CNY", "5. CNY", "1.0000001 CNY", "nan CNY", "inf CNY", "2 CNY\n", " 2 CNY", "2  CNY", "٢ CNY"),
        *(200, None, True),
    ],
    ids=repr,
)
def test_what_is_no_amount_is_refused(text: object) -> None:
    """Nothing is guessed: neither a currency nor a sign nor another way to write numbers."""
    assert not Money.is_written(text)
    with pytest.raises(ValueError, match='such as "200 CNY"'):
        Money.parse(text)


@pytest.mark.parametrize("text", ["-1 CNY", "+1 CNY"])
def test_a_sign_is_named(text: str) -> None:
    """It is all that is wrong with such an amount."""
    with pytest.raises(ValueError, match='an amount has no sign; give an amount with its currency, such as "200 CNY"'):
        Money.parse(text)


@given(AMOUNTS)
def test_the_ledger_keeps_an_amount_to_the_last_digit(money: Money) -> None:
    """Millionths of it are whole numbers, so sums of them have no rounding."""
    assert Money.of_millionths(money.millionths, "CNY") == money
    assert Money.parse(f"{money.plain} CNY").amount == money.amount


@given(st.decimals(0, 10**6, places=9))
def test_what_is_finer_than_the_ledger_counts_up(amount: Decimal) -> None:
    """A cap is kept by what is counted, so that is never less than what is owed."""
    money = Money(amount, "CNY")

    assert amount <= Money.of_millionths(money.millionths, "CNY").amount < amount + Decimal("0.000001")


def test_sums_are_by_currency() -> None:
    """Amounts of two currencies are never added."""
    sums = total([Money.parse("1 USD"), Money.parse("0.1 CNY"), Money.parse("0.2 CNY")])

    assert {name: str(money.amount) for name, money in sums.items()} == {"CNY": "0.3", "USD": "1"}


@pytest.mark.parametrize(
    ("seconds", "parameters", "billed"),
    [
        pytest.param(5.0, {}, "10.1", id="as long as the input"),
        pytest.param(5.0, {"duration": 0}, "10.1", id="0 keeps all"),
        pytest.param(8.0, {"duration": 4}, "12.1", id="what is cut off may be billed"),
        pytest.param(3.0, {"duration": 4}, "7.1", id="more than there is"),
        pytest.param(None, {}, "20.1", id="a link may be as long as the model takes"),
        pytest.param(None, {"duration": 2}, "12.1", id="a link, cut"),
    ],
)
def test_input_and_result_are_billed(seconds: float | None, parameters: dict[str, Any], billed: str) -> None:
    """Both by the second, each with a little for the service's own rounding; pictures cost nothing."""
    assert cost(seconds, **parameters) == Decimal(billed)  # 1 CNY a second


@pytest.mark.parametrize(
    ("region", "parameters", "per_second"),
    [
        ("beijing", {"resolution": "720P"}, "0.6"),
        ("beijing", {"resolution": "1080P"}, "1"),
        ("beijing", {}, "1"),
        ("singapore", {"resolution": "720P"}, "0.733924"),
        ("singapore", {}, "1.100886"),
    ],
)
def test_the_resolution_decides_the_price(region: str, parameters: dict[str, Any], per_second: str) -> None:
    """Without one the service makes 1080P, and takes its price."""
    assert cost(4.95, region, **parameters) == 10 * Decimal(per_second)


@pytest.mark.parametrize(("resolution", "amount"), [(720, "6.024"), (1080, "10.04"), (None, "10.04"), (480, "10.04")])
def test_usage_says_what_a_task_has_cost(resolution: int | None, amount: str) -> None:
    """Billed seconds at the price of the resolution that was made; one that has no price costs the dearest."""
    usage = Usage(billed_seconds=10.04, resolution=resolution)

    assert price("beijing").of_usage(usage) == Money(Decimal(amount), "CNY")


def test_any_task_costs_at_most_the_longest_at_the_dearest() -> None:
    """What an old attempt counts as, of which nothing more is known."""
    most = price().of_any_task()

    assert most is not None
    assert most.amount == Decimal("20.1") * Decimal("1.100886") == cost(None, "singapore")


@given(
    seconds=st.floats(2, 10.05) | st.none(),
    cut=st.sampled_from([None, 0, 2, 5, 10]),
    resolution=st.sampled_from([None, "720P", "1080P"]),
)
def test_no_bill_is_above_what_was_reserved(seconds: float | None, cut: int | None, resolution: str | None) -> None:
    """Whatever the service takes a video's length for, rounded to hundredths and to whole frames."""
    parameters = {"duration": cut, "resolution": resolution}
    reserved = cost(seconds, **{key: value for key, value in parameters.items() if value is not None})
    taken = round(min(10.0 if seconds is None else seconds, 10.05), 2)
    made = round(round((min(cut, taken) if cut else taken) * 30) / 30, 2)
    usage = Usage(taken + made, taken, made, int((resolution or "1080P").rstrip("P")))

    assert price("beijing").of_usage(usage).amount <= reserved


def test_the_latest_price_of_a_region_holds() -> None:
    """Prices are dated; a region that no price is known for has none."""
    old = {"region": "beijing", "as_of": "2025-01-01", "currency": "CNY", "per_second": {"720P": "9"}}

    found = price_of(replace(MODEL, prices=(*MODEL.prices, old)), "beijing")

    assert found is not None
    assert found.per_second["720P"] == Decimal("0.6")
    assert price_of(MODEL, "mars") is None


def test_a_model_without_video_inputs_is_bounded_by_its_duration() -> None:
    """Without one nobody can say what a result costs at most."""
    images = {"reference_image": MODEL.media["reference_image"]}
    known = price("beijing", replace(MODEL, media=images))
    job = replace(JOB, media=(IMAGE,))

    assert known.of_job(job, lambda _: None) is None
    assert known.of_any_task() is None
    assert known.of_job(replace(job, parameters={"duration": 5}), lambda _: None) == Money(Decimal("5.05"), "CNY")
