"""strace: whether it can be used here, and how a program is run so that one call of its own kills it, or fails."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

DEADLINE_SECONDS = 600.0
_LINE = re.compile(r"(\d+) +(\w+)\(")


@dataclass(frozen=True)
class Fault:
    """What happens at a call: an error, or death by SIGKILL before the call is carried out."""

    name: str
    what: str  #: in strace's words
    lasting: bool = False  #: from that call on, instead of once

    def at(self, call: str, number: int) -> str:
        """Return the option that lets it happen at the `number`th such call of every process and thread."""
        return f"inject={call}:{self.what}:when={number}{'+' if self.lasting else ''}"


KILL = Fault("kill", "signal=KILL")
ERRORS = tuple(
    Fault(f"{name}, {'for ever' if lasting else 'once'}", f"error={name}", lasting=lasting)
    for name in ("ENOSPC", "EIO")
    for lasting in (False, True)
)
FULL_DISK, BROKEN_ONCE = ERRORS[1:3]


@cache
def why_not() -> str | None:
    """Return why nothing can be injected here; None where it can."""
    if sys.platform != "linux":
        return "strace exists on Linux only"
    if shutil.which("strace") is None:
        return "strace is not installed (apt-get install strace)"
    tried = ["strace", "-qq", "-o", "/dev/null", "-e", "inject=chdir:error=EIO", sys.executable, "-c", _TRIAL]
    done = subprocess.run(tried, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode != 0:
        return f"strace may not trace its own children here: {(done.stderr or done.stdout).strip()[:200]}"
    return None


_TRIAL = """
import os
try:
    os.chdir("/")
except OSError:
    raise SystemExit(0)
raise SystemExit("what was injected did not happen")
"""


def traced(
    command: Sequence[str],
    log: Path,
    *,
    calls: Iterable[str],
    inject: Sequence[str] = (),
    in_full: bool = False,
    **more: object,
) -> subprocess.CompletedProcess[str]:
    """Run a program with its children under strace; `log` gets the calls, or only those that failed by injection.

    `more` goes to `subprocess.run`. A death by injection needs every call to stop, an error does not, and is quicker.
    """
    options = ["strace", "-f", "-qq", "-o", str(log), "-e", f"trace={','.join(calls)}", "-e", "signal=none"]
    options += ["-y", "-xx", "-s", "1000000"] if in_full else []
    options += [word for each in inject for word in ("-e", each)] + (["-Z"] if inject else [])
    options += [] if any("signal=" in each for each in inject) else ["--seccomp-bpf"]
    return subprocess.run(
        [*options, *command], capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False, **more
    )  # type: ignore[call-overload]  # what `more` holds is the caller's business


def counted(log: Path) -> dict[int, Counter[str]]:
    """Return how often each process or thread made each call."""
    found: dict[int, Counter[str]] = {}
    for line in log.read_text(errors="replace").splitlines():
        if match := _LINE.match(line):
            found.setdefault(int(match[1]), Counter())[match[2]] += 1
    return found


def struck(log: Path) -> set[int]:
    """Return the processes and threads that an error was injected into."""
    lines = log.read_text(errors="replace").splitlines()
    return {int(line.split()[0]) for line in lines if "(INJECTED)" in line}


@dataclass(frozen=True)
class Op:
    """Something a process did to a file, or said of it."""

    what: str  #: make, write, length, sync, sync folder; ack
    name: str  #: of the file in its folder; of an ack, its words
    offset: int = 0  #: where it was written, or the new length
    content: bytes = b""


_OPENED = re.compile(r'openat\(.*?"([^"]*)", [^)]*O_CREAT[^)]*\) = \d')
_WRITTEN = re.compile(r'pwrite64\(\d+<([^>]*)>, "([^"]*)", \d+, (\d+)\) = \d')
_CUT = re.compile(r"ftruncate\(\d+<([^>]*)>, (\d+)\) = 0")
_SYNCED = re.compile(r"f(?:data)?sync\(\d+<([^>]*)>\) = 0")
_SAID = re.compile(r'writev\(1<[^>]*>, \[\{iov_base="([^"]*)"')


def ops_of(log: Path, process: int, folder: Path) -> list[Op]:
    """Return what one process did in a folder, from a log with hexadecimal strings and the paths of descriptors."""
    found = []
    for line in log.read_text().splitlines():
        number, _, text = line.partition(" ")
        if int(number) == process and (op := _op(text.strip(), folder)) is not None:
            found.append(op)
    return found


def _op(text: str, folder: Path) -> Op | None:
    if match := _SAID.match(text):
        said = json.loads(_bytes(match[1]))
        return Op("ack", said["ack"]) if "ack" in said else None
    if match := _SYNCED.match(text):
        path = _path(match[1])
        return Op("sync folder", "") if path == folder else _in(folder, path, "sync")
    if match := _WRITTEN.match(text):
        return _in(folder, _path(match[1]), "write", int(match[3]), _bytes(match[2]))
    if match := _CUT.match(text):
        return _in(folder, _path(match[1]), "length", int(match[2]))
    if match := _OPENED.match(text):
        return _in(folder, _path(match[1]), "make")
    return None


def _in(folder: Path, path: Path, what: str, offset: int = 0, content: bytes = b"") -> Op | None:
    return Op(what, path.name, offset, content) if path.parent == folder else None


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def _path(text: str) -> Path:
    return Path(os.fsdecode(_bytes(text)) if text.startswith("\\x") else text)
