"""The sink holds what wanrun asks of every sink."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from wanrun.testing import SinkConformance

import wanrun_plug_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from wanrun import JSON


class TestSink(SinkConformance):
    """Results on a shelf."""

    plugin, kind = wanrun_plug_name, "plug-name"

    @pytest.fixture
    def options(self) -> Mapping[str, JSON]:
        return {"path": "shelf"}

    @pytest.fixture
    def bad_options(self) -> Sequence[Mapping[str, JSON]]:
        return [{"path": ""}, {"path": 5}]

    @pytest.fixture
    def stored(self) -> Callable[[str], bytes | None]:
        def read(place: str) -> bytes | None:
            path = Path(place)
            return path.read_bytes() if path.exists() else None

        return read
