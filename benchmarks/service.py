"""A program: the emulator with an account made for a benchmark. Prints its base URL and serves until it is told to end.

Arguments: the folder that the account is kept in, and the settings of the account as JSON (`limits`, `seconds` ...).
"""

from __future__ import annotations

import json
import signal
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

from wanrun.emulator import run_emulator
from wanrun.models import ServiceLimits

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def main(folder: str, settings: str) -> None:
    """Serve until SIGTERM."""
    wanted: dict[str, Any] = json.loads(settings)
    limits = ServiceLimits(**wanted.pop("limits")) if "limits" in wanted else None
    log = partial(print, flush=True)
    serve = partial(run_emulator, folder=Path(folder), edit="none", limits=limits, log=log, **wanted)
    trio.run(_until_told, serve)


async def _until_told(serve: Callable[[], Awaitable[None]]) -> None:
    async with trio.open_nursery() as nursery:
        with trio.open_signal_receiver(signal.SIGTERM) as told:
            nursery.start_soon(serve)
            await anext(told)
            nursery.cancel_scope.cancel()


if __name__ == "__main__":
    main(*sys.argv[1:])
