"""What the ledger store `oss` promises: nothing is overwritten, and a lost answer does no harm."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from oss_server import Fault, Key, OssServer
from oss_server.server import BUCKET, REGION
from wanrun import SinkError, WanrunError
from wanrun.registry import load_catalog
from wanrun.testing import LedgerStoreConformance
from wanrun_plugins import oss

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from wanrun import JSON, LedgerStore


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


class TestOss(LedgerStoreConformance):
    """A bucket."""

    plugin, kind = oss, "oss"

    @pytest.fixture
    def options(self, server: OssServer) -> Mapping[str, JSON]:
        return {"region": REGION, "bucket": BUCKET, "endpoint": server.url, "prefix": "a/b/"}

    @pytest.fixture
    def failing_options(self, options: Mapping[str, JSON]) -> Mapping[str, JSON]:
        return {**options, "bucket": "another"}

    @pytest.fixture
    def bad_options(self, options: Mapping[str, JSON]) -> Sequence[Mapping[str, JSON]]:
        return [{**options, "prefix": "/a/"}, {**options, "endpoint": "http://example.com"}, {"bucket": BUCKET}]


def test_it_keeps_to_its_prefix(server: OssServer, tmp_path: Path) -> None:
    """Beside it others may keep what they like."""
    store = opened(server, prefix="a/b/")
    opened(server, prefix="a/c/").create("other", a_file(tmp_path, b"other"))

    store.create("name", a_file(tmp_path, b"mine"))

    assert (store.place(), list(store.names())) == ("oss://results/a/b/", ["name"])
    assert list(server.objects) == ["a/c/other", "a/b/name"]


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


def test_a_disk_that_is_full_is_not_blamed_on_oss(server: OssServer) -> None:
    """What was read has no place here."""
    store = opened(server)
    store.create("name", Path(__file__))

    with pytest.raises(SinkError, match=r"^/dev/full: No space left on device$"):
        store.read("name", Path("/dev/full"))


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
