"""What is sent: requests whose bodies leave nothing behind when a call is cancelled or breaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from collections.abc import Mapping

CHUNK_BYTES = 256 * 1024


class Pieces(httpx.AsyncByteStream):
    """A body that is its own iterator, good for one sending.

    httpx's bodies are async generators; one that is not read to its end, as in a cancelled call, is left to the garbage
    collector, and trio warns of it.
    """

    def __aiter__(self) -> Pieces:
        return self

    async def __anext__(self) -> bytes:
        raise NotImplementedError


class Piece(Pieces):
    """A body that is in memory, handed over bit by bit: a timeout of writing counts for each."""

    def __init__(self, content: bytes) -> None:
        self._content, self._at = content, 0

    async def __anext__(self) -> bytes:
        if self._at >= len(self._content):
            raise StopAsyncIteration
        start, self._at = self._at, self._at + CHUNK_BYTES
        return self._content[start : self._at]


class Http:
    """Sends requests as they are, over the connections and proxies of an httpx client.

    httpx's own `send` adds what no call here wants: authentication flows, redirects, cookies, a log of whole URLs. That
    is a third of a call's time.
    """

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._headers = dict(client.headers.items())
        self._timeout = client.timeout.as_dict()

    def request(
        self,
        method: str,
        url: str | httpx.URL,
        *,
        headers: Mapping[str, str],
        params: Mapping[str, str] | None = None,
        content: bytes | Pieces = b"",
    ) -> httpx.Request:
        """Return a request with this body; with `Pieces`, its `headers` have to say the `Content-Length`."""
        request = httpx.Request(
            method,
            url,
            params=params,
            headers={**self._headers, **headers},
            content=content or None,
            extensions={"timeout": self._timeout},
        )
        request.stream = content if isinstance(content, Pieces) else Piece(content)
        return request

    async def send(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return the response once its head is there; its body is to be read or left."""
        response = await self._client._transport_for_url(request.url).handle_async_request(request)
        response.request = request
        return response

    async def aclose(self) -> None:
        """Close every connection."""
        await self._client.aclose()
