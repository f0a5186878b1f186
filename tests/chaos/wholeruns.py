"""Points of a whole run: `wanrun run` under strace against an emulator, then a run that nothing happens to."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import count
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from chaos.points import Series
from chaos.strace import KILL, struck, traced
from processes import COMMAND, statement
from wanrun.emulator.ready import ready_clip

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from chaos.strace import Fault

#: The ledger's in the run's own thread, then the store's and the sink's in others, each with counts of its own.
CALLS = ("pwrite64", "fdatasync", "ftruncate", "write", "fsync", "rename", "renameat", "mkdirat", "unlinkat")
AT_ONCE = 4  #: they wait more than they work
MOST_POINTS = 2_000  #: of one series; more would mean that its end never comes
ACCOUNTS_AT_ONCE = 60
JOBS = ("one", "two")
SETTINGS = """\
[providers.default]
poll_seconds = 0.1
settle_seconds = 0.3
scan_gap_seconds = 0.1
[providers.default.limits]
queries_per_second = 18
creates_per_second = 4.5
"""
SPEC = """\
version: 1
defaults: {model: wan2.7-videoedit, sinks: [disk]}
sinks:
  disk: {folder: {path: out, name: "${{ job.id }}.mp4"}}
jobs:
  - {id: one, prompt: prompt of one, media: [{video: https://example.com/a.mp4}]}
  - {id: two, prompt: prompt of two, media: [{video: https://example.com/b.mp4}]}
"""


class Accounts:
    """Emulator accounts in processes of their own, a fresh one whenever one is asked for."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder, self._stack = folder, stack
        self._left: list[int] = []
        self._numbers, self._guard = count(), Lock()

    def take(self) -> str:
        """Return the base URL of an account that nobody has used."""
        with self._guard:
            if not self._left:
                self._left = self._stack.enter_context(_served(self._folder / str(next(self._numbers))))
            return f"http://127.0.0.1:{self._left.pop()}/api/v1"


@contextmanager
def _served(folder: Path) -> Iterator[list[int]]:
    program = [sys.executable, str(Path(__file__).with_name("accounts.py")), str(folder)]
    with subprocess.Popen([*program, *[""] * ACCOUNTS_AT_ONCE], stdout=subprocess.PIPE) as service:
        try:
            assert service.stdout is not None
            yield [int(port) for port in service.stdout.readline().split()]
        finally:
            service.kill()


def series_of(folder: Path, wanted: Mapping[Fault, Mapping[str, int]]) -> list[Series]:
    """Play every so manyth point of each fault and call, up to the run that meets none, and judge what is left."""
    with ExitStack() as stack:
        accounts = Accounts(folder / "service", stack)
        asked = [(fault, call, step) for fault, steps in wanted.items() for call, step in steps.items()]
        with ThreadPoolExecutor(AT_ONCE) as threads:
            return list(threads.map(lambda each: _series(folder, accounts, *each), asked))


def _series(folder: Path, accounts: Accounts, fault: Fault, call: str, step: int) -> Series:
    found = Series(call, fault.name)
    for number in range(1, MOST_POINTS, step):
        project = folder / f"{call}-{fault.name.replace(' ', '-')}-{number}"
        found.points += 1
        judged = _Point(project, accounts.take(), fault, call, number).play()
        shutil.rmtree(project)
        found.problems += judged
        if not judged.struck:
            found.untouched = True
            break
        found.struck += 1
        found.told += judged.told
    return found


class _Judged(list[str]):
    """What is wrong after a point, and whether its fault happened."""

    struck = False
    told = False  #: an error was said, with its exit code


@dataclass
class _Point:
    """One project, in whose first run something happens."""

    folder: Path
    url: str
    fault: Fault
    call: str
    number: int
    _found: _Judged = field(default_factory=_Judged)

    def play(self) -> _Judged:
        """Run, run again, and look."""
        self.folder.mkdir()
        (self.folder / "wanrun.toml").write_text(SETTINGS)
        (self.folder / "batch.yaml").write_text(SPEC)
        self._first()
        if self._found.struck:
            self._see(last=False)
            self._second()
        self._see(last=True)
        self._found[:] = [f"{self.call} {self.number}, {self.fault.name}: {problem}" for problem in self._found]
        return self._found

    @property
    def _process(self) -> dict[str, object]:
        environ = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "PYTHONUTF8": "1", "NO_PROXY": "127.0.0.1"}
        return {"cwd": self.folder, "env": environ | {"DASHSCOPE_API_KEY": "sk-test"}}

    @property
    def _command(self) -> Sequence[str]:
        return [*COMMAND, "run", "batch.yaml", "--base-url", self.url]

    def _first(self) -> None:
        log = self.folder / "strace.log"
        inject = [self.fault.at(self.call, self.number)]
        done = traced(self._command, log, calls=[self.call], inject=inject, **self._process)
        killed = done.returncode in (-9, 137)
        self._found.struck = killed if self.fault is KILL else bool(struck(log))
        self._found.told = self._found.struck and done.returncode == 3
        if killed:
            return
        if "Traceback" in done.stderr or done.returncode not in (0, 3):
            self._found.append(f"exit code {done.returncode}: {done.stderr[-600:]}")
        if done.returncode == 0 and not self._all_there():
            self._found.append("exit code 0, and not everything is there")

    def _second(self) -> None:
        done = subprocess.run(self._command, capture_output=True, text=True, check=False, timeout=60, **self._process)
        if done.returncode != 0:
            self._found.append(f"the next run ends with {done.returncode}: {done.stdout[-300:]}{done.stderr[-600:]}")

    def _see(self, *, last: bool) -> None:
        """Look at the files and, at the end, at what was paid."""
        self._found += [f"{path.name} is not whole" for path in self._videos() if not _is_whole(path)]
        if not last:
            return
        paid = Counter(task["prompt"] for task in statement(self.url)["tasks"] if task["billed_seconds"])
        self._found += [f"{prompt} was paid {times} times" for prompt, times in paid.items() if times > 1]
        if not self._all_there():
            self._found.append("not everything is there")

    def _videos(self) -> list[Path]:
        return list((self.folder / "out").glob("[!.]*.mp4"))

    def _all_there(self) -> bool:
        return {path.stem for path in self._videos() if _is_whole(path)} == set(JOBS)


def _is_whole(path: Path) -> bool:
    return sha256(path.read_bytes()).digest() == _WHOLE


_WHOLE = sha256(ready_clip().data).digest()
