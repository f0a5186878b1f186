"""The filters of one edit: turned, scaled, given its look, its reference images and its mark, at 30 frames a second."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import av
from av.filter import Graph

from wanrun.demux import open_media
from wanrun.emulator.looks import look_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from av.filter.context import FilterContext

    from wanrun.emulator.looks import Filter

FRAMES_PER_SECOND = 30
_INSET = 0.28  #: height of a reference image, of the picture's
_FRAME_PIXELS = 3  #: of the white frame around it


@dataclass(frozen=True, slots=True)
class Wish:
    """How the picture is to come out."""

    prompt: str
    images: Sequence[Path]
    width: int
    height: int
    watermark: bool


class Chain:
    """Takes frames as they were decoded and gives frames of the result."""

    def __init__(self, first: av.VideoFrame, time_base: Fraction | None, wish: Wish) -> None:
        self._like, self._base = first, time_base or Fraction(1, FRAMES_PER_SECOND)
        self._graph, self._wish = Graph(), wish
        self._images: list[tuple[FilterContext, av.VideoFrame]] = []
        self._source = self._graph.add_buffer(
            width=first.width, height=first.height, format=first.format, time_base=self._base
        )
        end = self._add(self._source, [*_turned(first.rotation), *_looked(first, wish)])
        for number, path in enumerate(wish.images):
            end = self._with_inset(end, path, number)
        end = self._add(end, _mark(wish) if wish.watermark else [])
        end = self._add(end, [("fps", str(FRAMES_PER_SECOND)), ("format", "pix_fmts=yuv420p")])
        self._sink = self._graph.add("buffersink")
        end.link_to(self._sink)
        self._graph.configure()
        for source, image in self._images:
            source.push(image)
            source.push(None)

    def push(self, frame: av.VideoFrame | None) -> Iterator[av.VideoFrame]:
        """Take a frame, or None for the end, and yield the ones that are ready."""
        self._source.push(self._alike(frame))
        while True:
            try:
                ready = self._sink.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            assert isinstance(ready, av.VideoFrame)
            yield ready

    def _alike(self, frame: av.VideoFrame | None) -> av.VideoFrame | None:
        """Return a frame in the size and format of the first one, for files that change on the way."""
        like = self._like
        if frame is None or (frame.width, frame.height, frame.format.name) == (
            like.width,
            like.height,
            like.format.name,
        ):
            return frame
        return frame.reformat(width=like.width, height=like.height, format=like.format.name)

    def _with_inset(self, end: FilterContext, path: Path, number: int) -> FilterContext:
        """Lay a reference image over the lower left, the next one to its right."""
        with open_media(path) as file:
            image = next(file.decode(video=0)).reformat(format="rgb24")
        image.pts = 0
        source = self._graph.add_buffer(
            width=image.width, height=image.height, format=image.format, time_base=self._base
        )
        self._images.append((source, image))
        height = round(self._wish.height * _INSET)
        frame = f"w=iw+{2 * _FRAME_PIXELS}:h=ih+{2 * _FRAME_PIXELS}:x={_FRAME_PIXELS}:y={_FRAME_PIXELS}:color=white"
        width = round(self._wish.width / 4)
        small = self._add(
            source,
            [
                ("scale", f"{width - 20}:{height}:force_original_aspect_ratio=decrease"),
                ("pad", frame),
                ("format", "pix_fmts=yuv420p"),
            ],
        )
        over = self._graph.add("overlay", f"x={8 + number * width}:y=H-h-8:eof_action=repeat")
        end.link_to(over, 0, 0)
        small.link_to(over, 0, 1)
        return over

    def _add(self, end: FilterContext, filters: Iterable[Filter]) -> FilterContext:
        for name, arguments in filters:
            context = self._graph.add(name, arguments)
            end.link_to(context)
            end = context
        return end


def _turned(degrees: int) -> list[Filter]:
    """Return the filters that put a picture upright that its camera held differently."""
    turns: dict[int, list[Filter]] = {
        90: [("transpose", "cclock")],
        180: [("hflip", ""), ("vflip", "")],
        270: [("transpose", "clock")],
    }
    return turns.get(degrees % 360, [])


def _looked(first: av.VideoFrame, wish: Wish) -> list[Filter]:
    """Return the filters of look and size, the one first that then has fewer pixels to work on."""
    look = [*look_of(wish.prompt), ("format", "pix_fmts=yuv420p")]
    grows = first.width * first.height < wish.width * wish.height
    return [*look, *_fitted(wish)] if grows else [*_fitted(wish), *look]


def _fitted(wish: Wish) -> list[Filter]:
    """Return the filters that fill the asked size and cut away what sticks out."""
    size = f"{wish.width}:{wish.height}"
    return [("scale", f"{size}:force_original_aspect_ratio=increase"), ("crop", size), ("setsar", "1")]


def _mark(wish: Wish) -> list[Filter]:
    """Return the filters that draw the mark at the lower right: a light box with a dark one inside."""
    unit = wish.height // 36
    x, y = wish.width - 6 * unit, wish.height - 3 * unit
    return [
        ("drawbox", f"x={x}:y={y}:w={5 * unit}:h={2 * unit}:color=white@0.8:t=fill"),
        ("drawbox", f"x={x + unit // 2}:y={y + unit // 2}:w={4 * unit}:h={unit}:color=black@0.7:t=fill"),
    ]
