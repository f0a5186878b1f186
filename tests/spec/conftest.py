"""What the tests of the spec language share: a catalog of small kinds of their own, and a way to load a text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from spec_kinds import build_catalog

from wanrun.spec import Loaded, load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wanrun.catalog import Catalog


@pytest.fixture
def catalog() -> Catalog:
    """A catalog of the tests' own kinds."""
    return build_catalog()


@pytest.fixture
def load_text(tmp_path: Path, catalog: Catalog) -> Callable[[str], Loaded]:
    """A function that loads a text as the spec `hero.yaml` in a folder of its own."""

    def load_it(text: str) -> Loaded:
        path = tmp_path / "hero.yaml"
        path.write_text(text, encoding="utf-8")
        return load([path], catalog=catalog)

    return load_it
