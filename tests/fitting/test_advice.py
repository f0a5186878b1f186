"""What `advice` promises: the options that would mend a file, and a line of ffmpeg that really does."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import pytest
from av.filter import Graph

from media_files import make_video, png
from wanrun import Job, MediaRef, Position
from wanrun.inputs import InputReport, check_inputs
from wanrun.media import MediaFacts, probe
from wanrun.registry import load_catalog

CATALOG = load_catalog()
AS_MP4 = "-c:v libx264 -crf 18 -pix_fmt yuv420p -c:a aac -movflags +faststart"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Command lines start at the working directory."""
    monkeypatch.chdir(tmp_path)


def check(folder: Path, type_: str = "video", case: str = "", **options: Any) -> InputReport:
    """Check one job with one file."""
    ref = MediaRef(type_, "file", options, folder, Position(folder / "hero.yaml", 4, 9), case)
    facts = {"model": "wan2.7-videoedit", "provider": "default", "prompt": "clay", "negative_prompt": None}
    at = Position(folder / "hero.yaml", 4, 3)
    job = Job(spec="hero", id="shot", spec_path=at.path, position=at, media=(ref,), parameters={}, sinks=(), **facts)
    return check_inputs([job], CATALOG)


def said(report: InputReport) -> list[str]:
    return [problem.message for problem in report.problems]


def line_in(message: str) -> list[str]:
    """Return the words of the command line that a message ends with."""
    return shlex.split(message.partition("run: ")[2])


def test_a_clip_that_is_too_long(tmp_path: Path) -> None:
    """The seconds can be chosen, or the first ones are taken by hand."""
    make_video(tmp_path / "clip.mov", seconds=12)

    assert said(check(tmp_path, path="clip.mov")) == [
        "clip.mov is 12.0 s long; wan2.7-videoedit takes 2 to 10 s; write trim: 0-10 beside its path to have it cut to "
        f"0-10 s, or run: ffmpeg -t 10 -i clip.mov {AS_MP4} clip.fit.mp4"
    ]


def test_an_option_for_more_than_one_clip_is_said_to_be_that(tmp_path: Path) -> None:
    """In a matrix it makes other jobs of those whose clips fit too."""
    make_video(tmp_path / "clip.mov", seconds=12)

    (message,) = said(check(tmp_path, path="clip.mov", case="clip = clip.mov"))

    assert message == (
        "clip.mov is 12.0 s long; wan2.7-videoedit takes 2 to 10 s (clip = clip.mov); write trim: 0-10 beside its path "
        "to have it cut to 0-10 s (it is for all that is made of this line: jobs that are done become other ones by "
        f"it, and are paid again), or run: ffmpeg -t 10 -i clip.mov {AS_MP4} clip.fit.mp4"
    )


def test_a_clip_with_several_faults_is_mended_at_once(tmp_path: Path) -> None:
    """Behind the last of them; odd names are quoted for a shell."""
    (tmp_path / "my clips").mkdir()
    make_video(tmp_path / "my clips" / "it's.mov", seconds=12, size=(2600, 200))

    messages = said(check(tmp_path / "my clips", path="it's.mov"))

    name = """'my clips/it'"'"'s{}'""".format
    assert messages == [
        "it's.mov is 12.0 s long; wan2.7-videoedit takes 2 to 10 s",
        "it's.mov is 2600 x 200 pixels, 13.0 to 1; wan2.7-videoedit takes up to 8 to 1",
        "it's.mov is 2600 x 200 pixels; wan2.7-videoedit takes sides of 240 to 4096; write trim: 0-10, fit: true "
        "beside its path to have it cut to 0-10 s, cropped to 1600 x 200, scaled to 1920 x 240, or run: "
        f"ffmpeg -t 10 -i {name('.mov')} -vf crop=1600:200,scale=1920:240 {AS_MP4} {name('.fit.mp4')}",
    ]


def test_a_picture_has_the_option(tmp_path: Path) -> None:
    """And no command line."""
    (tmp_path / "coat.png").write_bytes(png(alpha=True))

    assert said(check(tmp_path, "reference_image", path="coat.png")) == [
        "coat.png has an alpha channel; wan2.7-videoedit takes images without one; write fit: true beside its path to "
        "have it laid on white"
    ]


def test_a_video_of_another_format_is_converted_by_hand(tmp_path: Path) -> None:
    """What is in it is not known here, so it is checked once more afterwards."""
    make_video(tmp_path / "clip.avi", seconds=3)

    (message,) = said(check(tmp_path, path="clip.avi"))

    assert message == (
        f"clip.avi is video/avi; wan2.7-videoedit takes mp4 or mov; run: ffmpeg -i clip.avi {AS_MP4} clip.fit.mp4"
    )


@pytest.mark.parametrize(
    ("seconds", "options", "message"),
    [
        pytest.param(1, {}, "clip.mp4 is 1.0 s long; wan2.7-videoedit takes 2 to 10 s", id="short"),
        pytest.param(1, {"fit": True}, "clip.mp4 is 1.0 s long; wan2.7-videoedit takes 2 to 10 s", id="short, fit"),
        pytest.param(
            20,
            {"trim": "0-15", "fit": True},
            "clip.mp4, cut to 0-15 s, is 15.0 s long; wan2.7-videoedit takes 2 to 10 s",
            id="cut too long",
        ),
        pytest.param(5, {"trim": "3-9"}, "clip.mp4 is 5.0 s long; trim: 3-9 ends behind that", id="behind the end"),
        pytest.param(
            5,
            {"trim": "9-3"},
            "clip.mp4: trim: 9-3 ends before it begins; give the seconds from and to",
            id="backwards",
        ),
    ],
)
def test_what_nothing_mends_has_no_advice(
    tmp_path: Path, seconds: float, options: dict[str, Any], message: str
) -> None:
    """A clip cannot be made longer, and what somebody has chosen is not chosen anew."""
    make_video(tmp_path / "clip.mp4", seconds=seconds)

    assert said(check(tmp_path, path="clip.mp4", **options)) == [message]


def test_a_cut_clip_may_lack_the_rest(tmp_path: Path) -> None:
    """`trim` alone cuts, and the advice is about what it leaves."""
    make_video(tmp_path / "clip.mp4", seconds=20, size=(300, 100))

    (message,) = said(check(tmp_path, path="clip.mp4", trim="4-8"))

    assert message.startswith(
        "clip.mp4, cut to 4-8 s, is 300 x 100 pixels; wan2.7-videoedit takes sides of 240 to 4096; "
        "write fit: true beside its path to have it cut to 4-8 s, scaled to 720 x 240, or run: ffmpeg -ss 4 -t 4 -i "
    )


def test_what_is_to_be_made_is_known_for_the_plan_and_the_price(tmp_path: Path) -> None:
    """In words, and in seconds."""
    make_video(tmp_path / "clip.mp4", seconds=20, size=(300, 100))

    report = check(tmp_path, path="clip.mp4", trim="4-8", fit=True)

    (fitted,) = report.fitted.values()
    assert report.problems == ()
    assert (fitted.type, fitted.file, fitted.change) == ("video", "clip.mp4", "cut to 4-8 s, scaled to 720 x 240")
    assert list(report.made_seconds.values()) == [4.0]


CLIPS: dict[str, dict[str, Any]] = {
    "long": {"seconds": 12},
    "small": {"seconds": 3, "size": (300, 100)},
    "wide": {"seconds": 3, "size": (2600, 240)},
    "all of it": {"seconds": 14, "size": (2600, 200)},
}


def ffmpeg() -> str | None:
    """Return the program, where there is one: it is no part of the developer's tools, since it is large."""
    if found := shutil.which("ffmpeg"):
        return found
    try:
        import imageio_ffmpeg
    except ImportError:
        return None
    return str(imageio_ffmpeg.get_ffmpeg_exe())


@pytest.mark.skipif(ffmpeg() is None, reason="needs ffmpeg")
@pytest.mark.parametrize("clip", CLIPS.values(), ids=CLIPS)
def test_the_line_mends_the_clip(tmp_path: Path, clip: dict[str, Any]) -> None:
    """As ffmpeg itself reads it: what it makes has no problems, and the sound is still there."""
    make_video(tmp_path / "my clip.mov", sound=True, **clip)
    words = line_in(said(check(tmp_path, path="my clip.mov"))[-1])

    subprocess.run([ffmpeg() or "", "-v", "error", *words[1:]], check=True, stdin=subprocess.DEVNULL)

    assert said(check(tmp_path, path=words[-1])) == []
    assert probe(tmp_path / words[-1]).has_audio


@pytest.mark.parametrize("clip", CLIPS.values(), ids=CLIPS)
def test_the_filters_of_the_line_mend_the_clip(tmp_path: Path, clip: dict[str, Any]) -> None:
    """The same through PyAV, which is always here: the frames that pass the line's filters fit."""
    make_video(tmp_path / "my clip.mov", **clip)
    words = line_in(said(check(tmp_path, path="my clip.mov"))[-1])

    facts = _played(words)

    limits = CATALOG.models["wan2.7-videoedit"].media["video"]
    short, long = sorted((facts.width or 0, facts.height or 0))
    assert limits.min_side <= short <= long <= min(limits.max_side, limits.max_aspect * short)
    assert 2 <= (facts.seconds or 0) <= 10


def _played(words: list[str]) -> MediaFacts:
    """Return the facts of what a command line makes: its cut and its filters, carried out by PyAV."""
    options = dict(pairwise(words))
    start = float(options.get("-ss", 0))
    end = start + float(options.get("-t", 1e9))
    with av.open(options["-i"]) as film:
        frames = [frame for frame in film.decode(video=0) if start <= (frame.time or 0) < end]
        rate = film.streams.video[0].average_rate
    graph = Graph()
    first = end_of = graph.add_buffer(
        width=frames[0].width, height=frames[0].height, format=frames[0].format, time_base=frames[0].time_base
    )
    for text in filter(None, options.get("-vf", "").split(",")):
        name, _, arguments = text.partition("=")
        following = graph.add(name, arguments)
        end_of.link_to(following)
        end_of = following
    sink = graph.add("buffersink")
    end_of.link_to(sink)
    graph.configure()
    sizes = set()
    for frame in frames:
        first.push(frame)
        made: Any = sink.pull()
        sizes.add((made.width, made.height))
    ((width, height),) = sizes
    assert rate is not None
    return MediaFacts(
        kind="video", format="mp4", bytes=1, width=width, height=height, seconds=float(len(frames) / rate)
    )
