"""A program: the service on loopback, with results of a size. Prints its base URL and serves until killed.

Arguments: the folder that it is kept in, and how many bytes a result has.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import trio

from wanrun.emulator.folder import open_home
from wanrun.emulator.ready import ready_clip
from wanrun.emulator.server import serve
from wanrun.emulator.store import READY, put


def result(size: int) -> bytes:
    """Return a ready clip with an unused box behind it, whose bytes differ from place to place."""
    clip = ready_clip().data
    left = size - len(clip) - 8
    filling = b"".join(number.to_bytes(8) for number in range(left // 8 + 1))[:left]
    return clip + (left + 8).to_bytes(4) + b"free" + filling


async def main(folder: str, size: str) -> None:
    """Serve until killed."""
    with open_home(Path(folder), speed=100_000, edit=False) as home:
        put(home.account.store, READY, result(int(size)))
        async with trio.open_nursery() as nursery:
            print(await nursery.start(partial(serve, home)), flush=True)


if __name__ == "__main__":
    trio.run(main, *sys.argv[1:])
