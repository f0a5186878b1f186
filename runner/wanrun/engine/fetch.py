"""Fetch: bring the result of every task that ended well into the artifact store, before its link dies."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

import trio

from wanrun.client import LinkRefused, StartOver, TaskStatus
from wanrun.engine.artifacts import keep_download
from wanrun.engine.patience import FIRST_PAUSE_SECONDS, Patience
from wanrun.errors import (
    ExitCode,
    JobRefused,
    KeyRefused,
    LinkExpired,
    ServiceError,
    Throttled,
    Unavailable,
    disk_advice,
)
from wanrun.events import EventName
from wanrun.ledger import AttemptState

if TYPE_CHECKING:
    from wanrun.client import Download
    from wanrun.engine.work import Lane, OpenJob, Work
    from wanrun.ledger import Attempt
    from wanrun.types import Artifact

LINK_LIFE_SECONDS = 24 * 3600  #: of a result after its task ended
RESUMED_BYTES = 256 * 1024  #: a smaller download is sooner made again than remembered


async def fetch_results(work: Work, at_once: int) -> None:
    """Fetch results, those that die first first and so many side by side, until this run has nothing open."""
    waiting = _Waiting(work)
    async with trio.open_nursery() as nursery:
        for _ in range(at_once):
            nursery.start_soon(_fetch_some, work, waiting)


async def _fetch_some(work: Work, waiting: _Waiting) -> None:
    while attempt := await waiting.next():
        await work.let_creates_go()
        job = work.open.get(attempt.entry)
        if job is not None:
            await _fetch(work, work.lanes[job.provider], attempt, job)


class _Waiting:
    """The results that wait to be fetched, given out in the order in which they die."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._heap: list[tuple[float, int, Attempt]] = []  # when it was made, its number, which breaks a tie

    async def next(self) -> Attempt | None:
        """Return the attempt whose result is gone first; None when there will be none any more."""
        try:
            if not self._heap:
                self._add(await self._work.fetch_queue.receive())
            while True:
                self._add(self._work.fetch_queue.receive_nowait())
        except (trio.WouldBlock, trio.EndOfChannel):
            return heapq.heappop(self._heap)[-1] if self._heap else None

    def _add(self, number: int) -> None:
        attempt = self._work.ledger.attempt(number)
        heapq.heappush(self._heap, (attempt.made_at, number, attempt))


async def _fetch(work: Work, lane: Lane, attempt: Attempt, job: OpenJob) -> None:
    try:
        artifact = await _Fetcher(work, lane, attempt, job).fetch()
    except LinkExpired as exc:
        _lost(work, attempt, job, exc)
    except KeyRefused as exc:
        work.stop.now(f"the service refused: {exc}", exc.exit_code)
    except ServiceError as exc:  # the result stays where it is; the next run asks again
        work.emit(EventName.WAITING, job, what="downloads", reason=f"left for another run: {exc}", seconds=0)
        work.settle(job)
    except OSError as exc:
        work.stop.now(f"{work.artifacts}: {exc.strerror}; {disk_advice(exc)}", ExitCode.UNFINISHED)
    else:
        with work.recording_soon():
            work.ledger.fetched(attempt.id, artifact)
            work.emit(EventName.JOB_FETCHED, job, bytes=artifact.bytes, sha256=artifact.sha256)
        _hand_on(work, job)


def _hand_on(work: Work, job: OpenJob) -> None:
    work.chains.came(job.entry)
    if job.planned is None:
        work.settle(job)
    else:
        work.to_deliver.send_nowait(job)


def _lost(work: Work, attempt: Attempt, job: OpenJob, exc: LinkExpired) -> None:
    message = f"the service no longer keeps the result of task {attempt.task_id}: {exc.message}"
    with work.ledger.transaction():
        work.ledger.ended(attempt.id, AttemptState.LOST, message)
        work.emit(EventName.JOB_LOST, job, message=message)
    work.settle(job)


class _Fetcher:
    """Fetches the result of one attempt."""

    def __init__(self, work: Work, lane: Lane, attempt: Attempt, job: OpenJob) -> None:
        self._work, self._lane, self._attempt, self._job = work, lane, attempt, job
        self._etag = attempt.etag
        self._part = work.artifacts / f"{attempt.id}.part"

    async def fetch(self) -> Artifact:
        """Return the artifact in the store; raises `LinkExpired` when the result is gone for good."""
        patience = Patience(self._work, self._lane, None, "downloads")
        link = self._work.links.pop(self._attempt.id, None)
        failure: Throttled | Unavailable
        while True:
            try:
                link = link or await self._fresh_link()
                artifact = await self._download(link)
                if self._work.chains.is_awaited(self._job.entry):  # to be handed on
                    self._work.links[self._attempt.id] = link
                return artifact
            except LinkExpired as exc:
                if self._is_too_late():
                    raise
                link, failure = None, Unavailable(f"{exc.message}; a fresh link is asked for")
            except LinkRefused as exc:  # it leads where none may; the next one may not
                if self._is_too_late():
                    raise LinkExpired(exc.message) from exc
                link, failure = None, exc
            except (Throttled, Unavailable) as exc:
                failure = exc
            if isinstance(failure, StartOver):
                self._etag = None
            await patience.wait_after(failure)

    def _is_too_late(self) -> bool:
        ended_at = self._attempt.ended_at or self._attempt.made_at
        return self._lane.now(self._work.world) > ended_at + LINK_LIFE_SECONDS

    async def _fresh_link(self) -> str:
        task_id = self._attempt.task_id
        assert task_id is not None
        try:
            async with self._lane.queries.call():
                task = await self._lane.client.query(task_id)
        except Throttled as exc:
            self._lane.queries.slow_down(exc.retry_after_seconds or FIRST_PAUSE_SECONDS)
            raise
        except (KeyRefused, JobRefused) as exc:
            raise self._refused(exc) from exc
        if task.link is not None:
            return task.link
        if task.status is TaskStatus.UNKNOWN and self._is_too_late():
            raise LinkExpired("it is older than 24 h")
        raise Unavailable(f"the service answers {task.status} for a task that had succeeded")

    def _refused(self, exc: KeyRefused | JobRefused) -> ServiceError:
        """Return what a refused query means: the key is no good, or this one result cannot be had just now, or ever."""
        if isinstance(exc, KeyRefused) and exc.status not in (403, 404):
            return exc
        return LinkExpired(exc.message) if self._is_too_late() else Unavailable(str(exc))

    async def _download(self, link: str) -> Artifact:
        offset = self._part.stat().st_size if self._etag and self._part.exists() else 0
        usage = self._attempt.usage
        async with self._lane.client.download(link, offset=offset, etag=self._etag) as download:
            if download.etag != self._etag:
                self._etag = download.etag
                if _is_worth_resuming(download):
                    self._work.ledger.downloading(self._attempt.id, download.etag)
            return await keep_download(
                download,
                self._part,
                self._work.artifacts,
                seconds=usage.output_seconds if usage else None,
                to_thread=self._work.world.to_thread,
            )


def _is_worth_resuming(download: Download) -> bool:
    return download.total_bytes is None or download.total_bytes >= RESUMED_BYTES
