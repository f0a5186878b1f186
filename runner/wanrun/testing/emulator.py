"""The emulator on loopback, for tests that want to look at the service."""

from __future__ import annotations

import json
import urllib.request
from functools import partial
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Self

import trio

from wanrun.emulator import run_emulator
from wanrun.emulator.calls import API, STATEMENT

if TYPE_CHECKING:
    from pathlib import Path

START_SECONDS = 30.0
SPEED = 100_000.0  #: no task takes long


class Emulator:
    """Serves an account of its own from `with` on; its tasks end at once, each with the same short video."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self._serve = partial(run_emulator, folder=folder, edit="none", **{"speed": SPEED, **settings})
        self._thread = Thread(target=trio.run, args=(self._run,), daemon=True)
        self._ready, self._scope = Event(), trio.CancelScope()
        self._token: trio.lowlevel.TrioToken | None = None
        self.url = ""  #: its base URL, for `Setup.base_url`

    def statement(self) -> dict[str, Any]:
        """Return what was asked of the account, made and billed so far."""
        address = self.url.removesuffix(API) + STATEMENT
        with urllib.request.urlopen(address, timeout=START_SECONDS) as reply:  # noqa: S310  # it is our own
            statement: dict[str, Any] = json.load(reply)
        return statement

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(START_SECONDS), "the emulator did not start"
        return self

    def __exit__(self, *_: object) -> None:
        assert self._token is not None
        trio.from_thread.run_sync(self._scope.cancel, trio_token=self._token)
        self._thread.join(START_SECONDS)

    async def _run(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        with self._scope:
            await self._serve(log=self._started)

    def _started(self, url: str) -> None:
        self.url = url
        self._ready.set()
