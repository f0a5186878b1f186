"""The wire to Slack: where it may lead, how fast, and for how long.

No redirect is followed, since webhook and token belong to Slack's hosts alone, and neither is ever in an error.
"""

from __future__ import annotations

import json
import math
import re
import time
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlencode

import httpx
import trio

from wanrun import SinkError
from wanrun.client.endpoint import LOOPBACK_HOSTS, LOOPBACK_PATTERNS, web_url
from wanrun.client.reading import read_answer, retry_after_seconds
from wanrun.client.sending import Http
from wanrun_plugins._slack_answers import answer_of, refusal
from wanrun_plugins._slack_pace import MESSAGE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping
    from ssl import SSLContext

    from wanrun import Secret
    from wanrun.client.sending import Pieces
    from wanrun.types import JSON
    from wanrun_plugins._slack_pace import Pace

API = "https://slack.com/api/"
API_HOSTS = frozenset({"slack.com", "slack-gov.com"})
WEBHOOK_HOSTS = frozenset({"hooks.slack.com", "hooks.slack-gov.com"})
UPLOAD_HOSTS = frozenset({"files.slack.com", "files.slack-gov.com"})

RECONNECT_SECONDS = 1.0
TOO_MANY = 429
#: Slack looks for no names in the text, which for a change it would otherwise.
_NOTHING_PARSED: Mapping[str, JSON] = {"parse": "none", "link_names": False}
FORM = "application/x-www-form-urlencoded"

_TOKEN = re.compile(r"[\x21-\x7e]+")


@dataclass
class Calls:
    """The calls of one notice or delivery, all of which are over in time."""

    pace: Pace
    seconds: float  #: for all of them together
    _http: Http = field(init=False)
    _until: float = field(init=False)

    async def __aenter__(self) -> Self:
        self._until = trio.current_time() + self.seconds
        mounts = dict.fromkeys(LOOPBACK_PATTERNS)  # no proxy is asked for this machine
        self._http = Http(httpx.AsyncClient(verify=_trust(), timeout=self.seconds, mounts=mounts))
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._http.aclose()

    async def post(self, webhook: Secret, message: Mapping[str, JSON]) -> None:
        """Post a message to a webhook."""
        url = _checked(webhook.reveal().strip(), WEBHOOK_HOSTS, "the webhook is no address of Slack's")
        response = await self._patiently(lambda: self._json(url, message), webhook)
        if response.status_code != httpx.codes.OK:
            raise refusal("the webhook", response.status_code, response.text.strip())

    async def say(self, method: str, api: str, token: Secret, message: Mapping[str, JSON]) -> dict[str, Any]:
        """Call a method of the Web API that puts something into a channel, when it is its turn."""
        url, headers = _method(api, method), _authorized(token)
        body = {**_NOTHING_PARSED, **message}
        turn = (method, token, message["channel"])  # Slack counts what is changed and what is posted apart
        return self._answer(method, await self._patiently(lambda: self._json(url, body, headers), turn))

    async def ask(
        self, method: str, api: str, token: Secret, arguments: Mapping[str, str], *, turn: Hashable = None
    ) -> dict[str, Any]:
        """Call a method of files, which take forms only; when it is its turn, if it shows something in a channel."""
        url, headers = _method(api, method), {**_authorized(token), "Content-Type": FORM}
        content = urlencode(arguments).encode()
        response = await self._patiently(lambda: self._request(url, headers=headers, content=content), turn)
        return self._answer(method, response)

    async def upload(self, url: str, make: Callable[[], Pieces], size: int) -> None:
        """Send a file to the address that Slack gave for it."""
        checked = _checked(url, UPLOAD_HOSTS, "Slack gave an address for the file that is none of its own")
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        response = await self._patiently(lambda: self._request(checked, headers=headers, content=make()))
        if response.status_code != httpx.codes.OK:
            raise refusal("the file", response.status_code, "")

    def _answer(self, method: str, response: httpx.Response) -> dict[str, Any]:
        answer = answer_of(response.content)
        if response.status_code != httpx.codes.OK or answer.get("ok") is not True:
            raise refusal(method, response.status_code, answer.get("error"), answer)
        return answer

    def _json(
        self, url: httpx.URL, body: Mapping[str, JSON], headers: Mapping[str, str] | None = None
    ) -> httpx.Request:
        headers = {"Content-Type": "application/json; charset=utf-8", **(headers or {})}
        return self._request(url, headers=headers, content=json.dumps(dict(body)).encode())

    def _request(self, url: httpx.URL, *, headers: Mapping[str, str], content: bytes | Pieces) -> httpx.Request:
        return self._http.request("POST", url, headers={**headers, "Accept-Encoding": "identity"}, content=content)

    async def _patiently(self, make: Callable[[], httpx.Request], turn: Hashable = None) -> httpx.Response:
        """Send a request when its turn has come, if it has to wait for one; again when Slack wants it later."""
        while True:
            while turn is not None and (seconds := self.pace.take_turn(turn)):
                await self._wait(seconds, "others have just said something in this channel, which")
            response = await self._reach(make)
            self.pace.answered(turn)
            if response.status_code != TOO_MANY:
                return response
            await self._wait(_retry_after(response), "Slack has been told too much at once (429), and")

    async def _wait(self, seconds: float, why: str) -> None:
        if trio.current_time() + seconds >= self._until:
            raise SinkError(f"{why} takes the next message in {math.ceil(seconds)} s only")
        await trio.sleep(seconds)

    async def _reach(self, make: Callable[[], httpx.Request]) -> httpx.Response:
        """Send a request; once more if the first surely never left this machine."""
        try:
            return await self._send(make())
        except _NotSentError:
            if trio.current_time() + RECONNECT_SECONDS >= self._until:
                raise
        await trio.sleep(RECONNECT_SECONDS)
        return await self._send(make())

    async def _send(self, request: httpx.Request) -> httpx.Response:
        host = request.url.host
        try:
            with trio.move_on_at(self._until):
                return await self._sent(request)
        except (httpx.ConnectError, httpx.ConnectTimeout) as exc:
            raise _NotSentError(f"{host} cannot be reached: {exc}") from exc
        except httpx.TransportError as exc:
            raise SinkError(f"the connection to {host} broke ({type(exc).__name__})") from exc
        raise SinkError(f"{host} gave no answer in {self.seconds:.0f} s")

    async def _sent(self, request: httpx.Request) -> httpx.Response:
        response = await self._http.send(request)
        body = await read_answer(response)
        return httpx.Response(response.status_code, headers=response.headers, content=body)


class _NotSentError(SinkError):
    """Nothing has left this machine."""


@cache
def _trust() -> SSLContext:
    """Return whom to believe, read once: that takes longer than a call."""
    return httpx.create_ssl_context()


def _method(api: str, method: str) -> httpx.URL:
    base = _checked(api, API_HOSTS, "api is no address of Slack's Web API")
    return base.copy_with(path=f"{base.path.rstrip('/')}/{method}")


def _authorized(token: Secret) -> dict[str, str]:
    text = token.reveal().strip()
    if not _TOKEN.fullmatch(text):
        raise SinkError("the token is not one: it has blanks or characters that no token has; copy it anew")
    return {"Authorization": f"Bearer {text}"}


def _checked(address: str, hosts: frozenset[str], wrong: str) -> httpx.URL:
    """Return an address that leads to one of these hosts over TLS, or to this machine; never shown if it does not."""
    url = web_url(address)
    if url is not None and not url.userinfo and not url.fragment:
        is_theirs = url.scheme == "https" and url.host in hosts and url.port is None
        if is_theirs or (url.scheme == "http" and url.host in LOOPBACK_HOSTS):
            return url
    raise SinkError(f"{wrong}; these begin with {' or '.join(f'https://{host}/' for host in sorted(hosts))}")


def _retry_after(response: httpx.Response) -> float:
    asked = retry_after_seconds(response.headers.get("Retry-After"), now=time.time())
    return max(MESSAGE_SECONDS, asked or 0)
