"""Local files on their way to the service, through a bucket of one's own: once for each content, by its digest.

Nothing is noted of them: the name says what an object holds, and OSS says whether it is there. One that is a few days
old is put there anew, so that a rule of the bucket may delete what is older than a week.
"""

from __future__ import annotations

import os
import time
from hashlib import sha256
from typing import TYPE_CHECKING

import fastcrc

from wanrun import MediaUrl, SinkError, SourceError
from wanrun.errors import ServiceError, Unavailable
from wanrun_plugins._oss_keys import check_lasting, key_of
from wanrun_plugins._oss_options import BUCKET_OPTIONS, KEY_OPTIONS, STAGING_OPTIONS
from wanrun_plugins._oss_places import staged_at

if TYPE_CHECKING:
    from wanrun import Staging
    from wanrun.types import JSON

LINK_HOURS = 48  #: a task ends within 24
FRESH_SECONDS = 3 * 24 * 3600  #: an object that is younger need not be put there again
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


def staged(file: Staging) -> MediaUrl:
    """Return a link to a file's bytes, put into the bucket now unless they are there. Blocking.

    Raises `SourceError` for a file that is not what was planned, `Unavailable` for what passes, `ServiceError` else.
    """
    from wanrun_plugins._oss_refusals import Refused  # here, since it loads the SDK

    try:
        return _staged(file)
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
