"""Notifying in real processes: a notifier that kills, blocks or hangs, and what `--emulator` makes of one."""

from __future__ import annotations

import json
import re
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import pytest
from cli_parts import FAST

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli_parts import Project

pytestmark = pytest.mark.slow

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
KEY = {"DASHSCOPE_API_KEY": "sk-test"}
PLUGIN = """\
import os, signal, time
from pathlib import Path
from wanrun import SinkKind, hookimpl
from wanrun.engine import notify

notify.CALL_SECONDS = 1  # in place of ten, which the tests of this plugin would wait for

class Pager:
    async def notify(self, notice, ctx):
        with Path("told").open("a") as file:
            print(notice.title, file=file)
        match Path("how").read_text():
            case "kills":
                os.kill(os.getpid(), signal.SIGKILL)
            case "blocks":
                time.sleep(3600)
            case "hangs in a thread":
                await ctx.to_thread(time.sleep, 3600)
            case "exits":
                raise SystemExit(3)

@hookimpl
def wanrun_sinks():
    options = {"type": "object", "properties": {"number": {"type": "string", "description": "Whom to call."}}}
    return {"pager": SinkKind(options=options, build=Pager, short="number")}
"""


@pytest.fixture
def pager(project: Project, monkeypatch: pytest.MonkeyPatch) -> str:
    """Install the plugin for this process and those it starts, and return the name of a spec that uses it."""
    site = project.folder.parent / f"{project.folder.name}-site"
    info = site / "pager-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: pager\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[wanrun]\npager = pager_plugin\n")
    (site / "pager_plugin.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(str(site))
    project.environ = {"PYTHONPATH": str(site), **KEY}
    spec = project.spec("one", "two")
    notify = "notify: [{to: team, events: [run_finished, job_done]}]\n"
    text = (project.folder / spec).read_text().replace("jobs:\n", f"  team: {{pager: '112'}}\n{notify}jobs:\n")
    return project.write(spec, text)


def told(project: Project) -> list[str]:
    """Return the title of every message that was sent."""
    path = project.folder / "told"
    return path.read_text().splitlines() if path.exists() else []


def test_a_run_that_is_killed_while_it_tells_sends_one_more_and_pays_nothing(project: Project, pager: str) -> None:
    """`kill -9` between the message and its record: the next run tells once more, those after it say nothing."""
    project.write("how", "kills")
    with project.emulator("--speed", "100000") as url:
        killed = project.process(pager, "--base-url", url)
        project.write("how", "works")
        after = [project.process(pager, "--base-url", url) for _ in range(3)]

        assert killed.exit_code == -9, killed
        assert [said.exit_code for said in after] == [0, 0, 0], after
        assert told(project) == ["emulator: batch: 2 done"] * 2
        assert len(project.statement(url)["tasks"]) == 2


@pytest.mark.parametrize("how", ["blocks", "hangs in a thread", "exits"])
def test_a_notifier_that_holds_on_or_leaves_is_left_to_itself(project: Project, pager: str, how: str) -> None:
    """A blocked loop and a thread that never ends cost the run seconds, a `SystemExit` nothing; a note says so."""
    project.write("how", how)
    with project.emulator("--speed", "100000") as url:
        began = time.monotonic()
        said = project.process(pager, "--base-url", url)
        took = time.monotonic() - began
        project.write("how", "works")
        after = project.process(pager, "--base-url", url)

    assert said.exit_code == after.exit_code == 0, said
    assert took < 15
    assert "note: the sink team was not told of run_finished, job_done: " in said.stdout, said
    assert "2 done; 2 tasks submitted" in said.stdout
    assert "Traceback" not in said.all
    assert told(project) == ["emulator: batch: 2 done"] * 2  # the second is that of the next run


def test_with_the_emulator_it_is_said_what_would_have_been_told(project: Project, pager: str) -> None:
    """Nobody is called; with `--deliver` they are."""
    project.write("how", "works")

    rehearsed = project.wanrun(pager, *FAST)
    delivered = project.wanrun(project.write("batch.yaml", more(project)), *FAST, "--deliver")

    assert "note: rehearsal: the sink team would have been told: emulator: batch: 2 done" in rehearsed.stdout, rehearsed
    assert delivered.exit_code == 0, delivered
    assert told(project) == ["emulator: batch: 3 done"]


def test_the_notifier_in_readme_posts(project: Project) -> None:
    """Copied as it stands, installed, and told by a run; the secret address is in nothing that is printed."""
    (plugin,) = [block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "class Chat" in block]
    site = project.folder / "site"
    info = site / "chat-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: chat\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[wanrun]\nchat = chat_plugin\n")
    (site / "chat_plugin.py").write_text(plugin)
    text = (project.folder / project.spec("one")).read_text()
    sinks = "  team: {chat: {webhook: '${{ secret.CHAT_WEBHOOK }}'}}\nnotify: [{to: team, events: [run_finished]}]\n"
    spec = project.write("batch.yaml", text.replace("jobs:\n", f"{sinks}jobs:\n"))

    with posts() as (address, received), project.emulator("--speed", "100000") as url:
        project.environ = {"PYTHONPATH": str(site), "CHAT_WEBHOOK": f"{address}/canary-canary", **KEY}
        said = project.process(spec, "--base-url", url)

    assert said.exit_code == 0, said
    ((path, body),) = received
    assert path == "/canary-canary"
    assert body["text"].startswith("emulator: batch: 1 done\nat the service this would be: ")
    assert "told team: emulator: batch: 1 done" in said.stderr
    assert "canary" not in said.all


@contextmanager
def posts() -> Iterator[tuple[str, list[tuple[str, dict[str, str]]]]]:
    """Serve on loopback, and keep the path and the JSON of what is posted."""
    received: list[tuple[str, dict[str, str]]] = []

    class Keep(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Keep) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", received
        server.shutdown()


def more(project: Project) -> str:
    """Return the spec with one more job."""
    line = "  - {id: three, prompt: three, media: [{video: https://example.com/three.mp4}]}\n"
    return (project.folder / "batch.yaml").read_text() + line
