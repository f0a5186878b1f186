"""What `inputs` promises: each local file held against its model's limits, once, in words that say what is allowed."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from media_files import make_video, png
from wanrun import Job, MediaRef, Position, SourceKind
from wanrun.catalog import Catalog
from wanrun.fingerprint import media_key
from wanrun.guards import Origin
from wanrun.inputs import InputReport, check_inputs
from wanrun.offers import checked_source
from wanrun.registry import load_catalog
from wanrun_plugins.http import HttpSource

CATALOG = load_catalog()
MODEL = "wan2.7-videoedit"


def job(folder: Path, *media: tuple[str, str, dict[str, Any]], id_: str = "shot", line: int = 4, **more: Any) -> Job:
    """Return a job with media given as (type, kind, options)."""
    spec = folder / "hero.yaml"
    refs = tuple(MediaRef(type_, kind, options, folder, Position(spec, line, 9)) for type_, kind, options in media)
    facts = {"model": MODEL, "provider": "default", "prompt": "clay", "negative_prompt": None, "parameters": {}}
    return Job(
        spec="hero", id=id_, spec_path=spec, position=Position(spec, line, 3), media=refs, sinks=(), **facts | more
    )


def video(name: str) -> tuple[str, str, dict[str, Any]]:
    return "video", "file", {"path": name}


def picture(name: str) -> tuple[str, str, dict[str, Any]]:
    return "reference_image", "file", {"path": name}


def messages(report: InputReport) -> list[str]:
    return [problem.message for problem in report.problems]


def without_advice(message: str) -> str:
    """Return what is wrong, without what would mend it: that has tests of its own, in `fitting`."""
    return message.partition("; write ")[0]


def test_good_media_have_no_problems(tmp_path: Path) -> None:
    """A video and a picture inside the limits pass without a word."""
    make_video(tmp_path / "clip.mp4", seconds=2)
    (tmp_path / "coat.png").write_bytes(png())

    report = check_inputs([job(tmp_path, video("clip.mp4"), picture("coat.png"))], CATALOG)

    assert report == InputReport((), ())


@pytest.mark.parametrize(
    ("seconds", "size", "message"),
    [
        pytest.param(12, (320, 240), "clip.mp4 is 12.0 s long; wan2.7-videoedit takes 2 to 10 s", id="long"),
        pytest.param(1, (320, 240), "clip.mp4 is 1.0 s long; wan2.7-videoedit takes 2 to 10 s", id="short"),
        pytest.param(
            2, (320, 160), "clip.mp4 is 320 x 160 pixels; wan2.7-videoedit takes sides of 240 to 4096", id="small"
        ),
        pytest.param(
            2, (2240, 240), "clip.mp4 is 2240 x 240 pixels, 9.3 to 1; wan2.7-videoedit takes up to 8 to 1", id="wide"
        ),
    ],
)
def test_a_video_outside_the_limits_is_a_problem(
    tmp_path: Path, seconds: float, size: tuple[int, int], message: str
) -> None:
    """Length and size are said beside what the model takes, where the spec names the file."""
    make_video(tmp_path / "clip.mp4", seconds=seconds, size=size)

    report = check_inputs([job(tmp_path, video("clip.mp4"))], CATALOG)

    said = [without_advice(str(problem)) for problem in report.problems]
    assert said == [f"{tmp_path}/hero.yaml:4:9: {message}"]


@pytest.mark.parametrize("seconds", [2.0, 10.0])
def test_the_limits_themselves_are_allowed(tmp_path: Path, seconds: float) -> None:
    """Two and ten seconds are inside, whatever a sound frame adds."""
    make_video(tmp_path / "clip.mp4", seconds=seconds, sound=True)

    assert messages(check_inputs([job(tmp_path, video("clip.mp4"))], CATALOG)) == []


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(
            png(alpha=True), "has an alpha channel; wan2.7-videoedit takes images without one", id="transparent"
        ),
        pytest.param(
            png(size=(100, 300)), "is 100 x 300 pixels; wan2.7-videoedit takes sides of 240 to 8000", id="small"
        ),
        pytest.param(png() + bytes(21 * 1024 * 1024), "has 21 MB; wan2.7-videoedit takes at most 20 MB", id="heavy"),
        pytest.param(b"GIF89a" + bytes(40), "is image/gif; wan2.7-videoedit takes jpeg, png, bmp or webp", id="gif"),
    ],
)
def test_a_picture_outside_the_limits_is_a_problem(tmp_path: Path, data: bytes, message: str) -> None:
    """Transparency, size, weight and format are held against the model."""
    (tmp_path / "coat.png").write_bytes(data)

    said = messages(check_inputs([job(tmp_path, picture("coat.png"))], CATALOG))
    assert list(map(without_advice, said)) == [f"coat.png {message}"]


def test_a_picture_is_no_video(tmp_path: Path) -> None:
    """The content decides, not the name."""
    (tmp_path / "clip.mp4").write_bytes(png())

    report = check_inputs([job(tmp_path, video("clip.mp4"))], CATALOG)

    assert messages(report) == ["clip.mp4 is png; wan2.7-videoedit takes mp4 or mov as video"]


def test_missing_files_are_problems_in_file_order(tmp_path: Path) -> None:
    """All are told at once, first line first."""
    report = check_inputs([job(tmp_path, video("b.mp4"), line=9), job(tmp_path, video("a.mp4"), line=4)], CATALOG)

    assert [problem.position.line for problem in report.problems] == [4, 9]
    assert messages(report)[0] == "a.mp4: no such file (paths start at the folder of hero.yaml)"


def test_a_file_of_many_jobs_is_one_problem(tmp_path: Path) -> None:
    """Two hundred jobs with one bad video make one message that counts the others."""
    make_video(tmp_path / "clip.mp4", seconds=1)
    jobs = [job(tmp_path, video("clip.mp4"), id_=f"shot-{n}", parameters={"duration": n % 9 + 2}) for n in range(200)]

    report = check_inputs(jobs, CATALOG)

    assert messages(report) == ["clip.mp4 is 1.0 s long; wan2.7-videoedit takes 2 to 10 s (and 199 more jobs)"]


def test_a_data_url_as_video_is_a_problem(tmp_path: Path) -> None:
    """The service takes pictures that way, and no videos."""
    url = {"url": f"data:image/png;base64,{b64encode(png()).decode()}"}

    report = check_inputs([job(tmp_path, ("video", "url", url), ("reference_image", "url", url))], CATALOG)

    assert messages(report) == ["wan2.7-videoedit takes no data: URL as video; write a path or a link"]


def inline(data: bytes, mime: str = "image/png") -> tuple[str, str, dict[str, Any]]:
    return "reference_image", "url", {"url": f"data:{mime};base64,{b64encode(data).decode()}"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(
            png(size=(100, 300)), "is 100 x 300 pixels; wan2.7-videoedit takes sides of 240 to 8000", id="small"
        ),
        pytest.param(
            png(size=(2240, 240)), "is 2240 x 240 pixels, 9.3 to 1; wan2.7-videoedit takes up to 8 to 1", id="wide"
        ),
        pytest.param(
            png(alpha=True), "has an alpha channel; wan2.7-videoedit takes images without one", id="transparent"
        ),
        pytest.param(b"words", "holds no picture; wan2.7-videoedit takes jpeg, png, bmp or webp", id="no picture"),
        pytest.param(
            png()[:20], "cannot be used: it is cut short; wan2.7-videoedit takes jpeg, png, bmp or webp", id="cut short"
        ),
    ],
)
def test_a_picture_inside_the_spec_is_held_against_the_model_too(tmp_path: Path, data: bytes, message: str) -> None:
    """The bytes of a data: URL are here, so nothing about them is left to a task that fails."""
    assert messages(check_inputs([job(tmp_path, inline(data))], CATALOG)) == [f"this data: URL {message}"]


def test_data_urls_that_no_request_can_hold_are_a_problem(tmp_path: Path) -> None:
    """Files are uploaded when they are too many; what stands in the spec cannot be, so it is said before a run."""
    large = inline(png() + bytes(4 * 1024 * 1024))

    fits = check_inputs([job(tmp_path, large)], CATALOG)
    report = check_inputs([job(tmp_path, large, large)], CATALOG)

    assert fits.problems == ()
    assert messages(report) == [
        "hero/shot has 10.7 MB of data: URLs, and one request takes 10 MB; save a picture and write its path"
    ]


def test_a_video_that_does_not_say_how_long_it_is_is_a_note(tmp_path: Path) -> None:
    """What cannot be checked here is not passed over in silence, and not refused either."""
    clip = make_video(tmp_path / "clip.mp4", flags="frag_keyframe+empty_moov")

    report = check_inputs([job(tmp_path, video("clip.mp4"))], CATALOG)

    assert report.problems == ()
    assert report.notes == (
        f"{clip.name}: its index does not say how long it is; wan2.7-videoedit takes 2 to 10 s, "
        "which the service will check",
    )


def test_what_was_found_is_told_by_reference(tmp_path: Path) -> None:
    """Size, length and pixels are read once, for the plan and for what a job may cost."""
    make_video(tmp_path / "clip.mp4", seconds=3)
    shot = job(tmp_path, video("clip.mp4"), inline(png()))

    facts = check_inputs([shot], CATALOG).facts

    clip, picture_ = (facts[media_key(ref)] for ref in shot.media)
    assert (clip.seconds, clip.width, clip.height) == (pytest.approx(3), 320, 240)
    assert (picture_.format, picture_.width, picture_.bytes) == ("png", 300, len(png()))


def test_a_file_with_a_line_break_in_its_name_is_one_line(tmp_path: Path) -> None:
    """A problem is one line, whatever a file is called."""
    (tmp_path / "a\nb.mp4").write_bytes(png())

    (message,) = messages(check_inputs([job(tmp_path, video("a\nb.mp4"))], CATALOG))

    assert message.startswith("a b.mp4 is png")


class Broken(HttpSource):
    """A source with a mistake where it is asked first."""

    def locate(self, ref: MediaRef) -> None:
        raise ZeroDivisionError("no shelf")


def test_a_source_that_breaks_down_is_a_problem_at_its_place(tmp_path: Path) -> None:
    """A plugin's mistake is told where the spec uses it, with the plugin's name."""
    broken = checked_source("broken", SourceKind(options={"type": "object"}, build=Broken), Origin("mine", "mine 1.2"))
    catalog = Catalog({"broken": broken}, {}, CATALOG.models)

    (problem,) = check_inputs([job(tmp_path, ("video", "broken", {}), line=7)], catalog).problems

    assert problem.position.line == 7
    assert problem.message == (
        'plugin mine (mine 1.2): its source "broken" failed in locate: ZeroDivisionError: no shelf'
    )


def test_asking_for_more_than_the_input_has_is_a_note(tmp_path: Path) -> None:
    """The service decides what it makes of that; the run is not stopped."""
    make_video(tmp_path / "clip.mp4", seconds=2)
    jobs = [job(tmp_path, video("clip.mp4"), id_=f"s{n}", parameters={"duration": n}) for n in (0, 2, 5, 8)]

    report = check_inputs(jobs, CATALOG)

    assert report.problems == ()
    assert report.notes == ("hero/s5: parameters.duration asks for 5 s, and clip.mp4 is 2.0 s long (and 1 more job)",)


def test_what_the_specs_own_check_refuses_is_left_to_it(tmp_path: Path) -> None:
    """Unknown models, media types and kinds, and chains, are no matter of files."""
    jobs = [
        job(tmp_path, video("x.mp4"), model="wan9"),
        job(tmp_path, ("sound", "file", {"path": "x.wav"})),
        job(tmp_path, ("video", "fiel", {"path": "x.mp4"})),
        job(tmp_path, ("video", "job", {"id": "other"})),
    ]

    assert check_inputs(jobs, CATALOG) == InputReport((), ())
