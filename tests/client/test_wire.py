"""What matters on the wire, told by a real server on this machine and the real clock."""

from __future__ import annotations

import hashlib
import json
import struct
import tracemalloc
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from socket import SO_LINGER, SOL_SOCKET
from typing import TYPE_CHECKING, Any

import h11
import pytest
import trio

from wanrun.client import Client, UploadPolicy, endpoint_for
from wanrun.errors import KeyRefused, LinkExpired, Unavailable, Unsure
from wanrun.types import Secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

KEY = "sk-canary0123456789"
TASK = "00000000-0000-4000-8000-000000000001"
PATH = "/services/aigc/video-generation/video-synthesis"
CREATED = json.dumps({"output": {"task_status": "PENDING", "task_id": TASK}, "request_id": "r"}).encode()


@dataclass
class Received:
    """One request as it came; of a long body only the beginning, the end and the hash are kept."""

    method: str = ""
    target: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    head: bytes = b""
    tail: bytes = b""
    length: int = 0
    digest: Any = field(default_factory=hashlib.sha256)

    def add(self, piece: bytes) -> None:
        """Take the next piece of the body."""
        self.head = self.head or piece
        self.tail = (self.tail + piece)[-4096:]
        self.length += len(piece)
        self.digest.update(piece)


Answering = "Callable[[Received, trio.SocketStream], Awaitable[None]]"


@dataclass
class Server:
    """A server that reads each request with h11 and lets the test answer with raw bytes."""

    port: int
    received: list[Received]

    @property
    def origin(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def client(self, **settings: Any) -> Client:
        """Return a client of it."""
        return Client(endpoint_for(base_url=f"{self.origin}/api/v1"), Secret(KEY), **settings)


@asynccontextmanager
async def serving(answer: Answering) -> AsyncIterator[Server]:
    """Serve on a free port until the block ends."""
    received: list[Received] = []

    async def serve(stream: trio.SocketStream) -> None:
        with suppress(h11.RemoteProtocolError, trio.BrokenResourceError):  # the client may leave at any time
            request = await read_request(stream)
            received.append(request)
            await answer(request, stream)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        yield Server(listeners[0].socket.getsockname()[1], received)
        nursery.cancel_scope.cancel()


async def read_request(stream: trio.SocketStream) -> Received:
    """Read one request to its end."""
    connection, request = h11.Connection(h11.SERVER), Received()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await stream.receive_some(65536))
        elif isinstance(event, h11.Request):
            request.method, request.target = event.method.decode(), event.target.decode()
            request.headers = {name.decode().lower(): value.decode() for name, value in event.headers}
        elif isinstance(event, h11.Data):
            request.add(bytes(event.data))
        else:
            return request


def replying(status: int, body: bytes = b"", **headers: str) -> Answering:
    """Answer with this and close."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]

    async def answer(request: Received, stream: trio.SocketStream) -> None:
        await stream.send_all("\r\n".join([*lines, "", ""]).encode() + body)

    return answer


def policy_at(origin: str) -> UploadPolicy:
    """Return an upload policy for the server."""
    return UploadPolicy(
        fetched_at=0.0,
        expires_in_seconds=300.0,
        upload_host=origin,
        upload_dir="dashscope-instant/x",
        max_file_bytes=None,
        policy="cG9saWN5",
        signature="signature+/=",
        access_key_id="access",
        object_acl="private",
        forbid_overwrite="true",
    )


async def test_a_create_is_exactly_the_documented_request() -> None:
    """Path, headers and bytes; nothing more that the service could read."""
    body: dict[str, Any] = {
        "model": "wan2.7-videoedit",
        "input": {
            "prompt": "Turn the whole scene into clay animation.",
            "media": [{"type": "video", "url": "https://example.com/in/clip-002.mp4"}],
        },
    }

    async with serving(replying(200, CREATED)) as server, server.client() as client:
        made = await client.create(body, path=PATH)

    (request,) = server.received
    content = json.dumps(body, separators=(",", ":")).encode()
    assert made.task_id == TASK
    assert (request.method, request.target) == ("POST", f"/api/v1{PATH}")
    assert (request.head, request.length) == (content, len(content))
    assert request.headers == {
        "host": f"127.0.0.1:{server.port}",
        "authorization": f"Bearer {KEY}",
        "content-type": "application/json",
        "content-length": str(len(content)),
        "x-dashscope-async": "enable",
        "user-agent": f"wanrun/{version('wanrun')}",
        "accept": "*/*",
        "accept-encoding": "identity",
        "connection": "keep-alive",
    }


async def test_a_create_waits_longer_than_other_calls() -> None:
    """Its answer may come later than any other would be waited for."""

    async def late(request: Received, stream: trio.SocketStream) -> None:
        await trio.sleep(0.3)
        await replying(200, CREATED)(request, stream)

    async with serving(late) as server, server.client(read_seconds=0.1, create_seconds=30) as client:
        assert (await client.create({"model": "m"}, path=PATH)).task_id == TASK


async def test_a_large_create_arrives_whole() -> None:
    """Ten megabytes of images in the body."""
    body: dict[str, Any] = {"model": "m", "input": {"media": [{"url": "data:image/png;base64," + "A" * 10_000_000}]}}

    async with serving(replying(200, CREATED)) as server, server.client() as client:
        await client.create(body, path=PATH)

    (request,) = server.received
    content = json.dumps(body, separators=(",", ":")).encode()
    assert request.headers["content-length"] == str(len(content))
    assert request.digest.hexdigest() == hashlib.sha256(content).hexdigest()


async def test_a_create_with_temporary_uploads_asks_to_resolve_them() -> None:
    """Without the header the service would not find them."""
    body: dict[str, Any] = {"model": "m", "input": {"media": [{"type": "video", "url": "oss://dashscope-instant/a"}]}}

    async with serving(replying(200, CREATED)) as server, server.client() as client:
        await client.create(body, path=PATH)

    assert server.received[0].headers["x-dashscope-ossresourceresolve"] == "enable"


async def test_the_async_header_is_on_the_create_only() -> None:
    """On a query the service would refuse it."""

    async with serving(replying(500)) as server, server.client() as client:
        for call in (
            client.query(TASK),
            client.list_tasks(),
            client.cancel(TASK),
            client.upload_policy("wan2.7-videoedit"),
        ):
            with pytest.raises(Unavailable):
                await call

    assert [(request.method, request.target) for request in server.received] == [
        ("GET", f"/api/v1/tasks/{TASK}"),
        ("GET", "/api/v1/tasks?page_no=1&page_size=100"),
        ("POST", f"/api/v1/tasks/{TASK}/cancel"),
        ("GET", "/api/v1/uploads?action=getPolicy&model=wan2.7-videoedit"),
    ]
    for request in server.received:
        assert request.headers["authorization"] == f"Bearer {KEY}"
        assert not [name for name in request.headers if name.startswith("x-dashscope")]
        assert request.length == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed_with_the_key(status: int) -> None:
    """The other server hears nothing, whichever call was sent there."""
    async with (
        serving(replying(200, CREATED)) as other,
        serving(replying(status, Location=other.origin)) as server,
        server.client() as client,
    ):
        with pytest.raises(Unsure, match="redirect"):
            await client.create({"model": "m"}, path=PATH)
        with pytest.raises(Unavailable, match="redirect"):
            await client.query(TASK)
        with pytest.raises(Unavailable, match="no redirect is followed"):
            await read(client, f"{server.origin}/out/a.mp4?Signature=x")

    assert len(server.received) == 3
    assert other.received == []


async def test_no_key_and_no_netrc_reach_links_and_uploads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who holds the link or the form needs no more."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password hidden\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    (tmp_path / "a.mp4").write_bytes(b"film")

    async with serving(replying(200, b"film", Set_Cookie="a=b")) as server, server.client() as client:
        assert await read(client, f"{server.origin}/out/a.mp4?Signature=x") == b"film"
        await client.upload(policy_at(server.origin), tmp_path / "a.mp4", name="a.mp4", mime="video/mp4")

    for request in server.received:
        assert not {"authorization", "cookie"} & set(request.headers)
        assert KEY not in repr(request)


async def test_proxies_are_never_asked_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy elsewhere could not reach it, and would read the key."""
    async with serving(replying(500)) as proxy, serving(replying(200, b"film")) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.origin)
        monkeypatch.setenv("NO_PROXY", "")
        async with server.client() as client:
            with pytest.raises(Unavailable, match="cannot be used"):
                await client.query(TASK)
            assert await read(client, f"{server.origin}/out/a.mp4") == b"film"

    assert proxy.received == []


async def test_a_proxy_that_refuses_has_not_seen_the_create(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was asked to connect and no more, so the create may be sent again."""
    async with serving(replying(407)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.origin)
        monkeypatch.setenv("NO_PROXY", "")
        endpoint = endpoint_for(base_url="https://service.invalid/api/v1")
        async with Client(endpoint, Secret(KEY)) as client:
            with pytest.raises(Unavailable, match="407"):
                await client.create({"model": "m"}, path=PATH)

    (request,) = proxy.received
    assert request.method == "CONNECT"
    assert KEY not in repr(request)


async def test_nobody_listening_means_not_sent() -> None:
    """A create that met a closed port may be sent again."""
    async with serving(replying(200, CREATED)) as server:
        pass

    async with server.client() as client:
        for call in (client.create({"model": "m"}, path=PATH), client.query(TASK)):
            with pytest.raises(Unavailable):
                await call


async def reset(request: Received, stream: trio.SocketStream) -> None:
    """Break the connection at once, as a crashed server does."""
    stream.socket.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
    stream.socket.close()
    await trio.lowlevel.checkpoint()


async def close(request: Received, stream: trio.SocketStream) -> None:
    """Close the connection without a word."""
    await stream.aclose()


async def cut(request: Received, stream: trio.SocketStream) -> None:
    """Promise more than is sent."""
    await stream.send_all(b"HTTP/1.1 200 OK\r\nX-Request-Id: r-7\r\nContent-Length: 999\r\n\r\n" + CREATED)


async def babble(request: Received, stream: trio.SocketStream) -> None:
    """Send back what came, as no HTTP server does."""
    await stream.send_all(repr(request).encode() + b"\r\n\r\n")


@pytest.mark.parametrize("answer", [reset, close, cut, babble])
async def test_a_connection_that_breaks_after_the_create_left_is_unsure(answer: Answering) -> None:
    """The task may exist; the same break of a query is only asked again."""
    async with serving(answer) as server, server.client() as client:
        with pytest.raises(Unsure) as caught:
            await client.create({"model": "m"}, path=PATH)
        with pytest.raises(Unavailable):
            await client.query(TASK)

    assert KEY not in str(caught.value)
    assert caught.value.request_id == ("r-7" if answer is cut else None)


async def drip(request: Received, stream: trio.SocketStream) -> None:
    """Send a long answer, a byte at a time, until the client leaves."""
    await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        await stream.send_all(b" ")
        await trio.sleep(0.01)


async def test_a_dripping_answer_is_bounded() -> None:
    """Each byte comes in time, the answer never does."""
    async with serving(drip) as server, server.client(read_seconds=0.2, create_seconds=0.2) as client:
        with pytest.raises(Unsure, match=r"within 0\.2 s"):
            await client.create({"model": "m"}, path=PATH)
        with pytest.raises(Unavailable, match=r"within 0\.2 s"):
            await client.query(TASK)


async def test_an_endless_answer_is_bounded() -> None:
    """Reading stops at the size that no answer has."""

    async def pour(request: Received, stream: trio.SocketStream) -> None:
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        for _ in range(1000):
            await stream.send_all(bytes(1_000_000))

    async with serving(pour) as server, server.client() as client:
        with pytest.raises(Unavailable, match="cannot be used"):
            await client.query(TASK)


async def test_a_download_can_be_left_half_read_and_resumed() -> None:
    """The connection closes without a trace, and the rest comes by its range."""
    film = bytes(range(256)) * 4096

    async def answer(request: Received, stream: trio.SocketStream) -> None:
        start = int(request.headers.get("range", "bytes=0-")[6:-1])
        partial = f"206 X\r\nContent-Range: bytes {start}-{len(film) - 1}/{len(film)}" if start else "200 OK"
        head = f'HTTP/1.1 {partial}\r\nETag: "abc"\r\nContent-Length: {len(film) - start}\r\n\r\n'
        await stream.send_all(head.encode() + film[start:])

    async with serving(answer) as server, server.client() as client:
        link = f"{server.origin}/out/a.mp4"
        async with client.download(link) as download:
            begun = await anext(aiter(download.chunks))
        assert 0 < len(begun) < len(film)
        rest = await read(client, link, offset=len(begun), etag=download.etag)

    assert begun + rest == film


async def test_a_download_cut_short_is_noticed() -> None:
    """A body that ends before its announced length is not a file."""
    async with serving(cut) as server, server.client() as client:
        with pytest.raises(Unavailable):
            await read(client, f"{server.origin}/out/a.mp4")


async def test_an_expired_link_says_so_without_its_signature() -> None:
    """The message names the file only."""
    async with serving(replying(403)) as server, server.client() as client:
        with pytest.raises(LinkExpired) as caught:
            await read(client, f"{server.origin}/out/a.mp4?Signature=hidden")

    assert str(caught.value) == f"download: {server.origin}/out/a.mp4 no longer works (403)"


async def test_an_upload_is_the_documented_form_with_the_file_last(tmp_path: Path) -> None:
    """The store ignores what follows the file, so nothing may."""
    (tmp_path / "a.mp4").write_bytes(b"film")

    async with serving(replying(200)) as server, server.client() as client:
        done = await client.upload(policy_at(server.origin), tmp_path / "a.mp4", name="job-1.mp4", mime="video/mp4")

    (request,) = server.received
    kind, _, boundary = request.headers["content-type"].partition("; boundary=")
    fields = {
        "OSSAccessKeyId": "access",
        "Signature": "signature+/=",
        "policy": "cG9saWN5",
        "x-oss-object-acl": "private",
        "x-oss-forbid-overwrite": "true",
        "key": "dashscope-instant/x/job-1.mp4",
        "success_action_status": "200",
        "x-oss-content-type": "video/mp4",
    }
    parts = [f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()]
    file = (
        'Content-Disposition: form-data; name="file"; filename="job-1.mp4"\r\nContent-Type: video/mp4\r\n\r\nfilm\r\n'
    )
    form = "".join(f"--{boundary}\r\n{part}" for part in [*parts, file]) + f"--{boundary}--\r\n"

    assert kind == "multipart/form-data"
    assert request.tail.decode() == form
    assert request.headers["content-length"] == str(len(form))
    assert "transfer-encoding" not in request.headers
    assert (done.url, done.bytes) == ("oss://dashscope-instant/x/job-1.mp4", 4)
    assert done.sha256 == hashlib.sha256(b"film").hexdigest()


async def test_an_upload_needs_little_memory_however_large_the_file(tmp_path: Path) -> None:
    """50 MB go through a few hundred kilobytes, hashed on their way."""
    path = tmp_path / "large.mp4"
    with path.open("wb") as file:
        file.truncate(50_000_000)
    tracemalloc.start()

    try:
        async with serving(replying(200)) as server, server.client() as client:
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            done = await client.upload(policy_at(server.origin), path, name="large.mp4", mime="video/mp4")
            grown = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()

    assert (done.bytes, server.received[0].length > 50_000_000) == (50_000_000, True)
    assert done.sha256 == hashlib.sha256(bytes(50_000_000)).hexdigest()
    assert grown < 4_000_000


async def test_an_upload_that_the_store_refuses_early_is_told_why(tmp_path: Path) -> None:
    """It answers before it has read the file, and closes."""
    path = tmp_path / "a.mp4"
    path.write_bytes(b"film")
    xml = b"<Error><Code>SignatureDoesNotMatch</Code><Message>no</Message></Error>"

    async with serving(replying(403, xml)) as server, server.client() as client:
        with pytest.raises(KeyRefused, match="SignatureDoesNotMatch"):
            await client.upload(policy_at(server.origin), path, name="a.mp4", mime="video/mp4")


async def test_cancelled_calls_give_their_connections_back() -> None:
    """However often calls are cancelled, the next one finds a connection."""

    async def slowly(request: Received, stream: trio.SocketStream) -> None:
        await trio.sleep(0.02 if request.target.endswith("slow") else 0)
        await replying(200, CREATED)(request, stream)

    async with serving(slowly) as server, server.client(max_connections=2) as client:
        for _ in range(50):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(give_up, client)
                nursery.start_soon(give_up, client)
        made = await client.create({"model": "m"}, path=PATH)

    assert made.task_id == TASK


async def give_up(client: Client) -> None:
    """Start a create and leave it."""
    with trio.move_on_after(0.005):
        await client.create({"model": "m"}, path=f"{PATH}/slow")


async def read(client: Client, link: str, *, offset: int = 0, etag: str | None = None) -> bytes:
    """Return what a link holds from `offset`."""
    async with client.download(link, offset=offset, etag=etag) as download:
        assert download.offset == offset
        return b"".join([chunk async for chunk in download.chunks])
