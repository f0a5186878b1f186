"""What `recipe` promises: from facts, limits and a wish what is to be done, in words, and nothing that need not be."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from fitting_parts import FIT, PICTURE, VIDEO, trim

from wanrun.fitting import Recipe, Unfit, recipe_for, trim_of
from wanrun.media import MediaFacts
from wanrun.types import Fitting

CLIP = MediaFacts(kind="video", format="mov", bytes=5_000_000, width=1280, height=720, seconds=8.0, has_audio=True)
COAT = MediaFacts(kind="image", format="png", bytes=100_000, width=800, height=600, alpha=False)
MEGABYTES_200 = 200 * 1024 * 1024


@pytest.mark.parametrize(
    ("change", "wish", "words"),
    [
        pytest.param({}, FIT, "", id="it fits"),
        pytest.param({"seconds": 10.04}, FIT, "", id="a hair too long"),
        pytest.param({"seconds": 34.2}, FIT, "cut to 0-10 s", id="too long"),
        pytest.param({"seconds": None}, FIT, "cut to 0-10 s", id="of unknown length"),
        pytest.param({"seconds": 34.2}, trim(3.5, "12.25"), "cut to 3.5-12.25 s", id="cut"),
        pytest.param({"width": 5000, "height": 2000}, FIT, "scaled to 4096 x 1638", id="too large"),
        pytest.param({"width": 5000, "height": 2000}, trim(0, 3), "cut to 0-3 s", id="only cut"),
        pytest.param(
            {"width": 5000, "height": 300, "seconds": 60},
            trim(5, 9, fit=True),
            "cut to 5-9 s, cropped to 2400 x 300",
            id="cut and cropped",
        ),
        pytest.param(
            {"width": 200, "height": 400, "rotation": 90}, FIT, "scaled to 480 x 240", id="held upright by the camera"
        ),
        pytest.param({"bytes": MEGABYTES_200}, FIT, "written anew", id="too heavy"),
        pytest.param({"width": 1281, "height": 721}, FIT, "", id="odd and right"),
        pytest.param(
            {"width": 1281, "height": 721}, trim(0, 3), "cut to 0-3 s, cropped to 1280 x 720", id="odd and cut"
        ),
        pytest.param({"width": None, "height": None}, FIT, "", id="of unknown size"),
    ],
)
def test_what_is_made_of_a_clip(change: dict[str, Any], wish: Fitting, words: str) -> None:
    """Each limit has its step, and what fits is left as it is."""
    recipe = recipe_for(replace(CLIP, **change), VIDEO, wish)

    assert str(recipe) == words
    assert recipe.is_empty == (words == "")


@pytest.mark.parametrize(
    ("change", "words", "formats"),
    [
        pytest.param({}, "", ("png", "jpeg"), id="it fits"),
        pytest.param({"alpha": True}, "laid on white", ("png", "jpeg"), id="transparent"),
        pytest.param({"width": 100}, "scaled to 240 x 1440", ("png", "jpeg"), id="small"),
        pytest.param({"bytes": MEGABYTES_200, "format": "jpeg"}, "written anew", ("jpeg",), id="heavy"),
        pytest.param({"alpha": True, "width": 9000}, "cropped to 4800 x 600, laid on white", ("png", "jpeg"), id="all"),
    ],
)
def test_what_is_made_of_a_picture(change: dict[str, Any], words: str, formats: tuple[str, ...]) -> None:
    """A picture without loss stays so, if it is light enough then."""
    recipe = recipe_for(replace(COAT, **change), PICTURE, FIT)

    assert (str(recipe), recipe.formats) == (words, formats)


def test_transparency_is_kept_where_it_is_taken() -> None:
    """Not every model refuses it."""
    recipe = recipe_for(replace(COAT, alpha=True), replace(PICTURE, alpha=True), FIT)

    assert recipe.is_empty


@pytest.mark.parametrize(
    ("facts", "wish", "message"),
    [
        pytest.param(CLIP, trim(5, 9), "is 8.0 s long; trim: 5-9 ends behind that", id="behind the end"),
        pytest.param(COAT, trim(0, 3), "is a picture; trim is for videos, so leave trim: 0-3 out", id="a picture"),
    ],
)
def test_what_cannot_be_cut_is_said(facts: MediaFacts, wish: Fitting, message: str) -> None:
    """The words fit behind the file's name."""
    with pytest.raises(Unfit) as caught:
        recipe_for(facts, VIDEO, wish)

    assert str(caught.value) == message


def test_the_facts_of_what_is_made_are_known_before_it_is_made() -> None:
    """Plan and price go by them."""
    facts = replace(CLIP, width=5000, height=2000, seconds=60.0, bytes=MEGABYTES_200, rotation=90)

    made = recipe_for(facts, VIDEO, trim(1, 4, fit=True)).made(facts)

    assert (made.width, made.height, made.seconds, made.rotation) == (1638, 4096, 3.0, 0)
    assert made.bytes <= VIDEO.max_bytes
    assert made.format == "mp4"


def test_a_recipe_survives_the_way_to_the_process() -> None:
    """It goes there as JSON."""
    recipe = recipe_for(replace(CLIP, width=5000, height=300, seconds=60.0), VIDEO, trim(1.5, 4, fit=True))

    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("0-10", "trim=0-10"),
        ("0.0-10.00", "trim=0-10"),
        ("12.5-20", "trim=12.5-20"),
        ("3600-3610.125", "trim=3600-3610.125"),
    ],
)
def test_equal_wishes_have_equal_keys(text: str, key: str) -> None:
    """How a number is spelt makes no other job."""
    assert Fitting(trim_of(text)).key == key


@pytest.mark.parametrize("text", ["", "10", "10-0", "5-5", "-1-3", "0-", "a-b", "00-10", "1e1-3", "0-9999999", "1 - 3"])
def test_what_is_no_span_of_time_is_none(text: str) -> None:
    """Seconds, from and to, and the end behind the beginning."""
    assert trim_of(text) is None
