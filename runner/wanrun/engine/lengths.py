"""How long a job's own video is, where the service counts all of it: one more thing to know a task by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wanrun.errors import WanrunError
from wanrun.fitting import Unfit, fitting_of, recipe_for
from wanrun.media import ProbeError, probe

if TYPE_CHECKING:
    from wanrun.catalog import Catalog
    from wanrun.engine.work import OpenJob, Work
    from wanrun.types import Job

COUNTED_SECONDS = 10  #: of a longer video some models count a part only


async def input_seconds(job: OpenJob, work: Work) -> float | None:
    """Return the length of the one local video of a job; None where it is not known or may not count as a whole."""
    if job.planned is None or job.planned.job.parameters.get("duration"):
        return None
    seconds = await work.world.to_thread(_local_seconds, job.planned.job, work.catalog)
    return seconds if seconds is not None and seconds <= COUNTED_SECONDS else None


def _local_seconds(job: Job, catalog: Catalog) -> float | None:
    timed = {name for name, limits in catalog.models[job.model].media.items() if limits.max_seconds is not None}
    videos = [ref for ref in job.media if ref.type in timed]
    if len(videos) != 1:
        return None
    source = catalog.source(videos[0].kind)
    try:
        path, fitting = source.locate(videos[0]), fitting_of(source, videos[0])
        if path is None or fitting is None:
            return probe(path).seconds if path is not None else None
        facts = probe(path)
        return recipe_for(facts, catalog.models[job.model].media[videos[0].type], fitting).made(facts).seconds
    except (WanrunError, ProbeError, Unfit):  # the file is gone by now: then it tells nothing
        return None
