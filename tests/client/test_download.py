"""A link is read without the key, and resumed only when that is surely right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
import trio
from client_parts import LINK, client_of, error_of, read

from wanrun.client import Client, LinkRefused, StartOver
from wanrun.errors import LinkExpired, ServiceError, Throttled, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trio.testing import MockClock


async def test_a_download_says_what_it_knows_of_the_file() -> None:
    """Size, tag and checksum, as the store gives them."""
    headers = {"ETag": '"abc"', "x-oss-hash-crc64ecma": "18446744073709551615"}
    async with (
        client_of(httpx.Response(200, content=b"film", headers=headers)) as client,
        client.download(LINK) as download,
    ):
        assert (download.status, download.total_bytes, download.offset) == (200, 4, 0)
        assert (download.etag, download.crc64) == ('"abc"', 2**64 - 1)
        assert b"".join([chunk async for chunk in download.chunks]) == b"film"


async def test_a_download_goes_on_where_it_stopped() -> None:
    """With the range, the tag and the header that makes the store honest about ranges."""
    seen: list[httpx.Request] = []
    answer = httpx.Response(206, content=b"lm", headers={"Content-Range": "bytes 2-3/4"})

    async with client_of(answer, seen) as client:
        assert await read(client, offset=2, etag='"abc"') == (2, b"lm")

    headers = seen[0].headers
    assert (headers["range"], headers["if-match"]) == ("bytes=2-", '"abc"')
    assert headers["x-oss-range-behavior"] == "standard"
    assert headers["accept-encoding"] == "identity"
    assert "authorization" not in headers


async def test_a_whole_answer_to_a_range_starts_over() -> None:
    """200 is the file from its beginning, whatever was asked."""
    async with client_of(httpx.Response(200, content=b"film")) as client:
        assert await read(client, offset=2, etag='"abc"') == (0, b"film")


async def test_without_a_tag_a_download_starts_over() -> None:
    """Nothing would tell that the bytes belong together."""
    seen: list[httpx.Request] = []

    async with client_of(httpx.Response(200, content=b"film"), seen) as client:
        assert await read(client, offset=2) == (0, b"film")

    assert "range" not in seen[0].headers


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(412),
        httpx.Response(416),
        httpx.Response(206, content=b"ilm", headers={"Content-Range": "bytes 1-3/4"}),
        httpx.Response(206, content=b"l", headers={"Content-Range": "bytes 2-2/4"}),
        httpx.Response(206, content=b"lm", headers={"Content-Range": "bytes 2-3/*"}),
        httpx.Response(206, content=b"lm"),
    ],
    ids=lambda answer: f"{answer.status_code} {answer.headers.get('content-range')}",
)
async def test_another_file_or_part_means_starting_over(answer: httpx.Response) -> None:
    """Bytes are never joined unless the service proves that they belong together."""
    async with client_of(answer) as client:
        assert type(await error_of(read(client, offset=2, etag='"abc"'))) is StartOver


@pytest.mark.parametrize(
    ("answer", "family"),
    [
        (httpx.Response(403, text="<Error><Code>AccessDenied</Code></Error>"), LinkExpired),
        (httpx.Response(404), LinkExpired),
        (httpx.Response(410), LinkExpired),
        (httpx.Response(429), Throttled),
        (httpx.Response(500), Unavailable),
        (httpx.Response(302, headers={"Location": "https://elsewhere.example.com/"}), Unavailable),
        (httpx.Response(200, content=b"x", headers={"Content-Encoding": "br"}), Unavailable),
        (httpx.Response(200, content=b"short", headers={"Content-Length": "9"}), Unavailable),
        (httpx.Response(200, content=b"too long", headers={"Content-Length": "3"}), Unavailable),
        (httpx.Response(200, content=b"x", headers={"Content-Length": str(3 << 30)}), Unavailable),
        (httpx.ConnectError("refused"), Unavailable),
        (httpx.ReadTimeout(f"slow {LINK}"), Unavailable),
    ],
    ids=lambda value: repr(value)[:40],
)
async def test_a_download_fails_by_family(answer: httpx.Response | Exception, family: type[ServiceError]) -> None:
    """Dead links are asked for again, everything else may pass."""
    async with client_of(answer) as client:
        assert type(await error_of(read(client))) is family


@pytest.mark.parametrize("link", ["", "file:///etc/passwd", "https://u:hidden@example.com/a", "https:///a", "a.mp4"])
async def test_a_link_that_is_none_is_asked_for_again(link: str) -> None:
    """Only http and https are ever opened, and never with a password."""
    async with client_of(httpx.Response(200)) as client:
        with pytest.raises(LinkRefused, match="is no link that can be read") as caught:
            async with client.download(link):
                pass

    assert "hidden" not in str(caught.value)


async def test_a_download_that_drips_is_given_up(autojump_clock: MockClock) -> None:
    """One byte a second would take years."""

    async def drip() -> AsyncIterator[bytes]:
        while True:
            yield b"x"
            await trio.sleep(1)

    async with client_of(httpx.Response(200, content=drip())) as client:
        error = await error_of(read(client))

    assert type(error) is Unavailable
    assert "too slowly" in str(error)
    assert trio.current_time() < 120


async def test_the_readers_own_error_passes_through_a_download() -> None:
    """A full disk is not the service's fault."""
    async with client_of(httpx.Response(200, content=b"film")) as client:
        with pytest.raises(OSError, match="disk full"):
            await read_onto_a_full_disk(client)


async def read_onto_a_full_disk(client: Client) -> None:
    """Fail at the first chunk."""
    async with client.download(LINK) as download:
        async for _chunk in download.chunks:
            raise OSError("disk full")
