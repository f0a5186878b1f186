"""The body of a create, exactly as the service documents it: only what the spec set, nothing filled in."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wanrun.types import JSON, Job


def create_body(job: Job, urls: Sequence[str]) -> dict[str, JSON]:
    """Return the body that asks for the job; `urls` are its media as the service can read them, in the job's order.

    Raises ValueError when there are not as many URLs as media.
    """
    body: dict[str, JSON] = {"model": job.model, "input": _input(job, urls)}
    if job.parameters:
        body["parameters"] = dict(job.parameters)
    return body


def _input(job: Job, urls: Sequence[str]) -> dict[str, JSON]:
    words: dict[str, JSON] = {}
    if job.prompt is not None:
        words["prompt"] = job.prompt
    if job.negative_prompt is not None:
        words["negative_prompt"] = job.negative_prompt
    media: list[JSON] = [{"type": ref.type, "url": url} for ref, url in zip(job.media, urls, strict=True)]
    if media:  # models that take none have no such field
        words["media"] = media
    return words


def needs_oss_resolve(body: Mapping[str, JSON]) -> bool:
    """Say whether a media URL is in the service's temporary store, which it looks up only when asked to."""
    given = body.get("input")
    media = given.get("media") if isinstance(given, dict) else None
    return isinstance(media, list) and any(_is_oss(item) for item in media)


def _is_oss(item: JSON) -> bool:
    url = item.get("url") if isinstance(item, dict) else None
    return isinstance(url, str) and url.startswith("oss://")
