"""What the sources `http` and `url` promise: handed on unchanged, and equal inputs have equal keys."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from plugin_parts import MEDIA, Lent, media_ref

from wanrun import Identity, SourceError
from wanrun_plugins.file import FileSource
from wanrun_plugins.http import HttpSource, UrlSource

HOME = Path("/specs")
LINK = "https://example.com/in/clip.mp4"


def link(url: str, **more: Any) -> Any:
    return media_ref(HOME, "http", url=url, **more)


@pytest.mark.parametrize(
    "url",
    [
        LINK,
        "http://127.0.0.1:8080/clip.mp4?token=a%20b",
        f"{LINK}?Expires=1&Signature=x%2Fy&OSSAccessKeyId=k#t=2",
        "https://例え.jp/クリップ.mp4",
    ],
)
def test_a_link_is_handed_on_unchanged(url: str) -> None:
    """The signature of a signed link covers every character of it."""
    media = HttpSource().prepare(link(url), Lent())

    assert media.url == url
    assert HttpSource().locate(link(url)) is None


@pytest.mark.parametrize(
    ("url", "key"),
    [
        pytest.param(LINK, LINK, id="plain"),
        pytest.param(f"{LINK}?Expires=17&OSSAccessKeyId=LTAI&Signature=a%2Bb%3D", LINK, id="OSS version 1"),
        pytest.param(f"{LINK}?x-oss-date=1&x-oss-signature=2&X-OSS-Credential=3", LINK, id="OSS version 4"),
        pytest.param(f"{LINK}?X-Amz-Date=1&x-amz-signature=2", LINK, id="S3"),
        pytest.param(f"{LINK}?b=2&security-token=t&a=1", f"{LINK}?b=2&a=1", id="order is kept"),
        pytest.param(f"{LINK}?x-oss-process=video/snapshot", f"{LINK}?x-oss-process=video/snapshot", id="a cut"),
        pytest.param(f"{LINK}?expires=never&versionId=3", f"{LINK}?expires=never&versionId=3", id="other names"),
        pytest.param(f"{LINK}#t=3", LINK, id="fragment"),
    ],
)
def test_signing_makes_no_other_input(url: str, key: str) -> None:
    """A link signed anew is the same input, so nothing is paid for twice."""
    assert HttpSource().identify(link(url)) == Identity(f"url:{key}")


def test_a_key_stands_for_the_link() -> None:
    """With `key` the author says what decides."""
    assert HttpSource().identify(link(LINK, key="shot v3")).key == "url:shot v3"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        pytest.param("https://me:pw@example.com/a.mp4?Signature=s3cr3t", "user or password", id="password"),
        pytest.param("ftp://example.com/a.mp4?Signature=s3cr3t", "not a link", id="scheme"),
        pytest.param("https:///a.mp4?Signature=s3cr3t", "not a link", id="no host"),
        pytest.param("https://[::1/a.mp4?Signature=@s3cr3t", "not a link", id="bad address"),
        pytest.param("https://example.com:port/a.mp4?Signature=s3cr3t", "not a link", id="bad port"),
        pytest.param("https://example.com/a b.mp4?Signature=s3cr3t", "write %20", id="blank"),
        pytest.param("https://example.com/a\nb.mp4?Signature=s3cr3t", "control characters", id="line break"),
    ],
)
def test_a_bad_link_is_refused_without_its_secrets(url: str, message: str) -> None:
    """Messages show neither query nor password, and the check needs no network."""
    with pytest.raises(SourceError, match=message) as raised:
        HttpSource().locate(link(url))

    assert "s3cr3t" not in str(raised.value)
    assert "pw" not in str(raised.value)
    assert "\n" not in str(raised.value)


def passed(url: str) -> Any:
    return media_ref(HOME, "url", "reference_image", url=url)


@pytest.mark.parametrize("url", ["ark_asset_img_0123", "oss://dashscope-instant/x/2026/a.png"])
def test_what_only_the_service_reads_is_handed_on(url: str) -> None:
    """Asset ids and addresses in its temporary store pass as they are."""
    assert UrlSource().identify(passed(url)) == Identity(f"url:{url}")
    assert UrlSource().prepare(passed(url), Lent()).url == url


def test_a_data_url_equals_the_file_it_holds() -> None:
    """The same picture is the same input, written out or named."""
    picture = MEDIA / "clay.png"
    url = f"data:image/png;base64,{b64encode(picture.read_bytes()).decode()}"

    identity = UrlSource().identify(passed(url))

    assert identity == FileSource().identify(media_ref(MEDIA, "file", path="clay.png"))
    assert UrlSource().prepare(passed(url), Lent()).url == url


def test_a_data_url_beyond_what_the_body_may_hold_is_refused() -> None:
    """The core says how much is left; text cannot be uploaded instead."""
    url = f"data:image/png;base64,{b64encode(bytes(90)).decode()}"

    with pytest.raises(SourceError, match="save this picture"):
        UrlSource().prepare(passed(url), Lent(inline_bytes_left=100))


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("data:video/mp4;base64,AAAA", "not a data: URL of a picture"),
        ("data:image/png,AAAA", "not a data: URL of a picture"),
        ("data:image/png;base64,AA=A", "not valid base64"),
        ("data:image/png;base64,AA\nAA", "not valid base64"),
        ("oss://my-bucket/a.mp4", "nothing the service can read"),
        ("gopher://x", "nothing the service can read"),
    ],
)
def test_what_the_service_cannot_read_is_refused(url: str, message: str) -> None:
    """The forms are a closed list."""
    with pytest.raises(SourceError, match=message):
        UrlSource().locate(passed(url))
