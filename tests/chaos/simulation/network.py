"""The wire of a simulation: what a life sends is carried out by the account even if that life does not live to see it.

Also the record of it: what left when, and what came back. It knows the service's accounts by their hosts.
"""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx
import trio

from wanrun.emulator import account_transport
from wanrun.emulator.calls import Call, Kind

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from chaos.simulation.life import Life
    from chaos.simulation.service import Service
MOST_CALLS = 20_000  #: of one history; more mean that something asks without end


@dataclass(slots=True)
class Sent:
    """One call as it left, and what came back of it; times on trio's clock."""

    life: int
    host: str
    kind: Kind
    sent_at: float
    request: httpx.Request
    content: bytes
    back: trio.Event = field(default_factory=trio.Event)
    answered_at: float | None = None  #: when the life had the head of its answer; None: never
    read_at: float | None = None  #: when it had the whole of it
    response: httpx.Response | None = None
    error: httpx.TransportError | None = None

    @property
    def status(self) -> int | None:
        """The status of the answer, whether the life has seen it or not."""
        return self.response.status_code if self.response is not None else None


class Network:
    """The accounts by host, and every call that was ever sent to them."""

    def __init__(self, accounts: dict[str, Service], nursery: trio.Nursery) -> None:
        self.accounts = accounts
        self.sent: list[Sent] = []
        self._nursery = nursery
        hosts = {**accounts, **{httpx.URL(account.origin).host: account for account in accounts.values()}}
        self._transports = {host: account_transport(account) for host, account in hosts.items()}

    def wire(self, life: Life, number: int) -> httpx.AsyncBaseTransport:
        """Return the transport of one life."""
        return _Wire(self, life, number)

    def send(self, request: httpx.Request, content: bytes, life: int) -> Sent:
        """Let a call leave; it is carried out whatever becomes of the one who sent it."""
        if len(self.sent) == MOST_CALLS:
            raise AssertionError(f"{MOST_CALLS} calls were sent: something asks without end")
        kind = Call(request.method, request.url.path).kind
        sent = Sent(life, request.url.host, kind, trio.current_time(), request, content)
        self.sent.append(sent)
        self._nursery.start_soon(self._carry, sent)
        return sent

    async def _carry(self, sent: Sent) -> None:
        try:
            sent.response = await self._transports[sent.host].handle_async_request(sent.request)
        except httpx.TransportError as exc:
            sent.error = exc
        sent.back.set()


class _Wire(httpx.AsyncBaseTransport):
    def __init__(self, network: Network, life: Life, number: int) -> None:
        self._network, self._life, self._number = network, life, number

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await trio.lowlevel.checkpoint()
        assert isinstance(request.stream, httpx.AsyncByteStream)
        content = b"".join([piece async for piece in request.stream])
        request.stream = httpx.ByteStream(content)
        self._life.step("send")
        sent = self._network.send(request, content, self._number)
        self._life.step("sent")
        self._life.unplug.append(sent.back.set)
        await sent.back.wait()
        self._life.step("reply")
        sent.answered_at = trio.current_time()
        if sent.error is not None:
            raise sent.error
        assert sent.response is not None
        assert isinstance(sent.response.stream, httpx.AsyncByteStream)
        body = _Body(sent.response.stream, self._life, sent)
        return httpx.Response(sent.response.status_code, headers=sent.response.headers, stream=body)


class _Body(httpx.AsyncByteStream):
    def __init__(self, inner: httpx.AsyncByteStream, life: Life, sent: Sent) -> None:
        self._inner, self._life, self._sent = inner, life, sent

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async with aclosing(aiter(self._inner)) as chunks:  # type: ignore[type-var]  # it is a generator
            async for chunk in chunks:
                self._life.step("chunk")
                yield chunk
        self._sent.read_at = trio.current_time()

    async def aclose(self) -> None:
        await self._inner.aclose()
