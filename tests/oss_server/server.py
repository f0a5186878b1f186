"""The server on loopback: reads requests, has them checked and carried out, keeps a record, and fails on demand."""

from __future__ import annotations

import base64
import socket
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from oss_server.operations import Answer, Request, operation_of, perform
from oss_server.refusals import Refusal, absent, denied
from oss_server.signing import Asked, Key, check, pairs_of
from oss_server.storage import CHUNK_BYTES, Bucket

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from oss_server.faults import Fault
    from oss_server.storage import Object

REGION = "cn-hangzhou"
BUCKET = "results"
DOMAIN = "oss.test"  #: below which a host names a bucket
KEY = Key("LTAI5tTestKeyOfTheServer", "the-secret-that-signs-everything")


@dataclass
class Call:
    """One request as it came, and what it was answered."""

    operation: str
    method: str
    bucket: str
    key: str
    query: Mapping[str, str]
    headers: Mapping[str, str]  #: names in lower case
    bytes: int = 0  #: of the body, as far as it was read
    status: int = 0  #: 0 where nothing was answered
    code: str = ""  #: of a refusal


@dataclass
class OssServer:
    """Object storage on loopback, as a context manager; what it holds, its faults and its record are plain to see."""

    folder: Path
    keys: list[Key] = field(default_factory=lambda: [KEY])
    region: str = REGION  #: where the server is; a bucket may be elsewhere
    buckets: dict[str, Bucket] = field(default_factory=lambda: {BUCKET: Bucket(REGION)})
    faults: list[Fault] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    now: Callable[[], float] = time.time
    tls: ssl.SSLContext | None = None  #: when set, it speaks https
    released: threading.Event = field(default_factory=threading.Event)  #: ends what a fault holds
    held: threading.Event = field(default_factory=threading.Event)  #: set once a fault holds a request
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _numbers: Counter[str] = field(default_factory=Counter)

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.oss = self
        if self.tls is not None:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Its endpoint, for clients that name the bucket in the path."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def objects(self) -> dict[str, Object]:
        """The objects of the only bucket that most tests need."""
        return self.buckets[BUCKET].objects

    @property
    def uploads(self) -> list[str]:
        """The keys of multipart uploads that are neither complete nor aborted."""
        return [upload.key for bucket in self.buckets.values() for upload in bucket.uploads.values()]

    def done(self, operation: str) -> list[Call]:
        """Return the calls of an operation that were answered well."""
        return [call for call in self.calls if call.operation == operation and 200 <= call.status < 300]

    def fault_at(self, operation: str) -> Fault | None:
        """Count a call, and return what goes wrong with it."""
        with self._lock:
            self._numbers.update((operation, "*"))
            numbers = {name: self._numbers[name] for name in (operation, "*")}
        return next((fault for fault in self.faults if fault.meets(numbers)), None)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    oss: OssServer

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of connections that break: tests break them."""


class _Broken(Exception):
    """The connection is closed without an answer."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or a body waits 40 ms for the client to have the headers
    server: _Server

    def do_PUT(self) -> None:
        self._serve()

    do_GET = do_HEAD = do_POST = do_DELETE = do_PUT  # noqa: N815  # the names that http.server looks for

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""

    def _serve(self) -> None:
        oss = self.server.oss
        headers = {name.lower(): value for name, value in self.headers.items()}
        bucket, key, query = self._target(headers)
        call = Call("?", self.command, bucket, key, dict(query), headers)
        oss.calls.append(call)
        self._left = int(headers.get("content-length", "0"))
        try:
            answer = self._answered(call, query)
        except Refusal as refusal:
            call.code = refusal.code
            answer = self._refused(refusal, headers.get("host", ""))
        except (_Broken, ConnectionError):
            self._break()
            return
        call.status = answer.status
        if self._left:  # what was refused before its body was read
            self.close_connection = True
        self._send(answer)

    def _target(self, headers: Mapping[str, str]) -> tuple[str, str, tuple[tuple[str, str], ...]]:
        """Return bucket, key and query, by the host where it names the bucket, else by the path."""
        parts = urlsplit(self.path)
        host, path = headers.get("host", "").rpartition(":")[0], unquote(parts.path)[1:]
        if host.endswith(f".{DOMAIN}"):
            return host.removesuffix(f".{DOMAIN}"), path, pairs_of(parts.query)
        bucket, _, key = path.partition("/")
        return bucket, key, pairs_of(parts.query)

    def _answered(self, call: Call, query: tuple[tuple[str, str], ...]) -> Answer:
        oss = self.server.oss
        call.operation = operation_of(call.method, call.key, call.query)
        fault = oss.fault_at(call.operation)
        if fault is not None:
            self._before(call, fault)
        self._check(call, query)
        bucket = self._bucket(call)
        if "content-length" not in call.headers and call.method in ("PUT", "POST"):
            raise Refusal(411, "MissingContentLength", "You must provide the Content-Length HTTP header.")
        does = fault.does if fault is not None else ""
        if fault is not None and does == "garble":
            return Answer(fault.status, {"Content-Type": "text/html"}, self._garbled(call, fault))
        body = self._body(call, breaks=does if does in ("cut", "stall") else "")
        request = Request(bucket, call.bucket, call.key, call.query, call.headers, body, oss.now(), oss.folder)
        answer = perform(call.operation, request)
        if does == "hold":
            self._hold()
        if does in ("lose", "hold"):
            raise _Broken
        return answer

    def _before(self, call: Call, fault: Fault) -> None:
        if fault.does == "slow":
            time.sleep(fault.seconds)
        if fault.does == "drop":
            raise _Broken
        if fault.does == "refuse":
            for chunk in self._body(call):
                del chunk
            refusal = Refusal(fault.status, fault.code, fault.message, **fault.facts)
            refusal.headers = dict(fault.headers)
            raise refusal

    def _check(self, call: Call, query: tuple[tuple[str, str], ...]) -> None:
        resource = f"/{call.bucket}/{call.key}" if call.bucket else "/"
        asked = Asked(call.method, resource, query, call.headers)
        check(asked, self.server.oss.keys, region=self.server.oss.region, now=self.server.oss.now())

    def _bucket(self, call: Call) -> Bucket:
        bucket = self.server.oss.buckets.get(call.bucket)
        if bucket is None:
            raise absent("NoSuchBucket", "The specified bucket does not exist.", BucketName=call.bucket)
        if bucket.region != self.server.oss.region:
            raise denied(
                "The bucket you are attempting to access must be addressed using the specified endpoint. "
                "Please send all future requests to this endpoint.",
                Bucket=call.bucket,
                Endpoint=f"oss-{bucket.region}.aliyuncs.com",
            )
        return bucket

    def _body(self, call: Call, *, breaks: str = "") -> Iterator[bytes]:
        until = self._left // 2 if breaks else 0
        while self._left > until:
            chunk = self.rfile.read1(min(CHUNK_BYTES, self._left - until))
            if not chunk:
                raise _Broken
            self._left -= len(chunk)
            call.bytes += len(chunk)
            yield chunk
        if breaks == "stall":
            self._hold()
        if breaks:
            raise _Broken

    def _garbled(self, call: Call, fault: Fault) -> bytes:
        for chunk in self._body(call):
            del chunk
        return fault.message.encode() if call.method != "HEAD" else b""

    def _hold(self) -> None:
        self.server.oss.held.set()
        self.server.oss.released.wait()

    def _refused(self, refusal: Refusal, host: str) -> Answer:
        body = refusal.body(self._request_id, host)
        headers = {"Content-Type": "application/xml", "x-oss-ec": refusal.ec, **refusal.headers}
        if self.command == "HEAD":
            headers["x-oss-err"] = base64.b64encode(body).decode()
            body = b""
        return Answer(refusal.status, headers, body)

    @property
    def _request_id(self) -> str:
        return uuid4().hex[:24].upper()

    def _send(self, answer: Answer) -> None:
        length = len(answer.body) if answer.content is None else answer.content[2]
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("x-oss-request-id", self._request_id)
        if answer.status != 204:
            self.send_header("Content-Length", str(length))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(answer.body)
        if answer.content is not None:
            content, start, length = answer.content
            for chunk in content.chunks(start, length):
                self.wfile.write(chunk)

    def _break(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def version_string(self) -> str:
        """Name the server as OSS does."""
        return "AliyunOSS"
