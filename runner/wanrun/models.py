"""The service's models as data: one file of figures each, read from the shipped schemas or offered by a plugin."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from wanrun.types import JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaLimits:
    """What the service takes for one media type; sides in pixels, aspect as the long side over the short one."""

    description: str
    min_count: int
    max_count: int
    formats: tuple[str, ...]
    min_side: int
    max_side: int
    max_aspect: float
    max_bytes: int
    data_url: bool  #: whether a `data:` URL is taken
    alpha: bool = True  #: whether transparency is taken
    min_seconds: float | None = None
    max_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceLimits:
    """What the service allows per account and model; the operator's settings may ask for less."""

    creates_per_second: float
    running_at_once: int
    queued: int
    queries_per_second: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One model of the service."""

    name: str
    description: str
    regions: tuple[str, ...]
    path: str  #: of the create call, below the base URL
    job: Mapping[str, JSON]  #: JSON Schema of prompt, negative_prompt and parameters
    media: Mapping[str, MediaLimits]
    limits: ServiceLimits
    sizes: Mapping[str, Mapping[str, tuple[int, int]]]  #: resolution -> ratio -> width, height
    defaults: Mapping[str, JSON]  #: of the service, where wanrun needs to know one
    prices: tuple[Mapping[str, JSON], ...]

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Model:
        """Build a model from the content of a model file; a missing or odd field raises.

        KeyError, TypeError, ValueError or ArithmeticError, as it comes.
        """
        media = {
            name: MediaLimits(**{**limits, "formats": tuple(limits["formats"])})
            for name, limits in data["media"].items()
        }
        sizes = {
            resolution: {ratio: (int(w), int(h)) for ratio, (w, h) in ratios.items()}
            for resolution, ratios in data["sizes"].items()
        }
        return cls(
            name=data["name"],
            description=data["description"],
            regions=tuple(data["regions"]),
            path=data["path"],
            job=data["job"],
            media=media,
            limits=ServiceLimits(**data["limits"]),
            sizes=sizes,
            defaults=data.get("defaults", {}),
            prices=tuple(_checked_price(price) for price in data["prices"]),
        )


def _checked_price(price: Mapping[str, Any]) -> Mapping[str, JSON]:
    """Return a price as it is, if money can be counted by it: a region, a currency, and amounts above zero."""
    amounts = [Decimal(str(amount)) for amount in price["per_second"].values()]
    if not amounts or not all(amount.is_finite() and amount > 0 for amount in amounts):
        raise ValueError("per_second needs amounts above zero")
    if not (isinstance(price["region"], str) and re.fullmatch("[A-Z]{3}", price["currency"])):
        raise ValueError("a price needs a region and a currency such as CNY")
    return price


def schemas_folder() -> Path:
    """Return where the schemas are: inside the installed package, or at the top of a source checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "schemas"
    return installed if installed.is_dir() else package.parents[1] / "schemas"


def shipped_models() -> Iterator[Model]:
    """Yield the models that come with wanrun, by file name."""
    for path in sorted((schemas_folder() / "models").glob("*.json")):
        yield _read(path)


@cache
def _read(path: Path) -> Model:
    return Model.from_json(json.loads(path.read_text(encoding="utf-8")))
