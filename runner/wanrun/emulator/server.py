"""The account on a loopback port: listens, serves connections, edits, and keeps the statement on disk."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

import trio

from wanrun.emulator.calls import API
from wanrun.emulator.connection import Connection
from wanrun.emulator.editor import Editor, require_av
from wanrun.emulator.inputs import is_loopback
from wanrun.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from wanrun.emulator.folder import Home

STATEMENT_SECONDS = 1.0  #: between two looks at whether the statement has changed
_log = logging.getLogger(__name__)


async def serve(
    home: Home,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    remote: bool = False,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve the account of a folder until cancelled; reports its base URL once it can be called.

    Port 0 takes a free one. Editing happens here too, when the account asks for it. Raises `SettingsError` for a host
    that is not this machine, unless `remote` allows it, and for a port that cannot be had; `MissingExtra` without PyAV.
    """
    if not remote and not is_loopback(host):
        raise SettingsError(f"the emulator listens on this machine only, and {host} is not; use 127.0.0.1")
    if home.account.edit:
        require_av()
    listeners = await _listen(host, port)
    address = listeners[0].socket.getsockname()
    home.account.origin = f"http://{f'[{host}]' if ':' in host else host}:{address[1]}"
    editor = Editor(home)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(editor.run)
        nursery.start_soon(_state_often, home)
        nursery.start_soon(trio.serve_listeners, partial(_serve_one, home=home, changed=editor.kick), listeners)
        task_status.started(home.account.origin + API)


async def _listen(host: str, port: int) -> list[trio.SocketListener]:
    try:
        return await trio.open_tcp_listeners(port, host=host)
    except (OSError, OverflowError) as exc:
        raise SettingsError(f"{host}:{port} cannot be listened on: {exc}; use another port") from exc


async def _serve_one(stream: trio.SocketStream, *, home: Home, changed: Callable[[], None]) -> None:
    """Serve one connection; a bug of ours ends it and is logged, and the others go on."""
    home.connections += 1
    try:
        await Connection(stream, home, changed).serve()
    except Exception:
        _log.exception("a connection to the emulator ended with a bug")
        await trio.aclose_forcefully(stream)


async def _state_often(home: Home) -> None:
    while True:
        home.state()
        await trio.sleep(STATEMENT_SECONDS)
