"""What `sizes` promises: a size within the limits, as near to the old one as they allow."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fitting_parts import PICTURE, VIDEO
from hypothesis import given
from hypothesis import strategies as st

from wanrun.fitting.sizes import Size, sizing

SIDES = st.integers(2, 20_000)


@pytest.mark.parametrize(
    ("size", "crop", "scale"),
    [
        pytest.param((5000, 2000), None, (4096, 1638), id="too wide for the service"),
        pytest.param((320, 160), None, (480, 240), id="too small"),
        pytest.param((160, 320), None, (240, 480), id="too small, upright"),
        pytest.param((4000, 300), (2400, 300), None, id="too far from square"),
        pytest.param((4800, 100), (800, 100), (1920, 240), id="too far from square and too small"),
        pytest.param((90_000, 9000), (72_000, 9000), (4096, 512), id="too far from square and too large"),
        pytest.param((641, 239), (640, 238), (646, 240), id="odd"),
    ],
)
def test_as_little_as_possible_is_done(size: Size, crop: Size | None, scale: Size | None) -> None:
    """A side is cropped only for the aspect, and scaling keeps it."""
    found = sizing(size, VIDEO, unit=2)

    assert found is not None
    assert (found.crop, found.scale) == (crop, scale)


@given(SIDES, SIDES, st.sampled_from([1, 2]))
def test_every_size_comes_within_the_limits(width: int, height: int, unit: int) -> None:
    """Whatever the size, the result is allowed, has the sides that the encoder takes, and lies as it did."""
    for limits in (VIDEO, PICTURE):
        found = sizing((width, height), limits, unit=unit)
        assert found is not None
        kept = found.crop or (width, height)
        short, long = sorted(found.scale or kept)
        assert limits.min_side <= short
        assert long <= limits.max_side
        assert long <= limits.max_aspect * short
        assert short % unit == long % unit == 0
        assert kept[0] <= width
        assert kept[1] <= height
        end = found.scale or kept
        assert (end[0] - end[1]) * (width - height) >= 0


def test_limits_that_exclude_each_other_are_noticed() -> None:
    """A model of a plugin may have such; nothing is made then."""
    assert sizing((100, 800), replace(VIDEO, min_side=240, max_side=300, max_aspect=8), unit=2) is None
    assert sizing((1, 800), VIDEO, unit=2) is None
