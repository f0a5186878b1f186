"""A ledger on a real file."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from ledger_parts import Book


@pytest.fixture
def book(tmp_path: Path) -> Book:
    """Return a ledger file that does not exist yet."""
    return Book(tmp_path / "state" / "ledger.db")
