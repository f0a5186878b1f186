"""Crops and scales a picture with PyAV, lays it on white, turns it upright, and writes it as PNG or JPEG."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import av
from av.filter import Graph

from wanrun.demux import open_media
from wanrun.fitting.command import size_filters
from wanrun.fitting.films import chained, exact, pulled, turned

if TYPE_CHECKING:
    from pathlib import Path

    from wanrun.fitting.recipe import Recipe

_ENCODERS = {"png": "png", "jpeg": "mjpeg"}
_BASE = Fraction(1, 25)


def make(source: Path, target: Path, recipe: Recipe, form: str) -> None:
    """Write what the recipe makes of a picture in one format; raises PyAV's errors and ValueError."""
    with open_media(source) as file:
        frame = next(file.decode(video=0), None)
    if frame is None:
        raise ValueError("it cannot be decoded")
    see_through = any(component.is_alpha for component in frame.format.components) or frame.format.name == "pal8"
    rotation = frame.rotation
    if see_through:
        frame = _on_white(frame) if recipe.white or form == "jpeg" else frame.reformat(format="rgba")
    kept = "rgba" if see_through and form == "png" and not recipe.white else "rgb24"
    target.write_bytes(_encoded(_shaped(frame, recipe, rotation, kept if form == "png" else "yuvj444p"), form))


def _shaped(frame: av.VideoFrame, recipe: Recipe, rotation: int, pixels: str) -> av.VideoFrame:
    graph = Graph()
    frame.pts, frame.time_base = 0, _BASE
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=_BASE)
    sink = chained(graph, source, [*exact(size_filters(recipe)), *turned(rotation), ("format", f"pix_fmts={pixels}")])
    source.push(frame)
    source.push(None)
    return _first(sink)


def _on_white(frame: av.VideoFrame) -> av.VideoFrame:
    """Return the picture on white where one could see through it."""
    frame = frame.reformat(format="rgba")
    frame.pts, frame.time_base = 0, _BASE
    graph = Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=_BASE)
    ground = graph.add("color", f"c=white:s={frame.width}x{frame.height}:r=25:d=0.04")
    white = graph.add("format", "pix_fmts=rgb24")
    ground.link_to(white)
    over = graph.add("overlay", "format=rgb:eof_action=repeat")
    white.link_to(over, 0, 0)
    source.link_to(over, 0, 1)
    sink = chained(graph, over, [("format", "pix_fmts=rgb24")])
    source.push(frame)
    source.push(None)
    return _first(sink)


def _first(sink: av.filter.context.FilterContext) -> av.VideoFrame:
    frame = next(pulled(sink, av.VideoFrame), None)
    if frame is None:
        raise ValueError("no picture comes out of the filters")
    return frame


def _encoded(frame: av.VideoFrame, form: str) -> bytes:
    context = av.CodecContext.create(_ENCODERS[form], "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = frame.width, frame.height, frame.format.name
    context.time_base, context.thread_count = _BASE, 1
    if form == "jpeg":
        context.qmin = context.qmax = 2
    frame.pts, frame.time_base = 0, _BASE
    return b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)])
