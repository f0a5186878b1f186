"""The kinds `oss` hold what `wanrun.testing` asks of everybody's sinks and sources."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

import wanrun_plugins.oss
from oss_server import OssServer
from oss_server.server import BUCKET, KEY, REGION
from oss_server.storage import Object, keep
from wanrun.testing import SinkConformance, SourceConformance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from wanrun.types import JSON

SECRETS = {"ID": KEY.id, "SECRET": KEY.secret}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[OssServer]:
    """Object storage with one clip."""
    with OssServer(tmp_path / "oss") as running:
        content = keep([b"a clip"], running.folder)
        running.objects["clips/street.mp4"] = Object(content, content.etag, {}, time.time())
        yield running


@pytest.fixture
def bucket(server: OssServer) -> Mapping[str, JSON]:
    """Return the options of both kinds that lead to the bucket, with a key."""
    key: Mapping[str, JSON] = {"access_key_id": "${{ secret.ID }}", "access_key_secret": "${{ secret.SECRET }}"}
    return {"region": REGION, "bucket": BUCKET, "endpoint": server.url, **key}


class Oss:
    """What the tests of both kinds are about."""

    plugin, kind = wanrun_plugins.oss, "oss"

    @pytest.fixture
    def secrets(self) -> Mapping[str, str]:
        return SECRETS


@pytest.mark.slow
class TestSink(Oss, SinkConformance):
    """Results as objects."""

    @pytest.fixture
    def options(self, bucket: Mapping[str, JSON]) -> Mapping[str, JSON]:
        return bucket

    @pytest.fixture
    def bad_options(self, bucket: Mapping[str, JSON]) -> Sequence[Mapping[str, JSON]]:
        return [{}, {**bucket, "region": "oss-cn-hangzhou"}, {**bucket, "profile": "work"}, {**bucket, "key": "/a.mp4"}]

    @pytest.fixture
    def stored(self, server: OssServer) -> Callable[[str], bytes | None]:
        def read(place: str) -> bytes | None:
            found = server.objects.get(place.removeprefix(f"oss://{BUCKET}/"))
            return found.read() if found else None

        return read


class TestSource(Oss, SourceConformance):
    """Objects as inputs."""

    @pytest.fixture
    def options(self, bucket: Mapping[str, JSON]) -> Mapping[str, JSON]:
        return {**bucket, "key": "clips/street.mp4"}

    @pytest.fixture
    def other_options(self, options: Mapping[str, JSON]) -> Mapping[str, JSON]:
        return {**options, "version": "v2"}

    @pytest.fixture
    def missing_options(self, bucket: Mapping[str, JSON]) -> Mapping[str, JSON]:
        return {**bucket, "key": "clips/gone.mp4"}

    @pytest.fixture
    def bad_options(self, bucket: Mapping[str, JSON]) -> Sequence[Mapping[str, JSON]]:
        return [bucket, {**bucket, "key": ""}, {**bucket, "key": "clips/street.mp4", "security_token": "of an hour"}]
