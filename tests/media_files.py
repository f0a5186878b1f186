"""Small real media for tests: videos made by PyAV, pictures by hand."""

from __future__ import annotations

import struct
import zlib
from fractions import Fraction
from typing import TYPE_CHECKING

import av

if TYPE_CHECKING:
    from pathlib import Path

FRAMES_PER_SECOND = 5
SAMPLES_PER_SECOND = 8000


def make_video(
    path: Path,
    *,
    seconds: float = 2.0,
    size: tuple[int, int] = (320, 240),
    sound: bool = False,
    flags: str = "",
) -> Path:
    """Write a grey video; `flags` are the muxer's `movflags`, such as `faststart`."""
    with av.open(str(path), "w", options={"movflags": flags} if flags else {}) as container:
        video = container.add_stream("mpeg4", rate=FRAMES_PER_SECOND)
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        audio = container.add_stream("aac", rate=SAMPLES_PER_SECOND, layout="mono") if sound else None
        frame = av.VideoFrame(*size, "yuv420p")
        for plane in frame.planes:
            plane.update(b"\x80" * plane.buffer_size)
        for number in range(round(seconds * FRAMES_PER_SECOND)):
            frame.pts, frame.time_base = number, Fraction(1, FRAMES_PER_SECOND)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if audio is not None:
            _add_silence(container, audio, seconds)
    return path


def _add_silence(container: av.container.OutputContainer, audio: av.AudioStream, seconds: float) -> None:
    samples = 1024
    for number in range(int(seconds * SAMPLES_PER_SECOND) // samples):
        frame = av.AudioFrame("fltp", "mono", samples)
        frame.planes[0].update(bytes(frame.planes[0].buffer_size))
        frame.sample_rate, frame.time_base = SAMPLES_PER_SECOND, Fraction(1, SAMPLES_PER_SECOND)
        frame.pts = number * samples
        container.mux(audio.encode(frame))
    container.mux(audio.encode(None))


def make_picture(path: Path, codec: str, *, size: tuple[int, int] = (300, 260), pixels: str) -> Path:
    """Write a picture as PyAV's encoders do; `pixels` is a pixel format such as `rgba`."""
    context = av.CodecContext.create(codec, "w")
    context.width, context.height, context.pix_fmt, context.time_base = *size, pixels, Fraction(1, 1)
    frame = av.VideoFrame(*size, pixels)
    for plane in frame.planes:
        plane.update(b"\x80" * plane.buffer_size)
    frame.pts = 0
    path.write_bytes(b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)]))
    return path


def png(*, size: tuple[int, int] = (300, 300), alpha: bool = False, palette: bytes = b"") -> bytes:
    """Return a black PNG; with `palette` it is of one colour that this `tRNS` content makes transparent."""
    width, height = size
    colour, per_pixel = (3, 1) if palette else (6, 4) if alpha else (2, 3)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0))]
    chunks += [(b"PLTE", b"\0\0\0"), (b"tRNS", palette)] if palette else []
    chunks += [(b"IDAT", zlib.compress((b"\0" + bytes(per_pixel * width)) * height)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
