"""What `media` promises: the facts of pictures and videos, and no crash on anything else."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from media_files import make_picture, make_video, png
from wanrun.media import MediaFacts, ProbeError, probe


@pytest.mark.parametrize(("name", "format_"), [("x.mp4", "mp4"), ("x.mov", "mov")])
def test_facts_of_a_video(tmp_path: Path, name: str, format_: str) -> None:
    """A video has size, length, sound and format, however it is looked at."""
    path = make_video(tmp_path / name, seconds=2.4, sound=True)

    facts = probe(path)

    assert facts.seconds == pytest.approx(2.4, abs=0.2)
    assert (facts.kind, facts.format, facts.width, facts.height) == ("video", format_, 320, 240)
    assert facts.has_audio
    assert facts.bytes == path.stat().st_size


@pytest.mark.parametrize(
    ("codec", "pixels", "format_", "alpha"),
    [
        ("png", "rgb24", "png", False),
        ("png", "rgba", "png", True),
        ("png", "ya8", "png", True),
        ("png", "gray", "png", False),
        ("mjpeg", "yuvj420p", "jpeg", False),
        ("bmp", "bgr24", "bmp", False),
        ("libwebp", "yuv420p", "webp", False),
        ("libwebp", "bgra", "webp", True),
    ],
)
def test_facts_of_a_picture(tmp_path: Path, codec: str, pixels: str, format_: str, alpha: bool) -> None:
    """A picture has size, transparency and format, whatever its name says."""
    path = make_picture(tmp_path / "picture.dat", codec, size=(300, 260), pixels=pixels)

    facts = probe(path)

    size = path.stat().st_size
    assert facts == MediaFacts(kind="image", format=format_, bytes=size, width=300, height=260, alpha=alpha)


def test_a_palette_with_transparency_counts_as_alpha(tmp_path: Path) -> None:
    """A PNG of palette colours is transparent by a chunk of its own."""
    path = tmp_path / "logo.png"
    path.write_bytes(png(palette=b"\0"))

    assert probe(path).alpha is True


def test_lossless_webp_and_bmp_of_all_headers_are_read(tmp_path: Path) -> None:
    """Formats that PyAV does not write are read from their headers alone."""
    lossless = b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f" + (299 | 259 << 14 | 1 << 28).to_bytes(4, "little")
    small = b"BM" + bytes(12) + (12).to_bytes(4, "little") + (300).to_bytes(2, "little") + (260).to_bytes(2, "little")
    masks = bytes(12) + b"\0\0\0\xff"
    upside_down = (300).to_bytes(4, "little") + (-260).to_bytes(4, "little", signed=True) + b"\1\0\x20\0"
    large = b"BM" + bytes(12) + (124).to_bytes(4, "little") + upside_down + bytes(24) + masks + bytes(60)
    path = tmp_path / "x"

    found = []
    for data in (lossless, small, large):
        path.write_bytes(data)
        facts = probe(path)
        found.append((facts.width, facts.height, facts.alpha))

    assert found == [(300, 260, True), (300, 260, False), (300, 260, True)]


def test_a_video_that_was_cut_short_is_refused(tmp_path: Path) -> None:
    """Half a download is an error, though libraries play the half that is there."""
    path = make_video(tmp_path / "x.mp4", flags="faststart")
    path.write_bytes(path.read_bytes()[:-500])

    with pytest.raises(ProbeError, match="middle of a box: 500 bytes are missing"):
        probe(path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(b"", "unknown format", id="empty"),
        pytest.param(b"#!/bin/sh\necho no", "is ", id="a script"),
        pytest.param(b"GIF89a" + bytes(30), "image/gif", id="gif"),
        pytest.param(b"\x89PNG\r\n\x1a\n", "cut short", id="png"),
        pytest.param(b"\xff\xd8\xff\xe0\0\x10", "cut short", id="jpeg"),
        pytest.param(b"\xff\xd8\xff\xe0\0\x02\x00", "cut short", id="jpeg without marker"),
        pytest.param(b"RIFF\0\0\0\0WEBPJUNK" + bytes(20), "no WEBP header", id="webp"),
        pytest.param(png(size=(0, 0)), "no size", id="size 0"),
        pytest.param(b"\0\0\0\x10ftypisom\0\0\0\0", "no index", id="mp4"),
    ],
)
def test_garbage_is_a_probe_error(tmp_path: Path, data: bytes, message: str) -> None:
    """Every file that is no usable media gets words, never a crash."""
    path = tmp_path / "garbage.dat"
    path.write_bytes(data)

    with pytest.raises(ProbeError, match=message):
        probe(path)


def test_a_codec_that_is_not_known_here_is_left_to_the_service(tmp_path: Path) -> None:
    """A video that this machine cannot decode still has a length."""
    path = make_video(tmp_path / "x.mp4")
    path.write_bytes(path.read_bytes().replace(b"mp4v", b"zzzz"))

    facts = probe(path)

    assert (facts.kind, facts.seconds) == ("video", pytest.approx(2.0, abs=0.2))


def test_a_missing_file_is_a_probe_error(tmp_path: Path) -> None:
    """What cannot be opened is said in the system's words."""
    with pytest.raises(ProbeError, match="cannot be read: No such file"):
        probe(tmp_path / "nothing.mp4")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF\0\0\0\0WEBPVP8", b"BM" + bytes(12) + b"\x28\0\0\0"]),
    st.binary(max_size=120),
)
def test_noise_behind_a_picture_header_gives_probe_errors_only(tmp_path: Path, head: bytes, noise: bytes) -> None:
    """The header decides who reads, and the reader stays calm."""
    path = tmp_path / "noise"
    path.write_bytes(head + noise)

    with suppress(ProbeError):
        assert probe(path).width
