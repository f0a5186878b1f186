"""What others wrote, made fit to show: one line, bounded, without control characters and without links' queries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

from wanrun.redaction import redacted
from wanrun.text import without_queries

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_TEXT = 500  #: characters of foreign text that a message may carry
MAX_ID = 128  #: characters of a foreign id or code
_LOOK_AT = 20_000  #: characters of a raw text that are looked at before it is cut


def clean(foreign: str, *, limit: int = MAX_TEXT) -> str:
    """Return foreign text as one line of at most `limit` characters that a terminal or a log can take."""
    shown = redacted(foreign)[:_LOOK_AT]  # before it is cut, as half a secret is not known for one
    if not shown.isprintable():  # it hardly ever is not, and looking at each character takes long
        shown = "".join(map(_shown, shown))
    line = without_queries(" ".join(shown.split()))
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _shown(character: str) -> str:
    if character.isspace():
        return " "
    return character if character.isprintable() else ""


def scrubbed(foreign: str, secrets: Iterable[str]) -> str:
    """Return a text without the secrets, which servers now and then quote."""
    for secret in filter(None, secrets):
        foreign = foreign.replace(secret, "***")
    return foreign


def whole(foreign: str) -> str:
    """Return the text unchanged but for lone surrogates, which no file or database could hold."""
    return foreign.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def bare(url: str) -> str:
    """Return a link without what may open it: no user, password, query or fragment."""
    return clean(url.partition("?")[0].partition("#")[0], limit=200)


def host_of(url: str) -> str:
    """Return the host and port of a link, for a message; an unreadable link gives an empty text."""
    try:
        return clean(httpx.URL(url).netloc.decode("ascii"), limit=200)
    except (httpx.InvalidURL, UnicodeError):
        return ""
