"""The source holds what wanrun asks of every source."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from wanrun.testing import SourceConformance, make_clip

import wanrun_plug_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from wanrun import JSON


class TestSource(SourceConformance):
    """Clips of a library."""

    plugin, kind = wanrun_plug_name, "plug-name"

    @pytest.fixture
    def options(self, tmp_path: Path) -> Mapping[str, JSON]:
        make_clip(tmp_path / "library" / "street.mp4")
        return {"clip": "street"}

    @pytest.fixture
    def other_options(self, tmp_path: Path) -> Mapping[str, JSON]:
        make_clip(tmp_path / "library" / "park.mp4", number=1)
        return {"clip": "park", "library": "library"}

    @pytest.fixture
    def missing_options(self) -> Mapping[str, JSON]:
        return {"clip": "gone"}

    @pytest.fixture
    def bad_options(self) -> Sequence[Mapping[str, JSON]]:
        return [{}, {"clip": "../street"}, {"clip": "gone"}]
