"""Looks at media as the service does before it edits them; what is outside the model's limits becomes a fault.

Imports PyAV, so it is imported only by an emulator that edits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import av

from wanrun.demux import open_media
from wanrun.emulator.checks import Fault, length_fault

if TYPE_CHECKING:
    from pathlib import Path

    from wanrun.models import MediaLimits

_MOVIE = "mp4"  #: one of the names that PyAV gives the container of mp4 and mov alike
_PICTURE_FORMATS = {"mjpeg": "jpeg", "png": "png", "bmp": "bmp", "webp": "webp"}  #: by codec


@dataclass(frozen=True, slots=True)
class Video:
    """What an edit needs to know of a video before it starts."""

    path: Path
    width: int
    height: int
    seconds: float


def probe_video(path: Path, limits: MediaLimits) -> Video | Fault:
    """Open a video and compare it with the limits; a fault for anything the service would not take."""
    if path.stat().st_size > limits.max_bytes:
        return Fault("InvalidFile.Size", f"The size of the video should be at most {limits.max_bytes} bytes")
    try:
        with open_media(path) as film:
            return _judge_video(path, film, limits)
    except (av.FFmpegError, ValueError, OverflowError):
        return Fault("InvalidFile.Format", "The video cannot be opened")


def probe_image(path: Path, limits: MediaLimits) -> Fault | None:
    """Open a picture and compare it with the limits; None when the service would take it."""
    if path.stat().st_size > limits.max_bytes:
        return Fault("InvalidFile.ImageSize", f"The size of the image should be at most {limits.max_bytes} bytes")
    try:
        with open_media(path) as picture:
            return _judge_image(picture, limits)
    except (av.FFmpegError, ValueError, OverflowError):
        return Fault("InvalidImage.FileFormat", "The image cannot be opened")


def _judge_video(path: Path, film: av.container.InputContainer, limits: MediaLimits) -> Video | Fault:
    if _MOVIE not in film.format.name.split(",") or not film.streams.video:
        return Fault("InvalidFile.Format", f"The format of the video should be {' or '.join(limits.formats)}")
    stream = film.streams.video[0]
    fault = _side_fault(stream.width, stream.height, limits, "InvalidFile.Resolution", "video")
    seconds = _seconds(film, stream)
    fault = fault or length_fault(seconds, limits)
    return fault or Video(path, stream.width, stream.height, seconds)


def _seconds(film: av.container.InputContainer, stream: av.VideoStream) -> float:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return film.duration / av.time_base if film.duration else 0.0


def _judge_image(picture: av.container.InputContainer, limits: MediaLimits) -> Fault | None:
    stream = picture.streams.video[0] if picture.streams.video else None
    if stream is None or _PICTURE_FORMATS.get(stream.codec_context.name) not in limits.formats:
        return Fault("InvalidImage.FileFormat", f"The format of the image should be {', '.join(limits.formats)}")
    fault = _side_fault(stream.width, stream.height, limits, "InvalidImageResolution", "image")
    if fault is not None:
        return fault
    frame = next(picture.decode(stream), None)
    if frame is None:
        return Fault("InvalidImage.FileFormat", "The image cannot be decoded")
    if stream.codec_context.name == "png" and not limits.alpha and _has_alpha(frame.format):
        return Fault("InvalidImage.FileFormat", "A PNG with an alpha channel is not supported")
    return None


def _side_fault(width: int, height: int, limits: MediaLimits, code: str, what: str) -> Fault | None:
    short, long = sorted((width, height))
    if short < limits.min_side or long > limits.max_side:
        allowed = f"{limits.min_side} to {limits.max_side}"
        return Fault(code, f"The width and height of the {what} should be {allowed} pixels, got {width}*{height}")
    if long > short * limits.max_aspect:
        allowed = f"1:{limits.max_aspect:g} to {limits.max_aspect:g}:1"
        return Fault("InvalidFile.AspectRatio", f"The aspect ratio of the {what} should be {allowed}")
    return None


def _has_alpha(pixels: av.VideoFormat) -> bool:
    """Say whether pixels carry transparency; names of such formats hold an `a` (rgba, ya8, yuva420p)."""
    return "a" in pixels.name.removeprefix("gray")
