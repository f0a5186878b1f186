"""The key goes to the host made here, so only what the operator clearly asked for becomes one."""

from __future__ import annotations

import pytest

from wanrun.client import Endpoint, endpoint_for
from wanrun.errors import SettingsError


@pytest.mark.parametrize(
    ("region", "workspace", "base", "uploads"),
    [
        ("singapore", None, "dashscope-intl.aliyuncs.com", "dashscope-intl.aliyuncs.com"),
        ("beijing", None, "dashscope.aliyuncs.com", "dashscope.aliyuncs.com"),
        ("singapore", "ws-1", "ws-1.ap-southeast-1.maas.aliyuncs.com", "dashscope-intl.aliyuncs.com"),
        ("beijing", "ws-1", "ws-1.cn-beijing.maas.aliyuncs.com", "dashscope.aliyuncs.com"),
    ],
)
def test_region_and_workspace_make_the_host(region: str, workspace: str | None, base: str, uploads: str) -> None:
    """Workspace hosts take the calls; uploads stay with the region's shared host."""
    endpoint = endpoint_for(region=region, workspace=workspace)

    assert endpoint == Endpoint(f"https://{base}/api/v1", f"https://{uploads}/api/v1", region)


@pytest.mark.parametrize(
    ("given", "base_url"),
    [
        ("http://127.0.0.1:8080/api/v1", "http://127.0.0.1:8080/api/v1"),
        ("http://localhost:8080/api/v1/", "http://localhost:8080/api/v1"),
        ("http://[::1]:8080/api/v1", "http://[::1]:8080/api/v1"),
        ("https://gateway.example.com/wan", "https://gateway.example.com/wan"),
    ],
)
def test_a_base_url_wins_and_serves_uploads_too(given: str, base_url: str) -> None:
    """What the operator wrote in full is used for everything, without its last slash."""
    assert endpoint_for(workspace="ws-1", base_url=given) == Endpoint(base_url, base_url, "singapore")


@pytest.mark.parametrize("workspace", ["", "-a", "a.b", "a/b", "evil.com#", "a" * 65, "ws 1", "ws\n"])
def test_a_workspace_that_would_bend_the_host_is_refused(workspace: str) -> None:
    """Nothing that could end the host's name gets into it."""
    with pytest.raises(SettingsError, match="workspace"):
        endpoint_for(workspace=workspace)


@pytest.mark.parametrize(
    "base_url",
    [
        "",
        "example.com/api/v1",
        "ftp://example.com/api/v1",
        "http://example.com/api/v1",
        "http://127.0.0.1.example.com/api/v1",
        "https://",
        "https://user:hidden@example.com/api/v1",
        "https://example.com/api/v1?token=hidden",
        "https://example.com/api/v1#hidden",
        "https://example.com/api v1",
        "https://example.com\\@evil.com/",
        "https://example.com:port/",
        "https://example.com/\x1b[31m",
    ],
)
def test_an_odd_base_url_is_refused_without_showing_its_secrets(base_url: str) -> None:
    """One clear message, and no password, query or control character in it."""
    with pytest.raises(SettingsError, match="base URL") as caught:
        endpoint_for(base_url=base_url)

    assert "hidden" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_an_unknown_region_is_named_with_those_there_are() -> None:
    """The model is served in two regions only."""
    with pytest.raises(SettingsError, match='region is "frankfurt"; the model is served in beijing and singapore'):
        endpoint_for(region="frankfurt")
