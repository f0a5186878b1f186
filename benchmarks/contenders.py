"""Who is measured: wanrun, and three programs with the official SDK; each gets the same jobs and an account."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.account import KEY, ROOT, account, environment
from benchmarks.measured import run_measured

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from benchmarks.measured import Measured

SDK = ROOT / "benchmarks" / "sdk"


@dataclass(frozen=True)
class Jobs:
    """What a contender is given to do."""

    count: int
    at_once: int = 50  #: under way at a time
    patient: bool = False  #: whether the SDK's user has written code that makes throttled calls again
    video: str = "https://example.com/clip.mp4"


@dataclass(frozen=True)
class Contender:
    """A program under measurement: its name, and the command line for some jobs in a folder made for it."""

    name: str
    command: Callable[[Jobs, Path], Sequence[str]]
    ended: Callable[[str], int]  #: how many jobs it saw end well, from what it printed


def run(contender: Contender, jobs: Jobs, folder: Path, **settings: Any) -> dict[str, Any]:
    """Let a contender do its jobs on an account of its own; return what it took and what the account saw."""
    home = folder / contender.name.replace(" ", "-").replace(",", "")
    home.mkdir(parents=True)
    with account(home / "account", **settings) as served:
        environ = environment(DASHSCOPE_HTTP_BASE_URL=served.url, DASHSCOPE_API_KEY=KEY, HOME=str(home))
        took = run_measured(contender.command(jobs, home), folder=home, environ=environ)
        return {"contender": contender.name} | _figures(contender, took, jobs, served.statement())


def _figures(contender: Contender, took: Measured, jobs: Jobs, statement: dict[str, Any]) -> dict[str, Any]:
    calls = Counter({(kind, status): n for kind, by in statement["calls"].items() for status, n in by.items()})
    ended = contender.ended(took.stdout)
    return {
        "jobs": jobs.count,
        "ended": ended,
        "lost": statement["tasks_made"] - ended,  # tasks that are paid for and that the program gave up on
        "wall_seconds": round(took.wall_seconds, 2),
        "cpu_ms_per_job": round(took.cpu_seconds / jobs.count * 1000, 2),
        "peak_mib": round(took.peak_mib, 1),
        "calls": dict(sorted(_by_kind(calls).items())),
        "throttled": sum(n for (_, status), n in calls.items() if status == "429"),
        "connections": statement["connections"] - 1,  # one is the look at the statement
    }


def _by_kind(calls: Counter[tuple[str, str]]) -> Counter[str]:
    kinds: Counter[str] = Counter()
    for (kind, _), count in calls.items():
        kinds[kind] += count
    return kinds


def _sdk(script: str) -> Callable[[Jobs, Path], Sequence[str]]:
    def command(jobs: Jobs, folder: Path) -> Sequence[str]:
        options = ["--jobs", str(jobs.count), "--at-once", str(jobs.at_once), "--video", jobs.video]
        return [sys.executable, str(SDK / script), *options, *(["--patient"] if jobs.patient else [])]

    return command


def _told_by_sdk(stdout: str) -> int:
    return int(json.loads(stdout.splitlines()[-1])["ended"])


def _told_by_wanrun(stdout: str) -> int:
    return sum(job["state"] == "done" for job in json.loads(stdout)["jobs"])


def wanrun(**limits: float) -> Contender:
    """Return wanrun with these limits in its `wanrun.toml`; with ledger, download and delivery to a folder."""

    def command(jobs: Jobs, folder: Path) -> Sequence[str]:
        lines = [f"{name} = {value}" for name, value in {"tasks_in_flight": jobs.at_once, **limits}.items()]
        (folder / "wanrun.toml").write_text("[providers.default.limits]\n" + "\n".join(lines) + "\n")
        (folder / "batch.yaml").write_text(spec(jobs.count, video=jobs.video))
        return [sys.executable, "-m", "wanrun", "run", "batch.yaml", "--format", "json"]

    return Contender("wanrun", command, _told_by_wanrun)


def spec(count: int, *, video: str) -> str:
    """Return a spec of so many jobs: one matrix."""
    return f"""\
version: 1
defaults: {{model: wan2.7-videoedit, parameters: {{resolution: 720P}}}}
sinks:
  disk: {{folder: {{path: out, name: "${{{{ job.id }}}}.mp4"}}}}
jobs:
  - id: edit-${{{{ matrix.number }}}}
    matrix: {{number: {list(range(count))}}}
    prompt: Edit number ${{{{ matrix.number }}}}.
    media: [{{video: {json.dumps(video)}}}]
"""


SDKS = (
    Contender("SDK 1.x, threads", _sdk("threads_1x.py"), _told_by_sdk),
    Contender("SDK 1.x, asyncio", _sdk("asyncio_1x.py"), _told_by_sdk),
    Contender("SDK 2.x, threads", _sdk("threads_2x.py"), _told_by_sdk),
)
