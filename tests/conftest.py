"""Fixtures that several test modules share."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from simulation import Simulation
from wanrun import redaction

if TYPE_CHECKING:
    from collections.abc import Callable


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
