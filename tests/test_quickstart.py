"""The whole thing on real input: the shipped batch, the embedded emulator, real edits, judged by decoding them."""

from __future__ import annotations

import json
import shutil
from array import array
from pathlib import Path
from typing import NamedTuple

import av
import pytest

from wanrun.cli import run_app

SPECS = Path(__file__).resolve().parents[1] / "specs"
GRID = (32, 18)


class Decoded(NamedTuple):
    """A video as a viewer meets it."""

    size: tuple[int, int]
    seconds: float
    picture: bytes  #: the frame at half a second, small, in RGB
    loudness: float  #: mean absolute sample


def decoded(path: Path) -> Decoded:
    """Decode a video and its sound."""
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        frames = [frame for frame in container.decode(video) if frame.time is not None]
        frame = next(frame for frame in frames if frame.time >= 0.5)
        picture = frame.reformat(*GRID, format="rgb24")
        lines = bytes(picture.planes[0])
        stride = picture.planes[0].line_size
        pixels = b"".join(lines[row * stride : row * stride + 3 * GRID[0]] for row in range(GRID[1]))
        seconds = frames[-1].time + 1 / 30
    with av.open(str(path)) as container:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=8000)
        samples = array("h")
        for sound in container.decode(audio=0):
            for piece in resampler.resample(sound):
                samples.frombytes(bytes(piece.planes[0])[: 2 * piece.samples])
    return Decoded((video.width, video.height), seconds, pixels, sum(map(abs, samples)) / max(1, len(samples)))


def difference(one: Decoded, other: Decoded) -> float:
    """Return the mean difference of two pictures, from 0 to 255."""
    return sum(abs(a - b) for a, b in zip(one.picture, other.picture, strict=True)) / len(one.picture)


@pytest.mark.slow
def test_the_quickstart_edits_the_shipped_clip_four_ways(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every result has the asked size and length, sound, and a picture that differs from the input and each other."""
    shutil.copytree(SPECS, tmp_path / "specs")
    (tmp_path / ".wanrun").mkdir()
    monkeypatch.chdir(tmp_path)

    first = run_app(["specs/quickstart.yaml", "--emulator", "--format", "json"])
    outcome = json.loads(capsys.readouterr().out)
    again = run_app(["specs/quickstart.yaml", "--emulator"])

    assert (first, again) == (0, 0)
    assert "nothing was submitted" in capsys.readouterr().out
    clip = decoded(tmp_path / "specs" / "media" / "street.mp4")
    videos = {job["job"].partition("/")[2]: decoded(Path(job["places"][0])) for job in outcome["jobs"]}
    assert {name: video.size for name, video in videos.items()} == {
        "coat": (1280, 720),
        "clay": (1280, 720),
        "anime": (1280, 720),
        "night-square": (960, 960),
    }
    assert videos["night-square"].seconds == pytest.approx(2, abs=0.1)
    assert videos["clay"].seconds == pytest.approx(clip.seconds, abs=0.1)
    assert all(difference(video, clip) > 10 for video in videos.values())
    assert difference(videos["clay"], videos["anime"]) > 5
    assert all(video.loudness > clip.loudness / 3 for video in videos.values())


@pytest.mark.slow
def test_the_account_of_the_quickstart_is_billed_for_each_job_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The statement of the emulator's account says what was paid: four tasks, whatever was run again."""
    shutil.copytree(SPECS, tmp_path / "specs")
    (tmp_path / ".wanrun").mkdir()
    monkeypatch.chdir(tmp_path)
    command = ["specs/quickstart.yaml", "--emulator", "--edit", "none", "--speed", "1000"]

    codes = [run_app(command), run_app(command)]

    statement = json.loads((tmp_path / ".wanrun" / "emulator" / "account" / "statement.json").read_text())
    assert codes == [0, 0]
    assert (statement["tasks_made"], statement["tasks_billed"]) == (4, 4)
    assert statement["calls"]["upload"] == {"200": 1}


@pytest.mark.slow
@pytest.mark.parametrize("way", ["by its link", "uploaded"])
def test_a_chained_edit_is_one_of_the_edited_clip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], way: str
) -> None:
    """Mirrored twice, the street looks as it did, whichever way the first result comes to the service."""
    (tmp_path / ".wanrun").mkdir()
    shutil.copy(SPECS / "media" / "street.mp4", tmp_path / "street.mp4")
    once = (
        "version: 1\ndefaults: {model: wan2.7-videoedit, parameters: {resolution: 720P}}\njobs:\n"
        "  - {id: once, prompt: Mirror it., media: [{video: street.mp4}]}\n"
    )
    (tmp_path / "once.yaml").write_text(f"name: batch\n{once}")
    twice = "  - {id: twice, prompt: Mirror it again., media: [{video: {job: once}}]}\n"
    (tmp_path / "batch.yaml").write_text(once + twice)
    faults = {"faults": [{"on": "query", "nth": 1, "do": {"status": 503}}] if way == "uploaded" else []}
    (tmp_path / "faults.json").write_text(json.dumps(faults))
    monkeypatch.chdir(tmp_path)

    first = run_app(["once.yaml", "--emulator"])
    second = run_app(["batch.yaml", "--emulator", "--faults", "faults.json"])

    assert (first, second) == (0, 0), capsys.readouterr()
    clip, (mirrored,), (restored,) = (
        decoded(tmp_path / "street.mp4"),
        [decoded(path) for path in tmp_path.rglob("once.mp4")],
        [decoded(path) for path in tmp_path.rglob("twice.mp4")],
    )
    assert difference(mirrored, clip) > 10
    assert difference(restored, clip) < 3
    statement = json.loads((tmp_path / ".wanrun" / "emulator" / "account" / "statement.json").read_text())
    assert statement["calls"]["upload"] == {"200": 1 if way == "by its link" else 2}


@pytest.mark.slow
def test_the_chain_that_ships_is_made_link_by_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Five tasks, each from the one before it, and nothing when it is run again."""
    shutil.copytree(SPECS, tmp_path / "specs")
    (tmp_path / ".wanrun").mkdir()
    monkeypatch.chdir(tmp_path)
    command = ["specs/chain.yaml", "--emulator", "--edit", "none", "--speed", "1000"]

    codes = [run_app(command), run_app(command)]

    statement = json.loads((tmp_path / ".wanrun" / "emulator" / "account" / "statement.json").read_text())
    prompts = [task["prompt"].split()[0] for task in statement["tasks"]]
    assert codes == [0, 0]
    assert (statement["tasks_made"], statement["tasks_billed"]) == (5, 5)
    assert prompts[0] == "Make"
    assert sorted(prompts[1:3]) == ["Turn", "Turn"] or sorted(prompts[1:4]) == ["Replace", "Turn", "Turn"]
