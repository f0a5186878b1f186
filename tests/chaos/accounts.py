"""A program: emulator accounts, one for each argument, each on a port of its own. Prints their ports and serves.

Arguments: the folder that they are kept in, then for each the origin that its links and uploads point to: a proxy's, or
an empty one for its own.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import trio

from wanrun.emulator.folder import open_home
from wanrun.emulator.server import serve

SPEED = 100_000  #: tasks take no time


async def main(folder: str, *origins: str) -> None:
    """Serve until killed."""
    with ExitStack() as stack:
        async with trio.open_nursery() as nursery:
            ports = []
            for number, origin in enumerate(origins):
                home = stack.enter_context(open_home(Path(folder) / str(number), speed=SPEED, edit=False))
                url: str = await nursery.start(partial(serve, home))
                home.account.origin = origin or home.account.origin
                ports.append(url.split(":")[2].partition("/")[0])
            print(*ports, flush=True)


if __name__ == "__main__":
    trio.run(main, *sys.argv[1:])
