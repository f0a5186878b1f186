"""Reading what a server sends, within bounds: an answer's bytes, its JSON, and leaving a response half read."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import suppress
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import TYPE_CHECKING, NoReturn

import trio

from wanrun.client.fields import number

if TYPE_CHECKING:
    from collections.abc import Iterable

    import httpx

MAX_ANSWER_BYTES = 1 << 20
MAX_DEPTH = 64  #: of an answer's JSON
MAX_RETRY_AFTER_SECONDS = 3600.0
_MAX_BUFFERED_CHUNKS = 1 << 16  #: that are there without waiting: one read of the socket, in tiny pieces


async def read_answer(response: httpx.Response) -> bytes:
    """Return the body as sent, or nothing of it when it is longer than any answer of the service; leaves the response.

    Raw: a compressed body, which we never ask for, is not unpacked and so cannot grow in memory.
    """
    body = bytearray()
    chunks = raw_chunks(response)
    try:
        async for chunk in chunks:
            body += chunk
            if len(body) > MAX_ANSWER_BYTES:
                return b""
        return bytes(body)
    finally:
        await leave(response, chunks)


def raw_chunks(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    """Return the body's pieces as they come; to be handed to `leave` in the end."""
    # A transport in memory may hand over a body that has been read; only `aiter_bytes` gives that once more.
    chunks = response.aiter_bytes() if response.is_stream_consumed else response.aiter_raw()
    assert isinstance(chunks, AsyncGenerator)  # httpx promises an iterator only
    return chunks


async def leave(response: httpx.Response, chunks: AsyncGenerator[bytes, None]) -> None:
    """Close a response, wherever its reading stands.

    httpx nests five generators to read a body. Closing the outermost leaves the inner ones to the garbage collector,
    and trio warns of each; so they are asked for more where waiting is cancelled at once, which ends them all.
    """
    if not response.is_closed:  # a body that was read to its end has closed it, and ended them
        with suppress(Exception), trio.CancelScope() as scope:
            scope.cancel()
            for _ in range(_MAX_BUFFERED_CHUNKS):
                await anext(chunks)
    await chunks.aclose()
    await response.aclose()


def read_json(text: str) -> object:
    """Return the parsed text; None when it is no JSON, holds what JSON does not, or is nested too deeply."""
    try:
        value: object = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return None
    return value if _depth_ok(value) else None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _depth_ok(value: object) -> bool:
    level: list[object] = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return True
    return False


def _inside(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def retry_after_seconds(said: str | None, *, now: float) -> float | None:
    """Return the wait that a `Retry-After` header asks for, in seconds or as a date, cut to an hour; None for none."""
    seconds = number(said)
    if seconds is None and (at := date_at(said)) is not None:
        seconds = at - now
    return None if seconds is None else min(max(seconds, 0.0), MAX_RETRY_AFTER_SECONDS)


@lru_cache(maxsize=8)  # all answers of a second say the same
def date_at(said: str | None) -> float | None:
    """Return the epoch seconds of a date as HTTP headers write it; None for none."""
    try:
        at = parsedate_to_datetime(said or "")
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
