"""Rates, the queue, the order of tasks and the bill, in virtual time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import trio

from wanrun.emulator import Account
from wanrun.models import shipped_models

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock

LIMITS = next(model for model in shipped_models() if model.name == "wan2.7-videoedit").limits
THROTTLED = {"code": "Throttling.RateQuota", "message": "Requests rate limit exceeded, please try again later."}


async def test_five_creates_a_second_and_no_more(open_service: Callable[..., Any], autojump_clock: MockClock) -> None:
    """The sixth within a second gets the documented 429 and makes no task; a second later there is room again."""
    service = open_service()

    responses = [await service.create(str(number)) for number in range(6)]
    await trio.sleep(1)
    later = await service.create("later")

    assert [response.status_code for response in responses] == [200] * 5 + [429]
    refused = responses[-1].json()
    assert {name: refused[name] for name in THROTTLED} == THROTTLED
    assert "Retry-After" not in responses[-1].headers
    assert later.status_code == 200
    assert service.account.statement()["tasks_made"] == 6
    assert service.account.statement()["peak_creates_per_second"] == 6


async def test_a_throttling_answer_says_when_to_come_back_if_told_to(
    open_service: Callable[..., Any], autojump_clock: MockClock
) -> None:
    """`retry_after` goes out as `Retry-After`."""
    service = open_service(retry_after=2.5)

    responses = [await service.create(str(number)) for number in range(6)]

    assert responses[-1].headers["Retry-After"] == "2.5"


async def test_query_list_and_cancel_share_twenty_a_second(
    open_service: Callable[..., Any], autojump_clock: MockClock
) -> None:
    """Creates and policies have rates of their own."""
    service = open_service()
    task_id = await service.made()
    calls = [("GET", f"/tasks/{task_id}"), ("GET", "/tasks"), ("POST", f"/tasks/{task_id}/cancel")]

    statuses = [(await service.api.request(*calls[number % 3])).status_code for number in range(21)]
    other = [(await service.create()).status_code, (await service.policy())["expire_in_seconds"]]

    assert 429 not in statuses[:20]
    assert statuses[20] == 429
    assert other == [200, 300]


async def test_a_full_queue_takes_no_more(open_service: Callable[..., Any], autojump_clock: MockClock) -> None:
    """Three wait while one runs; the next create is throttled until one has begun."""
    service = open_service(limits=replace(LIMITS, running_at_once=1, queued=3))
    for number in range(4):
        await service.made(str(number))
        await trio.sleep(2)

    full = await service.create("too many")
    await trio.sleep(60)
    later = await service.create("now")

    assert full.status_code == 429
    assert full.json()["code"] == "Throttling.AllocationQuota"
    assert later.status_code == 200


async def test_five_run_at_once_in_the_order_they_came(
    open_service: Callable[..., Any], autojump_clock: MockClock
) -> None:
    """Twelve tasks of 60 s take three rounds, whenever anybody looks."""
    service = open_service(queue_seconds=0)
    made = []
    for number in range(12):
        made.append(await service.made(str(number)))
        await trio.sleep(0.2)

    await trio.sleep(1000)
    service.account.advance()

    tasks = [service.account.tasks[task_id] for task_id in made]
    began = [round(task.scheduled_at - tasks[0].created_at, 1) for task in tasks]
    assert began == [0, 0.2, 0.4, 0.6, 0.8, 60, 60.2, 60.4, 60.6, 60.8, 120, 120.2]
    assert service.account.statement()["peak_running"] == 5


async def test_the_same_history_comes_out_however_often_one_looks(
    open_service: Callable[..., Any], autojump_clock: MockClock
) -> None:
    """Times are those of the events, not of the calls that found them."""

    def times(account: Account) -> list[tuple[float | None, float | None]]:
        return [(task.scheduled_at, task.ended_at) for task in account.tasks.values()]

    now = 1000.0
    body = {"model": "wan2.7-videoedit", "input": {"media": [{"type": "video", "url": "https://example.com/a.mp4"}]}}
    watched, ignored = (Account(clock=lambda: now, seed=3) for _ in range(2))
    for account in (watched, ignored):
        for _ in range(20):
            account.create(body, request_id="r")
    for _ in range(3000):
        now += 1.0
        watched.advance()
    ignored.advance()

    assert times(watched) == times(ignored)


async def test_a_bill_is_input_and_output_at_the_price_of_the_resolution(
    open_service: Callable[..., Any], autojump_clock: MockClock
) -> None:
    """1080P is the default; Beijing's price is 0.6 and 1 CNY a second."""
    service = open_service(region="beijing")
    cheap, dear = await service.made("cheap", resolution="720P"), await service.made("dear")

    await trio.sleep(200)
    statement = service.account.statement()

    costs = {task["task_id"]: task["cost"] for task in statement["tasks"]}
    assert costs == {cheap: "2.4", dear: "4"}
    assert statement["tasks_billed"] == 2
    assert statement["billed_seconds"] == 8.0
    assert statement["cost"] == {"CNY": "6.4"}


async def test_an_uploaded_video_is_measured_and_its_cut_part_is_billed(
    open_service: Callable[..., Any], autojump_clock: MockClock, street: bytes
) -> None:
    """Four seconds come in, `duration` keeps three of them."""
    service = open_service()
    url = await service.uploaded(street)
    whole, cut = await service.made("whole", url=url), await service.made("cut", url=url, duration=3)

    await trio.sleep(200)

    seconds = [service.account.tasks[task_id].input_seconds for task_id in (whole, cut)]
    assert seconds == [4.0, 3.0]


@pytest.mark.parametrize(
    ("seconds", "prompt", "ended_after"),
    [(10.0, "x", 11.0), ({"slow": 100.0}, "slow", 101.0), (lambda task: len(task.prompt), "abc", 4.0)],
    ids=["number", "mapping", "function"],
)
async def test_the_length_of_the_work_can_be_given(
    open_service: Callable[..., Any], autojump_clock: MockClock, seconds: Any, prompt: str, ended_after: float
) -> None:
    """A number, a mapping from prompts, or a function of the task."""
    service = open_service(seconds=seconds)
    task_id = await service.made(prompt)

    await trio.sleep(1000)
    service.account.advance()

    task = service.account.tasks[task_id]
    assert task.ended_at - task.created_at == pytest.approx(ended_after)


async def test_work_takes_one_to_five_minutes_by_itself(
    open_service: Callable[..., Any], autojump_clock: MockClock
) -> None:
    """The lengths are by chance and repeat with the seed."""

    def lengths(seed: int) -> list[float]:
        account = Account(clock=lambda: 0.0, seed=seed)
        body = {"model": "wan2.7-videoedit", "input": {"media": []}}
        return [account.create(body, request_id="r").seconds for _ in range(50)]

    assert all(60 <= seconds <= 300 for seconds in lengths(1))
    assert lengths(1) == lengths(1)
    assert lengths(1) != lengths(2)


async def test_speed_shortens_waiting_and_working_only(
    open_service: Callable[..., Any], autojump_clock: MockClock
) -> None:
    """At ten times the speed a minute's task takes 6.1 s, and its link still lives for a day."""
    service = open_service(speed=10)
    task_id = await service.made()

    await trio.sleep(7)
    service.account.advance()

    task = service.account.tasks[task_id]
    assert task.ended_at - task.created_at == pytest.approx(6.1)
    assert task.link_until == int(task.ended_at + 24 * 3600)
