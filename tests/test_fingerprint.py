"""The canonical form never changes: the values below were computed once, and a done job must stay one for ever."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wanrun.fingerprint import digest, fingerprint, options_digest, prompt_key
from wanrun.types import Identity, Job, MediaRef, Position, SinkRef

if TYPE_CHECKING:
    from wanrun.types import JSON

HERE = Position(Path("/home/me/specs/spring.yaml"), 7, 5)
SINK = SinkRef("disk", "folder", {"path": "out"}, Path("/home/me/specs"), HERE)
SHA = "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"


def media(kind: str, **options: JSON) -> MediaRef:
    """Return a reference of one media type."""
    return MediaRef(kind, "file", options, Path("/home/me/specs"), HERE)


JOB = Job(
    spec="spring",
    id="coat",
    spec_path=Path("/home/me/specs/spring.yaml"),
    position=HERE,
    model="wan2.7-videoedit",
    provider="default",
    prompt="Замени пальто на пальто с картинки. 换衣服 🧥",
    negative_prompt="blurry",
    media=(media("video", path="clip.mp4"), media("reference_image", path="coat.png")),
    parameters={"resolution": "720P", "duration": 5, "watermark": False, "seed": 7},
    sinks=(SINK,),
)
IDENTITIES = (Identity(SHA, bytes=3, mime="video/mp4"), Identity("url:https://example.com/coat.png"))
BARE = replace(JOB, prompt=None, negative_prompt=None, media=JOB.media[:1], parameters={})

GOLDEN = {
    "full": (JOB, IDENTITIES, "1:a19bcecee9cfa2c65065726a62fad8ee8c19e37873adc965bd7a44b91568bd2e"),
    "bare": (BARE, IDENTITIES[:1], "1:21671bfbdb521a7ebbdb2aec58b251f46546e7bfd82f06f16b9727de74c847b7"),
}


@pytest.mark.parametrize(("job", "identities", "expected"), GOLDEN.values(), ids=list(GOLDEN))
def test_the_golden_fingerprints_hold(job: Job, identities: tuple[Identity, ...], expected: str) -> None:
    """If this fails, every user would pay for every job again: change the code, not the value."""
    assert fingerprint(job, identities) == expected


def test_the_golden_digests_hold() -> None:
    """Deliveries and prompts are found again by these; a change would deliver everything anew."""
    assert options_digest(SINK, "out/coat.mp4") == "98c1b1dd6601d014e27f8ee42a6113ab0549990d571509f41c2c1c379821da20"
    assert prompt_key(JOB) == "3990df8d8acbef58804cabaa7ffe01bf9a12c5cc3f49a0539f73b84d7e207c4f"
    assert digest({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


DECIDES: dict[str, dict[str, Any]] = {
    "model": {"model": "wan2.7-other"},
    "prompt": {"prompt": "other"},
    "no prompt": {"prompt": None},
    "empty prompt": {"prompt": ""},
    "negative prompt": {"negative_prompt": None},
    "a parameter": {"parameters": {**JOB.parameters, "seed": 8}},
    "a parameter less": {"parameters": {"resolution": "720P"}},
    "type of a parameter": {"parameters": {**JOB.parameters, "watermark": 0}},
    "media type": {"media": (media("first_clip"), JOB.media[1])},
}


@pytest.mark.parametrize("change", DECIDES.values(), ids=list(DECIDES))
def test_what_decides_the_result_is_in_it(change: dict[str, Any]) -> None:
    """Another model, other words, other parameters or media are another job."""
    assert fingerprint(replace(JOB, **change), IDENTITIES) != fingerprint(JOB, IDENTITIES)


def test_the_bytes_and_the_order_of_media_are_in_it() -> None:
    """Other inputs, or the same ones in another order, are another job."""
    prints = {
        fingerprint(JOB, IDENTITIES),
        fingerprint(JOB, (Identity("sha256:other"), IDENTITIES[1])),
        fingerprint(JOB, IDENTITIES[::-1]),
    }

    assert len(prints) == 3


DOES_NOT: dict[str, dict[str, Any]] = {
    "id": {"id": "jacket"},
    "spec": {"spec": "summer", "spec_path": Path("/elsewhere/summer.yaml")},
    "position": {"position": Position(Path("/x.yaml"), 1, 1)},
    "provider": {"provider": "lab"},
    "sinks": {"sinks": ()},
    "paths and kinds of sources": {"media": (media("video", url="https://a"), media("reference_image", data="x"))},
    "order of parameters": {"parameters": dict(reversed(JOB.parameters.items()))},
    "whole numbers written with a point": {"parameters": {**JOB.parameters, "duration": 5.0, "seed": 7.0}},
}


@pytest.mark.parametrize("change", DOES_NOT.values(), ids=list(DOES_NOT))
def test_what_does_not_decide_the_result_is_not_in_it(change: dict[str, Any]) -> None:
    """Names, places and ways of writing may change without paying again."""
    assert fingerprint(replace(JOB, **change), IDENTITIES) == fingerprint(JOB, IDENTITIES)


def test_what_is_known_of_the_bytes_is_not_in_it() -> None:
    """Size and MIME type follow from the bytes, or are guesses; only the key counts."""
    plain = tuple(Identity(each.key) for each in IDENTITIES)

    assert fingerprint(JOB, plain) == fingerprint(JOB, IDENTITIES)


def test_a_lost_surrogate_in_a_name_does_not_break_it() -> None:
    """A file name that is no UTF-8 reaches the options of a source or sink."""
    assert digest({"name": "\udc80"}) != digest({"name": "\udc81"})


def test_creates_are_told_apart_by_what_the_service_keeps_of_the_prompt() -> None:
    """Of two prompts that differ after 5000 characters the service echoes the same, so their keys are the same."""
    long = "ж" * 5000

    assert prompt_key(replace(JOB, prompt=long + "a")) == prompt_key(replace(JOB, prompt=long + "b"))
    assert prompt_key(replace(JOB, prompt=long)) != prompt_key(replace(JOB, prompt=long[:-1]))
    assert prompt_key(replace(JOB, model="other")) != prompt_key(JOB)


def test_a_destination_is_its_kind_options_and_place() -> None:
    """Renaming a sink delivers nothing again; a new path does."""
    known = options_digest(SINK, "out/coat.mp4")

    assert options_digest(replace(SINK, name="other"), "out/coat.mp4") == known
    assert options_digest(SINK, "out/other.mp4") != known
    assert options_digest(replace(SINK, options={"path": "elsewhere"}), "out/coat.mp4") != known
    assert options_digest(replace(SINK, kind="bucket"), "out/coat.mp4") != known


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.text(max_size=3), values, max_size=4))
def test_the_order_of_keys_never_counts(value: dict[str, Any]) -> None:
    """Whatever JSON it is, a mapping has one digest."""
    assert digest(value) == digest(dict(reversed(value.items())))
