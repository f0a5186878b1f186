"""A client on an in-memory network, and a look at its errors, for the tests of this folder."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trio

from wanrun.client import Client, endpoint_for
from wanrun.errors import ServiceError
from wanrun.types import Secret

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

KEY = "sk-canary0123456789"
TASK = "00000000-0000-4000-8000-000000000001"
REQUEST = "10000000-0000-4000-8000-000000000001"
PATH = "/services/aigc/video-generation/video-synthesis"
BODY: dict[str, Any] = {"model": "wan2.7-videoedit", "input": {"media": []}}
LINK = "https://results.example.com/out/a.mp4?Expires=1793671471&Signature=hidden"


def client_of(answer: httpx.Response | Exception, seen: list[httpx.Request] | None = None) -> Client:
    """Return a client whose every call gets this answer; `seen` collects the requests."""

    async def handler(request: httpx.Request) -> httpx.Response:
        await trio.lowlevel.checkpoint()
        if seen is not None:
            seen.append(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return client_on(handler)


def client_on(handler: Callable[[httpx.Request], Awaitable[httpx.Response]], **settings: Any) -> Client:
    """Return a client on an in-memory network."""
    endpoint = endpoint_for(workspace="ws-1")
    return Client(endpoint, Secret(KEY), transport=httpx.MockTransport(handler), now=lambda: 1000.0, **settings)


async def error_of(call: Awaitable[object]) -> ServiceError:
    """Return the error that a call raises, after a look that no text of it shows the key or a link's query."""
    with pytest.raises(ServiceError) as caught:
        await call
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert KEY not in shown
    assert "hidden" not in shown
    return caught.value


def refused(status: int, code: str, message: str = "No.") -> httpx.Response:
    """Return an error answer as the service gives it."""
    return httpx.Response(status, json={"code": code, "message": message, "request_id": REQUEST})


async def read(client: Client, *, offset: int = 0, etag: str | None = None) -> tuple[int, bytes]:
    """Return where a download starts and its bytes."""
    async with client.download(LINK, offset=offset, etag=etag) as download:
        return download.offset, b"".join([chunk async for chunk in download.chunks])
