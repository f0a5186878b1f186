"""What the tests of plugins find around them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from oss_server.server import KEY

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def oss_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key of the object storage in the environment, and nothing else of this machine's."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("OSS_ACCESS_KEY_ID", KEY.id)
    monkeypatch.setenv("OSS_ACCESS_KEY_SECRET", KEY.secret)
    for name in ("OSS_SESSION_TOKEN", "ALIBABA_CLOUD_CREDENTIALS_FILE"):
        monkeypatch.delenv(name, raising=False)
