"""What `changes` promises: one clear line for each thing that is not as it was, and nothing secret in what is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from wanrun import Identity, Job, MediaRef, Position
from wanrun.changes import SHOWN_CHARACTERS, changes, facts_of_job
from wanrun.types import SecretName, SecretTemplate

AT = Position(Path("/specs/hero.yaml"), 4, 9)


def medium(type_: str, key: str, kind: str = "file", **options: Any) -> tuple[MediaRef, Identity]:
    return MediaRef(type_, kind, options, AT.path.parent, AT), Identity(key)


def facts(*media: tuple[MediaRef, Identity], **changed: Any) -> dict[str, Any]:
    """Return what is kept of a job, as it comes back from JSON."""
    refs = tuple(ref for ref, _ in media)
    given = {"prompt": "make it night", "negative_prompt": None, "parameters": {"resolution": "720P"}} | changed
    model = given.pop("model", "wan2.7-videoedit")
    job = Job("hero", "shot", AT.path, AT, model, "default", media=refs, sinks=(), **given)
    kept: dict[str, Any] = json.loads(json.dumps(facts_of_job(job, [identity for _, identity in media])))
    return kept


def said(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return [str(change) for change in changes(before, after)]


CLIP = medium("video", "sha256:aa", path="clips/a.mp4")
COAT = medium("reference_image", "sha256:cc", path="coat.png")
LONG = " ".join(f"w{n}" for n in range(40))


@pytest.mark.parametrize(
    ("after", "lines"),
    [
        pytest.param(facts(CLIP), [], id="nothing"),
        pytest.param(
            facts(CLIP, prompt="make it a night in May"),
            ["prompt: make it {+a+} night {+in May+}"],
            id="words that came",
        ),
        pytest.param(facts(CLIP, prompt="make it day"), ["prompt: make it [-night-] {+day+}"], id="another word"),
        pytest.param(facts(CLIP, prompt="make  it night"), ["prompt: only blanks differ"], id="blanks"),
        pytest.param(facts(CLIP, prompt=None), ["prompt: make it night -> (not set)"], id="no prompt"),
        pytest.param(
            facts(CLIP, negative_prompt="people"), ["negative_prompt: (not set) -> people"], id="a negative prompt"
        ),
        pytest.param(
            facts(CLIP, parameters={"resolution": "1080P", "watermark": False}),
            ["parameters.resolution: 720P -> 1080P", "parameters.watermark: (not set) -> false"],
            id="parameters",
        ),
        pytest.param(
            facts(CLIP, parameters={}), ["parameters.resolution: 720P -> (not set)"], id="a parameter that went"
        ),
        pytest.param(facts(CLIP, model="wan9"), ["model: wan2.7-videoedit -> wan9"], id="the model"),
        pytest.param(
            facts(medium("video", "sha256:bb", path="clips/a.mp4")), ["video: clips/a.mp4 has other bytes"], id="bytes"
        ),
        pytest.param(
            facts(medium("video", "sha256:bb", path="clips/b.mp4")), ["video: clips/a.mp4 -> clips/b.mp4"], id="a file"
        ),
        pytest.param(facts(medium("video", "sha256:aa", path="moved/a.mp4")), [], id="a file that was moved"),
        pytest.param(facts(CLIP, COAT), ["reference_image: (not set) -> coat.png"], id="a picture that came"),
        pytest.param(facts(), ["video: clips/a.mp4 -> (not set)"], id="a video that went"),
    ],
)
def test_what_differs_is_one_line_each(after: dict[str, Any], lines: list[str]) -> None:
    """Words of a prompt, parameters and media are told apart; what only moved is no change."""
    assert said(facts(CLIP), after) == lines


def test_the_order_of_media_is_a_change() -> None:
    """It decides the result, so it is said."""
    hat = medium("reference_image", "sha256:dd", path="hat.png")

    assert said(facts(COAT, hat), facts(hat, COAT)) == ["media: coat.png, hat.png -> hat.png, coat.png"]


def test_a_long_prompt_is_shown_around_what_changed() -> None:
    """Three words on each side, and the rest is left out."""
    after = LONG.replace("w10", "ten").replace("w30", "thirty")

    assert said(facts(prompt=LONG), facts(prompt=after)) == [
        "prompt: ... w7 w8 w9 [-w10-] {+ten+} w11 w12 w13 ... w27 w28 w29 [-w30-] {+thirty+} w31 w32 w33 ..."
    ]


def test_a_line_has_an_end() -> None:
    """Five thousand characters of another prompt are not all shown."""
    (line,) = said(facts(prompt="a " * 2000), facts(prompt="b " * 2000))

    assert len(line) == SHOWN_CHARACTERS
    assert line.endswith("...")


def test_nothing_secret_is_kept() -> None:
    """No query of a link, no secret option, no picture's bytes; the name of a data: URL is its type."""
    link = medium("video", "url:https://e.com/a.mp4?token=hush", "http", url="https://me:hush@e.com/a.mp4?token=hush")
    vault = medium("reference_image", "vault:1", "vault", token=SecretTemplate([SecretName("hush")]), id="shelf 1")
    data = medium("reference_image", "sha256:ee", "url", url="data:image/png;base64,hush")

    kept = facts(link, vault, data)

    assert "hush" not in json.dumps(kept)
    names = [each["name"] for each in kept["media"]]
    assert names == ["https://e.com/a.mp4", "shelf 1", "data:image/png;base64,..."]


@pytest.mark.parametrize("before", [{}, {"prompt": "make it night"}, {"media": "odd", "parameters": 7}, {"media": [7]}])
def test_what_an_older_version_did_not_keep_is_left_out(before: dict[str, Any]) -> None:
    """A ledger of any age, or a damaged one, gives no wrong line."""
    assert [line for line in said(before, facts(CLIP)) if not line.startswith("video: (not set)")] == []
