"""Chains in a run: jobs wait until what they chain from is in the artifact store, and then get it as their input."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import TYPE_CHECKING

from wanrun.chained import blocked_by, gone, lives_on
from wanrun.chains import FORMAT, upstream_of
from wanrun.engine.again import make_again
from wanrun.engine.patience import patiently
from wanrun.errors import ServiceError, SourceError
from wanrun.events import EventName
from wanrun.inputs import faults_of
from wanrun.media import ProbeError, probe
from wanrun.plan import standing
from wanrun.types import Action, MediaUrl, State

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from wanrun.engine.work import OpenJob, Work
    from wanrun.ledger import Attempt, Entry
    from wanrun.types import Artifact, MediaRef

    Upload = Callable[..., Awaitable[MediaUrl]]

MIME = f"video/{FORMAT}"


class Chains:
    """The open jobs that wait for results of others."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._waiting: dict[int, list[OpenJob]] = {}  # entry that is waited for -> who does
        self._brought: set[int] = set()  # entries whose result came in this run
        self._blocked: dict[int, str] = {}  # entries that wait no more -> why

    def is_ready(self, job: OpenJob) -> bool:
        """Say whether every result is there that a job is made from."""
        return not self._awaited(job) and all(self._has_result(entry) for entry in job.upstream.values())

    def holds_back(self, job: OpenJob) -> bool:
        """Say whether a job cannot be prepared: it is kept until it can, or left to another run if it never will."""
        if self.is_ready(job):
            return False
        if awaited := self._awaited(job):
            self._waiting.setdefault(awaited[0], []).append(job)  # and if there are others, for those afterwards
        else:
            self._work.settle(job)
        return True

    def is_awaited(self, entry: int) -> bool:
        """Say whether a job waits for the result of an entry."""
        return entry in self._waiting

    def came(self, entry: int) -> None:
        """Let go on what has waited for a result that is in the artifact store now."""
        self._brought.add(entry)
        for job in self._waiting.pop(entry, ()):
            if job.entry in self._work.open:
                make_again(self._work, job)

    def left(self, entry: int) -> list[OpenJob]:
        """Hear that this run does no more about an entry; returns the jobs that it can do no more about either."""
        stranded = []
        for job in self._waiting.pop(entry, ()):
            if job.entry not in self._work.open:
                continue
            if self._has_result(entry):  # a further take came to nothing, and the one before it stands
                make_again(self._work, job)
                continue
            stranded.append(job)
            if words := self._blocked_by(job, entry):
                self._blocked[job.entry] = words
                self._work.emit(EventName.JOB_BLOCKED, job, message=words)
        return stranded

    def _awaited(self, job: OpenJob) -> list[int]:
        """Return the entries that this run is still to bring a result to, of those that a job is made from."""
        coming = [self._work.open.get(entry) for entry in job.upstream.values() if entry not in self._brought]
        return [each.entry for each in coming if each is not None and _is_coming(each)]

    def _has_result(self, entry: int) -> bool:
        return self._work.ledger.entry(entry).result is not None

    def _blocked_by(self, job: OpenJob, entry: int) -> str | None:
        """Say what keeps a job from ever being made as things stand; None where another run may go on."""
        address = next(address for address, each in job.upstream.items() if each == entry)
        if entry in self._blocked:
            return blocked_by(address, State.BLOCKED, self._blocked[entry])
        state, _, why = standing(self._work.ledger.entry(entry), None)
        return blocked_by(address, state, why) if state in (State.FAILED, State.HELD, State.LOST) else None


def _is_coming(job: OpenJob) -> bool:
    return job.planned is not None and job.planned.action in (Action.SUBMIT, Action.RESUME)


def result_for(job: OpenJob, ref: MediaRef, work: Work) -> tuple[Entry, Attempt]:
    """Return what a reference of a job chains from, with its result; raises `SourceError` when there is none."""
    address = upstream_of(ref)
    assert address is not None
    number = job.upstream.get(address)
    entry = work.ledger.entry(number) if number is not None else None
    if entry is None or entry.result is None:
        raise SourceError(f"{address}, which it chains from, has no result")
    return entry, entry.result


def result_path(job: OpenJob, ref: MediaRef, work: Work) -> Path | None:
    """Return the file of a result that a reference names; None where it names none, or that has no result."""
    number = job.upstream.get(upstream_of(ref) or "")
    result = work.ledger.entry(number).result if number is not None else None
    return result.artifact(work.artifacts).path if result is not None else None


def priced(job: OpenJob, work: Work) -> OpenJob:
    """Return a job with its cost by what others have made for it, which the plan could only bound.

    Left as it is where the service did not say how long a result is, or other media count too.
    """
    assert job.planned is not None
    media = work.catalog.models[job.model].media
    timed = [ref for ref in job.planned.job.media if media[ref.type].max_seconds is not None]
    if not job.upstream or any(upstream_of(ref) is None for ref in timed):
        return job
    usages = {upstream_of(ref): result_for(job, ref, work)[1].usage for ref in timed}
    if any(usage is None or usage.output_seconds is None for usage in usages.values()):
        return job

    def length_of(ref: MediaRef) -> float | None:
        usage = usages.get(upstream_of(ref))
        return usage.output_seconds if usage is not None else None

    return work.budget.priced(job, length_of)


def providers_of_links(work: Work) -> Iterator[str]:
    """Yield the providers that jobs need for another one's result: its file has gone, and its link may live there."""
    for job in work.open.values():
        if job.planned is None or job.planned.action is not Action.SUBMIT:
            continue
        for entry in map(work.ledger.entry, job.upstream.values()):
            result = entry.result
            if result is None or result.artifact(work.artifacts).is_there():
                continue
            if lives_on(result, work.world.now()):
                yield entry.asked_at


async def hand_on(job: OpenJob, ref: MediaRef, work: Work, upload: Upload) -> MediaUrl:
    """Return another job's result as the service can read it: by its link as long as that lives, else uploaded.

    Raises `SourceError` when it is gone, or is nothing that the model takes.
    """
    entry, result = result_for(job, ref, work)
    artifact = result.artifact(work.artifacts)
    is_there = artifact.is_there()
    if is_there:
        await work.world.to_thread(_check, job, ref, artifact.path, work)
    has_failed = is_there and work.ledger.service_faults(job.entry) > 0  # it may be the link that cannot be read
    if not has_failed and (link := await _link(entry, result, work, is_needed=not is_there)) is not None:
        return MediaUrl(link, result.link_gone_at)
    if not is_there or not await work.world.to_thread(_is_whole, artifact):
        raise SourceError(f"nothing was paid: {gone(entry.address, entry, work.artifacts)}")
    return await upload(artifact.path, key=f"sha256:{artifact.sha256}", mime=MIME)


def _is_whole(artifact: Artifact) -> bool:
    """Say whether the file of a result is what it was when it was fetched."""
    try:
        with artifact.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == artifact.sha256
    except OSError:
        return False


def _check(job: OpenJob, ref: MediaRef, path: Path, work: Work) -> None:
    """Raise `SourceError` when a result is nothing that the model of another job takes."""
    try:
        faults = faults_of(probe(path), ref.type, work.catalog.models[job.model])
    except ProbeError as exc:
        faults = [str(exc)]
    if faults:
        raise SourceError(f"nothing was paid: the result of {upstream_of(ref)} {'; it '.join(faults)}")


async def _link(entry: Entry, result: Attempt, work: Work, *, is_needed: bool) -> str | None:
    """Return a link to a result that lives long enough; None where none is to be had, or not at once and need not."""
    lane = work.lanes.get(entry.asked_at)
    if lane is None or result.task_id is None or not lives_on(result, lane.now(work.world)):
        return None
    if result.id not in work.links:
        task_id = result.task_id
        try:
            if is_needed:
                query = partial(lane.client.query, task_id)
                task = await patiently(query, work=work, lane=lane, limiter=lane.queries, what="queries")
            else:
                async with lane.queries.call():
                    task = await lane.client.query(task_id)
        except ServiceError:
            if is_needed:
                raise
            return None
        if task.link is None:
            return None
        work.links[result.id] = task.link
    return work.links[result.id]
