"""The work of a rescue: each result that was found is brought to where it belongs, a few side by side."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import trio

from wanrun.api.downloading import Bringing, tidy
from wanrun.api.rescue_finds import Claims, Fate, Find, RescuedTask, RescueReport, Search
from wanrun.api.rescued import as_facts
from wanrun.client import TaskStatus
from wanrun.copies import copy_artifact
from wanrun.engine.stop import Reason
from wanrun.errors import ExitCode, KeyRefused, LinkExpired, ServiceError, SinkConflict, disk_advice
from wanrun.events import Event, EventName
from wanrun.ledger import AttemptState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from wanrun.api.calling import Caller
    from wanrun.api.rescued import Kept, RescueFolder
    from wanrun.client import Task
    from wanrun.ledger import Ledger
    from wanrun.project import Project
    from wanrun.types import JSON, Artifact, Usage

AT_ONCE = 4
LINK_LIFE_SECONDS = 24 * 3600.0  #: of a result after its task ended, and of a task's record after it was made


class _Not(Exception):  # no error: an answer
    """There is nothing to bring home, and why."""

    def __init__(self, fate: Fate, why: str) -> None:
        super().__init__(why)
        self.fate, self.why = fate, why


class Rescuing:
    """One rescue, inside trio; `ledger` is held, `folder` entered."""

    def __init__(
        self,
        project: Project,
        callers: Mapping[str, Caller],
        ledger: Ledger | None,
        folder: RescueFolder,
        heard: Callable[[RescuedTask], None] = lambda _: None,
    ) -> None:
        self._artifacts, self._ledger, self._folder, self._heard = project.artifacts, ledger, folder, heard
        self._world = next(iter(callers.values())).world
        self._search = Search(callers, ledger, project.artifacts, has=lambda task_id: folder.place(task_id).exists())
        self._claims = Claims(ledger)
        self._stopped: dict[str | None, str] = {}  # provider -> why it is not asked any more; None: all
        self._everything = False
        at = datetime.fromtimestamp(self._world.now(), UTC)
        self._run = f"rescue-{at:%Y%m%dT%H%M%SZ}-{self._world.random.getrandbits(24):06x}"

    async def carry_out(self, *, everything: bool = False) -> RescueReport:
        """Find what there is and bring it home, a few side by side."""
        self._everything = everything
        waiting = deque(await self._search.finds(everything=everything))
        done: list[RescuedTask] = [self._told(find, Fate.RUNNING) for find in self._search.running]

        async def work() -> None:
            while waiting:
                made = await self._rescue(waiting.popleft())
                done.append(made)
                self._heard(made)

        async with trio.open_nursery() as nursery:
            for _ in range(min(AT_ONCE, len(waiting))):
                nursery.start_soon(work)
        return RescueReport(tasks=tuple(done), troubles=tuple(self._search.troubles), folder=self._folder.path)

    async def _rescue(self, find: Find) -> RescuedTask:
        """Bring one result home; what goes wrong is said, and its siblings go on as far as they can."""
        stopped = self._stopped.get(find.provider) or self._stopped.get(None)
        if stopped is not None:
            return self._told(find, Fate.LATER, stopped)
        try:
            return await self._bring_home(find)
        except _Not as exc:
            return self._told(find, exc.fate, exc.why)
        except KeyRefused as exc:
            if exc.status not in (403, 404):  # else it is about this task alone
                self._stop(find.provider, f"the service refused: {exc}", exc.exit_code)
            return self._told(find, Fate.LATER, str(exc))
        except ServiceError as exc:
            return self._told(find, Fate.LATER, str(exc))
        except SinkConflict as exc:
            return self._told(find, Fate.STUCK, str(exc))
        except OSError as exc:
            words = f"{exc.filename or self._folder.path}: {exc.strerror}"
            self._stop(None, f"{words}; {disk_advice(exc)}", ExitCode.UNFINISHED)
            return self._told(find, Fate.LATER, words)

    def _stop(self, provider: str | None, words: str, code: ExitCode) -> None:
        self._stopped[provider] = words
        reason = Reason(words, code)
        if reason not in self._search.troubles:
            self._search.troubles.append(reason)

    async def _bring_home(self, find: Find) -> RescuedTask:
        kept = await self._kept(find)
        if find.owned is not None:
            return await self._store(find, kept)
        if kept is not None:
            return self._told(find, Fate.THERE, artifact=kept.artifact, prompt=kept.prompt)
        task = await self._task(find)
        return await self._into_folder(find, task, find.stored)

    async def _kept(self, find: Find) -> Kept | None:
        """Return what the folder has already; what stands in its way there is no matter for the artifact store."""
        try:
            return await self._world.to_thread(self._folder.kept, find.task_id)
        except SinkConflict:
            if find.owned is None:
                raise
            return None

    # Into the artifact store

    async def _store(self, find: Find, kept: Kept | None) -> RescuedTask:
        """Bring a result that the ledger waits for into the artifact store: from the folder, or from the service."""
        if kept is not None:
            artifact = await self._world.to_thread(copy_artifact, kept.artifact, self._artifacts)
            row = find.row
            self._succeeded(find, kept.usage, row.started_at if row else None, row.ended_at if row else None)
        else:
            task = await self._task(find)
            self._succeeded(find, task.usage, task.scheduled_at, task.ended_at)
            artifact = await self._fetched(find, task)
        self._record(find, artifact)
        if self._everything and kept is None:
            await self._into_folder(find, task, artifact)
        return self._told(find, Fate.STORED, artifact=artifact)

    async def _fetched(self, find: Find, task: Task) -> Artifact:
        """Download into the artifact store, going on with what a run has left there."""
        assert self._ledger is not None
        assert find.owned is not None
        attempt, ledger = find.owned, self._ledger
        bringing = Bringing(
            find.caller,
            task,
            self._artifacts / f"{attempt.id}.part",
            self._artifacts,
            etag=attempt.etag,
            noted=lambda etag: ledger.downloading(attempt.id, etag),
        )
        return await self._brought(find, task, bringing)

    def _succeeded(self, find: Find, usage: Usage | None, started_at: float | None, ended_at: float | None) -> None:
        assert self._ledger is not None
        assert find.owned is not None
        if find.owned.state is not AttemptState.SUCCEEDED:
            self._ledger.succeeded(find.owned.id, usage=usage, started_at=started_at, ended_at=ended_at)

    def _record(self, find: Find, artifact: Artifact) -> None:
        assert self._ledger is not None
        assert find.owned is not None
        with self._ledger.transaction():
            self._ledger.fetched(find.owned.id, artifact)
            self._note(EventName.JOB_FETCHED, find, bytes=artifact.bytes, sha256=artifact.sha256)

    def _note(self, name: EventName, find: Find, **data: JSON) -> None:
        assert self._ledger is not None
        self._ledger.note(Event(name, self._world.now(), self._run, find.job, data))

    # Into the folder

    async def _into_folder(self, find: Find, task: Task, stored: Artifact | None) -> RescuedTask:
        """Make a file of a result: a copy of what the store has, or a download."""
        to_thread = self._world.to_thread
        workshop = await to_thread(self._folder.workshop)
        try:
            if stored is not None:
                artifact = await to_thread(copy_artifact, stored, workshop)
            else:
                bringing = Bringing(find.caller, task, workshop / "result.part", workshop)
                artifact = await self._brought(find, task, bringing)
            facts = _facts(find, task)
            artifact = await to_thread(lambda: self._folder.put(artifact, facts, task_id=find.task_id))
        finally:
            tidy(workshop)
        return self._told(find, Fate.RESCUED, artifact=artifact, prompt=task.orig_prompt)

    # The service

    async def _task(self, find: Find) -> Task:
        """Ask for a task that should have ended well; raises `_Not` when it has not."""
        task = await find.caller.ask(lambda: find.caller.client.query(find.task_id))
        if task.status is TaskStatus.UNKNOWN:
            raise self._gone(find, find.made_at, "the service does not know it any more")
        if not task.status.terminal:
            raise _Not(Fate.RUNNING, f"it is {task.raw_status}")
        if task.link is None:
            raise _Not(Fate.NO_VIDEO, f"it is {task.raw_status} and has no video")
        return task

    async def _brought(self, find: Find, task: Task, bringing: Bringing) -> Artifact:
        try:
            return await bringing.bring()
        except LinkExpired as exc:
            raise self._gone(find, task.ended_at or find.made_at, exc.message) from exc

    def _gone(self, find: Find, since: float | None, why: str) -> _Not:
        """Say what a result that cannot be had means: it is lost once its day is over, and may come back before."""
        if since is None or self._world.now() <= since + LINK_LIFE_SECONDS:
            return _Not(Fate.LATER, f"{why}, though it is not a day old; ask again later")
        message = f"the service no longer keeps the result of task {find.task_id}: {why}"
        if find.owned is None or self._ledger is None:
            return _Not(Fate.LOST, message)
        if find.owned.state is AttemptState.LOST:
            return _Not(Fate.STUCK, f"it was known to be lost: {message}")
        with self._ledger.transaction():
            self._ledger.ended(find.owned.id, AttemptState.LOST, message)
            self._note(EventName.JOB_LOST, find, message=message)
        return _Not(Fate.LOST, message)

    def _told(
        self, find: Find, fate: Fate, why: str = "", *, artifact: Artifact | None = None, prompt: str | None = None
    ) -> RescuedTask:
        return RescuedTask(
            task=find.task_id,
            provider=find.provider,
            model=find.row.model if find.row else None,
            job=find.job,
            fate=fate,
            why=why,
            path=artifact.path if artifact else None,
            bytes=artifact.bytes if artifact else None,
            sha256=artifact.sha256 if artifact else None,
            claims=self._claims.of(find, prompt) if artifact else (),
        )


def _facts(find: Find, task: Task) -> dict[str, JSON]:
    """Return what the sidecar of a rescued result says; times are epoch seconds."""
    return {
        "task_id": task.task_id,
        "provider": find.provider,
        "model": find.row.model if find.row else None,
        "job": find.job,
        "request_id": find.row.request_id if find.row else None,
        "prompt": task.orig_prompt,
        "created_at": find.made_at,
        "started_at": task.scheduled_at,
        "ended_at": task.ended_at,
        "usage": as_facts(task.usage),
    }
