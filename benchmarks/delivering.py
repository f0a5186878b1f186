"""A large result on its way to each sink: memory, seconds and CPU, beside the official SDK's own way to send a file."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.account import ROOT, environment
from benchmarks.measured import run_measured
from benchmarks.uploading import CLIP, MB, padded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.measured import Measured
    from benchmarks.sizes import Size

PROGRAMS = ROOT / "benchmarks"
OURS = str(PROGRAMS / "deliver.py")
#: Who delivers to which kind of sink; nobody else's program does what a folder is for.
CONTENDERS: dict[str, dict[str, Sequence[str]]] = {
    "folder": {"wanrun": [OURS, "folder"]},
    "oss": {"wanrun": [OURS, "oss"], "alibabacloud-oss-v2": [str(PROGRAMS / "sdk" / "oss_upload.py")]},
    "slack": {"wanrun": [OURS, "slack"], "slack_sdk": [str(PROGRAMS / "sdk" / "slack_upload.py")]},
}


@dataclass(frozen=True)
class Place:
    """Somewhere for a result: the options that lead there, with their secrets, and what has arrived in the end."""

    options: dict[str, Any]
    secrets: dict[str, str]
    arrived: list[str]  #: checksums, once the place is closed


def measure(size: Size, folder: Path) -> dict[str, Any]:
    """Return what each contender takes for the clip as it is, and for one padded to many megabytes."""
    folder.mkdir(parents=True)
    large = padded(folder / "large.mp4", size.deliver_mb * MB)
    sinks: dict[str, dict[str, Any]] = {}
    for kind, contenders in CONTENDERS.items():
        for name, command in contenders.items():
            small_one, large_one = (_delivered(kind, command, file, folder) for file in (CLIP, large))
            sinks.setdefault(kind, {})[name] = {
                "small_mib": round(small_one.peak_mib, 1),
                "large_mib": round(large_one.peak_mib, 1),
                "wall_seconds": round(large_one.wall_seconds, 2),
                "cpu_seconds": round(large_one.cpu_seconds, 2),
            }
    return {"deliver_mb": size.deliver_mb, "sinks": sinks}


def _delivered(kind: str, command: Sequence[str], file: Path, folder: Path) -> Measured:
    """Let a program deliver a file; raises `RuntimeError` unless it has arrived as it is."""
    home, digest = folder / "home", _digest(file)
    home.mkdir()
    with _folder(home) if kind == "folder" else _served(kind, home) as place:
        given = [json.dumps(place.options), json.dumps(place.secrets), str(file), digest]
        took = run_measured([sys.executable, *command, *given], folder=home, environ=environment(HOME=str(home)))
    if place.arrived != [digest]:
        raise RuntimeError(f"{command}: {place.arrived} has arrived, in place of {digest}")
    shutil.rmtree(home)  # room for the next one
    return took


@contextmanager
def _folder(home: Path) -> Iterator[Place]:
    place = Place({"path": "out", "name": "shot.mp4"}, {}, [])
    yield place
    place.arrived.append(_digest(home / "out" / "shot.mp4"))


@contextmanager
def _served(kind: str, home: Path) -> Iterator[Place]:
    command = [sys.executable, str(PROGRAMS / "place.py"), kind, str(home / "kept")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, env=environment(), text=True, **pipes) as server:
        try:
            assert server.stdin is not None
            assert server.stdout is not None
            place = Place(**json.loads(server.stdout.readline()), arrived=[])
            yield place
            server.stdin.close()
            place.arrived.extend(json.loads(server.stdout.readline()))
        finally:
            server.terminate()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
