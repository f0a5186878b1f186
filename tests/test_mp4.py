"""What `mp4` promises: the facts of good files, and nothing but `Mp4Error` for all others."""

from __future__ import annotations

import struct
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from media_files import make_video
from wanrun.mp4 import Mp4CutShort, Mp4Error, read_mp4

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A real mp4 of two seconds with sound, its index at the end."""
    return make_video(tmp_path_factory.mktemp("clip") / "clip.mp4", sound=True).read_bytes()


def box(kind: bytes, content: bytes, *, wide: bool = False) -> bytes:
    if wide:
        return struct.pack(">I4sQ", 1, kind, 16 + len(content)) + content
    return struct.pack(">I4s", 8 + len(content), kind) + content


def top_boxes(data: bytes) -> dict[bytes, bytes]:
    found, position = {}, 0
    while position < len(data):
        size, kind = struct.unpack_from(">I4s", data, position)
        found[kind] = data[position + 8 : position + size]
        position += size
    return found


def written(folder: Path, data: bytes) -> Path:
    path = folder / "x.mp4"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("flags", ["", "faststart"], ids=["index at the end", "index first"])
@pytest.mark.parametrize("name", ["x.mp4", "x.mov"])
def test_facts_of_a_real_file(tmp_path: Path, name: str, flags: str) -> None:
    """Length, size and sound are what the file was made with."""
    path = make_video(tmp_path / name, seconds=2.4, size=(352, 288), sound=True, flags=flags)

    facts = read_mp4(path)

    assert facts.duration_seconds == pytest.approx(2.4, abs=0.2)
    assert (facts.width, facts.height) == (352, 288)
    assert facts.has_video
    assert facts.has_audio
    assert facts.complete


def test_a_fragmented_file_is_read(tmp_path: Path) -> None:
    """A file in fragments has its size; its length may be unknown, and never wrong."""
    path = make_video(tmp_path / "x.mp4", flags="frag_keyframe+empty_moov")

    facts = read_mp4(path)

    assert (facts.width, facts.height, facts.complete) == (320, 240, True)
    assert facts.duration_seconds is None or facts.duration_seconds == pytest.approx(2.0, abs=0.2)


def test_boxes_with_wide_sizes_are_read(tmp_path: Path, clip: bytes) -> None:
    """A box may give its size in 64 bits."""
    parts = top_boxes(clip)
    data = box(b"ftyp", parts[b"ftyp"]) + box(b"moov", parts[b"moov"], wide=True)

    facts = read_mp4(written(tmp_path, data + box(b"mdat", bytes(len(clip)), wide=True)))

    assert facts.complete
    assert facts.duration_seconds == pytest.approx(2.0, abs=0.2)


def test_a_last_box_without_a_size_reaches_to_the_end(tmp_path: Path, clip: bytes) -> None:
    """Size 0 stands for all the rest."""
    parts = top_boxes(clip)
    data = box(b"ftyp", parts[b"ftyp"]) + box(b"moov", parts[b"moov"])

    assert read_mp4(written(tmp_path, data + struct.pack(">I4s", 0, b"mdat") + bytes(len(clip)))).complete


def test_a_few_zero_bytes_at_the_end_are_padding(tmp_path: Path, clip: bytes) -> None:
    """What is too short for a box and empty does no harm."""
    assert read_mp4(written(tmp_path, clip + b"\0\0\0\0")).complete


@pytest.mark.parametrize("flags", ["", "faststart"], ids=["index at the end", "index first"])
def test_a_file_cut_anywhere_is_noticed(tmp_path: Path, flags: str) -> None:
    """A download that stopped at any byte is never taken for a whole file."""
    data = make_video(tmp_path / "whole.mp4", sound=True, flags=flags).read_bytes()

    for length in [*range(0, len(data), 97), len(data) - 1]:
        path = written(tmp_path, data[:length])
        try:
            whole = read_mp4(path).complete
        except Mp4CutShort:
            whole = False
        assert not whole, length


def test_an_index_without_its_media_data_is_not_complete(tmp_path: Path, clip: bytes) -> None:
    """Well-formed boxes are not enough: the data must be there."""
    parts = top_boxes(clip)

    facts = read_mp4(written(tmp_path, box(b"ftyp", parts[b"ftyp"]) + box(b"moov", parts[b"moov"])))

    assert not facts.complete


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(b"", "middle of a box", id="empty"),
        pytest.param(b"<html>not found</html>", "does not begin", id="a web page"),
        pytest.param(box(b"ftyp", b"isom") + box(b"mdat", b"x"), "no index", id="no index"),
        pytest.param(box(b"ftyp", b"isom") + struct.pack(">I4s", 3, b"moov"), "impossible size", id="size 3"),
        pytest.param(struct.pack(">I4sQ", 1, b"ftyp", 2**63), "bytes are missing", id="size 2**63"),
        pytest.param(box(b"moov", b""), "no header", id="empty index"),
        pytest.param(box(b"moov", box(b"mvhd", b"\0")), "too short", id="short header"),
        pytest.param(box(b"moov", struct.pack(">I4s", 99, b"mvhd")), "impossible size", id="inner box too large"),
        pytest.param(box(b"moov", box(b"trak", b"")), "track", id="empty track"),
        pytest.param(box(b"free", b"") * 100_001, "too many boxes", id="too many boxes"),
    ],
)
def test_what_is_no_mp4_is_an_error_that_says_why(tmp_path: Path, data: bytes, message: str) -> None:
    """Every way to be broken has its words."""
    with pytest.raises(Mp4Error, match=message):
        read_mp4(written(tmp_path, data))


def test_an_index_of_gigabytes_is_not_read(tmp_path: Path) -> None:
    """Memory is bounded, even when a (sparse) file is as large as its box claims."""
    path = tmp_path / "x.mp4"
    with path.open("wb") as file:
        file.write(struct.pack(">I4s", 2**31, b"moov"))
        file.truncate(2**31)

    with pytest.raises(Mp4Error, match="too large"):
        read_mp4(path)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damage_gives_mp4_errors_only(tmp_path: Path, clip: bytes, data: st.DataObject) -> None:
    """Overwriting any bytes of a real file ends in facts or in an `Mp4Error`."""
    damaged = bytearray(clip)
    index = clip.index(b"moov")  # most of a file is pictures, where damage is not seen
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(index - 4, len(clip) - 1))
        patch = data.draw(st.binary(min_size=1, max_size=8))
        damaged[at : at + len(patch)] = patch

    with suppress(Mp4Error):
        read_mp4(written(tmp_path, bytes(damaged)))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_noise_gives_mp4_errors_only(tmp_path: Path, noise: bytes) -> None:
    """Bytes without any sense inside an index end in an `Mp4Error` too."""
    with pytest.raises(Mp4Error):
        read_mp4(written(tmp_path, box(b"ftyp", b"isom") + box(b"moov", noise)))
