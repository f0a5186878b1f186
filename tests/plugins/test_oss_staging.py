"""What `[staging.oss]` promises: a file goes into one's own bucket once, and the service reads what was planned."""

from __future__ import annotations

import time
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import fastcrc
import pytest
import requests
from plugin_parts import Lent

from oss_server import Fault, OssServer
from oss_server.server import BUCKET, REGION
from wanrun import SourceError, Staging
from wanrun.errors import ServiceError, Unavailable
from wanrun_plugins.oss import OssSource

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wanrun import MediaUrl, StagedFile

CLIP = b"a clip " * 100_000
DIGEST = sha256(CLIP).hexdigest()
NAME = f"wanrun-staging/{DIGEST}.mp4"
DAY = 24 * 3600


@pytest.fixture
def server(tmp_path: Path, oss_key: None) -> Iterator[OssServer]:
    """Object storage, with its key in the environment."""
    (tmp_path / "clip.mp4").write_bytes(CLIP)
    with OssServer(tmp_path / "oss") as running:
        yield running


def given(server: OssServer, **options: Any) -> dict[str, Any]:
    return {"region": REGION, "bucket": BUCKET, "endpoint": server.url, **options}


async def stage(server: OssServer, folder: Path, **options: Any) -> MediaUrl:
    file = Staging(path=folder / "clip.mp4", key=f"sha256:{DIGEST}", mime="video/mp4", options=given(server, **options))
    return await OssSource().stage(file, Lent())


async def staged(server: OssServer) -> list[StagedFile]:
    return await OssSource().staged(given(server), Lent())


async def unstage(server: OssServer, file: StagedFile) -> bool:
    return await OssSource().unstage(file, given(server), Lent())


def grow_old(server: OssServer, days: float) -> None:
    """Let the objects have been put there some days ago."""
    for name, each in server.objects.items():
        server.objects[name] = replace(each, made_at=time.time() - days * DAY)


async def test_a_file_becomes_an_object_and_a_link(server: OssServer, tmp_path: Path) -> None:
    """Named by its digest, with the type that it has; the link lives two days."""
    media = await stage(server, tmp_path)

    with requests.Session() as session:
        session.trust_env = False
        assert session.get(media.url, timeout=10).content == CLIP
    assert list(server.objects) == [NAME]
    assert server.objects[NAME].headers["Content-Type"] == "video/mp4"
    assert server.objects[NAME].content.crc64 == fastcrc.crc64.xz(CLIP)
    assert media.expires_at == pytest.approx(time.time() + 2 * DAY, abs=60)


async def test_it_is_sent_once(server: OssServer, tmp_path: Path) -> None:
    """Also over runs: the name says what an object holds."""
    await stage(server, tmp_path)
    await stage(server, tmp_path)

    assert [call.operation for call in server.calls] == ["HeadObject", "PutObject", "HeadObject"]


async def test_what_is_some_days_old_is_sent_anew(server: OssServer, tmp_path: Path) -> None:
    """A rule of the bucket that deletes after a week never meets what a job waits for."""
    await stage(server, tmp_path)
    grow_old(server, 4)

    await stage(server, tmp_path)

    assert len(server.done("PutObject")) == 2
    assert server.objects[NAME].made_at > time.time() - 60


async def test_another_object_of_that_name_is_replaced(server: OssServer, tmp_path: Path) -> None:
    """Whatever broke it."""
    await stage(server, tmp_path)
    server.objects[NAME].content.path.write_bytes(b"broken")
    broken = server.objects[NAME].content
    object.__setattr__(broken, "crc64", 1)

    await stage(server, tmp_path)

    assert server.objects[NAME].read() == CLIP


async def test_a_file_that_changed_is_not_handed_over(server: OssServer, tmp_path: Path) -> None:
    """The plan knows other bytes."""
    (tmp_path / "clip.mp4").write_bytes(b"others")

    with pytest.raises(SourceError, match="changed since the plan"):
        await stage(server, tmp_path)

    assert not server.calls


async def test_what_passes_is_waited_for_and_what_does_not_stops(server: OssServer, tmp_path: Path) -> None:
    """A fault of OSS is no failure of a job, and no job can get past a key that may not write."""
    server.faults += [
        Fault("PutObject", "refuse", times=2),
        Fault("PutObject", "refuse", at=3, status=403, code="AccessDenied", message="No right."),
    ]

    with pytest.raises(Unavailable, match="OSS is busy"):
        await stage(server, tmp_path)
    with pytest.raises(ServiceError, match="allow it oss:PutObject and oss:GetObject on oss://results/wanrun-staging/"):
        await stage(server, tmp_path)
    await stage(server, tmp_path, prefix="mine/")

    assert list(server.objects) == [f"mine/{DIGEST}.mp4"]


async def test_a_temporary_key_stages_nothing(
    server: OssServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its links might end in the queue."""
    monkeypatch.setenv("OSS_SESSION_TOKEN", "a token of STS")

    with pytest.raises(ServiceError, match="is a temporary one"):
        await stage(server, tmp_path)


# What is there, and taking it away


async def test_what_was_staged_is_listed(server: OssServer, tmp_path: Path) -> None:
    """With the content that it is, and until when a link to it may be good: two days after it is last handed out."""
    await stage(server, tmp_path)

    (found,) = await staged(server)

    assert (found.name, found.key, found.bytes) == (f"oss://{BUCKET}/{NAME}", f"sha256:{DIGEST}", len(CLIP))
    assert found.until == pytest.approx(time.time() + 5 * DAY, abs=60)


@pytest.mark.parametrize(
    "key",
    [
        "wanrun-staging/holidays.mp4",
        f"wanrun-staging/{DIGEST}.avi",
        f"wanrun-staging/{DIGEST.upper()}.mp4",
        f"wanrun-staging/mine/{DIGEST}.mp4",
        f"wanrun-staging/{DIGEST}.mp4.bak",
        f"wanrun-staging/copy-{DIGEST}.mp4",
        f"{DIGEST}.mp4",
    ],
)
async def test_what_is_not_surely_ours_is_not_listed(server: OssServer, tmp_path: Path, key: str) -> None:
    """A person may keep things below the prefix."""
    await stage(server, tmp_path)
    server.objects[key] = server.objects.pop(NAME)

    assert await staged(server) == []


async def test_what_nobody_needs_is_removed(server: OssServer, tmp_path: Path) -> None:
    """And if it is gone already, that is as good."""
    await stage(server, tmp_path)
    grow_old(server, 6)
    (found,) = await staged(server)

    assert await unstage(server, found)
    assert await unstage(server, found)
    assert server.objects == {}


async def test_what_was_put_there_anew_meanwhile_stays(server: OssServer, tmp_path: Path) -> None:
    """Another machine may have needed it just now; OSS's own clock says how old it is."""
    await stage(server, tmp_path)
    grow_old(server, 6)
    (found,) = await staged(server)
    await stage(server, tmp_path)

    assert not await unstage(server, found)
    assert list(server.objects) == [NAME]


async def test_a_key_that_may_not_clean_is_said(server: OssServer, tmp_path: Path) -> None:
    """With the rights that it takes."""
    await stage(server, tmp_path)
    server.faults.append(Fault("ListObjectsV2", "refuse", status=403, code="AccessDenied", message="No right."))

    with pytest.raises(ServiceError, match="allow it oss:ListObjects, oss:GetObject and oss:DeleteObject on"):
        await staged(server)
