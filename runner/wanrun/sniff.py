"""Says by its first bytes which of the service's media formats a file has, whatever its name says."""

from __future__ import annotations

from pathlib import Path

HEAD_BYTES = 64  #: all that is looked at

_BMP_HEADERS = frozenset({12, 40, 52, 56, 64, 108, 124})  #: sizes of the header that follows "BM" and 12 bytes
_NOT_MP4 = (b"hei", b"hev", b"mif", b"msf", b"avi", b"crx", b"jp2", b"M4A", b"M4B", b"3g")  #: other users of `ftyp`
_OLD_MOV = frozenset({b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"})  #: QuickTime before `ftyp` existed


def mime_of(head: bytes) -> str | None:
    """Return image/jpeg, image/png, image/bmp, image/webp, video/mp4 or video/quicktime, or None for all else."""
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "image/webp"
    if head.startswith(b"BM") and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return "image/bmp"
    return _mime_of_boxes(head)


def _mime_of_boxes(head: bytes) -> str | None:
    kind, brand = head[4:8], head[8:12]
    if kind == b"ftyp" and len(brand) == 4 and not brand.startswith(_NOT_MP4):
        return "video/quicktime" if brand == b"qt  " else "video/mp4"
    if kind in _OLD_MOV and int.from_bytes(head[:4], "big") >= 8:
        return "video/quicktime"
    return None


def described(path: Path, head: bytes) -> str:
    """Return what else a file seems to be, such as `video/x-msvideo`, for a message."""
    import puremagic  # here, since most runs never need it

    try:
        found = puremagic.magic_string(head, path.name)
    except (puremagic.PureError, ValueError):
        return "of an unknown format"
    return next((guess.mime_type for guess in found if guess.mime_type), "of an unknown format")
