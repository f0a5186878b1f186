"""No answer is too large, too long, too slow or too deep to be left: real sockets, every call, time and memory told."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio
from safety_parts import PATH, TASK, policy_at, read, sending, serving

from wanrun.client import Client, StartOver, download
from wanrun.errors import ServiceError, Unavailable, Unsure

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from safety_parts import Answer

pytestmark = pytest.mark.slow

MEMORY_BYTES = 24 * 1024 * 1024  #: more than any of these needs, less than what they are sent
OK = b"HTTP/1.1 200 OK\r\n"
CALLS: dict[str, Callable[[Client], Awaitable[object]]] = {
    "create": lambda client: client.create({"model": "m"}, path=PATH),
    "query": lambda client: client.query(TASK),
    "list": lambda client: client.list_tasks(),
    "cancel": lambda client: client.cancel(TASK),
    "policy": lambda client: client.upload_policy("m"),
}


def dripping(before: bytes) -> Answer:
    """Send one byte each 50 ms for ever, behind this."""

    async def answer(stream: trio.abc.Stream) -> None:
        await stream.send_all(before)
        while True:
            await stream.send_all(b" ")
            await trio.sleep(0.05)

    return answer


def pouring(before: bytes, piece: bytes) -> Answer:
    """Send a piece over and over for ever, behind this."""

    async def answer(stream: trio.abc.Stream) -> None:
        await stream.send_all(before)
        while True:
            await stream.send_all(piece)

    return answer


CHUNK = b"100000\r\n" + bytes(1 << 20) + b"\r\n"  # a mebibyte, as chunked bodies write it
ENDLESS: dict[str, Answer] = {
    "a body, byte by byte": dripping(OK + b"Content-Length: 1000\r\n\r\n"),
    "a body without a length, byte by byte": dripping(OK + b"\r\n"),
    "a status line, byte by byte": dripping(b"HTTP/1.1 2"),
    "headers, byte by byte": dripping(OK + b"X-Long: "),
    "chunks without end": pouring(OK + b"Transfer-Encoding: chunked\r\n\r\n", CHUNK),
    "a body of 10 GiB": pouring(OK + b"Content-Length: 10737418240\r\n\r\n", bytes(1 << 20)),
    "a body without a length": pouring(OK + b"\r\n", bytes(1 << 20)),
    "one header without end": pouring(OK + b"X-Long: ", b"x" * (1 << 20)),
    "headers without end": pouring(OK, b"X-More: x\r\n" * 1000),
    "chunk lines without end": pouring(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1;" + b"x" * (1 << 20)),
    "interim answers without end": pouring(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    "nothing at all": dripping(b""),
}


@asynccontextmanager
async def little_memory(within_seconds: float = 20.0) -> AsyncIterator[None]:
    """Measure that the block ends in time and holds little meanwhile."""
    tracemalloc.start()
    try:
        with trio.fail_after(within_seconds):
            yield
        assert tracemalloc.get_traced_memory()[1] < MEMORY_BYTES
    finally:
        tracemalloc.stop()


@pytest.mark.slow
@pytest.mark.parametrize("answer", ENDLESS.values(), ids=ENDLESS)
async def test_no_api_answer_goes_on_for_ever(answer: Answer) -> None:
    """Each call has an end, whatever drips or pours; a create is unsure then, since a task may exist."""
    async with (
        serving(answer) as server,
        server.client(read_seconds=0.2, create_seconds=0.2) as client,
        little_memory(),
    ):
        for name in ("create", "query"):
            with pytest.raises(Unsure if name == "create" else Unavailable):
                await CALLS[name](client)


def nested(depth: int) -> bytes:
    """Return JSON that is nested so deep."""
    return b'{"output": ' + b"[" * depth + b"]" * depth + b"}"


ODD: dict[str, tuple[bytes, dict[str, str]]] = {
    "a compressed bomb": (gzip.compress(bytes(50 << 20)), {"Content_Encoding": "gzip"}),
    "more than a mebibyte": (b'{"output": "' + b"x" * (1 << 20) + b'"}', {}),
    "a million rows": (b'{"data": [' + b"{}," * 999_999 + b'{}], "total": 1000000}', {}),
    "65 levels": (nested(65), {}),
    "100,000 levels": (nested(100_000), {}),
    "a number of a million digits": (b'{"output": 1' + b"0" * 1_000_000 + b"}", {}),
    "a number that is none": (b'{"output": NaN}', {}),
    "no JSON": (b"<html>gateway</html>", {}),
    "no UTF-8": (b'{"output": "\xff\xfe"}', {}),
    "nothing": (b"", {}),
}


@pytest.mark.parametrize(("body", "headers"), ODD.values(), ids=ODD)
@pytest.mark.parametrize("name", sorted(CALLS.keys() - {"cancel"}))  # whose answer is not read: only a query tells
async def test_an_answer_of_no_use_is_a_clear_error(name: str, body: bytes, headers: dict[str, str]) -> None:
    """It is not unpacked, not held, and never taken for an empty account."""
    async with serving(sending(body, **headers)) as server, server.client() as client, little_memory():
        with pytest.raises(ServiceError):
            await CALLS[name](client)


async def test_a_list_of_a_billion_pages_is_one_page_to_its_reader() -> None:
    """The count is only a number; whoever reads on has a bound of their own."""
    row = {"task_id": TASK, "status": "RUNNING"}
    body = json.dumps({"data": [row], "total": 10**11, "total_page": 10**9, "page_no": 1}).encode()

    async with serving(sending(body)) as server, server.client() as client:
        page = await client.list_tasks()

    assert (len(page.rows), page.total_pages) == (1, 10**9)


@pytest.mark.slow
@pytest.mark.parametrize("answer", ENDLESS.values(), ids=ENDLESS)
async def test_no_download_goes_on_for_ever(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too large is said before it is read, too long when it is, and too slow when the grace is over."""
    monkeypatch.setattr(download, "MAX_BYTES", 3 << 20)
    monkeypatch.setattr(download, "GRACE_SECONDS", 0.2)

    async with serving(answer) as server, server.client(read_seconds=0.3) as client, little_memory():
        with pytest.raises(Unavailable):
            await read(client, f"{server.origin}/out/a.mp4")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (sending(b"x" * 9, Content_Length="10737418240"), "10737418240 bytes, more than any result"),
        (sending(gzip.compress(bytes(50 << 20)), Content_Encoding="gzip"), "came compressed"),
        (sending(b"x" * 9, Content_Length="90"), "."),
        (sending(b"x", Transfer_Encoding="gzip, chunked"), "."),
    ],
    ids=["10 GiB", "compressed", "cut short", "compressed by another name"],
)
async def test_an_odd_download_is_refused(answer: Answer, why: str) -> None:
    """With its reason, and without holding it."""
    async with serving(answer) as server, server.client() as client, little_memory():
        with pytest.raises(Unavailable, match=why):
            await read(client, f"{server.origin}/out/a.mp4")


async def test_a_part_that_was_not_asked_for_is_refused() -> None:
    """A range in answer to a whole file would be half a video."""
    answer = sending(b"x" * 9, status=206, Content_Range="bytes 1-9/10")

    async with serving(answer) as server, server.client() as client:
        with pytest.raises(StartOver):
            await read(client, f"{server.origin}/out/a.mp4")


@pytest.mark.parametrize("name", ["one header without end", "a body, byte by byte"])
async def test_no_answer_of_the_store_goes_on_for_ever(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An upload ends too, whatever it is answered."""
    monkeypatch.setattr("wanrun.client.upload.GRACE_SECONDS", 0.2)
    (tmp_path / "a.mp4").write_bytes(b"film")

    async with serving(ENDLESS[name]) as server, server.client(read_seconds=0.4) as client, little_memory():
        with pytest.raises(Unavailable):
            await client.upload(policy_at(server.origin), tmp_path / "a.mp4", name="a.mp4", mime="video/mp4")
