"""Real signals at bad moments: the process is over within seconds, its state saved, and the next run goes on."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import termios
import time
from typing import TYPE_CHECKING

import pytest
from cli_parts import COMMAND, FAST, wait_until

from media_files import make_video

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cli_parts import Child, Project

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def heard() -> Iterator[None]:
    """Let children hear SIGHUP, also where whoever started the tests has it ignored."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


KEY = {"DASHSCOPE_API_KEY": "sk-test"}
#: All are tried where most is under way, in a download, and each at one other moment: they take the same way.
SIGNALS = [
    pytest.param(signal.SIGINT, 130, id="SIGINT"),
    pytest.param(signal.SIGTERM, 143, id="SIGTERM"),
    pytest.param(signal.SIGHUP, 129, id="SIGHUP"),
]
REPLY_SECONDS = 5.0  #: that a create awaiting its reply gets
SMALL_SECONDS = 3.0  #: on a machine that is busy with other tests

PLUGIN = """\
SECONDS = 600
import time
from pathlib import Path
import trio
from wanrun import Receipt, SinkKind, hookimpl

class Stuck:
    def place(self, sink, job):
        return f"stuck:{job.id}"

    async def deliver(self, delivery, ctx):
        Path("stuck").touch()
        match delivery.sink.options["how"]:
            case "thread":
                await ctx.to_thread(time.sleep, 3600)
            case "loop":
                time.sleep(3600)
            case "stubborn":
                with trio.CancelScope(shield=True):
                    await trio.sleep(3600)
        await trio.sleep_forever()

@hookimpl
def wanrun_sinks():
    options = {"type": "object", "properties": {"how": {"type": "string", "description": "."}}}
    return {"stuck": SinkKind(options=options, build=Stuck, short="how", seconds=SECONDS)}
"""


def over_soon(child: Child, number: int, *, seconds: float = 0.0) -> int:
    """Send a signal, wait for the end, and return the exit code; `seconds` is what the end may take on purpose."""
    began = time.monotonic()
    child.signal(number)
    said = child.end(within_seconds=seconds + SMALL_SECONDS)
    assert "Traceback" not in said.all, said
    assert time.monotonic() - began < seconds + SMALL_SECONDS
    return said.exit_code


def intended(project: Project, path: str = ".wanrun/ledger.db") -> bool:
    """Say whether a create is under way, or over."""
    if not (project.folder / path).exists():
        return False
    with project.ledger(path) as ledger:
        return any(entry.attempt is not None for entry in ledger.entries())


@pytest.mark.parametrize(("number", "code"), SIGNALS[:1])
def test_during_a_create_that_awaits_its_reply(project: Project, number: int, code: int) -> None:
    """The create gets its five seconds, then it is unsure."""
    spec = project.spec("one")
    faults = project.faults({"on": "create", "do": {"latency_seconds": 60}})
    with project.emulator("--speed", "1000", *faults) as url:
        child = project.start(spec, "--base-url", url, **KEY)
        wait_until(lambda: intended(project))

        assert over_soon(child, number, seconds=REPLY_SECONDS) == code

    status = project.wanrun("status", "--format", "json").json["jobs"]
    assert [job["state"] for job in status] == ["unsure"]


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_during_a_download(project: Project, number: int, code: int) -> None:
    """What has come so far is kept or made good, and the job is paid for once."""
    spec = project.spec("one")
    faults = project.faults({"on": "download", "nth": 1, "do": {"bytes_per_second": 500}})
    with project.emulator("--speed", "100000", *faults) as url:
        child = project.start(spec, "--base-url", url, **KEY)
        artifacts = project.folder / ".wanrun" / "artifacts"
        wait_until(lambda: any(part.stat().st_size for part in artifacts.glob("*.part")))

        assert over_soon(child, number) == code
        finished = project.process(spec, "--base-url", url, **KEY)

        assert (finished.exit_code, len(project.statement(url)["tasks"])) == (0, 1), finished
    assert list(artifacts.glob("*.part")) == []


@pytest.mark.parametrize(("number", "code"), SIGNALS[1:2])
def test_during_a_slow_upload(project: Project, number: int, code: int) -> None:
    """No create has left, so there is nothing to be unsure about."""
    make_video(project.folder / "clip.mp4", seconds=2)
    spec = project.write(
        "batch.yaml",
        "version: 1\njobs: [{id: one, model: wan2.7-videoedit, prompt: p, media: [{video: clip.mp4}]}]\n",
    )
    faults = project.faults({"on": "upload", "do": {"latency_seconds": 4}})
    with project.emulator("--speed", "100000", *faults) as url:
        child = project.start(spec, "--base-url", url, **KEY)
        wait_until(lambda: bool(project.statement(url)["calls"].get("policy")))

        assert over_soon(child, number) == code
        finished = project.process(spec, "--base-url", url, **KEY)

        assert (finished.exit_code, len(project.statement(url)["tasks"])) == (0, 1), finished


@pytest.mark.parametrize(("number", "code"), SIGNALS[2:])
def test_while_a_lost_reply_is_looked_for(project: Project, number: int, code: int) -> None:
    """Reconciling waits for a minute and more; a signal ends that at once, and the job stays unsure."""
    spec = project.spec("one")
    faults = project.faults({"on": "create", "do": {"reset": "after"}})
    with project.emulator("--speed", "100000", *faults) as url:
        child = project.start(spec, "--base-url", url, **KEY)
        child.until("unsure")

        assert over_soon(child, number) == code

    status = project.wanrun("status", "--format", "json").json["jobs"]
    assert [job["state"] for job in status] == ["unsure"]


@pytest.fixture
def stuck(project: Project, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Install a plugin whose sink hangs as it is told to; gives a spec that uses it."""
    site = project.folder.parent / f"{project.folder.name}-site"
    info = site / "stuck-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stuck\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[wanrun]\nstuck = stuck_plugin\n")
    monkeypatch.syspath_prepend(str(site))
    project.environ = {"PYTHONPATH": str(site)}

    def spec(how: str, *ids: str, seconds: float = 600) -> str:
        (site / "stuck_plugin.py").write_text(PLUGIN.replace("600", str(seconds)))
        name = project.spec(*(ids or ["one"]))
        text = (project.folder / name).read_text()
        return project.write(name, text.replace("sinks:\n", f"sinks:\n  s: {{stuck: {how}}}\n"))

    return spec


@pytest.mark.parametrize(
    ("how", "number", "code"),
    [
        ("waits", signal.SIGINT, 130),
        ("thread", signal.SIGTERM, 143),
        ("loop", signal.SIGHUP, 129),
        ("stubborn", signal.SIGINT, 130),
    ],
)
def test_while_a_plugin_hangs(project: Project, stuck: Callable[..., str], how: str, number: int, code: int) -> None:
    """A thread cannot be stopped and a blocked loop hears nothing, so the process leaves without them."""
    child = project.start(stuck(how), *FAST, "--deliver")
    wait_until((project.folder / "stuck").exists)

    assert over_soon(child, number, seconds=REPLY_SECONDS + 1) == code

    with project.ledger(".wanrun/emulator/ledger.db") as ledger:
        assert [entry.attempt.state for entry in ledger.entries() if entry.attempt] == ["fetched"]
        assert ledger.damage() == []


def test_a_sink_that_hangs_is_left_alone_and_the_process_ends(project: Project, stuck: Callable[..., str]) -> None:
    """The plugin is named; the other sink has every result, and only what the one that hangs lacks is left to do."""
    began = time.monotonic()
    said = project.process(stuck("loop", "one", "two", seconds=0.5), *FAST, "--deliver")

    assert time.monotonic() - began < 15
    assert said.exit_code == 3, said
    assert 'plugin stuck (stuck 1.0): its sink "stuck" did not return from deliver in 0.5 s' in said.stdout, said
    assert "Traceback" not in said.all
    with project.ledger(".wanrun/emulator/ledger.db") as ledger:
        assert [entry.attempt.state for entry in ledger.entries() if entry.attempt] == ["fetched"] * 2
    assert {path.name for path in project.folder.rglob("*.mp4")} >= {"one.mp4", "two.mp4"}


def test_the_time_to_wait_holds_though_a_plugin_hangs(project: Project, stuck: Callable[..., str]) -> None:
    """The grace for deliveries is over some time; a thread that hangs does not hold up the end for ever."""
    code = (
        "import sys; from wanrun.engine import leaving; import wanrun.run; from wanrun.cli import main\n"
        "leaving.GRACE_SECONDS = 1; main()"
    )
    spec = stuck("thread")
    env = {"PATH": os.environ["PATH"], "HOME": str(project.folder), **project.environ}
    command = [COMMAND[0], "-c", code, spec, *FAST, "--deliver", "--max-wait", "2s"]

    ended = subprocess.run(command, cwd=project.folder, env=env, capture_output=True, timeout=30, check=False)

    assert ended.returncode == 3, ended


def test_when_its_terminal_is_closed(project: Project) -> None:
    """The run hears of it, writes no more to the terminal that is gone, and saves its state."""
    spec = project.spec("one")
    with project.emulator("--speed", "1") as url:
        leader, follower = os.openpty()
        env = {"PATH": os.environ["PATH"], "HOME": str(project.folder), "TERM": "xterm-256color", **KEY}
        child = subprocess.Popen(
            [*COMMAND, spec, "--base-url", url],
            cwd=project.folder,
            env=env,
            stdin=follower,
            stdout=follower,
            stderr=follower,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(follower)
        wait_until(lambda: bool(project.statement(url)["tasks"]) and b"running" in os.read(leader, 65536))
        os.close(leader)

        assert child.wait(timeout=REPLY_SECONDS + SMALL_SECONDS) == 129

    status = project.wanrun("status", "--format", "json").json["jobs"]
    assert [job["state"] for job in status] == ["in flight"]
    assert status[0]["gone_at"] - status[0]["intended_at"] == pytest.approx(24 * 3600, abs=5)


def test_a_run_that_was_started_with_nohup_lives_on(project: Project) -> None:
    """Whoever asked for it to survive its terminal gets that."""
    with project.emulator("--speed", "100") as url:
        env = {"PATH": os.environ["PATH"], "HOME": str(project.folder), **KEY}
        child = subprocess.Popen(
            [*COMMAND, project.spec("one"), "--base-url", url],
            cwd=project.folder,
            env=env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
        )
        wait_until(lambda: bool(project.statement(url)["tasks"]))
        child.send_signal(signal.SIGHUP)

        assert child.wait(timeout=30) == 0


def test_looking_works_while_a_run_holds_the_ledger(project: Project) -> None:
    """`validate`, `plan` and `status` need no turn; another run is told who has it, since when, and to wait."""
    spec = project.spec("one", "two")
    with project.emulator("--speed", "1") as url:
        child = project.start(spec, "--base-url", url, **KEY)
        child.until("submitted as task")

        looks = [project.process(*args) for args in (("validate", spec), ("plan", spec), ("status",))]
        second = project.process(spec, "--base-url", url, **KEY)
        child.signal(signal.SIGTERM)

        assert [look.exit_code for look in looks] == [0, 0, 0], looks
        assert "in flight" in looks[1].stdout
        assert "gone at" in looks[2].stdout
        assert second.exit_code == 3, second
        assert f"in use by another run (pid {child.process.pid}, since 20" in second.stderr
        assert "A second ledger would pay for these jobs again" in second.stderr
        assert child.end().exit_code == 143
