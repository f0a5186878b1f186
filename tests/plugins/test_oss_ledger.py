"""What the ledger store `oss` promises: nothing is overwritten, and a lost answer does no harm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from oss_server import Fault, Key, OssServer
from oss_server.server import BUCKET, REGION
from wanrun import SinkError, WanrunError
from wanrun.registry import load_catalog
from wanrun_plugins import oss

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wanrun import LedgerStore


@pytest.fixture
def server(tmp_path: Path, oss_key: None) -> Iterator[OssServer]:
    with OssServer(tmp_path / "oss") as running:
        yield running


def opened(server: OssServer, **options: Any) -> LedgerStore:
    """Build one as the core does."""
    kind = load_catalog(plugins=[oss], entry_points=False).ledger_stores["oss"]
    return kind.build({"region": REGION, "bucket": BUCKET, "endpoint": server.url, **options})


def a_file(folder: Path, data: bytes) -> Path:
    (folder / "file").write_bytes(data)
    return folder / "file"


def test_what_is_created_is_there_and_can_be_removed(server: OssServer, tmp_path: Path) -> None:
    """Under the prefix, next to which others may keep what they like."""
    store = opened(server, prefix="a/b/")

    assert store.place() == "oss://results/a/b/"
    assert store.create("00000001.lock", a_file(tmp_path, b"mine"))
    assert list(server.objects) == ["a/b/00000001.lock"]
    assert list(store.names()) == ["00000001.lock"]
    store.read("00000001.lock", tmp_path / "read")
    assert (tmp_path / "read").read_bytes() == b"mine"
    store.remove("00000001.lock")
    store.remove("00000001.lock")
    assert list(store.names()) == []


def test_nothing_is_overwritten(server: OssServer, tmp_path: Path) -> None:
    """The same bytes once more are success, others are not."""
    store = opened(server)

    assert store.create("name", a_file(tmp_path, b"mine"))
    assert store.create("name", a_file(tmp_path, b"mine"))
    assert not store.create("name", a_file(tmp_path, b"yours"))
    assert server.objects["wanrun-ledger/name"].read() == b"mine"


@pytest.mark.parametrize("does", ["lose", "cut", "refuse"])
def test_a_lost_answer_does_no_harm(server: OssServer, tmp_path: Path, does: Any) -> None:
    """The call is made again by itself, and finds what is its own."""
    server.faults.append(Fault("PutObject", does))

    assert opened(server).create("name", a_file(tmp_path, b"mine"))


def test_a_bucket_that_keeps_versions_is_refused(server: OssServer, tmp_path: Path) -> None:
    """It would let two have the lock."""
    server.buckets[BUCKET].keeps_versions = True

    with pytest.raises(WanrunError, match=r"wanrun-ledger/name: the bucket keeps versions, so two could put") as raised:
        opened(server).create("name", a_file(tmp_path, b"mine"))

    assert raised.value.exit_code == 2


def test_what_was_damaged_on_the_way_is_not_taken(server: OssServer, tmp_path: Path) -> None:
    """Its checksum says so."""
    store = opened(server)
    store.create("name", a_file(tmp_path, b"mine"))
    server.objects["wanrun-ledger/name"].content.path.write_bytes(b"mime")

    with pytest.raises(SinkError, match="another checksum than what was sent"):
        store.read("name", tmp_path / "read")


def test_what_passes_is_told_from_what_a_person_mends(
    server: OssServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the exit code: 3 or 2."""
    said = {}
    cases = {
        "busy": (opened(server), Fault("ListObjectsV2", "refuse", times=2)),
        "no bucket": (opened(server, bucket="another"), None),
        "no endpoint": (opened(server, endpoint="http://127.0.0.1:9"), None),
        "no profile": (opened(server, profile="nobody"), None),
        "wrong key": (opened(server), None),
    }
    for name, (store, fault) in cases.items():
        server.faults[:] = [fault] if fault is not None else []
        if name == "wrong key":
            server.keys[:] = [Key("another", "key")]
        with pytest.raises(WanrunError) as raised:
            store.names()
        said[name] = (int(raised.value.exit_code), str(raised.value))

    assert {name: code for name, (code, _) in said.items()} == {
        "busy": 3,
        "no bucket": 2,
        "no endpoint": 3,
        "no profile": 2,
        "wrong key": 2,
    }
    assert 'there is no bucket "another" at 127.0.0.1' in said["no bucket"][1]
    assert "cannot list the objects: OSS is busy" in said["busy"][1]


def test_an_odd_place_is_refused_as_the_store_is_built(server: OssServer) -> None:
    """Exit code 2, before anything is sent."""
    with pytest.raises(WanrunError, match="an endpoint is https") as raised:
        opened(server, endpoint="http://example.com")

    assert (raised.value.exit_code, server.calls) == (2, [])
