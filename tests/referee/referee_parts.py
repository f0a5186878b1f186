"""An emulator in a thread of its own, since the SDK blocks the one that it is called from, and what it was asked."""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

from wanrun.emulator import Account, Faults, FolderStore, Home, serve
from wanrun.emulator.store import get
from wanrun.models import ServiceLimits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wanrun.emulator.calls import Call, Kind
    from wanrun.emulator.faults import Effect

OLDEST = "1.25.16"  #: the first SDK version that the service's documentation of this model asks for
KEY = "sk-referee"
MODEL = "wan2.7-videoedit"
NOBODYS = "00000000-0000-4000-8000-000000000001"  #: a task id that was never given out
MEDIA = Path(__file__).resolve().parents[2] / "specs" / "media"
NO_PROXY = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}  #: which spelling wins depends on the library
START_SECONDS = 30.0
LONG_SECONDS = 3600.0  #: of a task that will not end while a test looks

#: Limits that no test meets by chance, however fast or slow the machine is.
ROOMY = ServiceLimits(creates_per_second=10_000, running_at_once=100, queued=500, queries_per_second=10_000)
#: One task runs, the others wait.
ONE_PLACE = replace(ROOMY, running_at_once=1)
#: Limits that every call meets, without a race against the clock.
BUSY = ServiceLimits(creates_per_second=0, running_at_once=100, queued=500, queries_per_second=0)
#: No task can wait.
FULL = replace(ROOMY, queued=0)


class Witness(Account):
    """An account that remembers every call as it came in over the wire."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.heard: list[Call] = []

    def strike(self, call: Call) -> Effect:
        """Remember the call; the host asks this once for each."""
        self.heard.append(call)
        return super().strike(call)


@dataclass
class Served:
    """A running emulator."""

    url: str
    account: Witness

    def heard(self, kind: Kind) -> list[Call]:
        """Return the calls of one kind so far."""
        return [call for call in self.account.heard if call.kind is kind]

    def stored(self, url: str) -> bytes:
        """Return the bytes behind an `oss://` URL."""
        return get(self.account.store, url.removeprefix("oss://"))


@contextmanager
def emulator(folder: Path, *faults: dict[str, Any], **settings: Any) -> Iterator[Served]:
    """Serve an account from a folder; a task is done at once unless `settings`, those of `Account`, say otherwise."""
    quick = {"limits": ROOMY, "seconds": 0.0, "queue_seconds": 0.0, "seed": 1}
    account = Witness(
        store=FolderStore(folder / "objects"), faults=Faults({"faults": list(faults)}), **quick | settings
    )
    home = Home(account, folder, account.store)
    with ThreadPoolExecutor(1) as threads:
        started: Future[tuple[str, Any]] = Future()
        ended = threads.submit(trio.run, _serve, home, started)
        ended.add_done_callback(partial(_pass_on, to=started))
        url, stop = started.result(START_SECONDS)
        try:
            yield Served(url, account)
        finally:
            stop()
            ended.result()
            home.close()


async def _serve(home: Home, started: Future[tuple[str, Any]]) -> None:
    token = trio.lowlevel.current_trio_token()
    async with trio.open_nursery() as nursery:
        url = await nursery.start(partial(serve, home))
        started.set_result((url, partial(token.run_sync_soon, nursery.cancel_scope.cancel)))


def _pass_on(ended: Future[None], *, to: Future[tuple[str, Any]]) -> None:
    """Tell whoever waits for the start when there was none."""
    if not to.done() and (error := ended.exception()):
        to.set_exception(error)


def sdk_environment(**added: str) -> dict[str, str]:
    """Return an environment for a program with the SDK: none of the developer's own settings of it, and no proxy."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("DASHSCOPE_", "PYTHON"))}
    return own | NO_PROXY | added
