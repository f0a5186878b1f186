"""Commands as processes of their own: starting them, reading what they print, signals, how each ended."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

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


def statement(url: str) -> dict[str, Any]:
    """Return the account statement of an emulator that serves at a base URL."""
    with urllib.request.urlopen(url.removesuffix("/api/v1") + "/emulator/statement", timeout=10) as reply:
        return dict(json.load(reply))
