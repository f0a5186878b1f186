"""A runner of composite actions, as far as ours goes; a repository with a remote; and GitHub's comments on loopback."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import yaml

from processes import COMMAND, Child

if TYPE_CHECKING:
    from collections.abc import Iterator

Server = TypeVar("Server", bound=ThreadingHTTPServer)

ROOT = Path(__file__).resolve().parents[2]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
STEPS = [step["name"] for step in ACTION["runs"]["steps"]]
BRANCH = "wanrun-ledger"
WANRUN = f"#!/bin/sh\nexec {sys.executable} -c '{COMMAND[2]}' \"$@\"\n"

SETTINGS = """\
[providers.default]
base_url = "{}"
settle_seconds = 0.2
scan_gap_seconds = 0.1
poll_seconds = 0.2
[providers.default.limits]
queries_per_second = 18
"""
SPEC = """\
version: 1
defaults: {model: wan2.7-videoedit}
jobs:
"""
JOB = "  - {{id: {0}, prompt: prompt of {0}, media: [{{video: https://example.com/{0}.mp4}}]}}\n"


def git(folder: Path, *args: str, check: bool = True) -> str:
    """Run git in a folder and return what it prints, without the last line break."""
    env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    names = ("-c", "user.name=someone", "-c", "user.email=someone@example.com", "-c", "init.defaultBranch=main")
    done = subprocess.run(["git", *names, *args], cwd=folder, env=env, capture_output=True, text=True, check=check)
    return done.stdout.removesuffix("\n")


@dataclass
class Repository:
    """A bare repository, as GitHub has it, and a clone in which somebody works."""

    folder: Path
    base_url: str

    def __post_init__(self) -> None:
        self.work.mkdir(parents=True)
        git(self.folder, "init", "--quiet", "--bare", "remote.git")
        git(self.work, "init", "--quiet")
        git(self.work, "remote", "add", "origin", str(self.remote))
        (self.work / "wanrun.toml").write_text(SETTINGS.format(self.base_url), encoding="utf-8")
        (self.work / ".gitignore").write_text(".wanrun/\nout/\n", encoding="utf-8")

    @property
    def remote(self) -> Path:
        """The bare repository."""
        return self.folder / "remote.git"

    @property
    def work(self) -> Path:
        """The clone in which specs are written."""
        return self.folder / "work"

    def push(self, *ids: str, name: str = "specs/batch.yaml", head: str = SPEC) -> None:
        """Write a spec of jobs with these ids, commit and push it."""
        (self.work / name).parent.mkdir(exist_ok=True)
        (self.work / name).write_text(head + "".join(JOB.format(each) for each in ids), encoding="utf-8")
        git(self.work, "add", "--all")
        git(self.work, "commit", "--quiet", "--message", "specs")
        git(self.work, "push", "--quiet", "origin", "HEAD:main")

    def ledger(self) -> dict[str, Any] | None:
        """Return the first line of the ledger's file on its branch; None where there is no branch."""
        text = git(self.remote, "show", f"refs/heads/{BRANCH}:ledger.jsonl", check=False)
        return dict(json.loads(text.splitlines()[0])) if text else None

    def commits(self) -> int:
        """Return how many commits the ledger's branch has."""
        return int(git(self.remote, "rev-list", "--count", f"refs/heads/{BRANCH}", check=False) or 0)


@dataclass
class Job:
    """One job of a workflow, on a machine of its own, that uses the action."""

    folder: Path
    repository: Repository
    inputs: dict[str, str]
    environ: dict[str, str] = field(default_factory=dict)
    event: dict[str, Any] = field(default_factory=dict)
    run_id: str = "7"
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)
    outcomes: dict[str, str] = field(default_factory=dict)  #: by the names of steps
    said: str = ""  #: by all steps

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        git(
            self.folder,
            "clone",
            "--quiet",
            "--depth=1",
            "--branch=main",
            f"file://{self.repository.remote}",
            "checkout",
        )
        bin_folder = self.temp / "wanrun" / "venv" / "bin"
        bin_folder.mkdir(parents=True)
        (bin_folder / "wanrun").write_text(WANRUN)
        (bin_folder / "wanrun").chmod(0o755)
        (bin_folder / "python").symlink_to(sys.executable)
        (self.folder / "event.json").write_text(json.dumps(self.event))
        known = {name: str(each.get("default", "")) for name, each in ACTION["inputs"].items()}
        assert self.inputs.keys() <= known.keys()
        self.inputs = {**known, **self.inputs}

    @property
    def checkout(self) -> Path:
        """The working directory of the steps."""
        return self.folder / "checkout"

    @property
    def temp(self) -> Path:
        """What the runner calls RUNNER_TEMP."""
        return self.folder / "temp"

    @property
    def summary(self) -> str:
        """What the job shows on its page."""
        path = self.folder / "summary.md"
        return path.read_text(encoding="utf-8") if path.is_file() else ""

    @property
    def failed(self) -> bool:
        """Whether a step has failed, and so the job."""
        return "failure" in self.outcomes.values()

    @property
    def exit_code(self) -> str:
        """The output of the action."""
        return str(self._filled(ACTION["outputs"]["exit-code"]["value"]))

    def run(self, *, until: str | None = None, install: bool = False) -> Job:
        """Run the steps, all of them or those before one that is named, and return the job itself."""
        for step in ACTION["runs"]["steps"]:
            if step["name"] == until:
                break
            if step["name"] == "Install wanrun" and not install:
                continue
            if self._is_due(step):
                with self.started(step["name"]) as process:
                    out, _ = process.communicate(timeout=60 if not install else 600)
                self.said += out
            else:
                self.outcomes[step["name"]] = "skipped"
        return self

    @contextmanager
    def started(self, name: str) -> Iterator[subprocess.Popen[str]]:
        """Start one step as the runner does; its outcome and outputs are known afterwards."""
        (step,) = (each for each in ACTION["runs"]["steps"] if each["name"] == name)
        script, outputs = self.folder / "step.sh", self.folder / "outputs"
        script.write_text(step["run"], encoding="utf-8")
        outputs.write_text("")
        process = subprocess.Popen(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
            cwd=self.checkout,
            env=self._environ(step, outputs),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()
        lines = (line.partition("=") for line in outputs.read_text().splitlines())
        self.outputs[step.get("id", name)] = {key: value for key, _, value in lines}
        self.outcomes[name] = "success" if process.returncode == 0 else "failure"

    def _environ(self, step: dict[str, Any], outputs: Path) -> dict[str, str]:
        runner = {
            "GITHUB_ACTION_PATH": str(ROOT),
            "GITHUB_API_URL": "http://127.0.0.1:9",
            "GITHUB_EVENT_PATH": str(self.folder / "event.json"),
            "GITHUB_OUTPUT": str(outputs),
            "GITHUB_REPOSITORY": "someone/edits",
            "GITHUB_RUN_ATTEMPT": "1",
            "GITHUB_RUN_ID": self.run_id,
            "GITHUB_SERVER_URL": "https://github.example.com",
            "GITHUB_STEP_SUMMARY": str(self.folder / "summary.md"),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "HOME": str(self.folder),
            "PATH": os.environ["PATH"],
            "PYTHONUTF8": "1",
            "RUNNER_TEMP": str(self.temp),
        }
        own = {name: str(self._filled(value)) for name, value in step["env"].items()}
        return {**runner, **self.environ, **own}

    def _is_due(self, step: dict[str, Any]) -> bool:
        condition = step.get("if", "true")
        if "always()" not in condition and self.failed:
            return False
        return bool(self._value(condition))

    def _filled(self, text: object) -> object:
        whole = re.fullmatch(r"\$\{\{(.*)\}\}", str(text))
        if whole:
            return self._value(whole[1])
        return re.sub(r"\$\{\{(.*?)\}\}", lambda found: str(self._value(found[1])), str(text))

    def _value(self, expression: str) -> Any:
        """Return what an expression means; of the language it knows what the action uses."""
        words = expression.replace("&&", " and ").replace("||", " or ").replace("always()", "True")
        words = re.sub(r"\btrue\b(?!')", "True", words)
        words = re.sub(r"(?<!['\w])[a-z]+(?:\.[\w-]+)+", lambda found: f"look({found[0]!r})", words)
        return eval(words.strip(), {"look": self._look})  # noqa: S307  # our own file, and nothing else

    def _look(self, name: str) -> str:
        root, *rest = name.split(".")
        if root == "inputs":
            return self._filled(self.inputs[rest[0]])  # type: ignore[return-value]
        if root == "steps" and rest[1] == "outputs":
            return self.outputs.get(rest[0], {}).get(rest[2], "")
        if root == "steps":
            (step,) = (each for each in ACTION["runs"]["steps"] if each.get("id") == rest[0])
            return self.outcomes.get(step["name"], "skipped")
        return {"runner.temp": str(self.temp), "github.token": "token-of-the-job"}[name]


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    """Let a server answer in a thread, and end with it."""
    with server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class Gate(ThreadingHTTPServer):
    """What a request has to pass: it keeps who asks, and lets nobody in."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Gate)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.tokens: list[str] = []


class _Gate(BaseHTTPRequestHandler):
    server: Gate

    def do_GET(self) -> None:
        self.server.tokens += self.headers.get_all("Authorization", [])
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def gates() -> Iterator[Gate]:
    """Serve a gate."""
    with serving(Gate()) as gate:
        yield gate


class Comments(ThreadingHTTPServer):
    """The comments of one pull request, as GitHub's API has them."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Comments)
        self.comments: list[dict[str, Any]] = []
        self.calls: list[str] = []
        self.refuse: int | None = None  #: the status of every answer

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def add(self, body: str, kind: str) -> dict[str, Any]:
        """Add a comment by a user of some type."""
        self.comments.append({"id": len(self.comments) + 1, "body": body, "user": {"type": kind}})
        return self.comments[-1]


class _Comments(BaseHTTPRequestHandler):
    server: Comments

    def _answer(self, status: int, value: object) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _heard(self) -> Any:
        self.server.calls.append(f"{self.command} {urlsplit(self.path).path}")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        assert self.headers["Authorization"] == "Bearer token-of-the-job"
        return json.loads(body) if body else None

    def do_GET(self) -> None:
        self._heard()
        query = parse_qs(urlsplit(self.path).query)
        first = (int(query["page"][0]) - 1) * int(query["per_page"][0])
        self._answer(self.server.refuse or 200, self.server.comments[first : first + int(query["per_page"][0])])

    def do_POST(self) -> None:
        body = self._heard()["body"]
        self._answer(self.server.refuse or 201, {} if self.server.refuse else self.server.add(body, "Bot"))

    def do_PATCH(self) -> None:
        body = self._heard()["body"]
        comment = self.server.comments[int(self.path.rpartition("/")[2]) - 1]
        comment["body"] = body
        self._answer(self.server.refuse or 200, comment)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def comments() -> Iterator[Comments]:
    """Serve the comments of a pull request."""
    with serving(Comments()) as server:
        yield server


def lose_the_machine(process: subprocess.Popen[str]) -> None:
    """Kill a step and all that it has started, at once."""
    os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def service(folder: Path, *args: str) -> Iterator[str]:
    """Serve an emulator and give its base URL."""
    folder.mkdir(exist_ok=True)
    words = ("emulator", "--port", "0", "--edit", "none", "--folder", "service", *(args or ("--speed", "100000")))
    child = Child(
        subprocess.Popen(
            [*COMMAND, *words], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
        )
    )
    try:
        yield child.line().split()[-1]
    finally:
        child.signal(signal.SIGTERM)
        child.end()
