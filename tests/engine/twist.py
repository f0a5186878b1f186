"""The account behind a transport that twists its answers: what a service may say one day and no fault script can."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import trio

from wanrun.emulator import account_transport, ready_clip
from wanrun.emulator.calls import Call, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from wanrun.emulator import Account, Task

BOX_HEAD_BYTES = 8  #: length and kind of an mp4 box


@dataclass(frozen=True, slots=True)
class Asked:
    """One call on its way to the account."""

    kind: Kind
    host: str
    task: Task | None  #: that a query or a download is about
    at_seconds: float  #: by trio's clock
    query: Mapping[str, str] = field(default_factory=dict)  #: the parameters in its address


class Twist(httpx.AsyncBaseTransport):
    """Carries calls to an account, but answers some itself and rewrites the answers to others.

    `instead` returns the answer to a call that the account shall not hear of, or None. `rewrite` may change the JSON
    body of a 200 in place. Both may raise httpx's errors.
    """

    def __init__(
        self,
        account: Account,
        *,
        instead: Callable[[Asked], httpx.Response | None] = lambda _asked: None,
        rewrite: Callable[[Asked, dict[str, Any]], None] = lambda _asked, _body: None,
    ) -> None:
        self._account, self._inner = account, account_transport(account)
        self._instead, self._rewrite = instead, rewrite
        self.calls: list[Asked] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one call."""
        await trio.lowlevel.checkpoint()
        asked = self._asked(request)
        self.calls.append(asked)
        made = self._instead(asked)
        if made is not None:
            return made
        response = await self._inner.handle_async_request(request)
        if response.status_code != 200 or asked.kind is Kind.DOWNLOAD:
            return response
        return self._rewritten(asked, response, await response.aread())

    def count(self, kind: Kind) -> int:
        """Return how many calls of one kind were made."""
        return sum(asked.kind is kind for asked in self.calls)

    def _asked(self, request: httpx.Request) -> Asked:
        call = Call(request.method, request.url.path)
        task = self._account.tasks.get(call.task_id or call.result.removesuffix(".mp4"))
        return Asked(call.kind, request.url.host, task, trio.current_time(), dict(request.url.params))

    def _rewritten(self, asked: Asked, response: httpx.Response, content: bytes) -> httpx.Response:
        try:
            body = json.loads(content)
        except ValueError:  # an upload is answered with nothing
            return httpx.Response(200, headers=response.headers, content=content)
        self._rewrite(asked, body)
        headers = {name: value for name, value in response.headers.items() if name != "content-length"}
        return httpx.Response(200, headers=headers, json=body)


def refusal(status: int, code: str, message: str = "no") -> httpx.Response:
    """Return an error as the service words it."""
    return httpx.Response(status, json={"code": code, "message": message, "request_id": "req-1"})


def unknown(body: dict[str, Any]) -> None:
    """Let a query's answer say that there is no such task."""
    body["output"] = {"task_id": body["output"]["task_id"], "task_status": "UNKNOWN"}


def own_results(asked: Asked) -> httpx.Response | None:
    """Answer every download with a video that is its task's alone: its id lies in a box that players skip."""
    if asked.kind is not Kind.DOWNLOAD or asked.task is None:
        return None
    mark = asked.task.id.encode()
    box = struct.pack(">I", BOX_HEAD_BYTES + len(mark)) + b"free" + mark
    return httpx.Response(200, content=ready_clip().data + box)


def task_of(video: bytes) -> str:
    """Return the id of the task that made a video, by `own_results`."""
    return video[len(ready_clip().data) + BOX_HEAD_BYTES :].decode()


def mute(asked: Asked, body: dict[str, Any]) -> None:
    """Let no query show the prompt of its task, so that a create without an answer cannot be settled."""
    if asked.kind is Kind.QUERY:
        body["output"].pop("orig_prompt", None)
