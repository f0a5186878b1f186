"""A program: somewhere for results, on loopback: `oss` or `slack`, by the strict servers of the tests.

Prints the options of the sink that leads there and the secrets that they name; once its input ends, the checksum of
each file that has arrived. Arguments: the kind of sink, and a folder for what is kept.
"""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from hashlib import file_digest
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Place = tuple[dict[str, Any], dict[str, str], "Callable[[], list[str | None]]"]

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))


def main(kind: str, folder: str) -> None:
    """Serve until the input ends."""
    with {"oss": _oss, "slack": _slack}[kind](Path(folder)) as (options, secrets, arrived):
        print(json.dumps({"options": options, "secrets": secrets}), flush=True)
        sys.stdin.read()
        print(json.dumps(arrived()), flush=True)


@contextmanager
def _oss(folder: Path) -> Iterator[Place]:
    from oss_server import OssServer
    from oss_server.server import BUCKET, KEY, REGION

    with OssServer(folder) as server:
        key = {"access_key_id": "${{ secret.ID }}", "access_key_secret": "${{ secret.SECRET }}"}
        options = {"region": REGION, "bucket": BUCKET, "endpoint": server.url, **key}
        yield options, {"ID": KEY.id, "SECRET": KEY.secret}, lambda: [_digest(each) for each in server.objects.values()]


@contextmanager
def _slack(folder: Path) -> Iterator[Place]:
    from slack_server import CHANNEL, TOKEN, SlackServer

    with SlackServer() as server:
        options = {"token": "${{ secret.TOKEN }}", "channel": CHANNEL, "api": server.api}
        yield options, {"TOKEN": TOKEN}, lambda: [file.sha256 for file in server.files.values() if file.channel]


def _digest(found: Any) -> str:
    with found.content.path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    main(*sys.argv[1:])
