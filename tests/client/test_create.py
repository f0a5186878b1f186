"""A create is money: its errors say whether a task may exist."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import httpx
import pytest
import trio
from client_parts import BODY, PATH, REQUEST, TASK, client_of, client_on, error_of, refused

from wanrun.errors import JobRefused, KeyRefused, ServiceError, Throttled, Unavailable, Unsure

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trio.testing import MockClock


async def test_create_returns_the_task_and_the_request() -> None:
    """Both are needed: one to ask, one to find the task again in the list."""
    answer = {"output": {"task_status": "PENDING", "task_id": TASK}, "request_id": REQUEST}

    async with client_of(httpx.Response(200, json=answer)) as client:
        made = await client.create(BODY, path=PATH)

    assert (made.task_id, made.request_id) == (TASK, REQUEST)


@pytest.mark.parametrize(
    "broken",
    [
        httpx.ConnectError("refused"),
        httpx.ConnectTimeout("slow"),
        httpx.PoolTimeout("full"),
        httpx.ProxyError("407"),
        httpx.UnsupportedProtocol("odd"),
        httpx.LocalProtocolError("odd"),
    ],
    ids=lambda exc: type(exc).__name__,
)
async def test_a_create_that_surely_never_left_may_be_sent_again(broken: Exception) -> None:
    """Before the first byte there is nothing to be unsure of."""
    async with client_of(broken) as client:
        assert type(await error_of(client.create(BODY, path=PATH))) is Unavailable


@pytest.mark.parametrize(
    "broken",
    [
        httpx.ReadTimeout("slow"),
        httpx.WriteTimeout("slow"),
        httpx.ReadError("reset"),
        httpx.WriteError("reset"),
        httpx.CloseError("odd"),
        httpx.RemoteProtocolError("Server disconnected"),
        httpx.DecodingError("odd"),
        httpx.TooManyRedirects("odd"),
        OSError("odd"),
        RuntimeError("odd"),
    ],
    ids=lambda exc: type(exc).__name__,
)
async def test_a_create_that_may_have_left_is_unsure(broken: Exception) -> None:
    """Whatever broke: a task may exist, and cost money."""
    async with client_of(broken) as client:
        assert type(await error_of(client.create(BODY, path=PATH))) is Unsure


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, text=""),
        httpx.Response(200, text="<html>welcome</html>"),
        httpx.Response(200, json={}),
        httpx.Response(200, json={"output": {"task_status": "PENDING"}}),
        httpx.Response(200, json={"code": "InvalidApiKey", "message": "No."}),
        httpx.Response(200, content=b'{"output": {"task_id": "x"}, "pad": "' + b"x" * (1 << 20) + b'"}'),
        httpx.Response(200, text="[" * 5000 + "]" * 5000),
        httpx.Response(204),
        httpx.Response(302, headers={"Location": "https://elsewhere.example.com/"}),
        httpx.Response(408, text=""),
        httpx.Response(409, text=""),
        httpx.Response(499, text=""),
        refused(400, "InternalError.Timeout"),
        refused(500, "InvalidApiKey"),
        refused(500, "InternalError"),
        refused(503, "ModelServingError", "Too many requests."),
        httpx.Response(502, text="<html>bad gateway</html>"),
        httpx.Response(504),
    ],
    ids=lambda answer: f"{answer.status_code}-{answer.content[:30]!r}",
)
async def test_a_create_with_an_answer_of_no_use_is_unsure(answer: httpx.Response) -> None:
    """5xx, redirects, answers without a task: nobody says that none was made."""
    async with client_of(answer) as client:
        assert type(await error_of(client.create(BODY, path=PATH))) is Unsure


@pytest.mark.parametrize(
    ("answer", "family"),
    [
        (refused(400, "InvalidParameter", "url error, please check url!"), JobRefused),
        (refused(400, "InvalidParameter.DataInspection"), JobRefused),
        (refused(400, "DataInspectionFailed"), JobRefused),
        (refused(409, "Conflict"), JobRefused),
        (refused(400, "Arrearage"), KeyRefused),
        (refused(401, "InvalidApiKey"), KeyRefused),
        (refused(403, "AccessDenied", "current user api does not support synchronous calls."), KeyRefused),
        (refused(403, "AllocationQuota.FreeTierOnly"), KeyRefused),
        (refused(404, "InvalidParameter", "Model not exist."), KeyRefused),
        (refused(429, "Throttling.RateQuota"), Throttled),
        (refused(429, "Throttling.AllocationQuota", "Allocated quota exceeded."), Throttled),
        (refused(429, "Throttling.AllocationQuota", "Free allocated quota exceeded."), KeyRefused),
        (httpx.Response(429), Throttled),
        (httpx.Response(400, text="<html>bad request</html>"), JobRefused),
        (httpx.Response(413, text="<html>too large</html>"), JobRefused),
        (httpx.Response(401), KeyRefused),
        (httpx.Response(403, text="<html>no</html>"), KeyRefused),
        (httpx.Response(404, text="<html>no such page</html>"), KeyRefused),
    ],
    ids=lambda value: f"{value.status_code}-{value.content[:40]!r}" if isinstance(value, httpx.Response) else None,
)
async def test_a_create_that_was_surely_refused_says_by_whom(
    answer: httpx.Response, family: type[ServiceError]
) -> None:
    """The service's own code, or a 4xx that comes before a request is understood: no task was made."""
    async with client_of(answer) as client:
        error = await error_of(client.create(BODY, path=PATH))

    assert type(error) is family
    assert error.status == answer.status_code


async def test_an_unsure_create_carries_the_request_id_of_the_headers() -> None:
    """By it the list call shows whether a task was made."""

    async def cut() -> AsyncIterator[bytes]:
        yield b'{"output": {"task'
        raise httpx.ReadError("reset")

    headers = {"x-request-id": REQUEST}
    async with client_of(httpx.Response(200, headers=headers, content=cut())) as client:
        error = await error_of(client.create(BODY, path=PATH))

    assert type(error) is Unsure
    assert error.request_id == REQUEST


async def test_an_unsure_create_carries_the_request_id_of_the_body() -> None:
    """A 500 names its request too."""
    async with client_of(refused(500, "InternalError", "Internal server error.")) as client:
        error = await error_of(client.create(BODY, path=PATH))

    assert (error.request_id, error.code, error.status) == (REQUEST, "InternalError", 500)
    assert str(error) == f"create: Internal server error. (500, InternalError, request {REQUEST})"


async def test_a_create_without_an_answer_ends_in_time_and_is_unsure(autojump_clock: MockClock) -> None:
    """However slowly the answer drips: a read timeout alone counts each piece anew."""

    async def drip() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await trio.sleep(5)

    async def handler(request: httpx.Request) -> httpx.Response:
        await trio.lowlevel.checkpoint()
        return httpx.Response(200, headers={"x-dashscope-request-id": REQUEST}, content=drip())

    async with client_on(handler, create_seconds=60) as client:
        error = await error_of(client.create(BODY, path=PATH))

    assert type(error) is Unsure
    assert error.request_id == REQUEST
    assert trio.current_time() == pytest.approx(60)


async def test_a_cancelled_create_stays_cancelled(autojump_clock: MockClock) -> None:
    """Cancelling from outside is the caller's matter and no error of the service."""

    async def handler(request: httpx.Request) -> httpx.Response:
        await trio.sleep_forever()
        raise AssertionError

    async with client_on(handler) as client:
        with trio.move_on_after(5) as scope:
            await client.create(BODY, path=PATH)

    assert scope.cancelled_caught


async def test_the_body_of_a_create_is_compact_json_that_any_gateway_can_read() -> None:
    """ASCII on the wire; every character arrives."""
    seen: list[httpx.Request] = []
    body = BODY | {"input": {"prompt": "把场景变成黏土 🎬", "media": []}}
    answer = httpx.Response(200, json={"output": {"task_id": TASK}})

    async with client_of(answer, seen) as client:
        await client.create(body, path=PATH)

    assert seen[0].content.isascii()
    assert json.loads(seen[0].content) == body
