"""Files that are made to fit, as a person sees them: in `validate`, `plan`, the sidecar, and a second run."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from cli_parts import FAST, HEAD

from media_files import make_video, png
from processes import COMMAND, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from cli_parts import Project

pytestmark = pytest.mark.slow

JOBS = """\
jobs:
  - id: shot
    prompt: Make it clay.
    media:
      - video: {file: {path: clips/long.mov, trim: 2-5, fit: true}}
      - reference_image: {file: {path: clips/coat.png, fit: true}}
"""
CLAUSE = "clips/long.mov cut to 2-5 s, scaled to 480 x 240; clips/coat.png laid on white"


@pytest.fixture
def batch(project: Project) -> str:
    """Return a spec of one job with a clip and a picture that do not fit."""
    (project.folder / "clips").mkdir()
    make_video(project.folder / "clips" / "long.mov", seconds=12, size=(320, 160), sound=True)
    (project.folder / "clips" / "coat.png").write_bytes(png(alpha=True))
    return project.write("batch.yaml", HEAD + JOBS)


def shelf(project: Project) -> list[Path]:
    return sorted((project.folder / ".wanrun" / "fitted").glob("*"))


def test_the_plan_says_what_is_made_and_makes_nothing(project: Project, batch: str) -> None:
    """As a clause, and in JSON."""
    said = project.wanrun("plan", batch)
    fitted = project.wanrun("plan", batch, "--format", "json").json["jobs"][0]["fitted"]

    assert CLAUSE in said.stdout
    assert [each["change"] for each in fitted] == ["cut to 2-5 s, scaled to 480 x 240", "laid on white"]
    assert shelf(project) == []


def test_a_run_makes_it_once_and_the_sidecar_says_so(project: Project, batch: str) -> None:
    """A second run finds the job done, also when nothing of what was made is left."""
    first = project.wanrun(batch, *FAST)
    made = shelf(project)
    sidecar = json.loads((project.folder / ".wanrun/emulator/delivered/out/shot.mp4.json").read_text())
    shutil.rmtree(project.folder / ".wanrun" / "fitted")
    second = project.wanrun(batch, *FAST)

    assert (first.exit_code, second.exit_code) == (0, 0), first
    assert [path.suffix for path in made] in ([".mp4", ".png"], [".png", ".mp4"])
    assert sidecar["fitted"] == [
        {"type": "video", "file": "clips/long.mov", "change": "cut to 2-5 s, scaled to 480 x 240"},
        {"type": "reference_image", "file": "clips/coat.png", "change": "laid on white"},
    ]
    assert "nothing was submitted" in second.stdout
    assert shelf(project) == []


def test_the_service_gets_what_was_made(project: Project, batch: str) -> None:
    """Three seconds are billed, not twelve."""
    project.wanrun(batch, *FAST)

    sidecar = json.loads((project.folder / ".wanrun/emulator/delivered/out/shot.mp4.json").read_text())

    assert sidecar["usage"]["input_seconds"] == pytest.approx(3.0, abs=0.05)


LOOK = """
import sys
from wanrun.cli import run_app
code = run_app(sys.argv[1:])
print("loaded", sorted({"av", "PIL", "cv2"} & set(sys.modules)), code)
"""


@pytest.mark.parametrize("command", [("validate",), ("plan",), ("run", *FAST)], ids=lambda command: command[0])
def test_no_decoder_is_loaded_but_in_the_process_that_makes_the_file(
    project: Project, batch: str, command: tuple[str, ...]
) -> None:
    """Neither to check and to plan, nor to carry out."""
    words = [sys.executable, "-c", LOOK, command[0], batch, *command[1:]]

    said = subprocess.run(words, cwd=project.folder, capture_output=True, text=True, check=True)

    assert said.stdout.splitlines()[-1] == "loaded [] 0"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_something_is_made_fails_no_job(project: Project, batch: str, number: signal.Signals) -> None:
    """Whether it reaches the run alone or the whole group of a terminal; the next run makes it."""
    make_video(project.folder / "clips" / "long.mov", seconds=13, size=(3840, 2160))
    text = (project.folder / batch).read_text().replace("trim: 2-5", "trim: 2-12")
    project.write(batch, text)
    with subprocess.Popen([*COMMAND, batch, *FAST], cwd=project.folder, start_new_session=True) as process:
        wait_until(lambda: any((project.folder / ".wanrun" / "fitted").glob("*.part")))
        os.killpg(process.pid, number)
        code = process.wait(30)
    standing = project.wanrun("status", "--emulator", "--format", "json").json["jobs"]

    assert code == 128 + number
    assert [job["state"] for job in standing] == ["new"]
    assert list((project.folder / ".wanrun" / "fitted").glob("*.part")) == []


def test_a_plain_sidecar_is_what_it_was(project: Project) -> None:
    """The field is there only where something was made."""
    project.wanrun(project.spec("one"), *FAST)

    assert "fitted" not in json.loads((project.folder / ".wanrun/emulator/delivered/out/one.mp4.json").read_text())


def test_without_pyav_nothing_is_submitted(project: Project, batch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said before the run begins, in one line; plan needs none."""
    monkeypatch.setitem(sys.modules, "av", None)

    said = project.wanrun(batch, *FAST)

    assert (said.exit_code, said.stdout) == (2, "")
    assert said.stderr == (
        'clips/long.mov is cut to 2-5 s, scaled to 480 x 240 with PyAV: pip install "wanrun[media]"\n'
    )
    assert project.wanrun("plan", batch).exit_code == 0


def test_what_cannot_be_made_fails_its_job_alone(project: Project, batch: str) -> None:
    """Nothing is paid for it, and its siblings go on."""
    clip = project.folder / "clips" / "long.mov"
    data = bytearray(clip.read_bytes())
    start, end = data.index(b"mdat") + 4, data.index(b"moov") - 4
    data[start:end] = b"\xff" * (end - start)
    clip.write_bytes(data)
    more = "  - {id: two, prompt: other, media: [{video: https://example.com/a.mp4}]}\n"
    project.write("batch.yaml", HEAD + JOBS + more)

    said = project.wanrun(batch, *FAST)

    assert said.exit_code == 1
    assert "batch/shot is failed: clips/long.mov cannot be cut to 2-5 s, scaled to 480 x 240: " in said.stdout
    assert "1 failed, 1 done; 1 task submitted" in said.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("trim: 10", 'video.file.trim is 10; give text, such as "0-10"'),
        ('trim: "0:00-0:10"', 'video.file.trim is "0:00-0:10"; give text, such as "0-10"'),
        ("fit: yes", 'video.file.fit is "yes"; give true or false'),
        ("trimm: 0-10", 'unknown key "trimm"; did you mean "trim"?'),
        ("trim: 8-3", "clips/long.mov: trim: 8-3 ends before it begins; give the seconds from and to"),
    ],
)
def test_a_mistake_in_the_options_is_said_at_its_line(project: Project, batch: str, options: str, message: str) -> None:
    """As any other of a spec."""
    text = (project.folder / batch).read_text().replace("trim: 2-5, fit: true", options)
    project.write(batch, text)

    said = project.wanrun("validate", batch)

    assert said.exit_code == 2
    assert said.stderr.splitlines()[0].partition(": ")[2] == message
    assert said.stderr.startswith("batch.yaml:9:")
