"""Reading a link: streamed, without the key, resumed only where it is proven to be the same file."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from wanrun.client.endpoint import stays_private, web_url
from wanrun.client.network import LinkRefused
from wanrun.client.reading import leave, raw_chunks, retry_after_seconds
from wanrun.client.refusals import BROKEN, Call, no_answer, too_late
from wanrun.client.text import bare
from wanrun.errors import LinkExpired, ServiceError, Throttled, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable

    import httpx

    from wanrun.client.sending import Http

MAX_BYTES = 2 << 30  #: of one result
MIN_BYTES_PER_SECOND = 4096  #: on the whole; slower than this, a connection is given up
GRACE_SECONDS = 60.0  #: before the slowest speed counts

_DOWNLOAD = Call("download")
_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})")


class StartOver(Unavailable):
    """What was read before is not the beginning of what is there now; read again from byte 0."""


@dataclass(frozen=True, slots=True)
class Download:
    """A result on its way; `chunks` raises `Unavailable` when it breaks, comes too slowly or ends too soon."""

    status: int
    total_bytes: int | None  #: of the whole file; None when the service does not say
    offset: int  #: where `chunks` starts: as asked, or 0 when it starts over
    etag: str | None
    crc64: int | None  #: CRC-64/XZ of the whole file, as the service's store knows it
    chunks: AsyncIterator[bytes]


@asynccontextmanager
async def open_download(
    http: Http, url: str, *, offset: int, etag: str | None, seconds: float, now: Callable[[], float]
) -> AsyncGenerator[Download, None]:
    """Open a link and yield the download, see `Client.download`."""
    offset = offset if etag else 0  # without it nothing would tell that the bytes belong together
    response = await _open(http, url, _headers(offset, etag), seconds=seconds)
    raw = raw_chunks(response)
    try:
        _check(response, url, resuming=offset > 0, now=now)
        total, start = _extent(response, url, offset=offset)
        chunks = _bounded(raw, url, expected=None if total is None else total - start)
        etag, crc64 = response.headers.get("etag"), _digits(response.headers.get("x-oss-hash-crc64ecma"))
        try:
            yield Download(response.status_code, total, start, etag, crc64, chunks)
        finally:
            await chunks.aclose()
    finally:
        await leave(response, raw)


def _headers(offset: int, etag: str | None) -> dict[str, str]:
    if not (offset and etag):
        return {}
    # Without the last one, the store answers a range that it does not have with 200 and the whole file.
    return {"Range": f"bytes={offset}-", "If-Match": etag, "x-oss-range-behavior": "standard"}


async def _open(http: Http, url: str, headers: dict[str, str], *, seconds: float) -> httpx.Response:
    broken: Exception | None = None
    with trio.move_on_after(seconds):
        try:
            return await http.send(http.request("GET", _readable(url), headers=headers))
        except BROKEN as exc:
            broken = exc
    if broken is None:
        raise too_late(_DOWNLOAD, seconds, url=url, request_id=None)
    raise no_answer(_DOWNLOAD, broken, url=url, secrets=_secrets(url))


def _readable(url: str) -> httpx.URL:
    link = web_url(url)
    if link is None or link.userinfo:
        raise LinkRefused(f'download: "{bare(url)}" is no link that can be read; a query may give another one')
    if stays_private(link):
        return link
    if link.port is not None:
        raise LinkRefused(f'download: "{bare(url)}" would be read in the clear; a query may give another one')
    return link.copy_with(scheme="https")  # the store serves both, and a signature holds for both


def _secrets(url: str) -> tuple[str, ...]:
    return (url.partition("?")[2],)


def _check(response: httpx.Response, url: str, *, resuming: bool, now: Callable[[], float]) -> None:
    status, link = response.status_code, bare(url)
    if status in (200, 206):
        encoding = response.headers.get("content-encoding", "identity")
        if encoding.strip().lower() not in ("", "identity"):
            raise Unavailable(f"download: {link} came compressed, which was not asked for", status=status)
    elif status in (412, 416) and resuming:
        raise StartOver(f"download: {link} is not the file whose beginning is here; starting over", status=status)
    else:
        raise _refused(response, link, now=now)


def _refused(response: httpx.Response, link: str, *, now: Callable[[], float]) -> ServiceError:
    status = response.status_code
    if status == 429:
        wait = retry_after_seconds(response.headers.get("retry-after"), now=now())
        return Throttled(f"download: too many calls for {link}", retry_after_seconds=wait, status=status)
    if 400 <= status < 500 and status not in (408, 425):
        return LinkExpired(f"download: {link} no longer works", status=status)
    what = "leads elsewhere, and no redirect is followed" if 300 <= status < 400 else "cannot be read now"
    return Unavailable(f"download: {link} {what}", status=status)


def _extent(response: httpx.Response, url: str, *, offset: int) -> tuple[int | None, int]:
    """Return the size of the whole file, None when not said, and where the body starts in it."""
    total, start = _digits(response.headers.get("content-length")), 0
    if response.status_code == 206:
        found = _RANGE.fullmatch(response.headers.get("content-range", "").strip())
        start, end, total = map(int, found.groups()) if found else (-1, -1, -1)
        if not offset or start != offset or end != total - 1:
            raise StartOver(f"download: {bare(url)} came in another part than asked; starting over", status=206)
    if total is not None and total > MAX_BYTES:
        raise Unavailable(f"download: {bare(url)} is said to be {total} bytes, more than any result")
    return total, start


def _digits(value: str | None) -> int | None:
    return int(value) if value and re.fullmatch(r"[0-9]{1,20}", value.strip()) else None


async def _bounded(raw: AsyncGenerator[bytes, None], url: str, *, expected: int | None) -> AsyncGenerator[bytes, None]:
    """Yield the chunks; `expected` bytes are left to come, no more and no less."""
    received, began = 0, trio.current_time()
    while chunk := await _next(raw, url):
        received += len(chunk)
        if received > (MAX_BYTES if expected is None else expected):
            raise Unavailable(f"download: {bare(url)} is longer than it was said to be")
        if trio.current_time() > began + GRACE_SECONDS + received / MIN_BYTES_PER_SECOND:
            raise Unavailable(f"download: {bare(url)} comes too slowly ({received} bytes so far)")
        yield chunk
    if expected is not None and received != expected:
        raise Unavailable(f"download: {bare(url)} broke off after {received} of {expected} bytes")


async def _next(raw: AsyncGenerator[bytes, None], url: str) -> bytes:
    """Return the next chunk that is not empty, and nothing at the end."""
    try:
        async for chunk in raw:
            if chunk:
                return chunk
        return b""
    except BROKEN as exc:
        broken = exc
    raise no_answer(_DOWNLOAD, broken, url=url, secrets=_secrets(url))
