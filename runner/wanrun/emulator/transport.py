"""An account in memory behind httpx: no socket, no thread, and every wait on trio's clock, which a test may jump."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import httpx
import trio

from wanrun.emulator import api
from wanrun.emulator.calls import Call, Kind
from wanrun.emulator.forms import BadForm, FormReader
from wanrun.emulator.pieces import Cut, disguised, pause_after, pieces

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from wanrun.emulator.account import Account
    from wanrun.emulator.calls import Answer
    from wanrun.emulator.faults import Effect


def virtual_clock(start_at: float = 1_793_584_800.0) -> Callable[[], float]:
    """Return a clock that begins at an epoch second and runs with trio's; call it inside `trio.run`."""
    began = trio.current_time()
    return lambda: start_at + trio.current_time() - began


def account_transport(account: Account) -> httpx.AsyncBaseTransport:
    """Return a transport that carries every request to the account, whatever its host.

    Faults come out as httpx's own errors: `ConnectError` when nothing was sent, `ReadError` for a broken connection,
    `ReadTimeout` for an answer that does not come in the client's time, `RemoteProtocolError` for a body cut short. The
    account has to be one that does not wait for a host's edits (`edit=False`), unless the test does them.
    """
    return _AccountTransport(account)


class _AccountTransport(httpx.AsyncBaseTransport):
    def __init__(self, account: Account) -> None:
        self._account = account

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Carry one request to the account and back."""
        await trio.lowlevel.checkpoint()
        assert isinstance(request.stream, httpx.AsyncByteStream)
        call = _call(request, b"".join([piece async for piece in request.stream]), self._account)
        effect = self._account.strike(call)
        patience = _patience(request)
        await _before(effect, patience)
        answer = disguised(api.answer(self._account, call, effect), effect)
        await _after(effect, patience)
        headers = {**answer.headers, "Content-Length": str(answer.length)}
        if call.method == "HEAD":
            return httpx.Response(answer.status, headers=headers)
        stream = _Body(answer, effect, self._account, patience)
        return httpx.Response(answer.status, headers=headers, stream=stream)


class _Body(httpx.AsyncByteStream):
    def __init__(self, answer: Answer, effect: Effect, account: Account, patience: float) -> None:
        self._answer, self._effect, self._account, self._patience = answer, effect, account, patience

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            for piece in pieces(self._answer, self._effect, self._account.store):
                await _wait(pause_after(piece, self._effect), self._patience)
                yield piece
        except (Cut, KeyError):
            raise httpx.RemoteProtocolError("peer closed connection without sending complete message body") from None


async def _before(effect: Effect, patience: float) -> None:
    """Do what the script says before the call is carried out; a client that lost patience still gets it carried out."""
    if effect.reset == "connect":
        raise httpx.ConnectError("connection refused, by the fault script")
    await trio.sleep(min(effect.latency_seconds, patience))
    if effect.reset == "before":
        raise httpx.ReadError("connection reset before the call was carried out, by the fault script")


async def _after(effect: Effect, patience: float) -> None:
    if effect.reset == "after":
        raise httpx.ReadError("connection reset after the call was carried out, by the fault script")
    if effect.latency_seconds > patience:
        raise httpx.ReadTimeout("no answer in time, by the fault script")
    if effect.lose_reply:
        await _wait(math.inf, patience)


async def _wait(seconds: float, patience: float) -> None:
    """Sleep, at most as long as the client waits for bytes; then its timeout strikes."""
    await trio.sleep(min(seconds, patience))
    if seconds > patience:
        raise httpx.ReadTimeout("no answer in time, by the fault script")


def _patience(request: httpx.Request) -> float:
    seconds = request.extensions.get("timeout", {}).get("read")
    return math.inf if seconds is None else float(seconds)


def _call(request: httpx.Request, body: bytes, account: Account) -> Call:
    call = Call(
        method=request.method,
        path=request.url.path,
        query=dict(request.url.params),
        headers={name.lower(): value for name, value in request.headers.items()},
        body=body,
    )
    return call if call.kind is not Kind.UPLOAD else _with_form(call, account)


def _with_form(call: Call, account: Account) -> Call:
    try:
        reader = FormReader(call.headers.get("content-type", ""), account.store.stage)
        reader.feed(call.body)
        form = reader.finish()
    except BadForm:
        form = None  # which the account refuses
    return Call(call.method, call.path, call.query, call.headers, form=form)
