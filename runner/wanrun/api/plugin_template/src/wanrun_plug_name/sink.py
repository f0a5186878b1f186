"""The sink: results on a shelf, in a folder for each spec."""

from __future__ import annotations

import os
from hashlib import file_digest, sha256
from pathlib import Path
from typing import TYPE_CHECKING

from wanrun import Receipt, SinkConflict, SinkError

if TYPE_CHECKING:
    from wanrun import JSON, DeliverContext, Delivery, Job, SinkRef

CHUNK_BYTES = 1024 * 1024

OPTIONS: dict[str, JSON] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "path": {
            "type": "string",
            "minLength": 1,
            "description": "The shelf's folder, from that of the spec.",
            "default": "shelf",
            "examples": ["shelf"],
        },
    },
}


class PlugNameSink:
    """Puts each result in its place, whole or not at all."""

    def place(self, sink: SinkRef, job: Job) -> str:
        """Return the path of a job's result, the same each time it is asked for."""
        return str(_path(sink, job))

    def deliver(self, delivery: Delivery, ctx: DeliverContext) -> Receipt:
        """Put the result there, unless it is there already. It may block: a run calls it in a thread."""
        path, artifact = _path(delivery.sink, delivery.job), delivery.artifact
        try:
            _put(delivery, path)
        except OSError as exc:
            raise SinkError(f"{exc.filename or path}: {exc.strerror}; mend that and run again") from exc
        return Receipt(str(path), bytes=artifact.bytes, sha256=artifact.sha256)


def _path(sink: SinkRef, job: Job) -> Path:
    written, inside = Path(str(sink.options.get("path", "shelf"))), Path(job.spec, f"{job.id}.mp4")
    if sink.sandbox is None:
        return Path(os.path.normpath(sink.folder / written / inside))
    # With --emulator nothing is written outside of the sandbox.
    path = Path(os.path.normpath(sink.sandbox.folder / written.relative_to(written.anchor) / inside))
    if not path.is_relative_to(sink.sandbox.root):
        raise SinkError(f"{written}: with --emulator results stay in {sink.sandbox.root}, and this leads out of it")
    return path


def _put(delivery: Delivery, path: Path) -> None:
    artifact, there = delivery.artifact, _digest(path)
    if there == artifact.sha256:
        return  # an earlier run has put it there, and died before it could say so
    if there is not None and there not in delivery.may_replace:
        raise SinkConflict(f"{path} holds another file; move it away, then run again")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")  # nobody takes it for the result, and the next delivery replaces it
    try:
        _copy(artifact.path, part, artifact.sha256)
        part.replace(path)  # it appears in one step
    finally:
        part.unlink(missing_ok=True)


def _digest(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None


def _copy(source: Path, target: Path, expected: str) -> None:
    """Copy a file piece by piece and have it on disk; raises `SinkError` unless it has the expected digest."""
    digest = sha256()
    with source.open("rb") as reader, target.open("wb") as writer:
        while chunk := reader.read(CHUNK_BYTES):
            digest.update(chunk)
            writer.write(chunk)
        writer.flush()
        os.fsync(writer.fileno())
    if digest.hexdigest() != expected:
        raise SinkError(f"{source}: the artifact is damaged; nothing was delivered")
