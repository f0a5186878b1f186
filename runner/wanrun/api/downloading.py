"""Downloading the result of any task of the account: checked, whole or not at all, never over other bytes."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wanrun.api.calling import blocking, caller_of
from wanrun.client import StartOver, TaskStatus
from wanrun.engine.artifacts import SUFFIX, keep_download
from wanrun.errors import JobRefused, LinkExpired, SettingsError, SinkConflict, SinkError, Unavailable
from wanrun.project import Setup, open_project

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wanrun.api.calling import Caller
    from wanrun.client import Download, Task
    from wanrun.events import Event
    from wanrun.types import Artifact

PREFIX = ".wanrun-"  #: of the folder that a download grows in, beside the place where it is to be
DEAD_LINKS = 2  #: fresh ones, before a result is believed to be gone


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A result that is now at a place."""

    task: str
    path: Path
    bytes: int
    sha256: str


def download(
    task_id: str,
    to: Path | None = None,
    setup: Setup | None = None,
    *,
    provider: str = "default",
    observe: Callable[[Event], None] = lambda _: None,
) -> Downloaded:
    """Download the result of a finished task to a file, by default `TASK.mp4` here; a folder gets that name inside.

    The same bytes at the place are success; other bytes are `SinkConflict`, and stay. Raises `Unavailable` for a task
    that has not ended yet, `JobRefused` for one that has no result or whose result is gone, `SinkError` for a place
    that cannot be written, else as `tasks`. Blocking.
    """
    project = open_project(setup or Setup())
    target = _target(task_id, to)
    if not target.parent.is_dir():
        raise SettingsError(f"{target.parent}: no such folder (given by --to)")

    async def downloading() -> Downloaded:
        async with caller_of(project, provider, observe) as caller:
            first = await caller.ask(lambda: caller.client.query(task_id))
            _check_finished(first)
            return await _carry_out(caller, first, target)

    return blocking(downloading)


def _target(task_id: str, to: Path | None) -> Path:
    name = f"{task_id}{SUFFIX}"
    if to is None:
        return Path.cwd() / name
    return (to / name if to.is_dir() else to).absolute()


def _check_finished(task: Task) -> None:
    """Raise what a task that has not succeeded calls for."""
    if task.status is TaskStatus.SUCCEEDED:
        return
    if not task.status.terminal:
        raise Unavailable(f"task {task.task_id} is {task.raw_status}; there is no result yet, try again later")
    if task.status is TaskStatus.UNKNOWN:
        raise JobRefused(f"the service does not know task {task.task_id}, or it is older than 24 h")
    raise JobRefused(f"task {task.task_id} is {task.raw_status}; it has no result", code=task.code)


async def _carry_out(caller: Caller, task: Task, target: Path) -> Downloaded:
    """Download the result of a finished task to its place, by way of a folder beside it."""
    try:
        with beside(target) as folder:
            artifact = await Bringing(caller, task, folder / "result.part", folder).bring()
            await caller.world.to_thread(put, artifact, target)
    except OSError as exc:
        raise SinkError(f"{exc.filename or target}: {exc.strerror}; nothing was kept") from exc
    except LinkExpired as exc:
        raise JobRefused(f"{exc.message}; the service no longer keeps the result", status=exc.status) from exc
    return Downloaded(task.task_id, target, artifact.bytes, artifact.sha256)


class Bringing:
    """Brings the result of one finished task into a folder, under its checksum: checked, and whole or not at all.

    `part` grows meanwhile; with the `etag` of an earlier try it is gone on with, and `noted` hears each new one.
    """

    def __init__(
        self,
        caller: Caller,
        task: Task,
        part: Path,
        folder: Path,
        *,
        etag: str | None = None,
        noted: Callable[[str | None], None] = lambda _: None,
    ) -> None:
        self._caller, self._task, self._part, self._folder = caller, task, part, folder
        self._link, self._etag, self._noted = task.link, etag, noted
        self._dead_links = 0

    async def bring(self) -> Artifact:
        """Download and check; raises `LinkExpired` when a fresh link is dead too, OSError, else as a query."""
        return await self._caller.ask(self._try)

    async def _try(self) -> Artifact:
        """Go on with the download; with a fresh link, and from the start, where the last try says so."""
        link, self._link = self._link or await self._fresh_link(), None
        offset = self._part.stat().st_size if self._etag and self._part.exists() else 0
        try:
            async with self._caller.client.download(link, offset=offset, etag=self._etag) as stream:
                if stream.etag != self._etag:
                    self._etag = stream.etag
                    self._noted(stream.etag)
                return await self._keep(stream)
        except StartOver:
            self._etag = None
            raise
        except LinkExpired as exc:
            self._dead_links += 1
            if self._dead_links >= DEAD_LINKS:
                raise
            raise Unavailable(f"{exc.message}; a fresh link is asked for", status=exc.status) from exc

    async def _keep(self, stream: Download) -> Artifact:
        usage, to_thread = self._task.usage, self._caller.world.to_thread
        seconds = usage.output_seconds if usage else None
        return await keep_download(stream, self._part, self._folder, seconds=seconds, to_thread=to_thread)

    async def _fresh_link(self) -> str:
        task = await self._caller.client.query(self._task.task_id)
        if task.link is None:
            raise LinkExpired(f"task {task.task_id} has no link any more")
        return task.link


@contextmanager
def beside(target: Path) -> Iterator[Path]:
    """Give a folder beside the place where a file is to be, and take it away with all that is left in it."""
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=target.parent))
    try:
        yield folder
    finally:
        tidy(folder)


def tidy(folder: Path) -> None:
    """Remove what is left of a download, but for a doubtful result, which the error names. Blocking."""
    if not any(folder.glob("*.doubtful")):
        shutil.rmtree(folder, ignore_errors=True)


def put(artifact: Artifact, target: Path, *, advice: str = "or name another file with --to") -> None:
    """Give a checked file its name in one step, unless something is there already. Blocking.

    The same bytes there are as good; raises `SinkConflict` for others, with advice, and OSError.
    """
    _give_usual_mode(artifact.path)
    try:
        os.link(artifact.path, target)
    except FileExistsError:
        _check_same(artifact, target, advice)
    except OSError:  # a file system without links; between the two steps another program could put a file there
        if target.exists():
            _check_same(artifact, target, advice)
        else:
            artifact.path.rename(target)


def _give_usual_mode(path: Path) -> None:
    """Let a result have the mode of a user's own file: as the umask says, and never writable by others."""
    sample = path.with_name("mode")
    sample.touch()
    path.chmod(sample.stat().st_mode & 0o644)


def _check_same(artifact: Artifact, target: Path, advice: str) -> None:
    if target.is_file():
        with target.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() == artifact.sha256:
                return
    raise SinkConflict(f"{target} holds something else already; move it away, {advice}")
