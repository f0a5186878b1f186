"""Prepare: make each media reference of a job readable for the service, uploading a file at most once per content."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections import defaultdict
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import trio

from wanrun.chains import upstream_of
from wanrun.engine.calls import CallContext, CallTime
from wanrun.engine.fitting import Fitter
from wanrun.engine.lengths import input_seconds
from wanrun.engine.patience import patiently
from wanrun.engine.upstream import hand_on, priced
from wanrun.errors import LedgerError, ServiceError, SourceError, WanrunError
from wanrun.guards import GuardedSource, given
from wanrun.inputs import INLINE_BYTES, data_url
from wanrun.types import MediaUrl

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from wanrun.engine.apart import Loop
    from wanrun.engine.work import Lane, OpenJob, Work
    from wanrun.stages import Stage
    from wanrun.types import Identity, MediaRef

T = TypeVar("T")

PREPARATIONS_AT_ONCE = 4  #: by one kind of source
TASK_LIFE_SECONDS = 24 * 3600  #: no task waits longer
UPLOAD_LIFE_SECONDS = 48 * 3600  #: of a file in the service's temporary store


@dataclass(frozen=True, slots=True)
class Prepared:
    """A job whose media the service can read."""

    job: OpenJob
    urls: tuple[str, ...]
    input_seconds: float | None = None  #: of its local video, where that is known and counts as a whole
    staged: tuple[str, ...] = ()  #: keys of the contents in a store of one's own that the URLs lead to


class Preparer:
    """Prepares jobs, many at once, and remembers what it has uploaded."""

    def __init__(self, work: Work, home: Loop) -> None:
        self._work, self._home = work, home
        self._places = defaultdict[str, trio.CapacityLimiter](lambda: trio.CapacityLimiter(PREPARATIONS_AT_ONCE))
        self._uploads: dict[tuple[str, str, str], trio.Lock] = {}
        self._links: dict[str, MediaUrl] = {}  # to what is staged
        self.fitter = Fitter(work)
        self._staged_for: dict[int, dict[str, None]] = {}  # keys of what was staged for an entry

    async def prepare(self, job: OpenJob) -> Prepared:
        """Return the job with its URLs; raises `SourceError` for what only concerns it, `ServiceError` as it comes."""
        assert job.planned is not None
        self._staged_for[job.entry] = {}
        media_refs, urls = job.planned.job.media, []
        inline_bytes_left = INLINE_BYTES - sum(len(data_url(ref)) for ref in media_refs)  # which cannot be uploaded
        for ref, identity in zip(media_refs, job.planned.identities, strict=True):
            own = len(data_url(ref))
            try:
                async with self._places[ref.kind]:  # of each kind, so that one that hangs holds up no other
                    media = await self._prepare_one(job, ref, identity, inline_bytes_left + own)
                if media.url.startswith("data:"):
                    await self._work.world.to_thread(_check_inline, media.url, ref, identity)
                    inline_bytes_left -= len(media.url) - own
            except SourceError:
                self._work.digests.forget(ref)  # the next run looks at the bytes themselves
                raise
            urls.append(media.url)
        seconds, staged = await input_seconds(job, self._work), tuple(self._staged_for.pop(job.entry))
        return Prepared(priced(job, self._work), tuple(urls), seconds, staged)

    async def _prepare_one(self, job: OpenJob, ref: MediaRef, identity: Identity, inline_bytes_left: int) -> MediaUrl:
        try:
            if upstream_of(ref) is not None:
                return await hand_on(job, ref, self._work, partial(self.upload, job))
            source, time = self._work.catalog.source(ref.kind), self._time(ref.kind)
            ctx = _Context(self._work.world, self, self._home, time, job, ref, identity, inline_bytes_left)
            if not isinstance(source, GuardedSource):
                return await given(source.prepare(ref, ctx))  # a rehearsal, which has no use for secrets
            opened = replace(ref, options=self._work.vault.opened(ref.options))
            return await self._work.calls.make(source, "prepare", lambda: source.prepare(opened, ctx), time)
        except (SourceError, ServiceError, LedgerError):
            raise
        except WanrunError as exc:  # a plugin's bug, as its guard words it: this job's failure, not the run's
            raise SourceError(str(exc)) from exc

    def _time(self, kind: str) -> CallTime:
        return CallTime(self._work.catalog.sources[kind].seconds)

    async def upload(self, job: OpenJob, path: Path, *, key: str, mime: str) -> MediaUrl:
        """Return the upload of these bytes, made now unless this or an earlier run has a good one."""
        ledger, lane = self._work.ledger, self._work.lanes[job.provider]
        if (stage := self._work.stage) is not None:
            self._staged_for[job.entry][key] = None
            return await self._staged(stage, lane, path, key=key, mime=mime)
        async with self._uploads.setdefault((key, job.provider, job.model), trio.Lock()):
            media = ledger.upload(key, provider=job.provider, model=job.model)
            if media is None:
                media = await patiently(
                    lambda: self._upload(job, lane, path, key=key, mime=mime),
                    work=self._work,
                    lane=lane,
                    limiter=None,
                    what="uploads",
                )
                ledger.uploaded(key, provider=job.provider, model=job.model, media=media)
            return media

    async def _staged(self, stage: Stage, lane: Lane, path: Path, *, key: str, mime: str) -> MediaUrl:
        """Return a link to these bytes in a store of one's own, put there now unless they are; once for each run."""
        calls, file = self._work.calls, stage.file(path, key=key, mime=mime)
        call = partial(stage.source.stage, file, CallContext(self._work.world))
        async with self._uploads.setdefault((key, "", ""), trio.Lock()):
            if not self._lives_on(self._links.get(key)):
                self._links[key] = await patiently(
                    lambda: calls.make(stage.source, "stage", call, self._time(stage.kind)),
                    work=self._work,
                    lane=lane,
                    limiter=None,
                    what="uploads",
                )
            return self._links[key]

    def _lives_on(self, media: MediaUrl | None) -> bool:
        """Say whether a link can still be read for as long as a task may wait."""
        if media is None:
            return False
        return media.expires_at is None or media.expires_at > self._work.world.now() + TASK_LIFE_SECONDS

    async def _upload(self, job: OpenJob, lane: Lane, path: Path, *, key: str, mime: str) -> MediaUrl:
        policy = await lane.client.upload_policy(job.model)
        name = f"{self._work.world.random.getrandbits(64):016x}{path.suffix.lower()}"
        sent_at = self._work.world.now()
        try:
            upload = await lane.client.upload(policy, path, name=name, mime=mime)
        except OSError as exc:
            raise SourceError(f"{path}: {exc.strerror}") from exc
        if key.startswith("sha256:") and key != f"sha256:{upload.sha256}":
            raise SourceError(f"{path} changed since the plan; run again to submit it as it is now")
        return MediaUrl(upload.url, sent_at + UPLOAD_LIFE_SECONDS)


@dataclass(slots=True)
class _Context(CallContext):
    """What a source is lent while it prepares one job's media: `hookspecs.PrepareContext`.

    What the core does for it is done in the engine's own loop, and its time is not the plugin's.
    """

    preparer: Preparer
    home: Loop
    time: CallTime
    job: OpenJob
    ref: MediaRef
    identity: Identity
    inline_bytes_left: int

    async def upload(self, path: Path, *, key: str, mime: str) -> MediaUrl:
        return await self._lend(partial(self.preparer.upload, self.job, path, key=key, mime=mime))

    async def fitted(self, path: Path) -> Path:
        return await self._lend(partial(self.preparer.fitter.fitted, path, self.ref, self.identity, self.job.model))

    async def _lend(self, function: Callable[[], Awaitable[T]]) -> T:
        async def timeless() -> T:
            with self.time.standing_still():
                return await function()

        return await self.home.lend(timeless)


def _check_inline(url: str, ref: MediaRef, identity: Identity) -> None:
    """Refuse bytes that are not those that the plan has fingerprinted."""
    if not identity.key.startswith("sha256:"):
        return
    try:
        content = base64.b64decode(url.partition(",")[2], validate=True)
    except binascii.Error as exc:
        raise SourceError(f"the source {ref.kind} made a data: URL that is not base64") from exc
    if identity.key != f"sha256:{hashlib.sha256(content).hexdigest()}":
        raise SourceError(f"the file named at {ref.position} changed since the plan; run again to submit it as it is")
