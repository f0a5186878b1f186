"""Local files on their way to the service, through a bucket of one's own: once for each content, by its digest.

Nothing is noted of them: the name says what an object holds, and OSS says whether it is there. One that is a few days
old is put there anew, so that what is older than a week may go, by a rule of the bucket or by `wanrun clean`.
"""

from __future__ import annotations

import os
import re
import time
from contextlib import contextmanager
from hashlib import sha256
from typing import TYPE_CHECKING

import fastcrc

from wanrun import MediaUrl, SinkError, SourceError, StagedFile
from wanrun.errors import ServiceError, Unavailable
from wanrun_plugins._oss_keys import check_lasting, key_of
from wanrun_plugins._oss_options import BUCKET_OPTIONS, KEY_OPTIONS, STAGING_OPTIONS
from wanrun_plugins._oss_places import beginning, staged_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from wanrun import Staging
    from wanrun.types import JSON
    from wanrun_plugins._oss_client import OssClient
    from wanrun_plugins._oss_places import Place
    from wanrun_plugins._oss_refusals import Errand

LINK_HOURS = 48  #: a task ends within 24
FRESH_SECONDS = 3 * 24 * 3600  #: an object that is younger need not be put there again
NEEDED_SECONDS = FRESH_SECONDS + LINK_HOURS * 3600  #: after an object was put there, as long as a link may live
CHUNK_BYTES = 1024 * 1024

OPTIONS: dict[str, JSON] = {
    "type": "object",
    "required": ["region", "bucket"],
    "additionalProperties": False,
    "properties": BUCKET_OPTIONS | STAGING_OPTIONS | {"profile": KEY_OPTIONS["profile"]},
}

_SUFFIXES = {
    "video/mp4": ".mp4",
    "video/quicktime": ".mov",
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/bmp": ".bmp",
    "image/webp": ".webp",
}
_NAME = re.compile(rf"(?P<digest>[0-9a-f]{{64}})(?:{'|'.join(map(re.escape, _SUFFIXES.values()))})?")


def staged(file: Staging) -> MediaUrl:
    """Return a link to a file's bytes, put into the bucket now unless they are there. Blocking.

    Raises `SourceError` for a file that is not what was planned, `Unavailable` for what passes, `ServiceError` else.
    """
    with _as_service_errors():
        return _staged(file)


def all_staged(options: Mapping[str, JSON]) -> list[StagedFile]:
    """Return what is in the bucket of all that was staged there. Blocking; raises `ServiceError`.

    Whatever else lies below the prefix, by a name that is not exactly one of ours, is somebody else's.
    """
    from wanrun_plugins._oss_refusals import CLEANING  # here, since it loads the SDK

    with _as_service_errors(), _client(beginning(options), options, CLEANING) as client:
        prefix = client.place.key
        named = [(each, _NAME.fullmatch(each.key.removeprefix(prefix))) for each in client.below()]
        return [
            StagedFile(
                name=str(client.another(each.key).place),
                key=f"sha256:{name['digest']}",
                bytes=each.bytes,
                until=each.at + NEEDED_SECONDS,
            )
            for each, name in named
            if name is not None
        ]


def unstaged(file: StagedFile, options: Mapping[str, JSON]) -> bool:
    """Remove an object that nobody needs any more, by OSS's own clock; says whether it is gone. Blocking.

    Another machine may have put it there anew just now, so it is looked at once more. Raises `ServiceError`.
    """
    from wanrun_plugins._oss_refusals import CLEANING  # here, since it loads the SDK

    place = staged_at(options, file.name.rpartition("/")[2])
    with _as_service_errors(), _client(place, options, CLEANING) as client:
        found = client.look()
        if found is not None and found.seen_at < found.at + NEEDED_SECONDS:
            return False
        client.remove()
        return True


def _client(place: Place, options: Mapping[str, JSON], errand: Errand) -> OssClient:
    from wanrun_plugins._oss_client import OssClient

    return OssClient(place, key_of(options, os.environ), errand)


@contextmanager
def _as_service_errors() -> Iterator[None]:
    """Let what is wrong with a place or a key, or what OSS says, be what stops all or passes."""
    from wanrun_plugins._oss_refusals import Refused  # here, since it loads the SDK

    try:
        yield
    except Refused as exc:
        passes = not exc.status or exc.status >= 500
        raise (Unavailable if passes else ServiceError)(str(exc)) from exc
    except SinkError as exc:
        raise ServiceError(str(exc)) from exc


def _staged(file: Staging) -> MediaUrl:
    from wanrun_plugins._oss_client import OssClient, Terms
    from wanrun_plugins._oss_refusals import KEEPING

    digest = file.key.removeprefix("sha256:")
    place = staged_at(file.options, digest + _SUFFIXES.get(file.mime, ""))
    key = key_of(file.options, os.environ)
    check_lasting(key)
    size, crc64 = _looked_through(file, digest)
    with OssClient(place, key, KEEPING) as client:
        found = client.look()
        there = found is not None and (found.bytes, found.crc64) == (size, crc64)
        if found is None or not there or found.at < time.time() - FRESH_SECONDS:
            with file.path.open("rb") as content:
                kept = client.put(content, Terms(None, {}, forbid_overwrite=False, content_type=file.mime))
            if kept.crc64 != crc64:
                raise _changed(file)
        return MediaUrl(client.link(LINK_HOURS), time.time() + LINK_HOURS * 3600)


def _looked_through(file: Staging, digest: str) -> tuple[int, int]:
    """Return a file's size and CRC64; raises `SourceError` when it is not what was planned."""
    seen, size, crc64 = sha256(), 0, 0
    try:
        with file.path.open("rb") as content:
            while chunk := content.read(CHUNK_BYTES):
                seen.update(chunk)
                size += len(chunk)
                crc64 = fastcrc.crc64.xz(chunk, crc64)
    except OSError as exc:
        raise SourceError(f"{file.path}: {exc.strerror or exc}") from exc
    if seen.hexdigest() != digest:
        raise _changed(file)
    return size, crc64


def _changed(file: Staging) -> SourceError:
    return SourceError(f"{file.path} changed since the plan; run again to submit it as it is now")
