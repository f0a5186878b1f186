"""Says what a media file is: pictures by their headers, videos by their boxes; nothing is decoded.

Files may be a stranger's, so no library opens them: those written for it have had holes that a file can use.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Literal

from wanrun.images import ImageError, read_image
from wanrun.mp4 import Mp4CutShort, Mp4Error, read_mp4
from wanrun.sniff import HEAD_BYTES, described, mime_of

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

_FORMATS = {
    "image/jpeg": "jpeg",
    "image/png": "png",
    "image/bmp": "bmp",
    "image/webp": "webp",
    "video/mp4": "mp4",
    "video/quicktime": "mov",
}


class ProbeError(ValueError):
    """The file is no usable media; the text fits behind its name: `is cut short`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaFacts:
    """What a media file says of itself; None is what could not be found out."""

    kind: Literal["video", "image"]
    format: str  #: as model files call it: jpeg, png, bmp, webp, mp4, mov
    bytes: int
    width: int | None = None  #: pixels
    height: int | None = None
    seconds: float | None = None  #: of a video
    alpha: bool | None = None  #: of a picture: whether it can be transparent
    has_audio: bool | None = None  #: of a video
    rotation: int = 0  #: degrees, clockwise, by which a video's pictures are to be turned; the size is that before


def probe(path: Path) -> MediaFacts:
    """Return the facts of a file; raises `ProbeError` for whatever is not a picture or video of a known format."""
    try:
        entry = path.stat()
        if not stat.S_ISREG(entry.st_mode):  # a pipe would have us wait for ever
            raise ProbeError("is not a regular file")
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
        mime, size = mime_of(head), entry.st_size
        if mime is None:
            raise ProbeError(f"is {described(path, head)}")
        if mime.startswith("image/"):
            with path.open("rb") as file:
                return _image(file, mime, size)
        return _video(path, mime, size)
    except (ImageError, Mp4Error) as exc:
        raise ProbeError(f"cannot be used: {exc}") from exc
    except OSError as exc:
        raise ProbeError(f"cannot be read: {exc.strerror or exc}") from exc


def probe_picture(data: bytes) -> MediaFacts:
    """Return the facts of a picture that is held in memory; raises `ProbeError` as `probe` does."""
    mime = mime_of(data[:HEAD_BYTES])
    if mime is None or not mime.startswith("image/"):
        raise ProbeError("holds no picture")
    try:
        return _image(BytesIO(data), mime, len(data))
    except ImageError as exc:
        raise ProbeError(f"cannot be used: {exc}") from exc


def _image(file: BinaryIO, mime: str, size: int) -> MediaFacts:
    facts = read_image(file, mime)
    return MediaFacts(
        kind="image", format=_FORMATS[mime], bytes=size, width=facts.width, height=facts.height, alpha=facts.alpha
    )


def _video(path: Path, mime: str, size: int) -> MediaFacts:
    facts = read_mp4(path)
    if not facts.complete:
        raise Mp4CutShort("it was cut short: pictures or sound that its index names are not there")
    if not facts.has_video:
        raise ProbeError("has no video in it")
    return MediaFacts(
        kind="video",
        format=_FORMATS[mime],
        bytes=size,
        width=facts.width,
        height=facts.height,
        seconds=facts.duration_seconds,
        has_audio=facts.has_audio,
        rotation=facts.rotation,
    )
