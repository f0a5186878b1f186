"""What the tests of fitting share: the limits of the shipped model, jobs on files, and a shelf in a fresh folder."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from wanrun.copies import checksum
from wanrun.fitting import Shelf
from wanrun.models import shipped_models
from wanrun.types import Fitting

if TYPE_CHECKING:
    from pathlib import Path

    from wanrun.models import MediaLimits

LIMITS = next(iter(shipped_models())).media
VIDEO, PICTURE = LIMITS["video"], LIMITS["reference_image"]
FIT = Fitting(fit=True)


def trim(start: float | str, end: float | str, *, fit: bool = False) -> Fitting:
    """Return the wish for these seconds."""
    return Fitting((Decimal(str(start)), Decimal(str(end))), fit)


def key_of(path: Path) -> str:
    """Return the identity of a file's bytes."""
    return f"sha256:{checksum(path)}"


def made(path: Path, fitting: Fitting = FIT, limits: MediaLimits = VIDEO, *, shelf: Path | None = None) -> Path:
    """Return what is made of a file."""
    return Shelf(shelf or path.parent / "fitted").made(path, key_of(path), fitting, limits)
