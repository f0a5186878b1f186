"""What the command line's tests share: a project folder, commands run in it, and how each ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from wanrun.cli import run_app
from wanrun.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pytest

HEAD = """\
version: 1
defaults: {model: wan2.7-videoedit}
sinks:
  disk: {folder: {path: out, name: "${{ job.id }}.mp4"}}
"""
#: Quick queries; the emulator's tasks take no time at this speed.
SETTINGS = "[providers.default.limits]\nqueries_per_second = 18\n"
FAST = ("--emulator", "--edit", "none", "--speed", "100000")
COMMAND = (sys.executable, "-c", "from wanrun.cli import main; main()")
DEADLINE_SECONDS = 30.0  #: nothing here takes as long; it keeps a hanging test from holding up the rest


@dataclass(frozen=True)
class Said:
    """How a command ended; its `repr` explains a failed test."""

    exit_code: int
    stdout: str
    stderr: str

    def __repr__(self) -> str:
        return f"exit code {self.exit_code}\n--- standard output\n{self.stdout}--- standard error\n{self.stderr}---"

    @property
    def json(self) -> Any:
        """Standard output as the JSON document that it is."""
        return json.loads(self.stdout)

    @property
    def all(self) -> str:
        """Everything that was printed."""
        return self.stdout + self.stderr


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
        with urllib.request.urlopen(url.removesuffix("/api/v1") + "/emulator/statement", timeout=10) as reply:
            return dict(json.load(reply))

    def ledger(self, path: str = ".wanrun/ledger.db") -> Ledger:
        """Open a ledger of the project."""
        return Ledger.open(self.folder / path, now=time.time)

    def bytes_of(self, folder: str = ".wanrun") -> bytes:
        """Return the bytes of all files below a folder, and their names."""
        files = [path for path in sorted((self.folder / folder).rglob("*")) if path.is_file()]
        assert files
        return b"\n".join(str(path).encode() + b"\n" + path.read_bytes() for path in files)


@dataclass
class Child:
    """A command that runs as a process of its own."""

    process: subprocess.Popen[bytes]

    def line(self, *, err: bool = False) -> str:
        """Return the next line that it prints."""
        return self._pipe(err=err).readline().decode()

    def until(self, word: str, *, err: bool = True) -> str:
        """Read lines until one holds a word, and return that line."""
        for line in iter(lambda: self.line(err=err), ""):
            if word in line:
                return line
        raise AssertionError(f'"{word}" was never printed')

    def _pipe(self, *, err: bool) -> IO[bytes]:
        pipe = self.process.stderr if err else self.process.stdout
        assert pipe is not None
        return pipe

    def signal(self, number: int) -> None:
        """Send a signal, if it still lives."""
        if self.process.poll() is None:
            self.process.send_signal(number)

    def end(self, *, within_seconds: float = DEADLINE_SECONDS) -> Said:
        """Wait for its end, and return what it said from here on."""
        try:
            out, err = self.process.communicate(timeout=within_seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            out, err = self.process.communicate()
            raise AssertionError(f"it did not end:\n{out!r}\n{err!r}") from None
        return Said(self.process.returncode, _text(out), _text(err))


def _text(printed: bytes | None) -> str:
    return (printed or b"").decode(errors="replace")


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until another process has come so far."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it never came so far"
        time.sleep(0.005)
