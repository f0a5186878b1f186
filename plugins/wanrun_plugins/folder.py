"""Sink `folder`: a result becomes a file below one folder, whole or not at all, with a sidecar that says what it is.

Result files are the user's own, so they get the usual mode (0644 less the umask). A finished file only ever appears
by a rename in its folder; a killed run leaves at most a `.wanrun-*.part`, which the next delivery to the same place
removes.
"""

from __future__ import annotations

import errno
import json
import os
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from threading import Lock
from typing import TYPE_CHECKING, Any

from wanrun import Receipt, SinkConflict, SinkError, SinkKind, hookimpl
from wanrun_plugins._folders import DESCRIPTORS, open_below
from wanrun_plugins._places import SIDECAR_SUFFIX, Place, place_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from wanrun import Artifact, DeliverContext, Delivery, Job, SinkRef
    from wanrun.types import JSON
    from wanrun_plugins._folders import Folder

CHUNK_BYTES = 1024 * 1024
MAX_SIDECAR_BYTES = 256 * 1024  #: what is larger is none of ours
TEMPORARY = ".wanrun-"
PART = ".part"
MADE_BY = "wanrun"  #: marks a sidecar as ours, so that it may be written again

ADVICE = {
    getattr(errno, "EDQUOT", errno.ENOSPC): "free space",
    errno.ENOSPC: "free space",
    errno.EIO: "see that the disk is well",
    errno.EACCES: "make the folder writable",
    errno.EPERM: "make the folder writable",
    errno.EROFS: "make the folder writable",
}

OPTIONS: dict[str, JSON] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "path": {
            "type": "string",
            "minLength": 1,
            "description": "The folder that all results stay in, from that of the spec or base where it is written; "
            "made if need be.",
            "default": "out",
            "examples": ["out"],
        },
        "name": {
            "type": "string",
            "minLength": 1,
            "description": "The file's name, which may hold folders; without it the job's id and .mp4.",
            "examples": ["${{ job.id }}.mp4"],
        },
    },
}


class FolderSink:
    """Keeps artifacts below one folder of this machine."""

    def __init__(self, *, descriptors: bool = DESCRIPTORS) -> None:
        self._descriptors = descriptors
        self._guard = Lock()
        self._leftovers: dict[str, set[str]] = {}  # temporary files of killed runs, by folder

    def place(self, sink: SinkRef, job: Job) -> str:
        """Return the absolute path of the file; raises `SinkError` for a name that leads out of the folder."""
        return str(place_of(sink, job))

    def deliver(self, delivery: Delivery, ctx: DeliverContext) -> Receipt:
        """Write the file and its sidecar, unless they are there already; each appears in one step."""
        place, artifact = place_of(delivery.sink, delivery.job), delivery.artifact
        if place.path.suffix != artifact.suffix:
            raise SinkError(f"{place.path}: the name must end with {artifact.suffix}, which is what the file is")
        try:
            with open_below(place.root, place.folders, descriptors=self._descriptors) as folder:
                self._put_artifact(folder, place, delivery)
                self._put_sidecar(folder, place, delivery)
                folder.sync()  # also when both were there: the run that put them may have been killed before this
        except OSError as exc:
            raise _explained(place, exc) from exc
        return Receipt(str(place.path), bytes=artifact.bytes, sha256=artifact.sha256)

    def _put_artifact(self, folder: Folder, place: Place, delivery: Delivery) -> None:
        artifact = delivery.artifact
        before = folder.entry(place.name)
        there = _digest(folder, place.name) if before else None
        if there == artifact.sha256:
            self._sweep(folder, place.name)
            return
        if there is not None and there not in delivery.may_replace:
            raise SinkConflict(
                f"{place.path} holds another file (sha256 {there[:12]}) than the result of {delivery.job.address} "
                f"(sha256 {artifact.sha256[:12]}); move it away or give the job another name, then run again"
            )
        self._write(folder, place.name, _checked_chunks(artifact), before)

    def _put_sidecar(self, folder: Folder, place: Place, delivery: Delivery) -> None:
        name, content = place.name + SIDECAR_SUFFIX, _sidecar(delivery, place)
        before = folder.entry(name)
        there = _read_sidecar(folder, name) if before else None
        if there == content:
            return
        if there is not None and not _is_ours(there):
            raise SinkConflict(
                f"{place.path}{SIDECAR_SUFFIX} was not written by wanrun, and the facts about {delivery.job.address} "
                "belong there; move it away, then run again"
            )
        self._write(folder, name, [content], before)

    def _write(self, folder: Folder, name: str, chunks: Iterable[bytes], before: os.stat_result | None) -> None:
        """Give a new file its name once it is whole and on disk, and only if the place is as it was `before`."""
        self._sweep(folder, name)
        temporary = f"{_stem(name)}{token_hex(4)}{PART}"
        try:
            with folder.create_file(temporary) as file:
                file.writelines(chunks)
                file.flush()
                os.fsync(file.fileno())
            if _changed(before, folder.entry(name)):
                raise SinkError(f"{folder.path / name}: another program changed it just now; run again")
            folder.rename(temporary, name)
        finally:
            folder.discard(temporary)

    def _sweep(self, folder: Folder, name: str) -> None:
        """Remove what killed runs left of this name; each folder is listed once, before we put anything there."""
        with self._guard:
            if str(folder.path) not in self._leftovers:
                ours = {entry for entry in folder.names() if entry.startswith(TEMPORARY) and entry.endswith(PART)}
                self._leftovers[str(folder.path)] = ours
            leftovers = self._leftovers[str(folder.path)]
            stale = {entry for entry in leftovers if entry.startswith(_stem(name))}
            leftovers -= stale
        for entry in stale:
            folder.discard(entry)


def _stem(name: str) -> str:
    """Return how temporary files of a name begin: short, however long the name is."""
    return f"{TEMPORARY}{sha256(name.encode()).hexdigest()[:16]}-"


def _checked_chunks(artifact: Artifact) -> Iterator[bytes]:
    """Yield the artifact's bytes; raises `SinkError` at the end when they are not those that were fetched."""
    digest = sha256()
    try:
        with artifact.path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
                yield chunk
    except OSError as exc:
        raise SinkError(f"{artifact.path}: the artifact cannot be read ({exc.strerror or exc})") from exc
    if digest.hexdigest() != artifact.sha256:
        raise SinkError(
            f"{artifact.path}: the artifact is damaged (its sha256 is not {artifact.sha256[:12]} any more); "
            "nothing was delivered"
        )


def _digest(folder: Folder, name: str) -> str:
    digest = sha256()
    with folder.open_file(name) as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _changed(before: os.stat_result | None, now: os.stat_result | None) -> bool:
    if before is None or now is None:
        return before is not now
    return (before.st_ino, before.st_size, before.st_mtime_ns) != (now.st_ino, now.st_size, now.st_mtime_ns)


def _sidecar(delivery: Delivery, place: Place) -> bytes:
    """Return what lets a ledger be rebuilt, in the same bytes each time it is delivered.

    `wanrun ledger rebuild` reads it, those of earlier versions too: fields are added, never changed.
    """
    job, artifact, usage, sink = delivery.job, delivery.artifact, delivery.usage, delivery.sink
    facts: dict[str, Any] = {
        "made_by": MADE_BY,
        "sidecar_version": 1,
        "address": job.address,
        "spec": job.spec,
        "job": job.id,
        "provider": job.provider,
        "model": job.model,
        "prompt": job.prompt,
        "negative_prompt": job.negative_prompt,
        "parameters": dict(job.parameters),
        "fingerprint": delivery.fingerprint,
        "task_id": delivery.task_id,
        "usage": asdict(usage) if usage else None,
        "sha256": artifact.sha256,
        "bytes": artifact.bytes,
        "account": delivery.account,
        "spec_path": _way(job.spec_path, place.path.parent),
        "sink": {"name": sink.name, "kind": sink.kind, "options": dict(sink.options)},
    }
    if delivery.fitted:
        facts["fitted"] = [asdict(each) for each in delivery.fitted]
    return (json.dumps(facts, ensure_ascii=False, indent=2) + "\n").encode("utf-8", "backslashreplace")


def _way(path: Path, folder: Path) -> str | None:
    """Return how to get to a file from a folder, so that both may move together; None where no way leads there."""
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # another drive
        return None


def _read_sidecar(folder: Folder, name: str) -> bytes:
    with folder.open_file(name) as file:
        return file.read(MAX_SIDECAR_BYTES)


def _is_ours(content: bytes) -> bool:
    try:
        facts = json.loads(content)
    except (ValueError, RecursionError):
        return False
    return isinstance(facts, dict) and facts.get("made_by") == MADE_BY


def _explained(place: Place, exc: OSError) -> SinkError:
    where = exc.filename if isinstance(exc.filename, str) else place.path
    advice = ADVICE.get(exc.errno or 0, "mend that")
    return SinkError(
        f"{where}: {exc.strerror or exc}; nothing is lost, the artifact is kept in the artifact store: "
        f"{advice} and run again"
    )


@hookimpl
def wanrun_sinks() -> dict[str, SinkKind]:
    """Offer `folder`."""
    return {"folder": SinkKind(options=OPTIONS, build=FolderSink, short="path", local=True)}
