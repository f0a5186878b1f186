"""The folder of rescued results: `TASK_ID.mp4` with a sidecar each, never overwritten, whole or not at all.

A result is there when its file is the one that its sidecar tells of, so a rescue can be run again after any end.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wanrun.api.downloading import PREFIX, put, tidy
from wanrun.copies import is_whole
from wanrun.errors import LedgerBusy, SettingsError, SinkConflict
from wanrun.ledger.lock import hold
from wanrun.ledger.sidecars import MADE_BY, RESCUED, SUFFIX, BadSidecar, facts_of, usage_of
from wanrun.redaction import redacted_json
from wanrun.types import Artifact

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from wanrun.types import JSON, Usage

RESULT_SUFFIX = ".mp4"


@dataclass(frozen=True, slots=True)
class Kept:
    """A result that is in the folder, and what its sidecar says of it."""

    artifact: Artifact
    prompt: str | None
    usage: Usage | None


class RescueFolder:
    """One folder, held by one rescue at a time from `__enter__` to `__exit__`; all methods are blocking.

    Every method raises OSError when the disk does not work.
    """

    def __init__(self, path: Path, *, private: bool) -> None:
        self.path, self._mode = path, 0o700 if private else 0o755
        self._descriptor: int | None = None

    def __enter__(self) -> RescueFolder:
        """Make the folder if need be, hold it, and take away what a killed rescue has left."""
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=self._mode)
            self._descriptor = os.open(self.path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        except OSError as exc:
            raise SettingsError(f"{self.path}: {exc.strerror}; name another folder with --into") from exc
        self._hold(self._descriptor)
        for left in self.path.glob(f"{PREFIX}*"):
            if left.is_dir() and not left.is_symlink():
                tidy(left)
        return self

    def _hold(self, descriptor: int) -> None:
        try:
            hold(descriptor)
        except OSError as exc:
            self.__exit__(None, None, None)
            raise LedgerBusy(f"{self.path} is in use by another rescue; wait for it or stop it") from exc

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def place(self, task_id: str) -> Path:
        """Return where the result of a task is, or would be."""
        return self.path / f"{task_id}{RESULT_SUFFIX}"

    def workshop(self) -> Path:
        """Make a folder for one result on its way; `tidy` takes it away."""
        return Path(tempfile.mkdtemp(prefix=PREFIX, dir=self.path))

    def kept(self, task_id: str) -> Kept | None:
        """Return the result of a task if it is there whole; raises `SinkConflict` for anything else under its name."""
        path, sidecar = self.place(task_id), self._sidecar(task_id)
        if not os.path.lexists(sidecar):
            return None  # a file without one is compared once its like is here
        facts = _facts(sidecar, task_id)
        if not os.path.lexists(path):
            return None
        artifact = Artifact(path, facts["sha256"], facts["bytes"], RESULT_SUFFIX)
        if not is_whole(artifact):
            raise SinkConflict(f"{path} is not what was rescued; move it away, then run again")
        prompt = facts.get("prompt")
        return Kept(artifact, prompt if isinstance(prompt, str) else None, _usage(facts))

    def put(self, artifact: Artifact, facts: Mapping[str, JSON], *, task_id: str) -> Artifact:
        """Give a checked file of a `workshop` its name, and then its sidecar; raises `SinkConflict`."""
        path, sidecar = self.place(task_id), self._sidecar(task_id)
        if os.path.lexists(sidecar):
            _facts(sidecar, task_id)
        put(artifact, path, advice="or rescue into another folder with --into")
        self._write(sidecar, {**facts, "sha256": artifact.sha256, "bytes": artifact.bytes}, artifact.path.parent)
        assert self._descriptor is not None
        os.fsync(self._descriptor)
        return Artifact(path, artifact.sha256, artifact.bytes, artifact.suffix)

    def _sidecar(self, task_id: str) -> Path:
        return self.path / f"{task_id}{RESULT_SUFFIX}{SUFFIX}"

    def _write(self, path: Path, facts: Mapping[str, JSON], workshop: Path) -> None:
        text = json.dumps(redacted_json({"made_by": MADE_BY, RESCUED: 1, **facts}), ensure_ascii=False, indent=2)
        part = workshop / "sidecar"
        with part.open("wb") as file:
            file.write(text.encode("utf-8", "backslashreplace") + b"\n")
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)


def as_facts(usage: Usage | None) -> JSON:
    """Return a usage as it stands in a sidecar."""
    return asdict(usage) if usage else None


def _facts(sidecar: Path, task_id: str) -> Mapping[str, Any]:
    """Return what a sidecar says of its result; raises `SinkConflict` when it is none of ours."""
    try:
        facts = facts_of(sidecar) if sidecar.is_file() and not sidecar.is_symlink() else {}
    except BadSidecar:
        facts = {}
    ours = facts.get("made_by") == MADE_BY and RESCUED in facts and facts.get("task_id") == task_id
    if not ours or not isinstance(facts.get("sha256"), str) or not isinstance(facts.get("bytes"), int):
        raise SinkConflict(f"{sidecar} is not the sidecar of a rescued result; move it away, then run again")
    return facts


def _usage(facts: Mapping[str, Any]) -> Usage | None:
    try:
        return usage_of(facts.get("usage"))
    except BadSidecar:
        return None
