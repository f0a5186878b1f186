"""Edits a video for real, with PyAV: a look chosen from the prompt, the asked size and length, and sound.

Runs in a thread and takes a callable that it calls often, so that whoever waits can stop it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av

from wanrun.demux import open_media
from wanrun.emulator.chain import FRAMES_PER_SECOND, Chain, Wish
from wanrun.emulator.checks import Fault
from wanrun.emulator.intake import kept_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from wanrun.emulator.probe import Video
    from wanrun.models import Model

SAMPLES_PER_SECOND = 44_100
ENCODER = {"preset": "ultrafast", "crf": "26"}
MAX_FRAMES = 10_000  #: that are decoded at most, however many a file says it has
_SILENCE_SAMPLES = 1024


@dataclass(frozen=True, slots=True)
class Order:
    """One edit: what to read, what to make of it, and where to write it."""

    video: Video
    wish: Wish
    seconds: float  #: of the input that are kept
    target: Path


@dataclass(frozen=True, slots=True)
class Edited:
    """How long the result is."""

    input_seconds: float
    output_seconds: float


def order(body: Mapping[str, Any], model: Model, video: Video, images: Sequence[Path], target: Path) -> Order:
    """Read out of a create's body what is to be done."""
    parameters = body.get("parameters") or {}
    width, height = output_size(parameters, model, video)
    prompt, watermark = body["input"].get("prompt") or "", parameters.get("watermark") is True
    wish = Wish(prompt, images, width, height, watermark)
    return Order(video, wish, kept_seconds(video.seconds, parameters), target)


def output_size(parameters: Mapping[str, Any], model: Model, video: Video) -> tuple[int, int]:
    """Return width and height of the result: by the table, or the input's aspect on as many pixels.

    A model whose sizes nobody has written down gives results as large as their inputs.
    """
    sizes = model.sizes.get(str(parameters.get("resolution") or model.defaults.get("resolution")), {})
    ratio = parameters.get("ratio")
    if not sizes:
        return _even(video.width), _even(video.height)
    if isinstance(ratio, str) and ratio in sizes:
        return sizes[ratio]
    across, down = sizes["16:9"]
    aspect = video.width / video.height
    return _even(math.sqrt(across * down * aspect)), _even(math.sqrt(across * down / aspect))


def edit(task: Order, check: Callable[[], None]) -> Edited | Fault:
    """Carry out an edit; a fault when the media turn out to be unreadable.

    `check` is called between frames and may raise to stop the edit.
    """
    try:
        frames = _render(task, check)
    except (av.FFmpegError, ValueError, OverflowError):
        frames = 0
    if not frames:
        return Fault("InvalidFile.Openerror", "The video cannot be decoded")
    return Edited(round(task.seconds, 2), round(frames / FRAMES_PER_SECOND, 2))


def _render(task: Order, check: Callable[[], None]) -> int:
    with open_media(task.video.path) as source, av.open(str(task.target), "w", format="mp4") as target:
        picture = target.add_stream("libx264", rate=FRAMES_PER_SECOND, options=ENCODER)
        picture.width, picture.height, picture.pix_fmt = task.wish.width, task.wish.height, "yuv420p"
        picture.codec_context.thread_count = 2
        sound = target.add_stream("aac", rate=SAMPLES_PER_SECOND)
        sound.layout = "stereo"
        written = 0
        for frame in _edited(source, task, check):
            frame.pts, frame.time_base, frame.pict_type = written, Fraction(1, FRAMES_PER_SECOND), 0
            target.mux(picture.encode(frame))
            written += 1
        target.mux(picture.encode(None))
        for heard in _sound(source, written / FRAMES_PER_SECOND, check):
            target.mux(sound.encode(heard))
        target.mux(sound.encode(None))
    return written


# Picture


def _edited(source: av.container.InputContainer, task: Order, check: Callable[[], None]) -> Iterator[av.VideoFrame]:
    """Yield the frames of the result, as many as its length needs and no more."""
    wanted = max(1, round(task.seconds * FRAMES_PER_SECOND))
    for number, frame in enumerate(_filtered(source, task, check)):
        if number >= wanted:
            return
        yield frame


def _filtered(source: av.container.InputContainer, task: Order, check: Callable[[], None]) -> Iterator[av.VideoFrame]:
    stream = source.streams.video[0]
    stream.thread_count = 2
    chain: Chain | None = None
    for number, frame in enumerate(source.decode(stream)):
        check()
        if number >= MAX_FRAMES:
            break
        if chain is None:
            chain = Chain(frame, stream.time_base, task.wish)
        yield from chain.push(frame)
    if chain is not None:
        yield from chain.push(None)


# Sound


def _sound(source: av.container.InputContainer, seconds: float, check: Callable[[], None]) -> Iterator[av.AudioFrame]:
    """Yield the input's sound, cut to length; silence where it has none, since real results always have a track."""
    left = round(seconds * SAMPLES_PER_SECOND)
    at = 0
    for frame in _heard(source) if source.streams.audio else _silence():
        check()
        if at >= left:
            return
        frame.pts, frame.time_base = at, Fraction(1, SAMPLES_PER_SECOND)
        at += frame.samples
        yield frame


def _heard(source: av.container.InputContainer) -> Iterator[av.AudioFrame]:
    source.seek(0)
    resampler = av.AudioResampler(format="fltp", layout="stereo", rate=SAMPLES_PER_SECOND)
    for frame in source.decode(source.streams.audio[0]):
        yield from resampler.resample(frame)
    yield from resampler.resample(None)


def _silence() -> Iterator[av.AudioFrame]:
    while True:
        frame = av.AudioFrame(format="fltp", layout="stereo", samples=_SILENCE_SAMPLES)
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        frame.sample_rate = SAMPLES_PER_SECOND
        yield frame


def _even(pixels: float) -> int:
    return max(2, round(pixels / 2) * 2)
