"""What the tests of this folder share: a raw server, over TLS if need be, names of its own, and a client."""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import trio

from wanrun.client import Client, UploadPolicy, endpoint_for
from wanrun.types import Secret

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

KEY = "sk-canary0123456789"
TASK = "00000000-0000-4000-8000-000000000001"
PATH = "/services/aigc/video-generation/video-synthesis"
OUTSIDE = "https://service.invalid/api/v1"  #: a service that is not on this machine; nothing here ever calls it

Answer: TypeAlias = "Callable[[trio.abc.Stream], Awaitable[None]]"


@dataclass
class Server:
    """A server on this machine that sends raw bytes, whatever it is asked."""

    port: int
    heads: list[bytes] = field(default_factory=list)  #: of the requests, as they came
    connections: int = 0

    @property
    def origin(self) -> str:
        """Where it listens, without TLS."""
        return f"http://127.0.0.1:{self.port}"

    def client(self, **settings: Any) -> Client:
        """Return a client of a service at this place."""
        return Client(endpoint_for(base_url=f"{self.origin}/api/v1"), Secret(KEY), **settings)


@asynccontextmanager
async def serving(answer: Answer, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    """Serve on a free port of 127.0.0.1 until the block ends: read one request's head, answer, hang up."""
    server = Server(0)

    async def serve(raw: trio.SocketStream) -> None:
        server.connections += 1
        stream = raw if tls is None else trio.SSLStream(raw, tls, server_side=True, https_compatible=True)
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):  # the client may leave at any time
            server.heads.append(await _head(stream))
            await answer(stream)
            await stream.aclose()

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        server.port = listeners[0].socket.getsockname()[1]
        yield server
        nursery.cancel_scope.cancel()


async def _head(stream: trio.abc.Stream) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data and (more := await stream.receive_some()):
        data += more
    return data.partition(b"\r\n\r\n")[0]


def sending(body: bytes = b"", *, status: int = 200, **headers: str) -> Answer:
    """Answer with this."""
    lines = [f"HTTP/1.1 {status} X", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    if not {"Content_Length", "Transfer_Encoding"} & set(headers):
        lines.append(f"Content-Length: {len(body)}")

    async def answer(stream: trio.abc.Stream) -> None:
        await stream.send_all("\r\n".join([*lines, "", ""]).encode() + body)

    return answer


class Names(trio.abc.HostnameResolver):
    """Looks names up in a table; each name has its addresses, or one list of them after the other."""

    def __init__(self, table: Mapping[str, Sequence[str] | list[Sequence[str]]]) -> None:
        self._table, self.asked = table, [""][:0]

    async def getaddrinfo(
        self,
        host: bytes | None,
        port: bytes | str | int | None,
        family: int = 0,
        type: int = 0,  # the interface's own name
        proto: int = 0,
        flags: int = 0,
    ) -> Any:
        """Return what is in the table, or what the C library makes of numbers."""
        await trio.lowlevel.checkpoint()
        name = (host or b"").decode()
        self.asked.append(name)
        addresses = self._table[name]
        if isinstance(addresses, list):
            addresses = addresses.pop(0)
        inet = trio.socket.AF_INET, trio.socket.AF_INET6
        return [(inet[":" in each], trio.socket.SOCK_STREAM, 6, "", (each, port)) for each in addresses]

    async def getnameinfo(self, sockaddr: Any, flags: int) -> Any:
        """Nobody asks for this."""
        raise NotImplementedError


def names(table: Mapping[str, Sequence[str] | list[Sequence[str]]]) -> Names:
    """Let names be looked up in a table for the rest of this test."""
    found = Names(table)
    trio.socket.set_custom_hostname_resolver(found)
    return found


def policy_at(host: str) -> UploadPolicy:
    """Return a permission to upload to a host."""
    return UploadPolicy(
        fetched_at=0.0,
        expires_in_seconds=300.0,
        upload_host=host,
        upload_dir="dashscope-instant/x",
        max_file_bytes=None,
        policy="cG9saWN5",
        signature="signature",
        access_key_id="access",
        object_acl="private",
        forbid_overwrite="true",
    )


async def read(client: Client, link: str) -> bytes:
    """Return the bytes behind a link."""
    async with client.download(link) as download:
        return b"".join([chunk async for chunk in download.chunks])
