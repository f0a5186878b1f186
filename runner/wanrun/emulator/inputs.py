"""Gets the media of a task as files: uploads, data URLs, links to this machine; anything farther away gets a stand-in.

The emulator never leaves the machine, whatever URL a body holds.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from wanrun.emulator.checks import Fault, invalid, media_items

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from wanrun.emulator.store import FolderStore
    from wanrun.models import MediaLimits, Model

STAND_IN = Path(__file__).parent / "ready.mp4"
FETCH_SECONDS = 30.0


class Unusable(Exception):
    """A medium cannot be had, or has too many bytes; carries what the service says of it."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Input:
    """One medium as a file; `path` is None for a picture that is too far away."""

    type: str
    path: Path | None
    stand_in_for: str = ""  #: host that was not asked


async def gather(body: Mapping[str, Any], model: Model, store: FolderStore, folder: Path) -> list[Input]:
    """Return the media of a body in their order; what has to be written goes to `folder`. Raises `Unusable`."""
    return [
        await _one(item["type"], item["url"], model.media[item["type"]], store, folder / f"input-{number}")
        for number, item in enumerate(media_items(body))
    ]


async def _one(kind: str, url: str, limits: MediaLimits, store: FolderStore, target: Path) -> Input:
    if url.startswith("oss://"):
        return Input(kind, _uploaded(url, store))
    if url.startswith("data:"):
        target.write_bytes(_decoded(url))  # noqa: ASYNC240  # at most some 20 MB, in page cache
        return Input(kind, target)
    host = _host(url)
    if not is_loopback(host):
        return Input(kind, STAND_IN if limits.max_seconds else None, stand_in_for=host)
    await _fetch(url, target, limits.max_bytes)
    return Input(kind, target)


def is_loopback(host: str) -> bool:
    """Say whether a host is this machine, by its name alone: nothing is resolved."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def without_query(url: str) -> str:
    """Return a URL without what may be a signature."""
    return url.partition("?")[0].partition("#")[0]


def _uploaded(url: str, store: FolderStore) -> Path:
    path = store.path(url.removeprefix("oss://"))
    if not path.is_file():  # its 48 hours ended while the task waited
        raise Unusable(invalid(f"Failed to download {without_query(url)}"))
    return path


def _decoded(url: str) -> bytes:
    try:
        return base64.b64decode(url.partition(",")[2], validate=True)
    except (binascii.Error, ValueError):
        raise Unusable(Fault("InvalidImage.FileFormat", "The base64 of a data URL cannot be decoded")) from None


def _host(url: str) -> str:
    try:
        return httpx.URL(url).host
    except (httpx.InvalidURL, ValueError):
        raise Unusable(Fault("InvalidURL", "Invalid URL provided")) from None


async def _fetch(url: str, target: Path, max_bytes: int) -> None:
    """Download from this machine, without proxy and without redirects, and no more than the model takes."""
    try:
        async with (
            httpx.AsyncClient(trust_env=False, timeout=FETCH_SECONDS) as client,
            client.stream("GET", url) as response,
        ):
            response.raise_for_status()
            if response.status_code != httpx.codes.OK:
                raise Unusable(invalid(f"Failed to download {without_query(url)}"))
            with target.open("wb") as file:
                async for piece in response.aiter_bytes():
                    file.write(piece)
                    if file.tell() > max_bytes:
                        raise Unusable(Fault("InvalidFile.Size", f"A file should be at most {max_bytes} bytes"))
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as exc:
        raise Unusable(invalid(f"Failed to download {without_query(url)}")) from exc
