"""Fixtures that several test modules share."""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from simulation import Simulation
from wanrun import redaction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(autouse=True)
def secrets_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each test know its own secrets only, or one test's would be cut out of another's texts."""
    monkeypatch.setattr(redaction, "_hidden", set())
    monkeypatch.setattr(redaction, "_forms", [])


@pytest.fixture
def simulate(tmp_path: Path) -> Callable[..., Simulation]:
    """Return a maker of simulations in a fresh folder; a test that uses it takes `autojump_clock` too."""

    def make(**options: Any) -> Simulation:
        return Simulation(tmp_path, **options)

    return make


@pytest.fixture
def install_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Install a distribution with one module and its entry point, as pip would: both are on the path."""
    site, modules = tmp_path / "site", []

    def install(name: str, code: str, *, module: str, entry_point: str, version: str = "1.2") -> None:
        info = site / f"{name}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"{entry_point}\n")
        (site / f"{module}.py").write_text(dedent(code))
        modules.append(module)
        monkeypatch.syspath_prepend(str(site))

    yield install
    for module in modules:
        sys.modules.pop(module, None)
