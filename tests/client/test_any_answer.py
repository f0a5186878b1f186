"""Any answer to any call, from any bytes to good answers with some damage: a dataclass or an error of the service's
family, soon, and never a doubt about money resolved in its favour."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trio
from client_parts import BODY, LINK, PATH, REQUEST, TASK, client_on, read
from hypothesis import given, settings
from hypothesis import strategies as st

from wanrun.client import StartOver
from wanrun.errors import ServiceError, Unsure

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from wanrun.client import Client

pytestmark = pytest.mark.slow

GOOD: list[Any] = [
    {"output": {"task_status": "PENDING", "task_id": TASK}, "request_id": REQUEST},
    {
        "request_id": REQUEST,
        "output": {
            "task_id": TASK,
            "task_status": "SUCCEEDED",
            "submit_time": "2026-11-02 10:00:00.123",
            "end_time": "2026-11-02 10:04:31.789",
            "orig_prompt": "clay",
            "video_url": LINK,
        },
        "usage": {"duration": 10.04, "input_video_duration": 5.02, "output_video_duration": 5.02, "SR": 720},
    },
    {"total": 1, "total_page": 1, "page_no": 1, "data": [{"task_id": TASK, "status": "RUNNING", "gmt_create": 1793e9}]},
    {"code": "InvalidParameter", "message": "no", "request_id": REQUEST},
    {"error": {"code": "Throttling.RateQuota", "message": "slow"}},
    {"data": {"policy": "p", "upload_host": "https://upload.example.com", "upload_dir": "dir", "expire_in_seconds": 3}},
]
CALLS: dict[str, Callable[[Client], Awaitable[object]]] = {
    "create": lambda client: client.create(BODY, path=PATH),
    "query": lambda client: client.query(TASK),
    "list": lambda client: client.list_tasks(),
    "cancel": lambda client: client.cancel(TASK),
    "policy": lambda client: client.upload_policy("wan2.7-videoedit"),
    "download": read,
}
SMALL = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.builds(dict) | st.builds(list)
)
STATUSES = st.sampled_from([200, 200, 200, 201, 204, 206, 301, 302, 304, 400, 401, 403, 404, 409, 416, 429, 500, 503])
HEADERS = st.dictionaries(
    st.sampled_from(["Retry-After", "Date", "Content-Type", "Content-Range", "ETag", "Location", "x-request-id"]),
    st.sampled_from(["", "0", "-1", "1e9", "bytes 0-0/0", "bytes */5", "a/b", '"x"', "http://[", "Mon, 99 Nov"])
    | st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12),
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Draw a good answer with some of its values replaced, or of its bytes."""
    body = json.loads(json.dumps(draw(st.sampled_from(GOOD))))
    for _ in range(draw(st.integers(0, 3))):
        body = _replaced(draw, body)
    text = bytearray(json.dumps(body).encode())
    for _ in range(draw(st.integers(0, 2))):
        start = draw(st.integers(0, len(text)))
        text[start : start + draw(st.integers(0, 4))] = draw(st.binary(max_size=3))
    return bytes(text)


def _replaced(draw: st.DrawFn, value: Any) -> Any:
    """Return a value with one of the values inside replaced."""
    inside = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    if not inside or not draw(st.integers(0, 3)):
        return draw(SMALL)
    key = draw(st.sampled_from(inside))
    value[key] = _replaced(draw, value[key])
    return value


@pytest.mark.parametrize("name", CALLS)
@given(status=STATUSES, headers=HEADERS, body=damaged() | st.binary(max_size=100))
@settings(max_examples=100, deadline=2000)
def test_any_answer_is_a_dataclass_or_an_error_of_the_service(
    name: str, status: int, headers: dict[str, str], body: bytes
) -> None:
    """And a create whose answer is no clear refusal is unsure, whatever else the answer says."""
    error = trio.run(_error_of, CALLS[name], httpx.Response(status, headers=headers, content=body))

    if name == "create" and error and not 400 <= status < 500:
        assert isinstance(error, Unsure)


async def _error_of(call: Callable[[Client], Awaitable[object]], answer: httpx.Response) -> Exception | None:
    async def handler(request: httpx.Request) -> httpx.Response:
        await trio.lowlevel.checkpoint()
        return answer

    async with client_on(handler) as client:
        try:
            await call(client)
        except (ServiceError, StartOver) as exc:
            return exc
    return None
