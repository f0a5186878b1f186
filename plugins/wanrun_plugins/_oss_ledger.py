"""A ledger in a bucket: OSS itself sees to it that no object is overwritten, and lists one as soon as it is there.

A bucket that keeps versions, or has ever done so, takes an object that is there already all the same: it is of no use
for this, which OSS shows by giving a version in its answer.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

import fastcrc

from wanrun import SinkError, WanrunError
from wanrun_plugins._oss_keys import key_of
from wanrun_plugins._oss_options import BUCKET_OPTIONS, KEY_OPTIONS, LEDGER_OPTIONS
from wanrun_plugins._oss_places import beginning

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from wanrun.types import JSON
    from wanrun_plugins._oss_client import OssClient

PREFIX = "wanrun-ledger/"

OPTIONS: dict[str, JSON] = {
    "type": "object",
    "required": ["region", "bucket"],
    "additionalProperties": False,
    "properties": {name: BUCKET_OPTIONS[name] for name in ("region", "bucket", "endpoint")}  # a domain may have a cache
    | LEDGER_OPTIONS
    | {"profile": KEY_OPTIONS["profile"]},
}


class OssLedgerStore:
    """Keeps a ledger's generations and locks in a bucket."""

    def __init__(self, options: Mapping[str, JSON]) -> None:
        self._options = options
        with _told_apart():
            self._place = beginning(options, PREFIX)

    def place(self) -> str:
        """Return `oss://bucket/prefix/`."""
        return str(self._place)

    def names(self) -> list[str]:
        """Return what is below the prefix."""
        with _told_apart():
            return [each.key.removeprefix(self._place.key) for each in self._client.below()]

    def read(self, name: str, to: Path) -> None:
        """Write an object to a file."""
        with self._object(name) as client:
            data = client.read()
        try:
            to.write_bytes(data)
        except OSError as exc:
            raise SinkError(f"{to}: {exc.strerror}") from exc

    def create(self, name: str, path: Path) -> bool:
        """Put an object where there is none, in one piece."""
        from wanrun_plugins._oss_client import Terms
        from wanrun_plugins._oss_refusals import EXISTS, Refused

        data = path.read_bytes()
        with self._object(name) as client:
            try:
                kept = client.put(data, Terms(None, {}, forbid_overwrite=True, content_type="application/octet-stream"))
            except Refused as exc:
                if exc.code not in EXISTS:
                    raise
                found = client.look()
                return found is not None and (found.bytes, found.crc64) == (len(data), fastcrc.crc64.xz(data))
            if kept.version_id is not None:
                raise WanrunError(
                    f"{client.place}: the bucket keeps versions, so two could put this object there, and neither would "
                    "be told; a ledger store needs a bucket in which versions were never switched on"
                )
            return True

    def remove(self, name: str) -> None:
        """Remove an object."""
        with self._object(name) as client:
            client.remove()

    @cached_property
    def _client(self) -> OssClient:
        from wanrun_plugins._oss_client import OssClient  # here, since it loads the SDK
        from wanrun_plugins._oss_refusals import CARRYING

        return OssClient(self._place, key_of(self._options, os.environ), CARRYING)

    @contextmanager
    def _object(self, name: str) -> Iterator[OssClient]:
        with _told_apart():
            yield self._client.another(self._place.key + name)


@contextmanager
def _told_apart() -> Iterator[None]:
    """Let what passes be a `SinkError`, and all else, which a person has to mend, a plain `WanrunError`."""
    try:
        yield
    except SinkError as exc:
        status = getattr(exc, "status", None)  # of what OSS refused; 0: it was not reached
        if status is not None and (status == 0 or status >= 500 or status in (408, 429)):
            raise
        raise WanrunError(str(exc)) from exc
