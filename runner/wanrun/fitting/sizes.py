"""Sizes: how much of a picture is kept, and on how many pixels, so that a model takes it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wanrun.models import MediaLimits

Size = tuple[int, int]  #: width, height


@dataclass(frozen=True, slots=True)
class Sizing:
    """The middle that is kept, and the size it then gets; None where nothing is cropped or scaled."""

    crop: Size | None
    scale: Size | None


def sizing(size: Size, limits: MediaLimits, *, unit: int) -> Sizing | None:
    """Return what brings a size within the limits, with sides that are multiples of `unit`; None if nothing does.

    As little as possible is cropped: a side only when the aspect is too far from square. The rest is scaled.
    """
    width, height = (_down(side, unit) for side in size)
    if width < unit or height < unit:
        return None
    aspect = limits.max_aspect
    kept = min(width, _down(height * aspect, unit)), min(height, _down(width * aspect, unit))
    scaled = _scaled(kept, limits, unit)
    if scaled is None:
        return None
    return Sizing(kept if kept != size else None, scaled if scaled != kept else None)


def _scaled(size: Size, limits: MediaLimits, unit: int) -> Size | None:
    short, long = sorted(size)
    least, most = _up(limits.min_side, unit), _down(limits.max_side, unit)
    if short < least:
        short, long = least, _nearest(long * least / short, unit)
    if long > most:
        short, long = _nearest(short * most / long, unit), most
    long = max(short, min(long, _down(short * limits.max_aspect, unit)))
    if short < least or long > most:
        return None
    return (long, short) if size[0] >= size[1] else (short, long)


def _down(pixels: float, unit: int) -> int:
    return math.floor(pixels / unit) * unit


def _up(pixels: float, unit: int) -> int:
    return math.ceil(pixels / unit) * unit


def _nearest(pixels: float, unit: int) -> int:
    return max(unit, math.floor(pixels / unit + 0.5) * unit)
