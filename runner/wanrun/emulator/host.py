"""The emulator as a command: a folder, a port, and an account that serves until it is stopped."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import trio

from wanrun.emulator.folder import open_home
from wanrun.emulator.server import serve

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wanrun.emulator.faults import Faults


async def run_emulator(
    *,
    folder: Path,
    host: str = "127.0.0.1",
    port: int = 0,
    speed: float = 1.0,
    edit: Literal["auto", "none"] = "auto",
    faults: Faults | None = None,
    log: Callable[[str], None] = print,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
    **settings: Any,
) -> None:
    """Serve the account of `folder` until cancelled; its state and its statement are on disk when this returns.

    `log` is called with the base URL, and so is `task_status`. `speed` divides queueing and processing times, nothing
    else. Further settings are those of `Account`. Raises `SettingsError` and `MissingExtra` before anything is served.
    """
    with open_home(folder, speed=speed, edit=edit == "auto", faults=faults, **settings) as home:
        async with trio.open_nursery() as nursery:
            url: str = await nursery.start(partial(serve, home, host=host, port=port))
            log(url)
            task_status.started(url)
