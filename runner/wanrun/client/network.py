"""Connections for links, which the service answers and which may lead anywhere: to allowed addresses only.

A name is looked up once, every address that it has is checked, and the connection goes to one of those, so that
nothing can be looked up differently between check and connection. TLS still checks the name of the link. Where a proxy
of the environment is used, the proxy looks names up and decides; numeric addresses are refused before it is asked.
"""

from __future__ import annotations

import math
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING

import httpcore
import httpx
import trio
from httpx._utils import get_environment_proxies  # offered to nobody; a reading of our own would differ in NO_PROXY

from wanrun.client.addresses import Reach, numeric
from wanrun.client.endpoint import LOOPBACK_PATTERNS
from wanrun.errors import Unavailable

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

HEAD_START_SECONDS = 0.25  #: that an address has before the next one is tried beside it (RFC 8305)


class LinkRefused(Unavailable):
    """A link leads where none may; nothing was sent. The service may give another one."""


class AddressRefused(httpx.ConnectError):
    """As `LinkRefused`, inside of httpx."""


class GuardedNetwork(httpcore.AsyncNetworkBackend):
    """Connects to what `reach` allows, and to nothing of a host that has any other address."""

    def __init__(self, reach: Reach, *, resolve: Callable[[str, int], Awaitable[Sequence[str]]] | None = None) -> None:
        """Make it; `resolve` looks up the numeric addresses of a host."""
        self._reach, self._resolve = reach, resolve or _resolved
        self._network = httpcore.TrioBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # httpcore's interface
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect; raises `AddressRefused`, and httpcore's errors as every backend does."""
        with trio.move_on_after(math.inf if timeout is None else timeout):
            connect = partial(
                self._network.connect_tcp,
                port=port,
                timeout=timeout,
                local_address=local_address,
                socket_options=socket_options,
            )
            return await _first(await self._allowed(host, port), connect)
        raise httpcore.ConnectTimeout(f"no connection to {host} within {timeout} s")

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109  # httpcore's interface
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Refuse: no link leads to a socket of this machine."""
        raise AddressRefused("links lead to no unix socket")

    async def sleep(self, seconds: float) -> None:
        """Sleep, as httpcore asks for between tries."""
        await trio.sleep(seconds)

    async def _allowed(self, host: str, port: int) -> Sequence[str]:
        try:
            addresses = await self._resolve(host, port)
        except (OSError, UnicodeError) as exc:
            raise httpcore.ConnectError(f"{host} cannot be looked up: {exc}") from exc
        for address in addresses:
            if not self._reach.allows(address):
                raise AddressRefused(refusal_of(host, address))
        return addresses


async def _resolved(host: str, port: int) -> Sequence[str]:
    found = await trio.socket.getaddrinfo(host, port, type=trio.socket.SOCK_STREAM)
    return list(dict.fromkeys(str(place[0]) for *_, place in found))


async def _first(
    addresses: Sequence[str], connect: Callable[[str], Awaitable[httpcore.AsyncNetworkStream]]
) -> httpcore.AsyncNetworkStream:
    """Return the connection to the address that answers first; each one has a head start before the next."""
    made: list[httpcore.AsyncNetworkStream] = []
    failures: list[Exception] = [httpcore.ConnectError("the host has no address")]

    async def attempt(address: str, ended: trio.Event) -> None:
        try:
            stream = await connect(address)
        except (httpcore.ConnectError, httpcore.ConnectTimeout) as exc:
            failures.append(exc)
        else:
            (unused if made else kept).push_async_callback(stream.aclose)
            made.append(stream)
            nursery.cancel_scope.cancel()
        ended.set()

    async with AsyncExitStack() as unused, AsyncExitStack() as kept:
        async with trio.open_nursery() as nursery:
            for address in addresses:
                ended = trio.Event()
                nursery.start_soon(attempt, address, ended)
                with trio.move_on_after(HEAD_START_SECONDS):
                    await ended.wait()
        if made:
            kept.pop_all()  # else, or when we are cancelled at this very moment, it is closed again
            return made[0]
    raise failures[-1]


class _ThroughProxy(httpx.AsyncHTTPTransport):
    """Asks a proxy for names and public addresses only; which address a name has, the proxy decides."""

    def __init__(self, reach: Reach, proxy: str, *, verify: ssl.SSLContext | bool, limits: httpx.Limits) -> None:
        super().__init__(verify=verify, limits=limits, proxy=proxy)
        self._reach = reach

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        host = request.url.host
        address = numeric(host)
        if address is not None and not self._reach.allows(address):
            raise AddressRefused(refusal_of(host, address))
        if address is None and (host == "localhost" or host.endswith(".localhost")):
            raise AddressRefused(refusal_of(host, "this machine"))
        return await super().handle_async_request(request)


class _Direct(httpx.AsyncHTTPTransport):
    """A transport whose connections are guarded."""

    def __init__(self, reach: Reach, *, verify: ssl.SSLContext | bool, limits: httpx.Limits) -> None:
        super().__init__(verify=verify, limits=limits)
        self._pool = httpcore.AsyncConnectionPool(  # as httpx makes it, which takes no network of ours
            ssl_context=verify if not isinstance(verify, bool) else None,
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            network_backend=GuardedNetwork(reach),
        )


def link_transports(
    reach: Reach, *, verify: ssl.SSLContext | bool, limits: httpx.Limits
) -> tuple[httpx.AsyncBaseTransport, Mapping[str, httpx.AsyncBaseTransport | None]]:
    """Return the transport for links, and those through proxies of the environment by the addresses they serve.

    Never a proxy for this machine. Raises what httpx raises for a proxy that cannot be used.
    """
    proxies: dict[str, httpx.AsyncBaseTransport | None] = {
        pattern: _ThroughProxy(reach, proxy, verify=verify, limits=limits) if proxy else None
        for pattern, proxy in get_environment_proxies().items()
    }
    return _Direct(reach, verify=verify, limits=limits), proxies | dict.fromkeys(LOOPBACK_PATTERNS)


def refusal_of(host: str, address: str) -> str:
    """Return the words for a link that leads where none may."""
    where = address if host == address else f"{host}, which is {address}"
    return (
        f"the link leads to {where}, no public address, and is not followed; "
        "if your own network wants it so, allow it with link_networks in wanrun.toml"
    )
