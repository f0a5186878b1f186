"""One HTTP call: the two ways to the network, and how a call with the API key is made.

No call is made twice here, no redirect is followed, and no call leaves a cookie for the next. The key goes to the
service's own addresses only, and is taken out of every answer before anything else reads it.
"""

from __future__ import annotations

import logging
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, TypeAlias

import httpx
import trio

from wanrun.client.answers import ServiceIdentity
from wanrun.client.endpoint import LOOPBACK_PATTERNS
from wanrun.client.fields import short
from wanrun.client.network import link_transports
from wanrun.client.reading import date_at, read_answer, read_json, retry_after_seconds
from wanrun.client.refusals import Answer, Call, no_answer, refusal, too_late
from wanrun.client.sending import Http
from wanrun.client.text import scrubbed
from wanrun.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from wanrun.client.addresses import Reach
    from wanrun.types import Secret

_Way: TypeAlias = "tuple[httpx.AsyncBaseTransport | None, Mapping[str, httpx.AsyncBaseTransport | None]]"

KEEP_ALIVE_SECONDS = 15  #: that an idle connection is used again; servers and routers keep theirs for a minute
IDENTITY_HEADER = "x-wanrun-emulator"
_CHATTY = ("httpcore.connection", "httpcore.http11", "httpcore.proxy", "httpcore.socks")  #: may have own levels
_REQUEST_ID_HEADERS = ("x-request-id", "x-dashscope-request-id", "x-acs-request-id")


def http_clients(
    transport: httpx.AsyncBaseTransport | None,
    *,
    timeouts: Sequence[httpx.Timeout],
    max_connections: int,
    reach: Reach,
) -> tuple[Http, Http]:
    """Return the way for calls with the key and one for links and uploads, which never sees it, by their `timeouts`.

    Links lead to what is within `reach` only. Proxies and certificates of the environment hold, but never a proxy for
    this machine. Raises `SettingsError` when they cannot be used.
    """
    _hush()
    try:
        verify = True if transport is not None else httpx.create_ssl_context()
        limits = httpx.Limits(
            max_connections=max_connections,
            max_keepalive_connections=max_connections,
            keepalive_expiry=KEEP_ALIVE_SECONDS,
        )
        direct: _Way = transport, dict.fromkeys(LOOPBACK_PATTERNS)
        ways = direct, direct if transport else link_transports(reach, verify=verify, limits=limits)
        api, links = (
            httpx.AsyncClient(
                transport=way,
                verify=verify,
                timeout=timeout,
                limits=limits,
                mounts=mounts,
                headers={"User-Agent": _user_agent(), "Accept-Encoding": "identity"},
            )
            for (way, mounts), timeout in zip(ways, timeouts, strict=True)
        )
    except (ValueError, ImportError, OSError, httpx.InvalidURL):
        where = "look at HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, SSL_CERT_FILE and SSL_CERT_DIR"
        raise SettingsError(f"the environment names a proxy or certificates that cannot be used; {where}") from None
    return Http(api), Http(links)


@cache  # it is read from a file of the installation
def _user_agent() -> str:
    return f"wanrun/{metadata.version('wanrun')}"


def _hush() -> None:
    """Silence the loggers that would print whole URLs, signatures and all."""
    for name in ("httpx", "httpcore", *_CHATTY):
        logger = logging.getLogger(name)
        logger.setLevel(max(logger.level, logging.WARNING))


class Caller:
    """Makes calls with the API key, each within a total time, and reads their answers within bounds."""

    def __init__(self, http: Http, key: Secret, *, now: Callable[[], float], at_once: int) -> None:
        value = key.reveal()
        if not value or not value.isascii() or not value.isprintable() or " " in value:
            raise SettingsError(
                "the API key is empty or holds a character that no key has, such as a space or a newline"
            )
        self._http, self._key, self._now = http, key, now
        # The pool must never make a call wait: it loses places when a waiting one is cancelled.
        self._places = trio.CapacityLimiter(at_once)
        # A made-up key such as "test" or "dashscope" is no secret, and answers are full of such words.
        self._hidden = (value,) if len(value) >= (8 if value.startswith("sk-") else 16) else ()
        self.identity: ServiceIdentity | None = None  #: who gave the latest answer; None before the first
        self.service_date: float | None = None  #: epoch seconds by the clock of the latest answer, if it said
        self.service_clock: tuple[float, float] | None = None  #: of the latest that was no error; and when, on trio's

    async def accepted(
        self,
        call: Call,
        method: str,
        url: str,
        *,
        seconds: float,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        content: bytes = b"",
    ) -> Answer:
        """Make one call, all of it within `seconds`, and return its answer; raises `ServiceError` unless it is 2xx."""
        seen: list[httpx.Response] = []
        broken: Exception | None = None
        async with self._places:
            with trio.move_on_after(seconds):
                try:
                    signed = {"Authorization": f"Bearer {self._key.reveal()}", **(headers or {})}
                    request = self._http.request(method, url, headers=signed, params=params, content=content)
                    answer = await self._exchange(request, seen)
                except call.surprises as exc:
                    broken = exc  # raised below: as its context, it could show what it holds
                else:
                    if answer.ok:
                        return answer
                    raise refusal(call, answer)
        request_id = self._request_id(seen[0].headers) if seen else None
        if broken is None:
            raise too_late(call, seconds, url=url, request_id=request_id)
        raise no_answer(call, broken, url=url, secrets=(self._key.reveal(),), request_id=request_id)

    async def _exchange(self, request: httpx.Request, seen: list[httpx.Response]) -> Answer:
        response = await self._http.send(request)
        seen.append(response)
        headers = response.headers
        self.identity = ServiceIdentity(self._header(headers, IDENTITY_HEADER))
        self.service_date = date_at(headers.get("date"))
        # an error may be a proxy's, by another clock, so it counts only as long as there is nothing better
        if self.service_date is not None and (response.is_success or self.service_clock is None):
            self.service_clock = (self.service_date, trio.current_time())
        text = self._scrubbed((await read_answer(response)).decode("utf-8", "replace"))
        wait = retry_after_seconds(headers.get("retry-after"), now=self._now())
        return Answer(response.status_code, read_json(text), text, self._request_id(headers), wait)

    def _request_id(self, headers: httpx.Headers) -> str | None:
        return next(filter(None, (self._header(headers, name) for name in _REQUEST_ID_HEADERS)), None)

    def _header(self, headers: httpx.Headers, name: str) -> str | None:
        return short(self._scrubbed(headers.get(name, "")))

    def _scrubbed(self, foreign: str) -> str:
        return scrubbed(foreign, self._hidden)
