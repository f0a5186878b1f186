"""The official SDK against the emulator: emulators for a test, and an environment with the oldest SDK."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from referee_parts import NO_PROXY, OLDEST, Served, emulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

INSTALL_SECONDS = 80  #: less than pytest's own patience, so that a slow registry fails one test and not the run


@pytest.fixture(autouse=True)
def quiet_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the SDK from the developer's own settings, and from any proxy."""
    for name in [name for name in os.environ if name.startswith("DASHSCOPE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, value in NO_PROXY.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def open_emulator(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Return a function that serves an account until the test ends: `open_emulator(*faults, **settings)`."""
    with ExitStack() as open_ones:
        number = 0

        def open_one(*faults: dict[str, Any], **settings: Any) -> Served:
            nonlocal number
            number += 1
            return open_ones.enter_context(emulator(tmp_path / f"emulator-{number}", *faults, **settings))

        yield open_one


@pytest.fixture(scope="session")
def oldest_python(pytestconfig: pytest.Config) -> Path:
    """Return the Python of an environment with the oldest SDK, made once and kept in pytest's cache folder."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    folder = pytestconfig.cache.mkdir(f"dashscope-{OLDEST}-python-{python}")
    program = folder / "env" / "bin" / "python"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # other workers of this test run want it too
        if not (folder / "ready").exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", "--without-pip", folder / "env"], check=True)
            install = [sys.executable, "-m", "pip", "--python", program, "install", f"dashscope=={OLDEST}"]
            subprocess.run([*install, "--quiet", "--disable-pip-version-check"], check=True, timeout=INSTALL_SECONDS)
            (folder / "ready").touch()
    return program
