"""Calls other than create may always be made again, and their errors say when."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
import trio
from client_parts import REQUEST, TASK, client_of, error_of, refused

from wanrun.client import CancelTooLate, ServiceIdentity
from wanrun.errors import JobRefused, KeyRefused, ServiceError, SettingsError, Throttled, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trio.testing import MockClock


@pytest.mark.parametrize("call", ["query", "list", "cancel", "upload policy"])
@pytest.mark.parametrize(
    ("answer", "family"),
    [
        (httpx.ConnectError("refused"), Unavailable),
        (httpx.ReadTimeout("slow"), Unavailable),
        (httpx.RemoteProtocolError("odd"), Unavailable),
        (OSError("odd"), Unavailable),
        (httpx.Response(500), Unavailable),
        (refused(503, "ModelUnavailable"), Unavailable),
        (httpx.Response(302, headers={"Location": "https://elsewhere.example.com/"}), Unavailable),
        (refused(429, "Throttling.RateQuota"), Throttled),
        (refused(401, "InvalidApiKey"), KeyRefused),
        (refused(403, "AccessDenied"), KeyRefused),
        (refused(400, "InvalidParameter"), JobRefused),
    ],
    ids=lambda value: repr(value)[:40],
)
async def test_the_other_calls_fail_by_family(
    call: str, answer: httpx.Response | Exception, family: type[ServiceError]
) -> None:
    """Nothing but a create can be unsure: these may all be made again."""
    async with client_of(answer) as client:
        calls = {
            "query": lambda: client.query(TASK),
            "list": client.list_tasks,
            "cancel": lambda: client.cancel(TASK),
            "upload policy": lambda: client.upload_policy("wan2.7-videoedit"),
        }
        error = await error_of(calls[call]())

    assert type(error) is family
    assert str(error).startswith(f"{call}: ")


@pytest.mark.parametrize("text", ["", "no json", "{}", "[]", '{"output": {}}', '{"data": {}}'])
async def test_an_unreadable_answer_may_be_better_next_time(text: str) -> None:
    """A query, a list or a policy that cannot be read is asked for again."""
    async with client_of(httpx.Response(200, text=text)) as client:
        for call in (client.query(TASK), client.list_tasks(), client.upload_policy("wan2.7-videoedit")):
            assert type(await error_of(call)) is Unavailable


async def test_a_call_ends_in_time_however_slowly_it_drips(autojump_clock: MockClock) -> None:
    """A read timeout counts each piece anew; the call has a time of its own."""

    async def drip() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await trio.sleep(5)

    async with client_of(httpx.Response(200, content=drip())) as client:
        error = await error_of(client.query(TASK))

    assert type(error) is Unavailable
    assert trio.current_time() == pytest.approx(30)


@pytest.mark.parametrize(("said", "seconds"), [("7", 7.0), (None, None), ("Thu, 01 Jan 1970 00:16:50 GMT", 10.0)])
async def test_throttling_carries_the_services_own_word(said: str | None, seconds: float | None) -> None:
    """Seconds or a date, turned into seconds from now."""
    headers = {"Retry-After": said} if said else {}
    async with client_of(httpx.Response(429, headers=headers, json={"code": "Throttling"})) as client:
        error = await error_of(client.query(TASK))

    assert isinstance(error, Throttled)
    assert error.retry_after_seconds == seconds


async def test_a_cancel_that_comes_too_late_has_its_own_error() -> None:
    """The task runs or has ended; the job itself is not refused."""
    message = "Failed to cancel the task, please confirm if the task is in PENDING status."
    async with client_of(refused(400, "UnsupportedOperation", message)) as client:
        assert type(await error_of(client.cancel(TASK))) is CancelTooLate


async def test_an_accepted_cancel_says_nothing() -> None:
    """Only a query tells how it went."""
    async with client_of(httpx.Response(200, json={"request_id": REQUEST})) as client:
        await client.cancel(TASK)


@pytest.mark.parametrize("task_id", ["", "..", "../models", "a/b", "a?b", "a b", "ä"])
async def test_what_is_no_task_id_never_becomes_a_url(task_id: str) -> None:
    """A person may type one, after `resolve --adopt`."""
    seen: list[httpx.Request] = []

    async with client_of(httpx.Response(200), seen) as client:
        for call in (client.query(task_id), client.cancel(task_id)):
            with pytest.raises(SettingsError, match="is no task id"):
                await call

    assert not seen


async def test_the_list_asks_for_a_page_and_filters_only_when_told() -> None:
    """Without times the service lists its last 24 hours, whatever its zone."""
    seen: list[httpx.Request] = []

    async with client_of(httpx.Response(200, json={"total": 0, "data": []}), seen) as client:
        await client.list_tasks()
        await client.list_tasks(model="wan2.7-videoedit", status="RUNNING", page_no=2, page_size=50)

    assert [dict(request.url.params) for request in seen] == [
        {"page_no": "1", "page_size": "100"},
        {"page_no": "2", "page_size": "50", "model_name": "wan2.7-videoedit", "status": "RUNNING"},
    ]


async def test_the_client_knows_who_answers() -> None:
    """A ledger belongs to the real service or to one emulator's account."""
    async with client_of(httpx.Response(200, json={"request_id": REQUEST})) as client:
        assert client.identity is None
        await client.cancel(TASK)
        assert client.identity == ServiceIdentity(emulator=None)

    headers = {"X-Wanrun-Emulator": "account-7"}
    async with client_of(httpx.Response(401, headers=headers)) as client:
        await error_of(client.cancel(TASK))
        assert client.identity == ServiceIdentity(emulator="account-7")
