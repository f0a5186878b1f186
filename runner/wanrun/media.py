"""Says what a media file is: pictures by their headers, videos by PyAV where it is installed, else by their boxes."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

from wanrun.images import ImageError, read_image
from wanrun.mp4 import Mp4CutShort, Mp4Error, read_mp4
from wanrun.sniff import HEAD_BYTES, described, mime_of

if TYPE_CHECKING:
    from pathlib import Path

    from wanrun.mp4 import Mp4Facts

MICROSECONDS = 1_000_000  #: PyAV counts durations of files in these

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


def has_pyav() -> bool:
    """Whether videos can be looked into by decoding libraries (the extra `media`)."""
    return find_spec("av") is not None


def probe(path: Path) -> MediaFacts:
    """Return the facts of a file; raises `ProbeError` for whatever is not a picture or video of a known format."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
        mime, size = mime_of(head), path.stat().st_size
        if mime is None:
            raise ProbeError(f"is {described(path, head)}")
        if mime.startswith("image/"):
            return _image(path, mime, size)
        return _video_by_pyav(path, mime, size) if has_pyav() else _video_by_boxes(path, mime, size)
    except (ImageError, Mp4Error) as exc:
        raise ProbeError(f"cannot be used: {exc}") from exc
    except OSError as exc:
        raise ProbeError(f"cannot be read: {exc.strerror or exc}") from exc


def _image(path: Path, mime: str, size: int) -> MediaFacts:
    facts = read_image(path, mime)
    return MediaFacts(
        kind="image", format=_FORMATS[mime], bytes=size, width=facts.width, height=facts.height, alpha=facts.alpha
    )


def _video_by_boxes(path: Path, mime: str, size: int) -> MediaFacts:
    facts = read_mp4(path)
    _check_whole(facts)
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
    )


def _video_by_pyav(path: Path, mime: str, size: int) -> MediaFacts:
    import av  # here, since it is large and optional

    _refuse_cut_short(path)  # which the library plays as far as it goes
    try:
        # only this demuxer: others open further files that the data names
        with av.open(str(path), format="mp4", metadata_errors="replace") as container:
            if not container.streams.video:
                raise ProbeError("has no video in it")
            video = container.streams.video[0]
            return MediaFacts(
                kind="video",
                format=_FORMATS[mime],
                bytes=size,
                width=getattr(video, "width", None) or None,  # an unknown codec has no such attributes
                height=getattr(video, "height", None) or None,
                seconds=container.duration / MICROSECONDS if container.duration else None,
                has_audio=bool(container.streams.audio),
            )
    except av.FFmpegError as exc:
        raise ProbeError(f"cannot be used: {exc.strerror}") from exc


def _refuse_cut_short(path: Path) -> None:
    try:
        _check_whole(read_mp4(path))
    except Mp4CutShort:
        raise
    except Mp4Error:  # odd, and perhaps good enough: the library decides
        return


def _check_whole(facts: Mp4Facts) -> None:
    if not facts.complete:
        raise Mp4CutShort("it was cut short: pictures or sound that its index names are not there")
