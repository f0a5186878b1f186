"""One client's HTTP connection to the account: h11 on a trio socket, with faults that act on the real connection."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import parse_qsl, unquote

import h11
import trio

from wanrun.emulator import api
from wanrun.emulator.calls import STATEMENT, Answer, Call, Kind, Refused, json_answer
from wanrun.emulator.faults import Effect
from wanrun.emulator.forms import BadForm, FormReader
from wanrun.emulator.oss import MAX_FILE_MB
from wanrun.emulator.pieces import Cut, disguised, pause_after, pieces

if TYPE_CHECKING:
    from collections.abc import Callable

    from wanrun.emulator.folder import Home
    from wanrun.emulator.forms import Form

MAX_BODY_BYTES = 32 * 1024**2
MAX_UPLOAD_BYTES = MAX_FILE_MB * 1024**2 + 1024**2  #: a full file and its form
MAX_HEAD_BYTES = 64 * 1024
READ_BYTES = 64 * 1024
IDLE_SECONDS = 75.0
LINGER_SECONDS = 2.0
LOST_SECONDS = 600.0  #: how long a connection with a lost reply is kept open at most

_REASONS = {status.value: status.phrase for status in HTTPStatus}


class _Hangup(Exception):
    """This connection is over."""


class Connection:
    """One client's connection and the calls that come over it."""

    def __init__(self, stream: trio.SocketStream, home: Home, changed: Callable[[], None]) -> None:
        self._stream, self._home, self._changed = stream, home, changed
        self._account = home.account
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)

    async def serve(self) -> None:
        """Answer calls until the client leaves, says something that is no HTTP, or is silent for too long."""
        try:
            while await self._one_call():
                pass
        except h11.RemoteProtocolError as exc:
            await self._bad_request(exc)
        except (_Hangup, trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
            pass
        finally:
            await trio.aclose_forcefully(self._stream)

    async def _one_call(self) -> bool:
        """Take one call and answer it; True when the connection can carry another one."""
        request = await self._event()
        if not isinstance(request, h11.Request):
            return False
        call = await self._read(request)
        try:
            await self._handle(call)
        finally:
            call.discard()
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return True

    async def _handle(self, call: Call) -> None:
        if call.method == "GET" and call.path == STATEMENT:
            await self._send(call, json_answer(self._home.statement()), Effect())
            return
        effect = self._account.strike(call)
        await trio.sleep(effect.latency_seconds)
        if effect.reset in ("connect", "before"):
            self._reset()
        answer = disguised(api.answer(self._account, call, effect), effect)
        self._home.save()  # before the caller hears of it
        self._changed()
        if effect.reset == "after":
            self._reset()
        if effect.lose_reply:
            await self._wait_for_end()
        await self._send(call, answer, effect)

    # In

    async def _event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            if self._http.they_are_waiting_for_100_continue:
                await self._write(h11.InformationalResponse(status_code=100, headers=[]))
            with trio.fail_after(IDLE_SECONDS):
                self._http.receive_data(await self._stream.receive_some(READ_BYTES))
        return event

    async def _read(self, request: h11.Request) -> Call:
        """Read a whole request; an upload's file goes to the store's staging as it comes in."""
        path, _, query = request.target.decode("latin-1").partition("?")
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers}
        method, path = request.method.decode("latin-1"), unquote(path)
        call = Call(method, path, dict(parse_qsl(query, keep_blank_values=True)), headers)
        if call.kind is Kind.UPLOAD:
            return replace(call, form=await self._read_form(headers.get("content-type", "")))
        body = bytearray()
        await self._read_body(body.extend, MAX_BODY_BYTES)
        return replace(call, body=bytes(body))

    async def _read_form(self, content_type: str) -> Form | None:
        """Read an upload; None, which the account refuses, when it is no form."""
        reader = None
        try:
            reader = FormReader(content_type, self._account.store.stage)
            await self._read_body(reader.feed, MAX_UPLOAD_BYTES)
            return reader.finish()
        except BadForm:
            return None
        except BaseException:  # the client left, or we stop: nothing may stay behind
            if reader is not None:
                reader.discard()
            raise

    async def _read_body(self, take: Callable[[bytes], object], max_bytes: int) -> None:
        size = 0
        while isinstance(event := await self._event(), h11.Data):
            size += len(event.data)
            if size > max_bytes:
                raise h11.RemoteProtocolError(f"the body has more than {max_bytes} bytes", error_status_hint=413)
            take(bytes(event.data))
        if not isinstance(event, h11.EndOfMessage):
            raise _Hangup

    # Out

    async def _send(self, call: Call, answer: Answer, effect: Effect) -> None:
        await self._write(_head(answer))
        if call.method == "HEAD":
            await self._write(h11.EndOfMessage())
            return
        try:
            for piece in pieces(answer, effect, self._account.store):
                await self._write(h11.Data(data=piece))
                if pause := pause_after(piece, effect):
                    await trio.sleep(pause)
        except (Cut, KeyError):
            raise _Hangup from None
        await self._write(h11.EndOfMessage())

    async def _write(self, event: h11.Event) -> None:
        data = self._http.send(event)
        if data:
            with trio.fail_after(IDLE_SECONDS):
                await self._stream.send_all(data)

    async def _bad_request(self, exc: h11.RemoteProtocolError) -> None:
        """Tell a client that speaks no HTTP, or too much of it, so; then the connection ends."""
        if self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        large = exc.error_status_hint in (413, 431)
        code, text = (
            ("BadRequest.TooLarge", "The request is too large.") if large else ("BadRequest", f"Bad HTTP: {exc}.")
        )
        answer = Refused(400, code, text).answer(self._account.new_id())
        answer.headers |= {api.ACCOUNT_HEADER: self._account.id, "Connection": "close"}
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError, _Hangup):
            await self._send(Call("POST", ""), answer, Effect())
            await self._stream.send_eof()
            await self._drain()

    async def _drain(self) -> None:
        """Take what is still coming for a moment, since closing on unread bytes would break the answer off."""
        with trio.move_on_after(LINGER_SECONDS):
            while await self._stream.receive_some(READ_BYTES):
                pass

    def _reset(self) -> NoReturn:
        """Break the connection hard: with this option, closing sends RST."""
        self._stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise _Hangup

    async def _wait_for_end(self) -> NoReturn:
        """Say nothing until the client gives up."""
        with trio.move_on_after(LOST_SECONDS):
            while await self._stream.receive_some(READ_BYTES):
                pass
        raise _Hangup


def _head(answer: Answer) -> h11.Response:
    headers = list(answer.headers.items())
    if answer.status != 204:  # which may not have a length
        headers.append(("Content-Length", str(answer.length)))
    return h11.Response(status_code=answer.status, headers=headers, reason=_REASONS.get(answer.status, "").encode())
