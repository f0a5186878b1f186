"""The clip that ships with the emulator, and how long an mp4 is by its own boxes.

Both are for an emulator that does not edit, so they do without PyAV.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_CONTAINERS = {b"moov"}
_MAX_BOXES = 1000


@dataclass(frozen=True, slots=True)
class Clip:
    """A finished mp4 and its length."""

    data: bytes
    seconds: float


@cache
def ready_clip() -> Clip:
    """Return the clip that is served when nothing is edited."""
    data = (Path(__file__).parent / "ready.mp4").read_bytes()
    seconds = mp4_seconds(lambda start, length: data[start : start + length], len(data))
    assert seconds is not None
    return Clip(data, seconds)


def mp4_seconds(read: Callable[[int, int], bytes], size: int) -> float | None:
    """Return how long an mp4 or mov says it is, in seconds; None for what is not one.

    `read` takes a start and a length and returns that part of the file.
    """
    for kind, start, _ in _boxes(read, 0, size):
        if kind == b"mvhd":
            return _movie_seconds(read(start, 32))
    return None


def _boxes(read: Callable[[int, int], bytes], start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, start and end of the content of each box, going into the ones that hold the movie's header."""
    for _ in range(_MAX_BOXES):
        if start + 8 > end:
            return
        head = read(start, 16)
        size, kind, content = int.from_bytes(head[:4]), head[4:8], start + 8
        if size == 1:
            size, content = int.from_bytes(head[8:16]), start + 16
        stop = start + size if size else end
        if stop < content or stop > end:
            return
        yield kind, content, stop
        start = content if kind in _CONTAINERS else stop


def _movie_seconds(header: bytes) -> float | None:
    if len(header) < 32:
        return None
    scale, ticks = (header[20:24], header[24:32]) if header[0] == 1 else (header[12:16], header[16:20])
    per_second = int.from_bytes(scale)
    return int.from_bytes(ticks) / per_second if per_second else None
