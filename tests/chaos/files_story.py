"""Story: a download becomes an artifact and is delivered, then another artifact takes its place."""

from __future__ import annotations

import json
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import fastcrc

from wanrun.emulator.ready import ready_clip
from wanrun.engine.artifacts import partial_file
from wanrun.errors import ExitCode, WanrunError
from wanrun.types import Artifact, Delivery, Job, Position, SinkRef, Usage
from wanrun_plugins.folder import FolderSink

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from chaos.stories import Ack

CALLS = ("openat", "write", "fsync", "ftruncate", "mkdir", "mkdirat", "rename", "renameat", "unlink", "unlinkat")
CHUNK_BYTES = 12_000
NAME = "shot.mp4"
_NO_CONTEXT: Any = None  #: of which this sink has no use


@cache
def _contents() -> tuple[bytes, bytes]:
    """Return what is delivered first, and what takes its place."""
    ready = ready_clip().data
    return ready, ready + b"\0\0\0\x08free"


class _Stopped(WanrunError):
    """What the engine makes of an OSError of the store: the run stops, and the next one goes on."""

    exit_code = ExitCode.UNFINISHED


def play(folder: Path, ack: Ack) -> None:
    """Keep and deliver both, one after the other; what is there already is not done again."""
    sink = FolderSink()
    done = _delivered(folder)
    for number, content in enumerate(_contents()):
        if done is not None and number < _contents().index(done):
            continue
        try:
            artifact = _keep(folder / "artifacts", content, number)
        except OSError as exc:
            raise _Stopped(str(exc)) from exc
        ack(f"kept {number}")
        sink.deliver(_delivery(folder, artifact), _NO_CONTEXT)
        ack(f"delivered {number}")


def problems(folder: Path, acks: Sequence[str]) -> list[str]:
    """Look for files that are not whole, or not there although somebody was told so."""
    found = [f"{path.name} is not whole" for path in _kept(folder) if _digest(path) != path.stem]
    found += [f"{name} is in sight" for name in _names(folder / "out") - {NAME, f"{NAME}.json"}]
    kept, delivered = {path.stem for path in _kept(folder)}, _delivered(folder)
    if delivered is not None and delivered not in _contents():
        found.append(f"{NAME} is not whole")
    found += _torn_sidecars(folder)
    for ack in acks:
        what, number = ack.split()
        content = _contents()[int(number)]
        if what == "kept" and sha256(content).hexdigest() not in kept:
            found.append(f"{ack} was acknowledged, and the artifact is not there")
        if what == "delivered" and delivered not in _contents()[int(number) :]:
            found.append(f"{ack} was acknowledged, and is not there")
    return found


def unfinished(folder: Path) -> list[str]:
    """Say what is missing, and what is left over that nobody will clear away."""
    missing = [] if _delivered(folder) == _contents()[1] else ["the second artifact was not delivered"]
    over = [path.name for path in (folder / "out").iterdir() if path.name.startswith(".")]
    over += [path.name for path in (folder / "artifacts").iterdir() if path.suffix != ".mp4"]
    return missing + [f"{name} is left over" for name in over]


def _keep(store: Path, content: bytes, number: int) -> Artifact:
    """Download into the store, going on with what an earlier try has left."""
    store.mkdir(parents=True, exist_ok=True)
    part = store / f"{number}.part"
    offset = part.stat().st_size if part.exists() else 0
    with partial_file(part) as file:
        file.begin_at(offset)
        for start in range(offset, len(content), CHUNK_BYTES):
            file.write(content[start : start + CHUNK_BYTES])
        return file.keep(store, total_bytes=len(content), crc64=fastcrc.crc64.xz(content), seconds=None)


def _delivery(folder: Path, artifact: Artifact) -> Delivery:
    here = Position(folder / "spring.yaml", 1, 1)
    return Delivery(
        artifact=artifact,
        sink=SinkRef("disk", "folder", {"path": "out", "name": NAME}, folder, here, None),
        job=Job("spring", "shot", here.path, here, "wan2.7-videoedit", "default", "clay", None, (), {}, ()),
        fingerprint="f1:0123",
        task_id="task-1",
        usage=Usage(billed_seconds=8.0, input_seconds=4.0, output_seconds=4.0, resolution=720),
        may_replace=frozenset(sha256(content).hexdigest() for content in _contents()),
    )


def _kept(folder: Path) -> list[Path]:
    return sorted((folder / "artifacts").glob("*.mp4"))


def _digest(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*") if not path.name.startswith(".")}


def _delivered(folder: Path) -> bytes | None:
    path = folder / "out" / NAME
    return path.read_bytes() if path.exists() else None


def _torn_sidecars(folder: Path) -> list[str]:
    found = []
    for path in (folder / "out").glob("*.json"):
        try:
            json.loads(path.read_bytes())
        except ValueError:
            found.append(f"{path.name} is not whole")
    return found


_contents()  # read now, so that a story makes no calls for it
