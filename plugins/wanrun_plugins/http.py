"""Sources for what is not a file of this machine: `http` hands a link on, `url` what only the service understands."""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as Base64Error
from hashlib import sha256
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from wanrun import Identity, MediaUrl, SourceError, SourceKind, hookimpl

if TYPE_CHECKING:
    from wanrun import MediaRef, PrepareContext
    from wanrun.types import JSON

#: Query parameters that sign a link, as their services spell them: they change from one signing to the next while the
#: file stays the same.
SIGNING = frozenset({"Expires", "Signature", "OSSAccessKeyId", "security-token"})
SIGNING_PREFIXES = ("x-oss-", "x-amz-")  #: in any case
CONTENT_PARAMETERS = frozenset({"x-oss-process"})  #: it resizes or cuts: another value is another picture

UNPRINTABLE = re.compile(r"[\x00-\x20\x7f\ud800-\udfff]")  #: urllib would drop some of these without a word
DATA_URL = re.compile(r"data:(image/(?:jpeg|png|bmp|webp));base64,(.+)", re.DOTALL)
PASSED_ON = ("ark_asset_", "oss://dashscope-instant/")

HTTP_OPTIONS: dict[str, JSON] = {
    "type": "object",
    "required": ["url"],
    "additionalProperties": False,
    "properties": {
        "url": {
            "type": "string",
            "minLength": 1,
            "description": "The link, public or signed; the service opens it.",
            "examples": ["https://example.com/shot.mp4"],
        },
        "key": {
            "type": "string",
            "minLength": 1,
            "description": "What the link stands for, such as a version: while it stays, a new link is the same input.",
            "examples": ["shot-014 v3"],
        },
    },
}
URL_OPTIONS: dict[str, JSON] = {
    "type": "object",
    "required": ["url"],
    "additionalProperties": False,
    "properties": {
        "url": {
            "type": "string",
            "minLength": 1,
            "description": "A data: URL of a picture, an Asset Center id, or oss://dashscope-instant/...",
            "examples": ["ark_asset_img_0123"],
        },
    },
}


class HttpSource:
    """A link that the service opens by itself; nothing is read here."""

    def locate(self, ref: MediaRef) -> None:
        """Check the link's form; there is no local file."""
        _checked_link(ref)

    def identify(self, ref: MediaRef) -> Identity:
        """Return the `key` option, or the link without its signing parameters."""
        link = _checked_link(ref)
        key = ref.options.get("key")
        return Identity(f"url:{unsigned(link) if key is None else key}")

    def prepare(self, ref: MediaRef, ctx: PrepareContext) -> MediaUrl:
        """Hand the link on, unchanged."""
        return MediaUrl(_checked_link(ref))


class UrlSource:
    """What the service reads though it is no link: `data:` pictures, Asset Center ids, its own temporary store."""

    def locate(self, ref: MediaRef) -> None:
        """Check the form; there is no local file."""
        self.identify(ref)

    def identify(self, ref: MediaRef) -> Identity:
        """Return the digest of a data URL's bytes, so that it equals the same picture as a file; else the text."""
        url = str(ref.options["url"])
        if url.startswith("data:"):
            return _identify_data(url)
        if url.startswith(PASSED_ON) and not UNPRINTABLE.search(url):
            return Identity(f"url:{url}")
        raise SourceError(
            f"{url:.60} is nothing the service can read; write a link, a path, an Asset Center id or a data: picture"
        )

    def prepare(self, ref: MediaRef, ctx: PrepareContext) -> MediaUrl:
        """Hand it on, unchanged."""
        url = str(ref.options["url"])
        if url.startswith("data:") and len(url) > ctx.inline_bytes_left:
            raise SourceError("the data: URLs of this job are too large together; save this picture and write its path")
        return MediaUrl(url)


def unsigned(link: str) -> str:
    """Return a link without fragment and without the parameters that only sign it; the others keep their order."""
    base, mark, query = link.partition("#")[0].partition("?")
    kept = [pair for pair in query.split("&") if not _signs(pair.partition("=")[0])]
    return base + mark + "&".join(kept) if kept else base


def _signs(name: str) -> bool:
    lower = name.lower()
    return name in SIGNING or (lower.startswith(SIGNING_PREFIXES) and lower not in CONTENT_PARAMETERS)


def _checked_link(ref: MediaRef) -> str:
    """Return the link; the messages never show its query, which may sign it."""
    link = str(ref.options["url"])
    shown = re.split(r"[?#]", link)[0].rpartition("@")[2][:100]
    if UNPRINTABLE.search(link):
        raise SourceError(f"{UNPRINTABLE.sub(' ', shown)}: a link has no blanks or control characters; write %20")
    try:
        parts = urlsplit(link)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise SourceError(f"{shown}: not a link; write http:// or https://, a host and a path")
    if "@" in parts.netloc:
        raise SourceError(f"{shown}: a link with a user or password is not handed on; sign it instead")
    return link


def _identify_data(url: str) -> Identity:
    match = DATA_URL.fullmatch(url)
    if match is None:
        raise SourceError(
            f"{url.partition(',')[0]:.60}: not a data: URL of a picture; "
            "write data:image/jpeg;base64,... (or png, bmp, webp)"
        )
    try:
        data = b64decode(match[2], validate=True)
    except Base64Error as exc:
        raise SourceError(f"data:{match[1]}: not valid base64 ({exc})") from exc
    return Identity(f"sha256:{sha256(data).hexdigest()}", bytes=len(data), mime=match[1])


@hookimpl
def wanrun_sources() -> dict[str, SourceKind]:
    """Offer `http` and `url`."""
    return {
        "http": SourceKind(options=HTTP_OPTIONS, build=HttpSource, short="url"),
        "url": SourceKind(options=URL_OPTIONS, build=UrlSource, short="url"),
    }
