"""The emulator as a server of its own, for tries with other programs and for tests."""

from __future__ import annotations

import signal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from wanrun.emulator import load_faults, run_emulator
from wanrun.errors import plain_errors
from wanrun.project import EmulatorOptions, Setup
from wanrun.registry import load_catalog
from wanrun.settings import STATE_FOLDER, project_root

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def emulate(
    options: EmulatorOptions | None = None,
    setup: Setup | None = None,
    *,
    folder: Path | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    ready: Callable[[str], None] = print,
) -> None:
    """Serve the emulator until it is interrupted; `ready` hears its base URL, port 0 takes a free one.

    Its account lasts in `folder`, by default below `.wanrun` at the project root. Blocking. Raises `SettingsError`,
    and `MissingExtra` when it is to edit and cannot.
    """
    options = options or EmulatorOptions()
    start = setup.folder if setup and setup.folder else Path.cwd()
    serve = partial(
        run_emulator,
        folder=folder or project_root(start) / STATE_FOLDER / "emulator" / "served",
        host=host,
        port=port,
        speed=options.speed,
        edit=options.edit,
        faults=load_faults(options.faults) if options.faults else None,
        models=list(load_catalog(without=setup.without_plugins if setup else ()).models.values()),
        log=ready,
    )
    with plain_errors():
        trio.run(_until_stopped, serve)


async def _until_stopped(serve: Callable[[], Awaitable[None]]) -> None:
    async with trio.open_nursery() as nursery:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
            nursery.start_soon(serve)
            async for _ in received:
                nursery.cancel_scope.cancel()
                break
