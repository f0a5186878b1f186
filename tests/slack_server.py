"""Slack on loopback: one webhook and the part of the Web API that posts, changes and takes files, as strict as it is.

It is judged by Slack's own client in `tests/plugins/test_slack_server.py`, so that ours is not its only reader.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qsl, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

TOKEN = "xoxb-1234567890-canary"
WEBHOOK_PATH = "/services/T012345/B012345/canary7secret"
CHANNEL = "C0123456789"
WEBHOOK_CHANNEL = "C0HOOK"  #: where the webhook leads
MOST_BLOCKS = 50
LIMITS = {"section": 3000, "header": 150, "context": 3000}
SCOPES = frozenset({"chat:write", "files:write", "files:read"})


@dataclass
class Message:
    """One message in a channel."""

    channel: str
    ts: str
    at: float  #: when it was posted, on the clock of this machine
    body: dict[str, Any]
    edits: list[dict[str, Any]] = field(default_factory=list)

    @property
    def now(self) -> dict[str, Any]:
        """The message as people see it."""
        return self.edits[-1] if self.edits else self.body

    @property
    def thread(self) -> str | None:
        """The message that it answers."""
        thread: str | None = self.body.get("thread_ts")
        return thread

    @property
    def words(self) -> str:
        """All that its blocks say, a line each."""
        return "\n".join(text["text"] for text in texts(self.now.get("blocks", [])))


@dataclass
class File:
    """One file that is uploaded, and shared or not yet."""

    id: str
    name: str
    length: int
    sha256: str | None = None  #: of what was sent
    title: str = ""
    channel: str | None = None
    thread: str | None = None


class Refused(Exception):
    """Slack says no, in its own word."""

    def __init__(self, error: str, **more: Any) -> None:
        super().__init__(error)
        self.error, self.more = error, more


def texts(blocks: Any) -> list[dict[str, Any]]:
    """Return the text objects of blocks, in order."""
    found = []
    for block in blocks:
        found += [block["text"]] if "text" in block else []
        found += block.get("elements", [])
    return found


class SlackServer:
    """Serves while the context lasts; `answers` are given instead, one for each of the next requests.

    Of files it keeps the checksum, and the bytes where it is given a folder.
    """

    def __init__(self, *, a_second: bool = True, scopes: frozenset[str] = SCOPES, folder: Path | None = None) -> None:
        self.messages: list[Message] = []
        self.files: dict[str, File] = {}
        self.calls: list[str] = []
        self.times: list[float] = []
        self.answers: list[tuple[int, dict[str, str], str] | str] = []  #: or "hang" or "break"
        self.heard: Callable[[str], None] = lambda call: None  #: hears of each call once it is carried out, unanswered
        self.archived: set[str] = set()
        self._a_second, self._scopes, self._folder = a_second, scopes, folder
        self._posted_at: dict[str, float] = {}
        self._ids = count(1)
        self._lock = Lock()

    def __enter__(self) -> Self:
        slack = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # or a body waits 40 ms for the client to have the headers

            def do_POST(self) -> None:
                slack._serve(self)

            def do_GET(self) -> None:
                slack._serve(self)

            def log_message(self, *args: object) -> None:
                """Print nothing."""

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Where it serves."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def webhook(self) -> str:
        """The address of its webhook."""
        return f"{self.url}{WEBHOOK_PATH}"

    @property
    def api(self) -> str:
        """The address of its Web API."""
        return f"{self.url}/api/"

    def said(self, channel: str = CHANNEL) -> list[Message]:
        """Return what people see in a channel: what is not only in a thread."""
        shown = [each for each in self.messages if each.thread is None or each.body.get("reply_broadcast")]
        return [each for each in shown if each.channel == channel]

    def shared(self, title: str) -> bytes | None:
        """Return the bytes that were shared last under a title in the channel; None if there are none."""
        found = [file.id for file in self.files.values() if (file.title, file.channel) == (title, CHANNEL)]
        return self._kept(found[-1]).read_bytes() if found else None

    # One request

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        if handler.headers.get("Transfer-Encoding"):
            handler.send_error(411)
            return
        length = int(handler.headers.get("Content-Length") or 0)
        call = parts.path.removeprefix("/api/") if parts.path.startswith("/api/") else parts.path.split("/")[1]
        with self._lock:
            self.calls.append(call)
            self.times.append(time.monotonic())
            scripted = self.answers.pop(0) if self.answers else None
        body = self._received(handler, length, parts.path) if call == "upload" else handler.rfile.read(length)
        if scripted == "hang":
            time.sleep(30)
        if isinstance(scripted, str):
            handler.close_connection = True
            return
        status, headers, answer = scripted or self._answer(handler, call, parts.path, parts.query, body)
        self.heard(call)
        data = answer.encode()
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(data)

    def _answer(
        self, handler: BaseHTTPRequestHandler, call: str, path: str, query: str, body: bytes
    ) -> tuple[int, dict[str, str], str]:
        with self._lock:
            if call == "services":
                return self._hook(handler, path, body)
            if call == "upload":
                return self._take(path, body)
            json_type = {"Content-Type": "application/json; charset=utf-8"}
            try:
                self._authorize(handler)
                arguments = _arguments(handler.headers.get("Content-Type", ""), body) | dict(parse_qsl(query))
                method: Any = getattr(self, f"_{call.replace('.', '_')}", None)
                if method is None:
                    raise Refused("unknown_method")
                return 200, json_type, json.dumps({"ok": True, **method(arguments)})
            except Refused as exc:
                if exc.error == "ratelimited":
                    return 429, {"Retry-After": "1", **json_type}, json.dumps({"ok": False, "error": exc.error})
                return 200, json_type, json.dumps({"ok": False, "error": exc.error, **exc.more})

    def _authorize(self, handler: BaseHTTPRequestHandler) -> None:
        given = handler.headers.get("Authorization", "")
        if not given:
            raise Refused("not_authed")
        if given != f"Bearer {TOKEN}":
            raise Refused("invalid_auth")

    def _hook(self, handler: BaseHTTPRequestHandler, path: str, body: bytes) -> tuple[int, dict[str, str], str]:
        if path != WEBHOOK_PATH:
            return 404, {}, "no_service"
        if not handler.headers.get("Content-Type", "").startswith("application/json"):
            return 400, {}, "invalid_payload"
        try:
            message = json.loads(body)
            self._check(message)
            self._post(WEBHOOK_CHANNEL, message)
        except Refused as exc:
            if exc.error == "ratelimited":
                return 429, {"Retry-After": "1"}, "rate_limited"
            return {"channel_is_archived": 410, "invalid_blocks": 400}.get(exc.error, 400), {}, exc.error
        except ValueError:
            return 400, {}, "invalid_payload"
        return 200, {}, "ok"

    # Messages

    def _check(self, message: dict[str, Any]) -> None:
        blocks = message.get("blocks", [])
        if isinstance(blocks, str):
            blocks = message["blocks"] = json.loads(blocks)
        if not blocks and not message.get("text"):
            raise Refused("no_text")
        if len(blocks) > MOST_BLOCKS:
            raise Refused("invalid_blocks")
        for block in blocks:
            if block.get("type") not in LIMITS:
                raise Refused("invalid_blocks")
            for text in texts([block]):
                fits = 1 <= len(text.get("text", "")) <= LIMITS[block["type"]]
                if not fits or text.get("type") not in ("plain_text", "mrkdwn"):
                    raise Refused("invalid_blocks")
                if block["type"] == "header" and text["type"] != "plain_text":
                    raise Refused("invalid_blocks")

    def _post(self, channel: str, message: dict[str, Any]) -> Message:
        now = time.monotonic()
        if channel in self.archived:
            raise Refused("channel_is_archived" if channel == WEBHOOK_CHANNEL else "is_archived")
        if self._a_second and now - self._posted_at.get(channel, 0) < 1:
            raise Refused("ratelimited")
        if (thread := message.get("thread_ts")) and thread not in {each.ts for each in self.messages}:
            raise Refused("thread_not_found")
        self._posted_at[channel] = now
        posted = Message(channel, f"1795900000.{next(self._ids):06}", now, message)
        self.messages.append(posted)
        return posted

    def _chat_postMessage(self, arguments: dict[str, Any]) -> dict[str, Any]:  # noqa: N802  # Slack's name
        if arguments.get("channel") != CHANNEL:
            raise Refused("channel_not_found")
        if "chat:write" not in self._scopes:
            raise Refused("missing_scope", needed="chat:write", provided="")
        self._check(arguments)
        posted = self._post(CHANNEL, arguments)
        return {"channel": CHANNEL, "ts": posted.ts, "message": {"text": arguments.get("text", "")}}

    def _chat_update(self, arguments: dict[str, Any]) -> dict[str, Any]:
        self._check(arguments)
        found = [each for each in self.messages if each.ts == arguments.get("ts")]
        if arguments.get("channel") != CHANNEL:
            raise Refused("channel_not_found")
        if not found:
            raise Refused("message_not_found")
        found[0].edits.append(arguments)
        return {"channel": CHANNEL, "ts": found[0].ts, "text": arguments.get("text", "")}

    # Files

    def _files_getUploadURLExternal(self, arguments: dict[str, Any]) -> dict[str, Any]:  # noqa: N802  # Slack's name
        if "files:write" not in self._scopes:
            raise Refused("missing_scope", needed="files:write", provided="chat:write")
        if not arguments.get("filename") or int(arguments.get("length", 0)) <= 0:
            raise Refused("missing_argument")
        file = File(f"F{next(self._ids):09}", arguments["filename"], int(arguments["length"]))
        self.files[file.id] = file
        return {"upload_url": f"{self.url}/upload/v1/{file.id}?signature=canary", "file_id": file.id}

    def _received(self, handler: BaseHTTPRequestHandler, length: int, path: str) -> bytes:
        """Read an upload as it comes and return its length and checksum, so that no memory is needed for it."""
        digest, left = sha256(), length
        with self._kept(path.rpartition("/")[2]).open("wb") as kept:
            while left and (piece := handler.rfile.read(min(left, 1 << 16))):
                digest.update(piece)
                kept.write(piece)
                left -= len(piece)
        return f"{length - left} {digest.hexdigest()}".encode()

    def _kept(self, file: str) -> Path:
        return Path(os.devnull) if self._folder is None else self._folder / file

    def _take(self, path: str, body: bytes) -> tuple[int, dict[str, str], str]:
        file = self.files.get(path.rpartition("/")[2])
        length, _, digest = body.decode().partition(" ")
        if file is None or int(length) != file.length:
            return 400, {}, "wrong length"
        file.sha256 = digest
        return 200, {}, f"OK - {length}"

    def _files_completeUploadExternal(self, arguments: dict[str, Any]) -> dict[str, Any]:  # noqa: N802  # Slack's name
        given = arguments.get("files", "[]")
        wanted = json.loads(given) if isinstance(given, str) else given
        if arguments.get("channel_id") not in (CHANNEL, None):
            raise Refused("channel_not_found")
        done = []
        for each in wanted:
            file = self.files.get(each["id"])
            if file is None or file.sha256 is None:
                raise Refused("file_not_found")
            file.title, file.channel = each.get("title", file.name), arguments.get("channel_id")
            done.append(_shown(file))
        return {"files": done}

    def _files_list(self, arguments: dict[str, Any]) -> dict[str, Any]:
        if "files:read" not in self._scopes:
            raise Refused("missing_scope", needed="files:read", provided="chat:write,files:write")
        shared = [file for file in self.files.values() if file.channel == arguments.get("channel")]
        most = int(arguments.get("count", 100))
        return {"files": [_shown(file) for file in reversed(shared)][:most], "paging": {"total": len(shared)}}


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a client that has gone, as one that is cancelled or killed has."""


def _shown(file: File) -> dict[str, Any]:
    link = f"https://files.slack.com/{file.id}"
    return {"id": file.id, "name": file.name, "title": file.title, "size": file.length, "permalink": link}


def _arguments(content_type: str, body: bytes) -> dict[str, Any]:
    if content_type.startswith("application/json"):
        try:
            given = json.loads(body)
        except ValueError:
            raise Refused("invalid_json") from None
        if not isinstance(given, dict):
            raise Refused("json_not_object")
        return given
    return dict(parse_qsl(body.decode()))
