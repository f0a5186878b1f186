"""What the calls to OSS promise that no sink or source is needed for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from oss_server import Fault, OssServer
from oss_server.server import BUCKET, KEY, REGION
from wanrun_plugins._oss_client import PAGE_OBJECTS, OssClient, Terms
from wanrun_plugins._oss_keys import AccessKey
from wanrun_plugins._oss_places import beginning
from wanrun_plugins._oss_refusals import KEEPING, Refused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def server(tmp_path: Path) -> Iterator[OssServer]:
    with OssServer(tmp_path / "oss") as running:
        yield running


@pytest.fixture
def below(server: OssServer) -> Iterator[OssClient]:
    """A client of what is below a prefix."""
    place = beginning({"region": REGION, "bucket": BUCKET, "endpoint": server.url, "prefix": "kept/"})
    with OssClient(place, AccessKey(KEY.id, KEY.secret, None, "a test"), KEEPING) as client:
        yield client


def put(client: OssClient, key: str, data: bytes) -> None:
    client.another(key).put(data, Terms(None, {}, forbid_overwrite=True))


def test_what_is_below_a_prefix_is_listed_and_removed(server: OssServer, below: OssClient) -> None:
    """With size and time, in order; what is removed already is no error."""
    put(below, "kept/b", b"12")
    put(below, "kept/a b+%", b"1")
    put(below, "others/a", b"1")

    listed = below.below()

    assert [(each.key, each.bytes) for each in listed] == [("kept/a b+%", 1), ("kept/b", 2)]
    assert listed[1].at == pytest.approx(server.objects["kept/b"].made_at, abs=1)
    below.another("kept/b").remove()
    below.another("kept/b").remove()
    assert list(server.objects) == ["kept/a b+%", "others/a"]


def test_a_long_list_comes_in_pages(server: OssServer, below: OssClient) -> None:
    """None is missing, and none there twice."""
    put(below, "kept/0", b"1")
    made = server.objects["kept/0"]
    server.objects.update({f"kept/{number}": replace(made) for number in range(PAGE_OBJECTS + 1)})

    assert [each.key for each in below.below()] == sorted(server.objects)
    assert len(server.done("ListObjectsV2")) == 2


def test_a_refusal_says_what_to_do(server: OssServer, below: OssClient) -> None:
    """As it does for every call."""
    server.faults.append(Fault("*", "refuse", times=9, status=403, code="AccessDenied"))

    with pytest.raises(Refused, match=r"^oss://results/kept/: cannot list the objects: the key of a test may not do"):
        below.below()
    with pytest.raises(Refused, match=r"^oss://results/kept/a: cannot remove the object: the key of a test may not do"):
        below.another("kept/a").remove()
