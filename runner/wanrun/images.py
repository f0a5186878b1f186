"""Reads size and transparency of PNG, JPEG, BMP and WEBP pictures from their headers; nothing is decoded.

A decoder would unpack a hostile picture of a few kilobytes into gigabytes before it could say how large it is.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import BinaryIO

MAX_SEGMENTS = 10_000  #: of one picture before its data begins

_JPEG_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  #: SOF markers, which hold the size
_JPEG_BARE = frozenset({0x01, *range(0xD0, 0xD9)})  #: markers without a length


class ImageError(ValueError):
    """The picture is of another format, damaged or cut short."""


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What the header of a picture says."""

    width: int  #: pixels
    height: int
    alpha: bool  #: whether it can be transparent anywhere


def read_image(file: BinaryIO, mime: str) -> ImageFacts:
    """Return the facts of a picture of a known MIME type; raises `ImageError`, and OSError when it cannot be read."""
    readers = {"image/png": _png, "image/jpeg": _jpeg, "image/bmp": _bmp, "image/webp": _webp}
    facts = readers[mime](file)
    if facts.width < 1 or facts.height < 1:
        raise ImageError("it has no size")
    return facts


def _png(file: BinaryIO) -> ImageFacts:
    file.seek(8)
    length, kind, width, height, _, colour = _unpack(">I4sIIBB", file)
    if kind != b"IHDR" or length != 13:
        raise ImageError("it has no PNG header")
    return ImageFacts(width, height, alpha=colour in (4, 6) or _png_has_transparency(file))


def _png_has_transparency(file: BinaryIO) -> bool:
    """Look for a `tRNS` chunk, which stands before the data and makes a colour or palette transparent."""
    file.seek(33)
    for _ in range(MAX_SEGMENTS):
        length, kind = _unpack(">I4s", file)
        if kind in (b"tRNS", b"IDAT", b"IEND"):
            return bool(kind == b"tRNS")
        file.seek(length + 4, 1)  # and its checksum
    raise ImageError("it has too many PNG chunks")


def _jpeg(file: BinaryIO) -> ImageFacts:
    file.seek(2)
    for _ in range(MAX_SEGMENTS):
        mark, marker = _unpack(">BB", file)
        if mark != 0xFF:
            raise ImageError("it is damaged before its size is said")
        if marker == 0xFF:  # padding: the next byte may be the marker
            file.seek(-1, 1)
        elif marker in _JPEG_SIZES:
            _, _, height, width = _unpack(">HBHH", file)
            return ImageFacts(width, height, alpha=False)
        elif marker not in _JPEG_BARE:
            (length,) = _unpack(">H", file)
            file.seek(max(length - 2, 0), 1)
    raise ImageError("it has too many JPEG segments")


def _bmp(file: BinaryIO) -> ImageFacts:
    file.seek(14)
    (header_bytes,) = _unpack("<I", file)
    if header_bytes == 12:  # of OS/2
        width, height = _unpack("<HH", file)
        return ImageFacts(width, height, alpha=False)
    width, height, _, bits = _unpack("<iiHH", file)
    alpha = bits == 32 and header_bytes >= 56 and _bmp_alpha_mask(file) != 0
    return ImageFacts(width, abs(height), alpha)  # a negative height: the top row first


def _bmp_alpha_mask(file: BinaryIO) -> int:
    file.seek(66)
    (mask,) = _unpack("<I", file)
    return int(mask)


def _webp(file: BinaryIO) -> ImageFacts:
    file.seek(12)
    kind, _ = _unpack("<4sI", file)
    if kind == b"VP8X":
        flags, width, height = _unpack("<I3s3s", file)
        return ImageFacts(_little(width) + 1, _little(height) + 1, alpha=bool(flags & 0x10))
    if kind == b"VP8L":
        _, bits = _unpack("<BI", file)
        return ImageFacts((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, alpha=bool(bits >> 28 & 1))
    if kind == b"VP8 ":
        _, start, width, height = _unpack("<3s3sHH", file)
        if start == b"\x9d\x01\x2a":
            return ImageFacts(width & 0x3FFF, height & 0x3FFF, alpha=False)
    raise ImageError("it has no WEBP header")


def _little(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _unpack(layout: str, file: BinaryIO) -> tuple[Any, ...]:
    data = file.read(struct.calcsize(layout))
    try:
        return struct.unpack(layout, data)
    except struct.error as exc:
        raise ImageError("it is cut short") from exc
