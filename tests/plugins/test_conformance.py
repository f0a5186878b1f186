"""The built-in kinds hold what `wanrun.testing` asks of everybody's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from plugin_parts import MEDIA

import wanrun_plugins.file
import wanrun_plugins.folder
import wanrun_plugins.http
from wanrun.testing import SinkConformance, SourceConformance

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from wanrun.types import JSON


@pytest.mark.slow
class TestFolder(SinkConformance):
    """Results as files of this machine."""

    plugin, kind = wanrun_plugins.folder, "folder"

    @pytest.fixture
    def options(self) -> Mapping[str, JSON]:
        return {"path": "out", "name": "${{ job.id }}.mp4"}

    @pytest.fixture
    def bad_options(self) -> Sequence[Mapping[str, JSON]]:
        return [{"name": "../up.mp4"}, {"name": "run.exe"}, {"path": 5}]

    @pytest.fixture
    def stored(self) -> Callable[[str], bytes | None]:
        def read(place: str) -> bytes | None:
            path = Path(place)
            return path.read_bytes() if path.exists() else None

        return read


class TestFile(SourceConformance):
    """A video of this machine, which is uploaded."""

    plugin, kind = wanrun_plugins.file, "file"

    @pytest.fixture
    def options(self, tmp_path: Path) -> Mapping[str, JSON]:
        (tmp_path / "street.mp4").write_bytes((MEDIA / "street.mp4").read_bytes())
        return {"path": "street.mp4"}

    @pytest.fixture
    def other_options(self, tmp_path: Path) -> Mapping[str, JSON]:
        (tmp_path / "other.mp4").write_bytes((MEDIA / "street.mp4").read_bytes() + b"\0")
        return {"path": "other.mp4"}

    @pytest.fixture
    def missing_options(self) -> Mapping[str, JSON]:
        return {"path": "gone.mp4"}

    @pytest.fixture
    def bad_options(self) -> Sequence[Mapping[str, JSON]]:
        return [{}, {"path": ""}, {"path": "gone.mp4", "trim": "9-3"}]


class TestPicture(TestFile):
    """A picture of this machine, which goes into the request."""

    media = "reference_image"

    @pytest.fixture
    def options(self) -> Mapping[str, JSON]:
        return {"path": str(MEDIA / "clay.png")}

    @pytest.fixture
    def other_options(self) -> Mapping[str, JSON]:
        return {"path": str(MEDIA / "coat.png")}


class TestHttp(SourceConformance):
    """A link."""

    plugin, kind = wanrun_plugins.http, "http"

    @pytest.fixture
    def options(self) -> Mapping[str, JSON]:
        return {"url": "https://example.com/shot.mp4?x-oss-signature=abc"}

    @pytest.fixture
    def other_options(self) -> Mapping[str, JSON]:
        return {"url": "https://example.com/shot-2.mp4"}

    @pytest.fixture
    def bad_options(self) -> Sequence[Mapping[str, JSON]]:
        return [{"url": "ftp://example.com/shot.mp4"}, {"url": "https://me:word@example.com/shot.mp4"}]


class TestUrl(TestHttp):
    """What only the service understands."""

    kind = "url"

    @pytest.fixture
    def options(self) -> Mapping[str, JSON]:
        return {"url": "ark_asset_img_0123"}

    @pytest.fixture
    def other_options(self) -> Mapping[str, JSON]:
        return {"url": "ark_asset_img_0124"}

    @pytest.fixture
    def bad_options(self) -> Sequence[Mapping[str, JSON]]:
        return [{"url": "nothing"}]
