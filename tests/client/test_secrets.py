"""The API key and the signatures of links are in no text that the client makes."""

from __future__ import annotations

import logging
import traceback

import httpx
import pytest
import trio
from client_parts import BODY, KEY, PATH, TASK, client_of, error_of

from wanrun.client import Client, endpoint_for
from wanrun.errors import SettingsError
from wanrun.types import Secret


async def test_a_key_that_the_service_quotes_is_cut_out() -> None:
    """From the message, the code, the ids and raw text alike."""
    quoting = {"code": f"Invalid{KEY}", "message": f"Incorrect API key provided: {KEY}.", "request_id": KEY}
    for answer in (
        httpx.Response(401, json=quoting),
        httpx.Response(500, text=f"panic: {KEY}"),
        httpx.Response(200, headers={"x-request-id": KEY, "x-wanrun-emulator": KEY}),
    ):
        async with client_of(answer) as client:
            await error_of(client.query(TASK))
            await error_of(client.create(BODY, path=PATH))
            assert KEY not in repr(client.identity)


@pytest.mark.parametrize("key", ["task", "dashscope", "sk-1"])
async def test_a_made_up_key_spoils_no_answer(key: str) -> None:
    """Offline, people use keys that are ordinary words; the answer's words stay."""
    answer = {"output": {"task_id": "task-1", "task_status": "PENDING"}, "request_id": "dashscope-1"}

    async def handler(request: httpx.Request) -> httpx.Response:
        await trio.lowlevel.checkpoint()
        return httpx.Response(200, json=answer)

    async with Client(endpoint_for(), Secret(key), transport=httpx.MockTransport(handler)) as client:
        made = await client.create(BODY, path=PATH)

    assert (made.task_id, made.request_id) == ("task-1", "dashscope-1")


async def test_a_broken_connection_that_echoes_the_key_is_not_chained() -> None:
    """A server that sends our request back puts it into httpx's own message."""
    broken = httpx.RemoteProtocolError(f"illegal status line: bytearray(b'Authorization: Bearer {KEY}')")
    async with client_of(broken) as client:
        error = await error_of(client.query(TASK))

    assert error.__cause__ is None
    assert "***" in str(error)


async def test_other_broken_connections_keep_their_cause() -> None:
    """So that a report can say what happened below."""
    broken = httpx.ReadError("reset")
    async with client_of(broken) as client:
        assert (await error_of(client.query(TASK))).__cause__ is broken


@pytest.mark.parametrize("key", ["", "sk-a b", "sk-a\n", "sk-ä", "sk-a\x1b"])
def test_a_key_that_could_not_be_a_header_is_refused_unseen(key: str) -> None:
    """httpx would show it in its message."""
    with pytest.raises(SettingsError, match="API key") as caught:
        Client(endpoint_for(), Secret(key), transport=httpx.MockTransport(lambda request: httpx.Response(200)))

    assert not key or key not in str(caught.value)


def test_a_client_silences_the_loggers_that_print_whole_urls() -> None:
    """httpx writes signed links at INFO."""
    for name in ("httpx", "httpcore.http11"):
        logging.getLogger(name).setLevel(logging.DEBUG)

    client_of(httpx.Response(200))

    assert logging.getLogger("httpx").level == logging.WARNING
    assert logging.getLogger("httpcore").level == logging.WARNING
    assert not logging.getLogger("httpcore.http11").isEnabledFor(logging.DEBUG)


def test_an_unusable_proxy_is_a_setting_to_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    """One message, without the proxy's password."""
    monkeypatch.setenv("HTTPS_PROXY", "gopher://user:hidden@proxy.example.com")

    with pytest.raises(SettingsError, match="HTTPS_PROXY") as caught:
        Client(endpoint_for(), Secret(KEY))

    assert "hidden" not in "".join(traceback.format_exception(caught.value))
