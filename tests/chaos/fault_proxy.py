"""A TCP proxy in front of a service that breaks connections in scripted ways, at the requests that a script names.

It reads no more HTTP than the first line and the headers of each request, which clients send in one piece, and passes
bytes on as they are. One request at a time goes over a connection, so that what comes back belongs to the latest one.
"""

from __future__ import annotations

import re
import socket
import struct
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING

import trio

from wanrun.emulator.calls import Kind, kind_of

if TYPE_CHECKING:
    from collections.abc import Callable

READ_BYTES = 64 * 1024
QUIET_SECONDS = 0.15  #: after which a request is taken for read
_REQUEST = re.compile(rb"(GET|POST|HEAD) (\S+) HTTP/1\.1\r\n")
_BROKEN = (trio.BrokenResourceError, trio.ClosedResourceError, OSError)


class How(StrEnum):
    """What happens to a request, or to its answer."""

    LATENCY = "latency"  #: passed on after a while
    REFUSED = "accept, then reset"  #: reset unread, and so is the next connection as soon as it is accepted
    CLOSED = "closed after reading"  #: read to its end, passed on to nobody, closed
    BLACKHOLE = "blackhole"  #: swallowed, and the connection stays open
    CUT_REQUEST = "request cut"  #: only its first bytes are passed on; both sides are reset
    RESET = "reset instead of an answer"  #: carried out; its answer is a reset
    HALF_CLOSE = "half-close instead of an answer"  #: carried out; the sending side is closed, the other stays open
    LOST_ANSWER = "answer lost"  #: carried out; the answer is swallowed, and the connection stays open
    CUT_ANSWER = "answer cut"  #: its first bytes come, then the connection is closed
    DRIP = "drip"  #: the answer comes in small pieces
    OTHER_RANGE = "another range"  #: the answer says that it begins elsewhere than it was asked to
    WHOLE = "part said to be whole"  #: a part of a file, with the status of a whole one


@dataclass(frozen=True)
class Fault:
    """One way to break a request, with its figures."""

    how: How
    bytes: int = 60  #: that still pass when something is cut
    seconds: float = 0.4  #: of latency; a drip lasts about as long


@dataclass(frozen=True)
class Request:
    """What a script is asked about."""

    kind: Kind
    resumed: bool  #: asks for a range
    number: int  #: of its kind, since the script began; from 1


@dataclass
class Proxy:
    """Stands between clients and one service on this machine."""

    service_port: int = 0
    script: Callable[[Request], Fault | None] = lambda _: None
    struck: Counter[How] = field(default_factory=Counter)
    reset_next: bool = False  #: the next connection, as soon as it is accepted
    _asked: Counter[Kind] = field(default_factory=Counter)

    def follow(self, script: Callable[[Request], Fault | None]) -> None:
        """Begin with another script."""
        self.script, self.reset_next = script, False
        self._asked.clear()

    async def serve(self, *, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled; reports the port."""
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        task_status.started(listener.socket.getsockname()[1])
        await trio.serve_listeners(self._serve_one, [listener])

    async def _serve_one(self, client: trio.SocketStream) -> None:
        if self.reset_next:
            self.reset_next = False
            await _reset(client)
            return
        try:
            service = await trio.open_tcp_stream("127.0.0.1", self.service_port)
            await _Pair(self, client, service).run()
        except _BROKEN:
            pass
        finally:
            await trio.aclose_forcefully(client)

    def fault_for(self, head: bytes) -> Fault | None:
        """Return what is to happen to a request that begins like this."""
        match = _REQUEST.match(head)
        assert match is not None
        kind = kind_of(match[1].decode(), match[2].decode().partition("?")[0])
        self._asked[kind] += 1
        fault = self.script(Request(kind, b"\r\nrange:" in head.lower(), self._asked[kind]))
        if fault is not None:
            self.struck[fault.how] += 1
            self.reset_next |= fault.how is How.REFUSED
        return fault


class _Pair:
    """A client's connection and the one to the service that belongs to it."""

    def __init__(self, proxy: Proxy, client: trio.SocketStream, service: trio.SocketStream) -> None:
        self._proxy, self._client, self._service = proxy, client, service
        self._fault: Fault | None = None  # of the latest request
        self._passed = 0  # bytes of its answer

    async def run(self) -> None:
        """Pass bytes on, both ways, until either side is gone."""
        try:
            async with trio.open_nursery() as nursery:
                for pump in (self._requests, self._answers):
                    nursery.start_soon(self._until_end, pump, nursery.cancel_scope)
        finally:
            await trio.aclose_forcefully(self._service)

    async def _until_end(self, pump: Callable[[], object], scope: trio.CancelScope) -> None:
        with suppress(*_BROKEN):
            await pump()  # type: ignore[misc]  # both are coroutine functions
        scope.cancel()

    async def _requests(self) -> None:
        while chunk := await self._client.receive_some(READ_BYTES):
            if _REQUEST.match(chunk):
                self._fault, self._passed = self._proxy.fault_for(chunk), 0
            await self._pass_request(chunk)

    async def _pass_request(self, chunk: bytes) -> None:
        fault = self._fault
        how = fault.how if fault else None
        if how is How.REFUSED:
            await _reset(self._client)
        elif how is How.CLOSED:
            await self._read_to_end()
            await self._client.aclose()
        elif how is How.BLACKHOLE:
            await _wait_for_end(self._client)
        elif how is How.CUT_REQUEST:
            await self._service.send_all(chunk[: fault.bytes])
            await _reset(self._service, self._client)
        else:
            if how is How.LATENCY and _REQUEST.match(chunk):
                await trio.sleep(fault.seconds)
            await self._service.send_all(chunk)

    async def _read_to_end(self) -> None:
        while True:
            with trio.move_on_after(QUIET_SECONDS) as quiet:
                if not await self._client.receive_some(READ_BYTES):
                    return
            if quiet.cancelled_caught:
                return

    async def _answers(self) -> None:
        while chunk := await self._service.receive_some(READ_BYTES):
            await self._pass_answer(chunk)
            self._passed += len(chunk)

    async def _pass_answer(self, chunk: bytes) -> None:
        fault = self._fault
        how = fault.how if fault else None
        if how is How.RESET:
            await _reset(self._client)
        elif how is How.HALF_CLOSE:
            await self._client.send_eof()
            await trio.sleep_forever()  # until the client closes its side
        elif how is How.LOST_ANSWER:
            await trio.sleep_forever()
        elif how is How.CUT_ANSWER:
            await self._client.send_all(chunk[: max(0, fault.bytes - self._passed)])
            if self._passed + len(chunk) >= fault.bytes:
                await self._client.aclose()
        elif how is How.DRIP and not self._passed:
            await self._drip(chunk, fault.seconds)
        else:
            await self._client.send_all(_ALTERED.get(how, bytes)(chunk))

    async def _drip(self, chunk: bytes, seconds: float) -> None:
        size = max(1, len(chunk) // 20)
        for start in range(0, len(chunk), size):
            await self._client.send_all(chunk[start : start + size])
            await trio.sleep(seconds / 20)


#: What is written over an answer, byte for byte, so that its length stays what it says.
_ALTERED = {
    How.OTHER_RANGE: partial(re.sub, rb"(?i)(content-range: bytes )\d", rb"\g<1>9"),
    How.WHOLE: partial(re.sub, rb"^HTTP/1.1 206", b"HTTP/1.1 200"),
}


async def _wait_for_end(stream: trio.SocketStream) -> None:
    while await stream.receive_some(READ_BYTES):
        pass


async def _reset(*streams: trio.SocketStream) -> None:
    """Close connections hard: with this option, closing sends RST."""
    for stream in streams:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    for stream in streams:
        await trio.aclose_forcefully(stream)
