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
    path = made if made is not None else _located(videos[0], work.catalog)
    if path is None:  # most are links, which are worth no thread
        return None
    asks = videos[0] if made is None else None  # another job's result is sent as it is
    limits = media[videos[0].type]
    seconds = await work.world.to_thread(_sent_seconds, path, asks, limits, work.catalog)
    return seconds if seconds is not None and seconds <= COUNTED_SECONDS else None


def _located(ref: MediaRef, catalog: Catalog) -> Path | None:
    try:
        return catalog.source(ref.kind).locate(ref)
    except WanrunError:  # the file is gone by now: then it tells nothing
        return None


def _sent_seconds(path: Path, asks: MediaRef | None, limits: MediaLimits, catalog: Catalog) -> float | None:
    """Return the length of a video by its file, as it is sent: with what the reference asks to be made of it."""
    try:
        fitting = None if asks is None else fitting_of(catalog.source(asks.kind), asks)
        facts = probe(path)
        return facts.seconds if fitting is None else recipe_for(facts, limits, fitting).made(facts).seconds
    except (WanrunError, ProbeError, Unfit):
        return None
