"""What the command line's tests share: a project folder, commands run in it, and how each ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from processes import COMMAND, DEADLINE_SECONDS, Child, Said, statement, wait_until
from wanrun.cli import run_app
from wanrun.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest

__all__ = ["FAST", "HEAD", "NO_LIST", "SETTINGS", "Child", "Project", "Said", "Terminal", "terminal", "wait_until"]

HEAD = """\
version: 1
defaults: {model: wan2.7-videoedit}
sinks:
  disk: {folder: {path: out, name: "${{ job.id }}.mp4"}}
"""
#: Quick queries, and doubts that are soon resolved; the emulator's tasks take no time at this speed.
SETTINGS = """\
[providers.default]
settle_seconds = 0.2
scan_gap_seconds = 0.1
[providers.default.limits]
queries_per_second = 18
"""
FAST = ("--emulator", "--edit", "none", "--speed", "100000")
#: A fault: without the list of tasks, a create without an answer stays unsure.
NO_LIST = {"on": "list", "do": {"status": 403, "code": "AccessDenied"}}


@dataclass
class Project:
    """A project folder; commands in this process see it as the working directory."""

    folder: Path
    capture: pytest.CaptureFixture[str]
    environ: dict[str, str] = field(default_factory=dict)

    def write(self, name: str, text: str) -> str:
        """Write a file of the project and return its name."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return name

    def spec(self, *ids: str, name: str = "batch.yaml", prompt: str = "prompt of {}") -> str:
        """Write a spec of jobs on linked videos, one for each id, and return its name."""
        line = "  - {{id: {0}, prompt: {1}, media: [{{video: https://example.com/{0}.mp4}}]}}\n"
        return self.write(name, HEAD + "jobs:\n" + "".join(line.format(each, prompt.format(each)) for each in ids))

    def faults(self, *faults: dict[str, Any]) -> tuple[str, ...]:
        """Write a script of faults and return the options that use it."""
        return ("--faults", self.write("faults.json", json.dumps({"faults": list(faults)})))

    def wanrun(self, *args: str) -> Said:
        """Run a command in this process."""
        self.capture.readouterr()
        code = run_app(args)
        out, err = self.capture.readouterr()
        return Said(code, out, err)

    def start(self, *args: str, stderr_to: int = subprocess.PIPE, **environ: str) -> Child:
        """Start a command as a process of its own."""
        env = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "PYTHONUTF8": "1"} | self.environ | environ
        return Child(
            subprocess.Popen(
                [*COMMAND, *args],
                cwd=self.folder,
                env=env,
                stdout=subprocess.PIPE,
                stderr=stderr_to,
                stdin=subprocess.DEVNULL,
            )
        )

    def process(self, *args: str, **environ: str) -> Said:
        """Run a command as a process of its own to its end."""
        return self.start(*args, **environ).end()

    @contextmanager
    def emulator(self, *args: str) -> Iterator[str]:
        """Serve an emulator in a process of its own and give its base URL; it forgets nothing between two."""
        child = self.start("emulator", "--port", "0", "--edit", "none", "--folder", "service", *args)
        try:
            line = child.line()
            assert "listens on" in line, line
            yield line.split()[-1]
        finally:
            child.signal(signal.SIGTERM)
            child.end()

    def statement(self, url: str) -> dict[str, Any]:
        """Return the account statement of an emulator."""
        return statement(url)

    def ledger(self, path: str = ".wanrun/ledger.db") -> Ledger:
        """Open a ledger of the project."""
        return Ledger.open(self.folder / path, now=time.time)

    def bytes_of(self, folder: str = ".wanrun") -> bytes:
        """Return the bytes of all files below a folder, and their names."""
        files = [path for path in sorted((self.folder / folder).rglob("*")) if path.is_file()]
        assert files
        return b"\n".join(str(path).encode() + b"\n" + path.read_bytes() for path in files)


@dataclass
class Terminal:
    """A command at a terminal of its own."""

    process: subprocess.Popen[bytes]
    leader: int
    seen: str = field(default="")

    def until(self, word: str) -> None:
        """Read what it shows until there is a word."""
        while word not in self.seen:
            self.seen += os.read(self.leader, 4096).decode()

    def type(self, text: str) -> None:
        """Type as a person does."""
        os.write(self.leader, text.encode())

    def end(self) -> int:
        """Wait for its end and return its exit code."""
        return self.process.wait(DEADLINE_SECONDS)


@contextmanager
def terminal(project: Project, *args: str, **environ: str) -> Iterator[Terminal]:
    """Start a command at a terminal."""
    leader, follower = os.openpty()
    env = {"PATH": os.environ["PATH"], "HOME": str(project.folder), "TERM": "dumb", "PYTHONUTF8": "1", **environ}
    process = subprocess.Popen(
        [*COMMAND, *args],
        cwd=project.folder,
        env=env,
        stdin=follower,
        stderr=follower,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.close(follower)
    try:
        yield Terminal(process, leader)
    finally:
        process.kill()
        process.wait()
        os.close(leader)
