"""How long a job's own video is, where the service counts all of it: one more thing to know a task by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wanrun.engine.upstream import result_path
from wanrun.errors import WanrunError
from wanrun.fitting import Unfit, fitting_of, recipe_for
from wanrun.media import ProbeError, probe

if TYPE_CHECKING:
    from pathlib import Path

    from wanrun.catalog import Catalog
    from wanrun.engine.work import OpenJob, Work
    from wanrun.models import MediaLimits
    from wanrun.types import MediaRef

COUNTED_SECONDS = 10  #: of a longer video some models count a part only


async def input_seconds(job: OpenJob, work: Work) -> float | None:
    """Return the length of the one local video of a job; None where it is not known or may not count as a whole."""
    if job.planned is None or job.planned.job.parameters.get("duration"):
        return None
    media = work.catalog.models[job.model].media
    videos = [ref for ref in job.planned.job.media if media[ref.type].max_seconds is not None]
    if len(videos) != 1:
        return None
    made = result_path(job, videos[0], work)
    if made is None and not _is_local(videos[0], work.catalog):  # most are links, which are worth no thread
        return None
    seconds = await work.world.to_thread(_local_seconds, videos[0], media[videos[0].type], made, work.catalog)
    return seconds if seconds is not None and seconds <= COUNTED_SECONDS else None


def _is_local(ref: MediaRef, catalog: Catalog) -> bool:
    try:
        return catalog.source(ref.kind).locate(ref) is not None
    except WanrunError:  # the file is gone by now
        return False


def _local_seconds(ref: MediaRef, limits: MediaLimits, made: Path | None, catalog: Catalog) -> float | None:
    """Return the length of a video by its file, as it is sent; `made` is that of another job's result."""
    source = catalog.source(ref.kind)
    try:
        if made is not None:
            return probe(made).seconds
        path, fitting = source.locate(ref), fitting_of(source, ref)
        if path is None or fitting is None:
            return probe(path).seconds if path is not None else None
        facts = probe(path)
        return recipe_for(facts, limits, fitting).made(facts).seconds
    except (WanrunError, ProbeError, Unfit):  # the file is gone by now: then it tells nothing
        return None
