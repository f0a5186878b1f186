"""A file goes up as it is, or fails with the one whose fault it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest
from client_parts import KEY, client_of, error_of, refused

from wanrun.client import Client, PolicyExpired, UploadPolicy, endpoint_for
from wanrun.errors import JobRefused, KeyRefused, ServiceError, SourceError, Throttled, Unavailable
from wanrun.types import Secret

if TYPE_CHECKING:
    from pathlib import Path


def a_policy(**changes: Any) -> UploadPolicy:
    """Return an upload policy."""
    facts: dict[str, Any] = {
        "fetched_at": 1000.0,
        "expires_in_seconds": 300.0,
        "upload_host": "https://upload.example.com",
        "upload_dir": "dashscope-instant/x",
        "max_file_bytes": 1000,
        "policy": "cG9saWN5",
        "signature": "signature",
        "access_key_id": "access",
        "object_acl": "private",
        "forbid_overwrite": "true",
    }
    return UploadPolicy(**facts | changes)


async def test_the_policy_remembers_when_it_was_asked_for() -> None:
    """Its few minutes count from before the call."""
    data = {
        "policy": "p",
        "signature": "s",
        "upload_dir": "d",
        "upload_host": "https://upload.example.com",
        "expire_in_seconds": 300,
        "max_file_size_mb": 100,
        "oss_access_key_id": "a",
        "x_oss_object_acl": "private",
        "x_oss_forbid_overwrite": "true",
    }
    seen: list[httpx.Request] = []

    async with client_of(httpx.Response(200, json={"data": data}), seen) as client:
        policy = await client.upload_policy("wan2.7-videoedit")

    assert (policy.fetched_at, policy.expires_at) == (1000.0, 1300.0)
    assert seen[0].url == "https://dashscope-intl.aliyuncs.com/api/v1/uploads?action=getPolicy&model=wan2.7-videoedit"


@pytest.mark.parametrize(
    ("answer", "family"),
    [
        (
            httpx.Response(
                403,
                text="<Error><Code>AccessDenied</Code><Message>Invalid according to Policy: Policy expired."
                "</Message><RequestId>5C3D</RequestId></Error>",
            ),
            PolicyExpired,
        ),
        (refused(403, "AccessDenied", "Invalid according to Policy: Policy expired."), PolicyExpired),
        (httpx.Response(403, text="<Error><Code>SignatureDoesNotMatch</Code></Error>"), KeyRefused),
        (httpx.Response(409, text="<Error><Code>FileAlreadyExists</Code></Error>"), JobRefused),
        (refused(429, "Throttling.RateQuota"), Throttled),
        (httpx.Response(503), Unavailable),
        (httpx.Response(307, headers={"Location": "https://elsewhere.example.com/"}), Unavailable),
        (httpx.ReadTimeout("slow"), Unavailable),
    ],
    ids=lambda value: repr(value)[:40],
)
async def test_an_upload_fails_by_family(
    tmp_path: Path, answer: httpx.Response | Exception, family: type[ServiceError]
) -> None:
    """The store answers in XML, the service in JSON; both are understood."""
    (tmp_path / "a.mp4").write_bytes(b"film")

    async with client_of(answer) as client:
        upload = client.upload(a_policy(), tmp_path / "a.mp4", name="a.mp4", mime="video/mp4")
        assert type(await error_of(upload)) is family


@pytest.mark.parametrize(
    ("file", "name", "mime", "match"),
    [
        ("missing.mp4", "a.mp4", "video/mp4", "No such file"),
        ("a.mp4", "../a.mp4", "video/mp4", "cannot be uploaded under the name"),
        ("a.mp4", 'a"\r\nX: y', "video/mp4", "cannot be uploaded under the name"),
        ("a.mp4", "a.mp4", "video/mp4\r\nX: y", "cannot be uploaded"),
        ("large.mp4", "a.mp4", "video/mp4", "1001 bytes, and the service takes uploads up to 1000 bytes"),
        (".", "a.mp4", "video/mp4", "directory"),
    ],
)
async def test_what_cannot_be_uploaded_is_the_sources_error(
    tmp_path: Path, file: str, name: str, mime: str, match: str
) -> None:
    """Nothing is sent, and the message names the file."""
    (tmp_path / "a.mp4").write_bytes(b"film")
    (tmp_path / "large.mp4").write_bytes(b"x" * 1001)
    seen: list[httpx.Request] = []

    async with client_of(httpx.Response(200), seen) as client:
        with pytest.raises(SourceError, match=match) as caught:
            await client.upload(a_policy(), tmp_path / file, name=name, mime=mime)

    assert str(tmp_path / file) in str(caught.value)
    assert not seen


@pytest.mark.parametrize(("then", "match"), [(b"fi", "became shorter"), (b"films", "became longer")])
async def test_a_file_that_changes_size_on_its_way_fails_the_upload(tmp_path: Path, then: bytes, match: str) -> None:
    """A form of another length than announced would confuse whoever reads it."""
    path = tmp_path / "a.mp4"
    path.write_bytes(b"film")

    class Changing(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            path.write_bytes(then)
            await request.aread()
            return httpx.Response(200)

    async with Client(endpoint_for(), Secret(KEY), transport=Changing()) as client:
        with pytest.raises(SourceError, match=match):
            await client.upload(a_policy(), path, name="a.mp4", mime="video/mp4")
