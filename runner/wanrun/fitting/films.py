"""Cuts, crops and scales a video with PyAV and writes it anew: H.264 and, where it has sound, AAC in an mp4.

The same file, recipe and PyAV give the same bytes: filters and encoders run bit-exact, on a fixed number of threads.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, TypeVar

import av
from av.filter import Graph

from wanrun.demux import open_media
from wanrun.fitting.command import QUALITY, Filter, most_bits, size_filters

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from av.filter.context import FilterContext

    from wanrun.fitting.recipe import Recipe

Frame = TypeVar("Frame", av.VideoFrame, av.AudioFrame)

THREADS = 2  #: fixed, since the encoder's choices depend on it
SCALING = "flags=bicubic+accurate_rnd+bitexact+full_chroma_int"
USUAL_RATE = 30  #: frames a second, where a file does not say
SOUND_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
FALLBACK_RATE = 48000
SOUND_BITS = 192_000  #: a second
SOUND_FRAME = 1024  #: samples that AAC packs together
HAIR_SECONDS = 1e-4  #: so that a rounding of time stamps does not let a frame more or less in


def make(source: Path, target: Path, recipe: Recipe, _format: str) -> None:
    """Write what the recipe makes of a video; raises PyAV's errors and ValueError."""
    with (
        open_media(source) as film,
        av.open(str(target), "w", format="mp4", options={"movflags": "+faststart", "fflags": "+bitexact"}) as made,
    ):
        if not film.streams.video:
            raise ValueError("it has no video in it")
        span = _Span(film, recipe)
        tracks: dict[int, _Pictures | _Sound] = {}
        picture = film.streams.video[0]
        tracks[picture.index] = _Pictures(picture, made, span, recipe)
        if film.streams.audio:
            tracks[film.streams.audio[0].index] = _Sound(film.streams.audio[0], made, span)
        _copy(film, tracks, span)
        if not tracks[picture.index].taken:
            raise ValueError("no picture could be decoded in the seconds that were asked for")


def _copy(film: av.container.InputContainer, tracks: dict[int, _Pictures | _Sound], span: _Span) -> None:
    if span.start:
        film.seek(int((span.start + span.origin) * av.time_base))
    for packet in film.demux([film.streams[index] for index in tracks]):
        track = tracks[packet.stream.index]
        for frame in [] if track.done else packet.decode():
            track.take(frame)  # type: ignore[arg-type]  # a track gets frames of its own stream
        if all(each.done for each in tracks.values()):
            break
    for track in tracks.values():
        track.end()


class _Span:
    """The seconds that are kept, counted from where the file begins."""

    def __init__(self, film: av.container.InputContainer, recipe: Recipe) -> None:
        self.origin = (film.start_time or 0) / av.time_base
        self.start, self.end = recipe.cut or (0.0, float("inf"))
        self.least, self.most = recipe.min_seconds or 0.0, recipe.max_seconds or float("inf")

    def is_full(self, seconds: float, more: float) -> bool:
        """Say whether a frame that is shown for so long is one too many behind so many seconds.

        None is shown beyond the end, unless the model takes nothing that short.
        """
        length = seconds + more - HAIR_SECONDS
        return length > self.most or (length > self.end - self.start and seconds + HAIR_SECONDS > self.least)


class _Pictures:
    """The video track, frame by frame."""

    def __init__(self, stream: av.VideoStream, made: av.container.OutputContainer, span: _Span, recipe: Recipe) -> None:
        stream.thread_count = THREADS
        self._base = stream.time_base or Fraction(1, 90000)
        self._rate = stream.average_rate or Fraction(USUAL_RATE)
        self._span, self._recipe, self._made = span, recipe, made
        self._like: av.VideoFrame | None = None
        self._from = stream.codec_context
        options = {"preset": "fast", "crf": QUALITY, "rc-lookahead": "10"}  # looking far ahead takes gigabytes
        if bits := most_bits(recipe):
            options |= {"maxrate": str(bits), "bufsize": str(bits)}
        self._out = made.add_stream("libx264", rate=self._rate, options=options)
        self.taken = 0
        self.done = False

    def take(self, frame: av.VideoFrame) -> None:
        """Encode a frame if it is among the seconds that are kept."""
        if frame.pts is None or self.done:
            return
        at = float(frame.pts * self._base) - self._span.origin - self._span.start
        shown_seconds = float(frame.duration * self._base) if frame.duration else float(1 / self._rate)
        if at < -HAIR_SECONDS:
            return
        if self.taken and self._span.is_full(at, shown_seconds):
            self.done = True
            return
        if self._like is None:
            self._begin(frame)
        frame = self._alike(frame)
        frame.pts, frame.time_base = (round(at / self._base) if self.taken else 0), self._base
        self.taken += 1
        self._source.push(frame)
        self._encode()

    def end(self) -> None:
        """Encode what is still on its way."""
        if self._like is not None:
            self._source.push(None)
            self._encode()
            self._made.mux(self._out.encode(None))

    def _begin(self, first: av.VideoFrame) -> None:
        self._like = first
        graph = self._graph = Graph()  # kept, or what is in it would be freed
        self._source = graph.add_buffer(
            width=first.width, height=first.height, format=first.format, time_base=self._base
        )
        filters = [*turned(first.rotation), *exact(size_filters(self._recipe)), ("format", "pix_fmts=yuv420p")]
        self._sink = chained(graph, self._source, filters)

    def _encode(self) -> None:
        for frame in pulled(self._sink, av.VideoFrame):
            if not self._out.codec_context.is_open:
                self._describe(frame)
            frame.pict_type = 0
            self._made.mux(self._out.encode(frame))

    def _describe(self, frame: av.VideoFrame) -> None:
        context = self._out.codec_context
        context.width, context.height, context.pix_fmt = frame.width, frame.height, "yuv420p"
        context.time_base, context.framerate = self._base, self._rate
        context.thread_count = THREADS
        for name in ("color_range", "colorspace", "color_primaries", "color_trc"):
            setattr(context, name, getattr(self._from, name))
        if (ratio := self._from.sample_aspect_ratio) and self._like is not None:
            context.sample_aspect_ratio = 1 / ratio if self._like.rotation % 180 else ratio

    def _alike(self, frame: av.VideoFrame) -> av.VideoFrame:
        """Return a frame in the size and format of the first one, for files that change on the way."""
        like = self._like
        assert like is not None
        if (frame.width, frame.height, frame.format.name) == (like.width, like.height, like.format.name):
            return frame
        return frame.reformat(width=like.width, height=like.height, format=like.format.name)


class _Sound:
    """The first sound track, which ends no later than the pictures."""

    def __init__(self, stream: av.AudioStream, made: av.container.OutputContainer, span: _Span) -> None:
        self._stream, self._made, self._span = stream, made, span
        self._base = stream.time_base or Fraction(1, stream.rate)
        rate = stream.rate if stream.rate in SOUND_RATES else FALLBACK_RATE
        self._layout = "mono" if stream.channels == 1 else "stereo"
        self._out = made.add_stream("aac", rate=rate)
        self._out.layout, self._out.bit_rate = self._layout, SOUND_BITS
        self._rate = rate
        self._source: FilterContext | None = None
        self.taken = 0
        self.done = False

    def take(self, frame: av.AudioFrame) -> None:
        """Encode what of a frame is among the seconds that are kept."""
        if frame.pts is None:
            return
        if float(frame.pts * self._base) - self._span.origin > self._span.end:
            self.done = True
            return
        if self._source is None:
            self._begin(frame)
        assert self._source is not None
        frame.pts -= round(self._span.origin / self._base)
        frame.time_base = self._base
        self._source.push(frame)
        self._encode()

    def end(self) -> None:
        """Encode what is still on its way."""
        if self._source is not None:
            self._source.push(None)
            self._encode()
        if self.taken:
            self._made.mux(self._out.encode(None))

    def _begin(self, first: av.AudioFrame) -> None:
        graph = self._graph = Graph()  # kept, or what is in it would be freed
        span = self._span
        self._source = graph.add_abuffer(
            sample_rate=first.sample_rate, format=first.format.name, layout=first.layout.name, time_base=self._base
        )
        end = min(span.end, span.start + span.most)
        trim = f"start={span.start:.6f}" + ("" if end == float("inf") else f":end={end:.6f}")
        filters = [
            ("atrim", trim),
            ("asetpts", f"PTS-{span.start:.6f}/TB"),
            ("aformat", f"sample_fmts=fltp:sample_rates={self._rate}:channel_layouts={self._layout}"),
            ("asetnsamples", f"n={SOUND_FRAME}:p=0"),
        ]
        self._sink = chained(graph, self._source, filters, "abuffersink")

    def _encode(self) -> None:
        for frame in pulled(self._sink, av.AudioFrame):
            if frame.samples < SOUND_FRAME or self._is_full():  # the encoder would fill it up beyond the pictures
                return
            self.taken += 1
            self._made.mux(self._out.encode(frame))

    def _is_full(self) -> bool:
        """Say whether one more frame would be heard beyond the end; the encoder puts one of its own in front."""
        seconds = min(self._span.end - self._span.start, self._span.most)
        return (self.taken + 2) * SOUND_FRAME / self._rate > seconds


def turned(degrees: int) -> list[Filter]:
    """Return the filters that put a picture upright that its camera held differently."""
    turns: dict[int, list[Filter]] = {
        90: [("transpose", "cclock")],
        180: [("hflip", ""), ("vflip", "")],
        270: [("transpose", "clock")],
    }
    return turns.get(degrees % 360, [])


def exact(filters: list[Filter]) -> list[Filter]:
    """Return filters that give the same pixels on every processor."""
    return [(name, f"{words}:{SCALING}" if name == "scale" else words) for name, words in filters]


def chained(graph: Graph, end: FilterContext, filters: list[Filter], sink: str = "buffersink") -> FilterContext:
    """Put filters behind one another, and at their end the one that gives out what comes through."""
    for name, arguments in [*filters, (sink, "")]:
        context = graph.add(name, arguments) if arguments else graph.add(name)
        end.link_to(context)
        end = context
    graph.configure()
    return end


def pulled(sink: FilterContext, kind: type[Frame]) -> Iterator[Frame]:
    """Yield the frames that are ready, all of one kind."""
    while True:
        try:
            frame = sink.pull()
        except (av.BlockingIOError, av.EOFError):
            return
        assert isinstance(frame, kind)
        yield frame
