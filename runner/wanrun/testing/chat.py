"""A chat on loopback: keeps what is posted to it, and answers as it is told."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

POLL_SECONDS = 0.02  #: until it notices that it is closed


@dataclass(frozen=True)
class Post:
    """What a client has sent."""

    method: str
    path: str  #: with its query
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode(errors="replace")

    @property
    def json(self) -> Any:
        """The body as the JSON that it is."""
        return json.loads(self.body)


@dataclass(frozen=True)
class _Answer:
    status: int = 200
    body: bytes = b"ok"
    headers: Mapping[str, str] = field(default_factory=dict)


class ChatServer:
    """Serves on a free port from `with` on; `posts` is what has come in."""

    def __init__(self) -> None:
        self.posts: list[Post] = []
        self._answers: deque[_Answer] = deque()
        self._always = _Answer()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, args=(POLL_SECONDS,), daemon=True)

    @property
    def url(self) -> str:
        """Where it listens: `http://127.0.0.1:PORT`."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def answer_next(self, status: int, body: str = "", **headers: str) -> None:
        """Give this answer to the next request that has none yet: `answer_next(429, Retry_After="1")`."""
        self._answers.append(_Answer(status, body.encode(), _named(headers)))

    def answer_always(self, status: int, body: str = "ok", **headers: str) -> None:
        """Give this answer to every request that has none of its own."""
        self._always = _Answer(status, body.encode(), _named(headers))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _take(self, post: Post) -> _Answer:
        self.posts.append(post)
        return self._answers.popleft() if self._answers else self._always


def _named(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a client that has gone, as one that is cancelled has."""


def _handler(chat: ChatServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # or a body waits 40 ms for the client to have the headers

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            answer = chat._take(Post(self.command, self.path, dict(self.headers), body))
            self.send_response(answer.status)
            for name, value in {**answer.headers, "Content-Length": str(len(answer.body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815  # the library's names

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler
