"""What the source `oss` promises: a link that the service can read for long enough, to an object that is there."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
import requests
from plugin_parts import Lent, media_ref

from oss_server import Fault, Key, OssServer
from oss_server.server import BUCKET, REGION
from oss_server.storage import Object, keep
from wanrun import Secret, SourceError
from wanrun.types import SecretTemplate
from wanrun_plugins.oss import OssSource

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wanrun import MediaRef, MediaUrl

DAY = 24 * 3600


@pytest.fixture
def server(tmp_path: Path, oss_key: None) -> Iterator[OssServer]:
    """Object storage with one clip, and its key in the environment."""
    with OssServer(tmp_path / "oss") as running:
        content = keep([b"a clip"], running.folder)
        running.objects["clips/a b.mp4"] = Object(content, content.etag, {}, time.time())
        yield running


def clip(folder: Path, **options: Any) -> MediaRef:
    return media_ref(folder, "oss", **{"region": REGION, "bucket": BUCKET, "key": "clips/a b.mp4", **options})


async def prepare(ref: MediaRef) -> MediaUrl:
    return await OssSource().prepare(ref, Lent())


def read(url: str) -> tuple[int, bytes]:
    with requests.Session() as session:
        session.trust_env = False
        reply = session.get(url, timeout=10)
        return reply.status_code, reply.content


async def test_an_object_becomes_a_link_that_outlives_the_queue(server: OssServer, tmp_path: Path) -> None:
    """Two days, since a task ends within one; asking for it sends nothing of the object."""
    media = await prepare(clip(tmp_path, endpoint=server.url))

    server.now = lambda: time.time() + 1.9 * DAY
    assert read(media.url) == (200, b"a clip")
    server.now = lambda: time.time() + 2.1 * DAY
    assert read(media.url)[0] == 403
    assert media.expires_at == pytest.approx(time.time() + 2 * DAY, abs=60)
    assert [call.operation for call in server.calls[:1]] == ["HeadObject"]


def test_an_object_is_the_same_input_however_one_gets_to_it(tmp_path: Path) -> None:
    """Neither endpoint nor key decide; another version is another input."""
    source = OssSource()
    secret = {"access_key_id": SecretTemplate(["x"]), "access_key_secret": SecretTemplate(["y"])}

    assert source.identify(clip(tmp_path)).key == "oss:results/clips/a b.mp4"
    assert source.identify(clip(tmp_path, endpoint="internal", **secret)) == source.identify(clip(tmp_path))
    assert source.identify(clip(tmp_path, version="v2")).key == "oss:results/clips/a b.mp4@v2"
    assert source.locate(clip(tmp_path)) is None


async def test_a_version_is_signed_for(server: OssServer, tmp_path: Path) -> None:
    """Nobody can turn the link into one to another version."""
    media = await prepare(clip(tmp_path, endpoint=server.url, version="v2"))

    assert read(media.url)[0] == 200
    assert server.calls[0].query["versionId"] == "v2"
    assert read(media.url.replace("versionId=v2", "versionId=v1"))[0] == 403


async def test_the_key_may_come_from_the_options(server: OssServer, tmp_path: Path) -> None:
    """As secrets do."""
    server.keys[:] = [Key("another", "with its secret")]
    own = {"access_key_id": Secret("another"), "access_key_secret": Secret("with its secret")}

    media = await prepare(clip(tmp_path, endpoint=server.url, **own))

    assert read(media.url)[0] == 200


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"key": "none.mp4"}, "oss://results/none.mp4: there is no such object; nothing was paid for this job"),
        ({"bucket": "none"}, 'there is no bucket "none" at 127.0.0.1'),
        ({"region": "cn-beijing"}, "127.0.0.1 is not in the region cn-beijing; correct region or endpoint"),
    ],
)
async def test_what_is_not_there_is_said_before_anything_is_paid(
    server: OssServer, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    """The job fails, and its siblings go on."""
    with pytest.raises(SourceError) as caught:
        await prepare(clip(tmp_path, **{"endpoint": server.url, **options}))

    assert message in str(caught.value)


async def test_a_key_that_may_not_read_is_said(server: OssServer, tmp_path: Path) -> None:
    """With what to allow it, and how to go on."""
    server.faults.append(Fault("HeadObject", "refuse", status=403, code="AccessDenied", message="No right."))

    with pytest.raises(SourceError) as caught:
        await prepare(clip(tmp_path, endpoint=server.url))

    assert str(caught.value).startswith(
        "oss://results/clips/a b.mp4: cannot look at the object: the key of OSS_ACCESS_KEY_ID may not do this; allow "
        "it oss:GetObject on oss://results/clips/a b.mp4 and run again with --retry-failed; nothing was paid for "
        "this job (403 AccessDenied"
    )


async def test_where_oss_does_not_answer_us_the_service_may_try(server: OssServer, tmp_path: Path) -> None:
    """A link needs no network, and a fault of a minute fails no job."""
    server.faults.append(Fault("HeadObject", "refuse", times=2))

    media = await prepare(clip(tmp_path, endpoint=server.url))

    assert read(media.url)[0] == 200
    assert (await prepare(clip(tmp_path, endpoint="http://127.0.0.1:9"))).url.startswith("http://127.0.0.1:9/results/")


async def test_a_temporary_key_signs_no_link(
    server: OssServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would end while the job waits."""
    monkeypatch.setenv("OSS_SESSION_TOKEN", "a token of STS")

    with pytest.raises(SourceError, match="is a temporary one") as caught:
        await prepare(clip(tmp_path, endpoint=server.url))

    assert "a token" not in str(caught.value)
    assert not server.calls


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"key": "../a.mp4"}, "write a key's parts between single slashes"),
        ({"endpoint": "http://oss-cn-hangzhou.aliyuncs.com"}, "an endpoint is https"),
        ({"access_key_id": SecretTemplate(["x"])}, "access_key_id needs access_key_secret beside it"),
    ],
)
def test_options_that_lead_nowhere_are_refused(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    """At `validate`, without network or key."""
    with pytest.raises(SourceError, match=message):
        OssSource().locate(clip(tmp_path, **options))
