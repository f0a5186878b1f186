"""What a call's going wrong means: an answer that says no, an answer of no use, or none at all, as an error's family.

On a create the question is always whether a task may exist. It surely does not when no byte has left, and when the
service answered 429, or 4xx with a code of its own that is not a fault of the service, or (without a code) one of the
4xx that a server gives before it has understood the request. Everything else is `Unsure`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import httpx

from wanrun.client.answers import Refusal, parse_refusal
from wanrun.client.codes import family_of
from wanrun.client.network import AddressRefused, LinkRefused
from wanrun.client.text import clean, host_of, scrubbed
from wanrun.errors import ServiceError, Throttled, Unavailable, Unsure

#: After these no byte of the request has left. A proxy that does not let us through (`ProxyError`) is one of them:
#: proxied calls are always https, so it has seen a CONNECT and no more.
NOT_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
)
#: What httpx lets out when a connection or an answer is broken.
BROKEN = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError)

_NOT_UNDERSTOOD = frozenset({400, 401, 403, 404, 405, 413, 414, 415, 422, 431})


@dataclass(frozen=True, slots=True)
class Call:
    """One call by its name, and what to raise when nobody knows whether it arrived."""

    name: str
    lost: type[ServiceError] = Unavailable  #: `Unsure` for a create

    @property
    def surprises(self) -> tuple[type[Exception], ...]:
        """What counts as a broken call: for a create every error there is, since money may have been spent."""
        return (Exception,) if self.lost is Unsure else BROKEN


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back from one call; `body` is None when it is no JSON within our bounds."""

    status: int
    body: object = field(repr=False)
    text: str = field(repr=False)
    request_id: str | None = None  #: of the headers
    retry_after_seconds: float | None = None

    @property
    def ok(self) -> bool:
        """Whether the call was accepted."""
        return 200 <= self.status < 300


def no_answer(
    call: Call, exc: Exception, *, url: str, secrets: tuple[str, ...], request_id: str | None = None
) -> ServiceError:
    """Return the error for a call that broke before its answer was whole, with `exc` as its cause.

    No text of it holds one of the `secrets`, even when a server echoed it: then the cause is left away. To be raised
    outside of the `except` block, or the cause would come back as the context.
    """
    if isinstance(exc, AddressRefused):
        return LinkRefused(f"{call.name}: {exc}")
    family = Unavailable if isinstance(exc, NOT_SENT) else call.lost
    reason = clean(scrubbed(_said(exc), secrets), limit=200) or type(exc).__name__
    error = family(f"{call.name}: no whole answer from {host_of(url)}: {reason}", request_id=request_id)
    error.__cause__ = None if _tells(exc, secrets) else exc
    return error


def _said(exc: BaseException | None) -> str:
    """Return what a broken connection says, or the cause below it that says anything, such as a bad certificate."""
    while exc is not None and not str(exc):
        exc = exc.__cause__ or exc.__context__
    return str(exc or "")


def _tells(exc: BaseException | None, secrets: tuple[str, ...]) -> bool:
    while exc is not None:
        shown = f"{exc!s} {exc!r}"
        if scrubbed(shown, secrets) != shown:
            return True
        exc = exc.__cause__ or exc.__context__
    return False


def too_late(call: Call, seconds: float, *, url: str, request_id: str | None) -> ServiceError:
    """Return the error for a call whose answer was not whole in time."""
    return call.lost(f"{call.name}: no whole answer from {host_of(url)} within {seconds:g} s", request_id=request_id)


def refusal(call: Call, answer: Answer, *, problem: str = "") -> ServiceError:
    """Return the error for an answer that says no, or that says yes and has a `problem` that makes it useless."""
    said = parse_refusal(answer.body)
    family = _family(call, answer, said)
    message = f"{call.name}: {_message(answer, said, problem)}"
    facts = {"status": answer.status, "code": said.code, "request_id": said.request_id or answer.request_id}
    if family is Throttled:
        return Throttled(message, retry_after_seconds=answer.retry_after_seconds, **facts)  # type: ignore[arg-type]
    return family(message, **facts)  # type: ignore[arg-type]


def _family(call: Call, answer: Answer, said: Refusal) -> type[ServiceError]:
    family = family_of(answer.status, said.code, said.message or "")
    if call.lost is Unsure and not _surely_refused(answer.status, said.code, family):
        return Unsure
    return family


def _surely_refused(status: int, code: str | None, family: type[ServiceError]) -> bool:
    if status == 429:
        return True
    understood = code is not None or status in _NOT_UNDERSTOOD
    return 400 <= status < 500 and understood and not issubclass(family, Unavailable)


def _message(answer: Answer, said: Refusal, problem: str) -> str:
    text = said.message or (clean(answer.text) if answer.body is None else "") or "no reason given"
    if 300 <= answer.status < 400:
        return f"the service answered with a redirect, which is never followed; look at the base URL ({text})"
    return f"the answer cannot be used, {problem} ({text})" if problem else text
