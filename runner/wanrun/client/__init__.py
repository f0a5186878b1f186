"""The service over HTTP: one method is one call, made once. Patience, retries and limits are the engine's.

What a method raises says what to do next (see `wanrun.errors`); three refinements and one signal are the client's own:
`PolicyExpired` (an upload needs a new policy), `CancelTooLate` (a task no longer waits), `LinkRefused` (a link leads
where none may), `StartOver` (a download).
"""

from __future__ import annotations

import json
import time
from ipaddress import ip_network
from typing import TYPE_CHECKING, Self, TypeVar
from urllib.parse import quote

from wanrun.client import lean  # noqa: F401  # before anything else imports httpx

# isort: split

import httpx
import trio

from wanrun.client.addresses import Reach
from wanrun.client.answers import (
    Created,
    ServiceIdentity,
    Task,
    TaskPage,
    TaskRow,
    TaskStatus,
    parse_created,
    parse_page,
    parse_task,
)
from wanrun.client.calls import Caller, http_clients
from wanrun.client.codes import CancelTooLate, PolicyExpired, Verdict, failed_task_verdict, family_of
from wanrun.client.download import Download, StartOver, open_download
from wanrun.client.endpoint import Endpoint, endpoint_for, is_on_loopback
from wanrun.client.fields import Unreadable
from wanrun.client.fields import task_id as checked_task_id
from wanrun.client.network import LinkRefused
from wanrun.client.policy import UploadPolicy, parse_policy
from wanrun.client.refusals import Answer, Call, refusal
from wanrun.client.request import create_body, needs_oss_resolve
from wanrun.client.upload import ThreadRunner, Upload, upload_file
from wanrun.errors import JobRefused, SettingsError, Unsure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path
    from types import TracebackType

    from wanrun.types import JSON, Secret

__all__ = [
    "CancelTooLate",
    "Client",
    "Created",
    "Download",
    "Endpoint",
    "LinkRefused",
    "PolicyExpired",
    "ServiceIdentity",
    "StartOver",
    "Task",
    "TaskPage",
    "TaskRow",
    "TaskStatus",
    "ThreadRunner",
    "Upload",
    "UploadPolicy",
    "Verdict",
    "create_body",
    "endpoint_for",
    "failed_task_verdict",
    "family_of",
    "needs_oss_resolve",
]

T = TypeVar("T")

_JSON = {"Content-Type": "application/json"}
_CREATE = Call("create", lost=Unsure)
_QUERY, _LIST, _CANCEL, _POLICY = Call("query"), Call("list"), Call("cancel"), Call("upload policy")


class Client:
    """One account's calls. To be closed: an async context manager, or `aclose`.

    API calls beyond `max_connections` at once wait for a place. Callers keep their transfers at or below it: httpx
    loses places of its pool when a call that waits for one is cancelled.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        key: Secret,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        connect_seconds: float = 10,
        read_seconds: float = 30,
        create_seconds: float = 60,
        max_connections: int = 10,
        link_networks: Sequence[str] = (),
        now: Callable[[], float] = time.time,
        in_thread: ThreadRunner = trio.to_thread.run_sync,
    ) -> None:
        """Make the client; nothing is sent yet.

        Links and uploads lead to public addresses, into `link_networks` (such as `198.18.0.0/15`), and to this machine
        if the service is here too.
        `read_seconds` bound a whole call other than create, and any one wait of an upload or download; `transport`
        replaces the network; `now` gives epoch seconds; `in_thread` reads files for uploads. Raises `SettingsError`
        for a key that cannot be one, or for a proxy or certificates of the environment that cannot be used.
        """
        self.endpoint = endpoint
        self._read_seconds, self._create_seconds = read_seconds, create_seconds
        self._now, self._in_thread = now, in_thread
        longest = max(read_seconds, create_seconds)  # API calls are bounded as a whole, by their own time
        timeouts = [
            httpx.Timeout(each, connect=connect_seconds, pool=connect_seconds) for each in (longest, read_seconds)
        ]
        reach = Reach(is_on_loopback(endpoint.base_url), tuple(map(ip_network, link_networks)))
        api, self._links = http_clients(transport, timeouts=timeouts, max_connections=max_connections, reach=reach)
        self._api = api
        self._caller = Caller(api, key, now=now, at_once=max_connections)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection."""
        await self._api.aclose()
        await self._links.aclose()

    @property
    def identity(self) -> ServiceIdentity | None:
        """Who gave the latest answer of an API call; None before the first one."""
        return self._caller.identity

    @property
    def service_date(self) -> float | None:
        """When the latest answer of an API call was given, by the service's clock: epoch seconds, to the second."""
        return self._caller.service_date

    @property
    def service_now(self) -> float | None:
        """What the service's clock shows now, in epoch seconds; None as long as no answer has told.

        Counted on from the latest answer by trio's clock, so that it does not matter if somebody sets ours.
        """
        told = self._caller.service_clock
        return None if told is None else told[0] + trio.current_time() - told[1]

    async def create(self, body: Mapping[str, JSON], *, path: str) -> Created:
        """Ask for a task; `path` is the model's, below the base URL.

        Raises `Unsure` whenever a task may have been made, `Unavailable` only when surely nothing was sent, and
        `KeyRefused`, `JobRefused` or `Throttled` when the service surely refused.
        """
        headers = {**_JSON, "X-DashScope-Async": "enable"}
        if needs_oss_resolve(body):
            headers["X-DashScope-OssResourceResolve"] = "enable"
        content = json.dumps(body, ensure_ascii=True, separators=(",", ":"), allow_nan=False).encode()
        url = f"{self.endpoint.base_url}/{path.lstrip('/')}"
        answer = await self._caller.accepted(
            _CREATE, "POST", url, seconds=self._create_seconds, headers=headers, content=content
        )
        made = _read(_CREATE, answer, parse_created)
        return made if made.request_id else Created(made.task_id, answer.request_id, made.status)

    async def query(self, task_id: str) -> Task:
        """Ask how one task stands. Raises `KeyRefused`, `JobRefused`, `Throttled` or `Unavailable`."""
        answer = await self._get(_QUERY, self._task_url(task_id))
        return _read(_QUERY, answer, lambda body: parse_task(body, asked=task_id))

    async def list_tasks(
        self, *, model: str | None = None, status: str | None = None, page_no: int = 1, page_size: int = 100
    ) -> TaskPage:
        """Return one page of the account's tasks of the last 24 hours, whoever made them; errors as for `query`."""
        params = {"page_no": str(page_no), "page_size": str(page_size)}
        params |= {name: value for name, value in (("model_name", model), ("status", status)) if value is not None}
        answer = await self._get(_LIST, f"{self.endpoint.base_url}/tasks", params)
        return _read(_LIST, answer, lambda body: parse_page(body, page_size=page_size))

    async def cancel(self, task_id: str) -> None:
        """Ask to cancel a waiting task; only a query tells whether it worked.

        Raises `CancelTooLate` when the task no longer waits, else as `query`.
        """
        url = f"{self._task_url(task_id)}/cancel"
        try:
            await self._caller.accepted(_CANCEL, "POST", url, seconds=self._read_seconds)
        except JobRefused as exc:
            if exc.code != "UnsupportedOperation":
                raise
            raise CancelTooLate(exc.message, status=exc.status, code=exc.code, request_id=exc.request_id) from exc

    async def upload_policy(self, model: str) -> UploadPolicy:
        """Ask for the permission to upload files for one model; errors as for `query`."""
        fetched_at = self._now()
        url = f"{self.endpoint.uploads_base_url}/uploads"
        answer = await self._get(_POLICY, url, {"action": "getPolicy", "model": model}, _JSON)
        return _read(_POLICY, answer, lambda body: parse_policy(body, fetched_at=fetched_at))

    async def upload(self, policy: UploadPolicy, path: Path, *, name: str, mime: str) -> Upload:
        """Send a file, streamed and hashed on its way, under a `name` that is new: the store overwrites nothing.

        Raises `PolicyExpired` when a new policy is needed, `SourceError` when the file cannot be read, is too large or
        changes meanwhile, else as `query`. The caller compares `Upload.sha256` with what it meant to send.
        """
        return await upload_file(self._links, policy, path, name=name, mime=mime, in_thread=self._in_thread)

    def download(self, url: str, *, offset: int = 0, etag: str | None = None) -> AbstractAsyncContextManager[Download]:
        """Open a link, without the key; the bytes come from `Download.chunks`.

        With an `etag` of an earlier download the body goes on at `offset` if the service proves that it is the same
        file, else it starts at 0: look at `Download.offset`. Raises `LinkExpired` when the link is dead, `LinkRefused`
        when only another link can be read, `StartOver` when only a call without `offset` can go on, `Throttled`, and
        `Unavailable` for everything that may pass, a body that ends too soon included.
        """
        return open_download(self._links, url, offset=offset, etag=etag, seconds=self._read_seconds, now=self._now)

    async def _get(
        self,
        call: Call,
        url: str,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        seconds = self._read_seconds
        return await self._caller.accepted(call, "GET", url, seconds=seconds, params=params, headers=headers)

    def _task_url(self, task_id: str) -> str:
        if checked_task_id(task_id) is None:
            raise SettingsError(f"{task_id[:80]!a} is no task id")
        return f"{self.endpoint.base_url}/tasks/{quote(task_id, safe='')}"


def _read(call: Call, answer: Answer, parse: Callable[[object], T]) -> T:
    try:
        return parse(answer.body)
    except Unreadable as exc:
        raise refusal(call, answer, problem=str(exc)) from exc
