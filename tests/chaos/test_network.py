"""Whatever breaks the connections, nothing is paid twice, and a run without faults brings everything home."""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest
import trio

from chaos import network
from chaos.fault_proxy import Fault, How, Proxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ANSWER = b"HTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\nContent-Range: bytes 12-16/17\r\n\r\nhello"


@pytest.mark.slow
def test_every_fault_at_every_phase_pays_once_and_loses_nothing() -> None:
    """By the account's own statement and the files in the sink's folder; each fault has really happened."""
    found = network.measure(network.CI)

    assert found["problems"] == []
    assert (found["paid_twice"], found["cases_without_a_fault"]) == (0, 0)
    assert found["done"] + found["held"] == found["jobs"]
    assert found["cases"] >= 48
    assert found["requests_broken"] > 1.5 * found["cases"]  # in the first run more than one of a case
    assert found["resumed_by_range"] > 10


class Trial:
    """A proxy in front of a service that gives one answer to everything, and what that service heard."""

    def __init__(self, fault: Fault) -> None:
        self.proxy = Proxy(script=lambda _: fault)
        self.heard, self.has_heard = b"", trio.Event()

    @asynccontextmanager
    async def client(self) -> AsyncIterator[trio.SocketStream]:
        """Ask one thing through the proxy."""
        async with trio.open_nursery() as nursery:
            (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
            nursery.start_soon(trio.serve_listeners, self._answer, [listener])
            self.proxy.service_port = listener.socket.getsockname()[1]
            self.port = await nursery.start(self.proxy.serve)
            async with await trio.open_tcp_stream("127.0.0.1", self.port) as client:
                await client.send_all(b"GET /api/v1/tasks/1 HTTP/1.1\r\nHost: here\r\n\r\n")
                yield client
            nursery.cancel_scope.cancel()

    async def _answer(self, stream: trio.SocketStream) -> None:
        async with stream:
            with suppress(trio.BrokenResourceError):  # a request that was cut is reset on this side, too
                self.heard += await stream.receive_some()
                self.has_heard.set()
                await stream.send_all(ANSWER)
                await trio.sleep_forever()


async def _all_of(client: trio.SocketStream) -> bytes:
    return b"".join([chunk async for chunk in client])


@pytest.mark.parametrize("how", [How.REFUSED, How.RESET, How.CUT_REQUEST], ids=str)
async def test_a_reset_is_a_reset(how: How) -> None:
    """The client meets an error, not an end."""
    async with Trial(Fault(how)).client() as client:
        with pytest.raises(trio.BrokenResourceError):
            await client.receive_some()


async def test_after_a_refusal_the_next_connection_is_reset_at_once() -> None:
    """Before it has said anything; the one after that works."""
    trial = Trial(Fault(How.REFUSED))
    async with trial.client() as client:
        with pytest.raises(trio.BrokenResourceError):
            await client.receive_some()
        async with await trio.open_tcp_stream("127.0.0.1", trial.port) as second:
            with pytest.raises(trio.BrokenResourceError):
                await second.receive_some()

        assert not trial.proxy.reset_next


async def test_what_is_cut_ends_after_so_many_bytes() -> None:
    """Of the request at the service, of the answer at the client."""
    request, answer = Trial(Fault(How.CUT_REQUEST, bytes=7)), Trial(Fault(How.CUT_ANSWER, bytes=9))
    async with request.client():
        await request.has_heard.wait()
    async with answer.client() as client:
        assert await _all_of(client) == ANSWER[:9]

    assert request.heard == b"GET /ap"


async def test_a_half_closed_connection_still_takes_bytes() -> None:
    """The end of the answer comes, and nothing else is closed."""
    async with Trial(Fault(How.HALF_CLOSE)).client() as client:
        assert await client.receive_some() == b""
        await client.send_all(b"more")


async def test_closed_after_reading_is_an_end_that_the_service_never_heard_of() -> None:
    """The client meets an end without an answer."""
    trial = Trial(Fault(How.CLOSED))
    async with trial.client() as client:
        assert await client.receive_some() == b""

    assert trial.heard == b""


@pytest.mark.parametrize(("how", "heard"), [(How.BLACKHOLE, False), (How.LOST_ANSWER, True)], ids=str)
async def test_what_is_swallowed_never_ends(how: How, heard: bool) -> None:
    """Nothing comes; whether the service heard of it is what tells the two apart."""
    trial = Trial(Fault(how))
    async with trial.client() as client:
        with trio.move_on_after(0.3) as scope:
            await client.receive_some()

        assert scope.cancelled_caught
        assert bool(trial.heard) is heard


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        pytest.param(How.LATENCY, ANSWER, id="latency"),
        pytest.param(How.DRIP, ANSWER, id="drip"),
        pytest.param(How.OTHER_RANGE, ANSWER.replace(b"bytes 12", b"bytes 92"), id="another range"),
        pytest.param(How.WHOLE, ANSWER.replace(b"206", b"200"), id="said to be whole"),
    ],
)
async def test_what_only_comes_otherwise_comes_whole(how: How, expected: bytes) -> None:
    """Later, in pieces, or with other words, but every byte."""
    async with Trial(Fault(how)).client() as client:
        answer = b""
        while len(answer) < len(ANSWER):
            answer += await client.receive_some()

    assert answer == expected
