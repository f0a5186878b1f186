"""What `shelf` promises: files that a model takes, made once, in a process that harms nothing and ends in time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import pytest
from fitting_parts import FIT, PICTURE, VIDEO, key_of, made, trim

from media_files import make_picture, make_video, png
from processes import wait_until
from wanrun.emulator.probe import probe_image, probe_video
from wanrun.errors import MissingExtra, SourceError
from wanrun.fitting import GivenUp, Shelf
from wanrun.media import probe

if TYPE_CHECKING:
    from wanrun.types import Fitting

pytestmark = pytest.mark.slow


def make_clock(path: Path, seconds: int, *, rotation: int = 0) -> Path:
    """Write a video of five frames a second, whose brightness is four times the number of the frame."""
    with av.open(str(path), "w") as film:
        stream = film.add_stream("mpeg4", rate=5, options={"qmin": "1", "qmax": "1"})
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for number in range(seconds * 5):
            frame = av.VideoFrame(320, 240, "yuv420p")
            for plane, value in zip(frame.planes, (4 * number, 128, 128), strict=True):
                plane.update(bytes([value]) * plane.buffer_size)
            frame.pts, frame.time_base = number, Fraction(1, 5)
            film.mux(stream.encode(frame))
        film.mux(stream.encode(None))
    return path


def brightness(path: Path) -> list[int]:
    """Return how bright the first dot of each frame is."""
    with av.open(str(path)) as film:
        return [bytes(frame.planes[0])[0] for frame in film.decode(video=0)]


@pytest.mark.parametrize(
    ("clip", "wish", "size", "seconds"),
    [
        pytest.param({"seconds": 12, "size": (320, 240)}, FIT, (320, 240), 10, id="too long"),
        pytest.param({"seconds": 3, "size": (300, 100)}, FIT, (720, 240), 3, id="too small"),
        pytest.param({"seconds": 3, "size": (2600, 240)}, FIT, (1920, 240), 3, id="too wide"),
        pytest.param({"seconds": 8, "size": (320, 240)}, trim(2.4, 5), (320, 240), 2.6, id="cut"),
    ],
)
@pytest.mark.parametrize("name", ["clip.mp4", "clip.mov"])
def test_what_is_made_of_a_clip_is_taken(
    tmp_path: Path, name: str, clip: dict[str, Any], wish: Fitting, size: tuple[int, int], seconds: float
) -> None:
    """Its size and length are as announced and within the limits, with its sound; the service's own look agrees."""
    path = make_video(tmp_path / name, sound=True, **clip)

    film = made(path, wish)

    facts = probe(film)
    assert ((facts.width, facts.height), facts.format, facts.has_audio) == (size, "mp4", True)
    assert facts.seconds == pytest.approx(seconds, abs=0.2)
    assert 2 <= (facts.seconds or 0) <= 10
    assert not hasattr(probe_video(film, VIDEO), "code")
    assert film.parent == tmp_path / "fitted"


def test_a_cut_keeps_the_seconds_that_were_asked_for(tmp_path: Path) -> None:
    """From the first one on, wherever the key frames are, and without the last."""
    path = make_clock(tmp_path / "clock.mp4", seconds=10)

    shown = brightness(made(path, trim(4, 7)))

    assert len(shown) == 15
    assert shown == [pytest.approx(4 * number, abs=3) for number in range(20, 35)]


def test_a_picture_that_the_camera_held_differently_is_put_upright(tmp_path: Path) -> None:
    """The bytes that the service gets need no turning any more."""
    path = make_video(tmp_path / "clip.mp4", seconds=2, size=(480, 160))
    data = path.read_bytes()
    upright = b"\0\1\0\0" + bytes(12) + b"\0\1\0\0"
    turned = bytes(4) + b"\0\1\0\0" + bytes(4) + b"\xff\xff\0\0" + bytes(4)
    at = data.index(upright, data.index(b"tkhd"))
    path.write_bytes(data[:at] + turned + data[at + 20 :])
    assert probe(path).rotation == 90

    facts = probe(made(path))

    assert (facts.width, facts.height, facts.rotation) == (240, 720, 0)


@pytest.mark.parametrize("kind", ["clip", "picture"])
def test_the_same_file_becomes_the_same_bytes(tmp_path: Path, kind: str) -> None:
    """A machine that has nothing yet uploads nothing else than another."""
    path, limits = tmp_path / "x", VIDEO if kind == "clip" else PICTURE
    if kind == "clip":
        make_video(tmp_path / "x.mp4", seconds=3, size=(500, 100), sound=True).rename(path)
    else:
        path.write_bytes(png(alpha=True))

    first, second = (made(path, limits=limits, shelf=tmp_path / name) for name in ("one", "two"))

    assert first.name == second.name
    assert first.read_bytes() == second.read_bytes()


def test_what_was_made_is_not_made_again(tmp_path: Path) -> None:
    """Whatever the file is called; another wish, or another limit, is another file."""
    path = make_video(tmp_path / "a.mp4", seconds=3, size=(480, 160))
    film = made(path)
    before = film.stat().st_mtime_ns

    again = made(path.rename(tmp_path / "b.mp4"))
    other = made(tmp_path / "b.mp4", trim(0, 2, fit=True))

    assert (again, again.stat().st_mtime_ns) == (film, before)
    assert other != film
    assert {each.suffix for each in film.parent.iterdir()} == {".mp4"}


@pytest.mark.parametrize("how", ["another clip", "no clip", "a link", "cut short"])
def test_what_others_put_in_its_place_is_made_again(tmp_path: Path, how: str) -> None:
    """A job is paid for what was made of its own file, whatever stands under that name."""
    path = make_video(tmp_path / "a.mp4", seconds=3, size=(480, 160))
    film = made(path)
    before = film.read_bytes()
    theirs = make_video(tmp_path / "theirs.mp4", seconds=3)
    if how == "a link":
        film.unlink()
        film.symlink_to(theirs)
    else:
        film.write_bytes({"another clip": theirs.read_bytes(), "no clip": b"words"}.get(how, before[:-1]))

    again = made(path)

    assert (again, again.is_symlink(), again.read_bytes()) == (film, False, before)
    assert probe(theirs).seconds == pytest.approx(3, abs=0.1)


def test_a_folder_that_leads_elsewhere_is_not_used(tmp_path: Path) -> None:
    """Nothing is read, written or removed where a link leads."""
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (tmp_path / "fitted").symlink_to(theirs)
    left = theirs / f"{'0' * 16}-{'a' * 8}.part"
    left.touch()
    os.utime(left, (0, 0))

    with pytest.raises(SourceError, match=r"fitted is a link; what is made is kept in a folder that leads nowhere "):
        made(make_video(tmp_path / "a.mp4", seconds=3, size=(480, 160)))

    assert list(theirs.iterdir()) == [left]


def test_what_fits_is_taken_as_it_is(tmp_path: Path) -> None:
    """Nothing is decoded, and nothing kept."""
    path = make_video(tmp_path / "a.mp4", seconds=3)

    assert made(path) == path
    assert not (tmp_path / "fitted").exists()


PICTURES: dict[str, tuple[bytes, tuple[int, int]]] = {
    "transparent": (png(alpha=True), (300, 300)),
    "of a palette": (png(palette=b"\x80"), (300, 300)),
    "small": (png(size=(100, 150)), (240, 360)),
    "too far from square": (png(size=(4001, 301)), (2408, 301)),
    "heavy": (png() + bytes(21 * 1024 * 1024), (300, 300)),
}


@pytest.mark.parametrize(("data", "size"), PICTURES.values(), ids=PICTURES)
def test_what_is_made_of_a_picture_is_taken(tmp_path: Path, data: bytes, size: tuple[int, int]) -> None:
    """Within the limits, without an alpha channel, and still a PNG."""
    (tmp_path / "coat.png").write_bytes(data)

    picture = made(tmp_path / "coat.png", limits=PICTURE)

    facts = probe(picture)
    assert (facts.format, (facts.width, facts.height), facts.alpha) == ("png", size, False)
    assert probe_image(picture, PICTURE) is None


@pytest.mark.parametrize(
    ("codec", "pixels", "made_format"),
    [("mjpeg", "yuvj420p", "jpeg"), ("bmp", "bgr24", "png"), ("libwebp", "bgra", "png")],
)
def test_every_format_is_read(tmp_path: Path, codec: str, pixels: str, made_format: str) -> None:
    """A JPEG stays one; what is without loss becomes a PNG."""
    path = make_picture(tmp_path / "coat", codec, size=(120, 104), pixels=pixels)

    picture = made(path, limits=PICTURE)

    facts = probe(picture)
    assert (facts.format, facts.width, facts.height, facts.alpha) == (made_format, 277, 240, False)
    assert probe_image(picture, PICTURE) is None


def test_transparent_parts_become_white(tmp_path: Path) -> None:
    """And not black, which is what they often are below."""
    (tmp_path / "coat.png").write_bytes(png(alpha=True))

    with av.open(str(made(tmp_path / "coat.png", limits=PICTURE))) as file:
        dots = bytes(next(file.decode(video=0)).planes[0])

    assert set(dots[:900]) == {255}


@pytest.mark.parametrize("seconds", [12, 3], ids=["made", "taken as it is"])
def test_a_file_that_changes_meanwhile_is_not_kept(tmp_path: Path, seconds: int) -> None:
    """What the service gets must be of the bytes that the plan has seen."""
    path = make_video(tmp_path / "a.mp4", seconds=seconds)
    key = "sha256:" + "0" * 64

    with pytest.raises(SourceError, match=r"^a\.mp4 changed since the plan; run again to submit it as it is now$"):
        Shelf(tmp_path / "fitted").made(path, key, FIT, VIDEO, name="a.mp4")

    assert list((tmp_path / "fitted").glob("*")) == []


def spoilt(path: Path) -> Path:
    """Write a video whose index is right and whose pictures are none."""
    data = bytearray(make_video(path, seconds=12).read_bytes())
    start = data.index(b"mdat") + 4
    end = data.index(b"moov") - 4
    data[start:end] = b"\xff" * (end - start)
    path.write_bytes(data)
    return path


HUGE_PNG = (
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\xea\x60\0\0\xea\x60\x08\x02\0\0\0" + bytes(4) + b"\0\0\0\x10IDAT" + bytes(20)
)


@pytest.mark.parametrize("case", ["spoilt", "huge"])
def test_what_cannot_be_decoded_is_one_line(tmp_path: Path, case: str) -> None:
    """A file of a stranger can waste a moment of a process, and nothing else."""
    if case == "spoilt":
        path, limits, words = spoilt(tmp_path / "x.mp4"), VIDEO, "cut to 0-10 s"
    else:
        path, limits, words = tmp_path / "x.png", PICTURE, "scaled to 8000 x 8000"
        path.write_bytes(HUGE_PNG)

    with pytest.raises(SourceError, match=f"^x cannot be {words}: ") as caught:
        Shelf(tmp_path / "fitted").made(path, key_of(path), FIT, limits, name="x")

    assert "\n" not in str(caught.value)
    assert list((tmp_path / "fitted").iterdir()) == []


def test_it_has_a_deadline(tmp_path: Path) -> None:
    """A file that takes for ever takes no longer than that."""
    path = make_video(tmp_path / "a.mp4", seconds=20, size=(1920, 1080))

    with pytest.raises(SourceError, match=r"cannot be cut to 0-10 s: it took longer than 0 s$"):
        Shelf(tmp_path / "fitted", deadline_seconds=0).made(path, key_of(path), FIT, VIDEO, name="a.mp4")

    assert list((tmp_path / "fitted").iterdir()) == []


def test_nobody_waits_for_it_when_the_run_ends(tmp_path: Path) -> None:
    """What was begun is dropped."""
    path = make_video(tmp_path / "a.mp4", seconds=20, size=(1920, 1080))

    with pytest.raises(GivenUp):
        Shelf(tmp_path / "fitted").made(path, key_of(path), FIT, VIDEO, is_given_up=lambda: True)

    assert list((tmp_path / "fitted").iterdir()) == []


def test_what_a_killed_run_left_is_removed_later(tmp_path: Path) -> None:
    """But not what another run is just making, and not what is none of ours."""
    shelf = tmp_path / "fitted"
    shelf.mkdir()
    old, young = f"{'0' * 16}-{'a' * 8}.part", f"{'0' * 16}-{'b' * 8}.part"
    for name, age in ((old, 3600), (young, 60), ("theirs.part", 3600)):
        (shelf / name).touch()
        at = (shelf / name).stat().st_mtime - age
        os.utime(shelf / name, (at, at))

    made(make_video(tmp_path / "a.mp4", seconds=3, size=(480, 160)))

    assert {each.name for each in shelf.glob("*.part")} == {young, "theirs.part"}


def test_the_process_knows_no_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its environment holds what Python needs."""
    fake = tmp_path / "python"
    fake.write_text(f"#!/bin/sh\nenv > {tmp_path}/environment\nexit 1\n")
    fake.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(fake))
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-secret")
    path = make_video(tmp_path / "a.mp4", seconds=12)

    with pytest.raises(SourceError, match=r"the decoder ended with 1$"):
        made(path)

    assert "sk-secret" not in (tmp_path / "environment").read_text()
    assert "PATH=" in (tmp_path / "environment").read_text()


def test_without_pyav_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line, with the name of the extra."""
    monkeypatch.setitem(sys.modules, "av", None)
    path = make_video(tmp_path / "a.mp4", seconds=12)

    with pytest.raises(MissingExtra) as caught:
        Shelf(tmp_path / "fitted").made(path, key_of(path), FIT, VIDEO, name="a.mp4")

    assert str(caught.value) == 'a.mp4 is cut to 0-10 s with PyAV: pip install "wanrun[media]"'


MAKE = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from fitting_parts import made
made(Path(sys.argv[2]))
"""


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="looks for the process in /proc")
def test_the_process_ends_with_the_one_that_started_it(tmp_path: Path) -> None:
    """A run that is killed leaves nobody behind who goes on decoding."""
    path = make_video(tmp_path / "a.mp4", seconds=60, size=(3840, 2160))
    command = [sys.executable, "-c", MAKE, str(Path(__file__).parent), str(path)]

    def children() -> list[str]:
        found = []
        for each in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = each.read_bytes().split(b"\0")
            except OSError:
                continue
            if b"wanrun.fitting.child" in words and json.loads(words[-2])["source"] == str(path):
                found.append(each.parent.name)
        return found

    with subprocess.Popen(command) as process:
        wait_until(lambda: bool(children()))
        process.kill()

    wait_until(lambda: not children())


def test_the_sound_of_a_cut_ends_no_later_than_its_pictures(tmp_path: Path) -> None:
    """What the service counts are the longer of the two; ten seconds are the most that it takes."""
    path = make_video(tmp_path / "a.mp4", seconds=12, sound=True)

    whole, part = made(path), made(path, trim(1, 4))

    assert [(probe(film).seconds or 99) <= most for film, most in ((whole, 10), (part, 3))] == [True, True]
    with av.open(str(part)) as film:
        heard = sum(frame.samples for frame in film.decode(audio=0)) / film.streams.audio[0].rate
    assert heard == pytest.approx(3, abs=0.3)


@pytest.mark.parametrize(("span", "frames"), [((3.5, 8.25), 23), ((0, 2), 10), ((0.1, 3.1), 14)])
def test_a_cut_is_no_longer_than_was_asked_for(tmp_path: Path, span: tuple[float, float], frames: int) -> None:
    """The price counts the seconds that are asked for; no frame is shown beyond them, if the model takes that."""
    film = made(make_clock(tmp_path / "clock.mp4", seconds=10), trim(*span))

    assert len(brightness(film)) == frames
    assert (probe(film).seconds or 0) <= span[1] - span[0]
