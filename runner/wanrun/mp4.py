"""Reads the facts of an mp4 or mov file from its own boxes (ISO 14496-12), without decoding and without a library.

The file may come from anywhere, so every size is checked before it is used and only small parts are held in memory.
"""

from __future__ import annotations

import os
import struct
import sys
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

MAX_INDEX_BYTES = 16 * 1024 * 1024  #: of a `moov` box; ten seconds of video need some ten thousand
MAX_BOXES = 100_000  #: at the top of one file
MAX_BOXES_INSIDE = 1000  #: of one other box; some ten are usual
MAX_TRACKS = 100

_UNKNOWN_DURATION = (0, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF)
_TURNS = {(0, 1, -1, 0): 90, (-1, 0, 0, -1): 180, (0, -1, 1, 0): 270}  #: degrees by the signs of a matrix
_TOP_BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp", b"sidx", b"moof"})


class Mp4Error(ValueError):
    """The file is not an mp4, or is damaged or cut short."""


class Mp4CutShort(Mp4Error):
    """The file ends before its boxes do."""


@dataclass(frozen=True, slots=True)
class Mp4Facts:
    """What the boxes of a file say."""

    duration_seconds: float | None  #: None when the index does not say, as in some fragmented files
    width: int | None  #: of the first video track, in pixels as coded
    height: int | None
    has_video: bool
    has_audio: bool
    complete: bool  #: whether the media data that the index names lies inside the file
    rotation: int = 0  #: degrees, clockwise, by which its pictures are to be turned: 0, 90, 180 or 270


@dataclass(frozen=True, slots=True)
class _Track:
    handler: bytes
    seconds: float | None
    width: int | None
    height: int | None
    last_chunk_at: int  #: byte offset in the file; -1 for a track without chunks of its own
    rotation: int


def read_mp4(path: Path) -> Mp4Facts:
    """Return the facts of a file; raises `Mp4Error` for one that is damaged, and OSError when it cannot be read."""
    with path.open("rb") as file:
        file_bytes = os.fstat(file.fileno()).st_size
        index, has_data = _walk(file, file_bytes)
    return _facts(memoryview(index), has_data, file_bytes)


def _walk(file: BinaryIO, file_bytes: int) -> tuple[bytes, bool]:
    """Step over the boxes at the top; return the content of `moov` and whether there is media data."""
    index, has_data, position = None, False, 0
    for _ in range(MAX_BOXES):
        if _at_end(file, position, file_bytes):
            break
        kind, start, end = _top_box(file, position, file_bytes)
        if kind == b"moov":
            index = _content(file, start, end)
        has_data = has_data or kind in (b"mdat", b"moof")
        position = end
    else:
        raise Mp4Error("too many boxes")
    if index is None:
        raise Mp4CutShort("it has no index (moov box): it was cut short or never finished")
    return index, has_data


def _at_end(file: BinaryIO, position: int, file_bytes: int) -> bool:
    """Whether no box follows; a few zero bytes are padding, which some writers leave."""
    if file_bytes - position >= 8 or position == 0:
        return False
    file.seek(position)
    return not any(file.read(8))


def _top_box(file: BinaryIO, position: int, file_bytes: int) -> tuple[bytes, int, int]:
    """Return the kind of the box at a position, where its content starts and where it ends."""
    file.seek(position)
    header = file.read(16)
    if len(header) < 8:
        raise Mp4CutShort("it ends in the middle of a box")
    size, kind = struct.unpack_from(">I4s", header)
    if position == 0 and kind not in _TOP_BOXES:
        raise Mp4Error("it does not begin as an mp4 does")
    start = position + 8
    if size == 1 and len(header) == 16:
        (size,) = struct.unpack_from(">Q", header, 8)
        start = position + 16
    end = file_bytes if size == 0 else position + size
    if end < start:
        raise Mp4Error(f"a box at byte {position} has the impossible size {size}")
    if end > file_bytes:
        raise Mp4CutShort(f"it ends in the middle of a box: {end - file_bytes} bytes are missing")
    return kind, start, end


def _content(file: BinaryIO, start: int, end: int) -> bytes:
    if end - start > MAX_INDEX_BYTES:
        raise Mp4Error("its index (moov box) is too large")
    file.seek(start)
    return file.read(end - start)


def _facts(index: memoryview, has_data: bool, file_bytes: int) -> Mp4Facts:
    contents = [content for kind, content in _boxes(index) if kind == b"trak"]
    if len(contents) > MAX_TRACKS:
        raise Mp4Error("it has too many tracks")
    tracks = [_track(content) for content in contents]
    video = next((track for track in tracks if track.handler == b"vide"), None)
    return Mp4Facts(
        duration_seconds=_movie_seconds(index, tracks),
        width=video.width if video else None,
        height=video.height if video else None,
        has_video=video is not None,
        has_audio=any(track.handler == b"soun" for track in tracks),
        complete=has_data and all(track.last_chunk_at < file_bytes for track in tracks),
        rotation=video.rotation if video else 0,
    )


def _boxes(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Yield kind and content of every box in a container's content."""
    position = 0
    for _ in range(MAX_BOXES_INSIDE):
        if len(data) - position < 8:  # padding, which QuickTime writes
            return
        size, kind = struct.unpack_from(">I4s", data, position)
        start = position + 8
        if size == 1:
            size, start = _number(data, start, 8), start + 8
        end = len(data) if size == 0 else position + size
        if not start <= end <= len(data):
            raise Mp4Error(f"a box in its index has the impossible size {size}")
        yield kind, data[start:end]
        position = end
    raise Mp4Error("a box in its index holds too many others")


def _find(data: memoryview, *path: bytes) -> memoryview | None:
    """Return the content of the first box at a path of kinds."""
    for wanted in path:
        found = next((content for kind, content in _boxes(data) if kind == wanted), None)
        if found is None:
            return None
        data = found
    return data


def _number(data: memoryview, offset: int, size: int) -> int:
    if offset + size > len(data):
        raise Mp4Error("a box in its index is too short for what it should hold")
    return int.from_bytes(data[offset : offset + size], "big")


def _movie_seconds(index: memoryview, tracks: list[_Track]) -> float | None:
    movie = _find(index, b"mvhd")
    if movie is None:
        raise Mp4Error("its index has no header (mvhd box)")
    fragments = _find(index, b"mvex", b"mehd")
    ticks, per_second = _clock(movie)
    if ticks is None and fragments is not None and per_second:
        ticks = _number(fragments, 4, 8 if _number(fragments, 0, 1) == 1 else 4)
    if ticks and per_second:
        return ticks / per_second
    return max((track.seconds for track in tracks if track.seconds is not None), default=None)


def _clock(header: memoryview) -> tuple[int | None, int]:
    """Return duration and ticks per second of an `mvhd` or `mdhd` box, whose version 1 has wider fields."""
    if _number(header, 0, 1) == 1:
        per_second, ticks = _number(header, 20, 4), _number(header, 24, 8)
    else:
        per_second, ticks = _number(header, 12, 4), _number(header, 16, 4)
    return (None if ticks in _UNKNOWN_DURATION else ticks), per_second


def _track(data: memoryview) -> _Track:
    handler = _find(data, b"mdia", b"hdlr")
    header = _find(data, b"mdia", b"mdhd")
    if handler is None or header is None:
        raise Mp4Error("a track in its index has no header")
    ticks, per_second = _clock(header)
    table = _find(data, b"mdia", b"minf", b"stbl")
    kind = bytes(handler[8:12])
    width, height = _size(table) if kind == b"vide" and table is not None else (None, None)
    return _Track(
        handler=kind,
        seconds=ticks / per_second if ticks and per_second else None,
        width=width,
        height=height,
        last_chunk_at=_last_chunk(table) if table is not None else -1,
        rotation=_rotation(_find(data, b"tkhd")),
    )


def _rotation(header: memoryview | None) -> int:
    """Return the turn that the matrix of a `tkhd` box makes; what is no quarter turn counts as none."""
    if header is None or not len(header):
        return 0
    start = 52 if header[0] == 1 else 40
    if len(header) < start + 20:
        return 0
    a, b, _, c, d = struct.unpack_from(">5i", header, start)
    return _TURNS.get((_sign(a), _sign(b), _sign(c), _sign(d)), 0)


def _sign(number: int) -> int:
    return (number > 0) - (number < 0)


def _size(table: memoryview) -> tuple[int | None, int | None]:
    """Return width and height from the first entry of `stsd`: after 16 bytes of header and 24 of other fields."""
    entries = _find(table, b"stsd")
    if entries is None or _number(entries, 4, 4) == 0:
        return None, None
    return _number(entries, 40, 2) or None, _number(entries, 42, 2) or None


def _last_chunk(table: memoryview) -> int:
    """Return the largest offset of `stco`, or of `co64` in large files."""
    for kind, code in ((b"stco", "I"), (b"co64", "Q")):
        offsets = _find(table, kind)
        if offsets is not None:
            numbers = array(code)  # millions of them, at worst
            count = _number(offsets, 4, 4)
            if 8 + count * numbers.itemsize > len(offsets):
                raise Mp4Error("a box in its index is too short for what it should hold")
            numbers.frombytes(offsets[8 : 8 + count * numbers.itemsize])
            if sys.byteorder == "little":
                numbers.byteswap()
            return max(numbers, default=-1)
    return -1
