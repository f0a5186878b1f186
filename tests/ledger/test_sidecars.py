"""Whatever a sidecar holds, reading it gives a sidecar or says what is wrong: it may be a stranger's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wanrun.ledger.sidecars import MAX_BYTES, BadSidecar, Rescued, read_sidecar, sidecar_files

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

GOOD: dict[str, Any] = {
    "made_by": "wanrun",
    "sidecar_version": 1,
    "address": "spring/one",
    "spec": "spring",
    "job": "one",
    "provider": "default",
    "model": "wan2.7-videoedit",
    "prompt": "clay",
    "fingerprint": "1:" + "ab" * 32,
    "task_id": "task-1",
    "usage": {"billed_seconds": 4.0, "input_seconds": 2.0, "output_seconds": None, "resolution": 720},
    "sha256": "ab" * 32,
    "bytes": 10,
    "account": "emulator:a-1",
    "spec_path": "../spring.yaml",
    "sink": {"name": "disk", "kind": "folder", "options": {"path": "out"}},
}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def test_a_sidecar_says_what_a_ledger_needs(tmp_path: Path) -> None:
    """Its paths are those of where it is now, so that both may have moved."""
    path = tmp_path / "out" / "one.mp4.json"
    path.parent.mkdir()
    path.write_text(json.dumps(GOOD))

    found = read_sidecar(path)

    assert (found.address, found.result, found.spec_path) == (
        "spring/one",
        tmp_path / "out/one.mp4",
        tmp_path / "spring.yaml",
    )
    assert (found.sink, found.kind, found.options) == ("disk", "folder", {"path": "out"})
    assert found.usage is not None
    assert found.usage.billed_seconds == 4.0


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(key=st.sampled_from([*GOOD, "rescue_version"]), value=VALUES)
def test_one_odd_value_is_taken_or_refused(tmp_path: Path, key: str, value: object) -> None:
    """Nothing else is ever raised, and what is taken can be recorded."""
    path = tmp_path / "one.mp4.json"
    path.write_text(json.dumps(GOOD | {key: value}))

    try:
        found = read_sidecar(path)
    except (BadSidecar, Rescued):
        return

    for text in (found.spec, found.job, found.provider, found.model, found.fingerprint, found.task_id, found.sha256):
        assert text.encode()
    assert 0 < found.bytes < 1 << 50


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(content=st.binary(max_size=200) | VALUES.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_refused(tmp_path: Path, content: bytes) -> None:
    """Never a traceback."""
    path = tmp_path / "one.mp4.json"
    path.write_bytes(content)

    with pytest.raises(BadSidecar):
        read_sidecar(path)


def test_a_huge_file_is_not_read_whole(tmp_path: Path) -> None:
    """It is none of ours."""
    path = tmp_path / "one.mp4.json"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES * 1000)

    with pytest.raises(BadSidecar, match="too large"):
        read_sidecar(path)


def test_every_sidecar_is_found_once_and_links_are_not_followed(tmp_path: Path) -> None:
    """Nor are wanrun's own folder and git's, unless they are named."""
    for name in ("a/x.mp4.json", "a/b/y.mp4.json", "a/.wanrun/z.mp4.json", "a/.git/z.mp4.json", "a/package.json"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "a/loop").symlink_to(tmp_path / "a")

    found = list(sidecar_files([tmp_path / "a", tmp_path / "a/b", tmp_path / "a/.wanrun"]))

    assert [str(path.relative_to(tmp_path)) for path in found] == [
        "a/x.mp4.json",
        "a/b/y.mp4.json",
        "a/.wanrun/z.mp4.json",
    ]


def test_a_folder_that_cannot_be_read_ends_the_search(tmp_path: Path) -> None:
    """What is not seen would be paid for again."""
    with pytest.raises(FileNotFoundError):
        list(sidecar_files([tmp_path, tmp_path / "gone"]))
