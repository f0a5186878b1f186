"""The body of a create is the documented one, and holds what the spec set and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from wanrun.client import create_body, needs_oss_resolve
from wanrun.types import NO_OPTIONS, Job, MediaRef, Position

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wanrun.types import JSON

HERE = Position(Path("/specs/a.yaml"), 1, 1)


def job(
    *types: str, prompt: str | None, negative_prompt: str | None = None, parameters: Mapping[str, JSON] = NO_OPTIONS
) -> Job:
    """Return a job with media of these types."""
    return Job(
        spec="a",
        id="shot",
        spec_path=HERE.path,
        position=HERE,
        model="wan2.7-videoedit",
        provider="default",
        prompt=prompt,
        negative_prompt=negative_prompt,
        media=tuple(MediaRef(type, "http", {}, HERE.path.parent, HERE) for type in types),
        parameters=parameters,
        sinks=(),
    )


def test_a_full_job_makes_the_documented_body() -> None:
    """Every field of the service's own example, in its place and order."""
    parameters: dict[str, JSON] = {
        "resolution": "720P",
        "ratio": "16:9",
        "duration": 0,
        "audio_setting": "auto",
        "prompt_extend": True,
        "watermark": False,
        "seed": 12345,
    }
    prompt = "Replace the coat with the one in the reference picture."
    full = job("video", "reference_image", prompt=prompt, negative_prompt="blurry, low quality", parameters=parameters)

    body = create_body(full, ["https://example.com/in/clip-001.mp4", "https://example.com/in/coat.png"])

    assert body == {
        "model": "wan2.7-videoedit",
        "input": {
            "prompt": prompt,
            "negative_prompt": "blurry, low quality",
            "media": [
                {"type": "video", "url": "https://example.com/in/clip-001.mp4"},
                {"type": "reference_image", "url": "https://example.com/in/coat.png"},
            ],
        },
        "parameters": parameters,
    }


def test_what_the_spec_did_not_set_is_not_sent() -> None:
    """The service's own defaults hold, so they must not be spelt out."""
    body = create_body(
        job("video", prompt="Turn the whole scene into clay animation."), ["https://example.com/in/clip-002.mp4"]
    )

    assert body == {
        "model": "wan2.7-videoedit",
        "input": {
            "prompt": "Turn the whole scene into clay animation.",
            "media": [{"type": "video", "url": "https://example.com/in/clip-002.mp4"}],
        },
    }


def test_a_job_without_a_prompt_sends_none() -> None:
    """Not even an empty one."""
    assert create_body(job("video", prompt=None), ["https://example.com/a.mp4"])["input"] == {
        "media": [{"type": "video", "url": "https://example.com/a.mp4"}]
    }


def test_media_and_urls_must_be_as_many() -> None:
    """A missing URL is our bug and never a body."""
    with pytest.raises(ValueError, match="shorter"):
        create_body(job("video", "reference_image", prompt=None), ["https://example.com/a.mp4"])


@pytest.mark.parametrize(
    ("urls", "needed"),
    [
        (["https://example.com/a.mp4", "data:image/png;base64,AAAA"], False),
        (["https://example.com/a.mp4", "oss://dashscope-instant/x/coat.png"], True),
        (["oss://dashscope-instant/x/a.mp4", "https://example.com/coat.png"], True),
    ],
)
def test_the_service_is_asked_to_resolve_oss_only_when_needed(urls: list[str], needed: bool) -> None:
    """One `oss://` among the media is enough."""
    assert needs_oss_resolve(create_body(job("video", "reference_image", prompt="oss://"), urls)) is needed
