"""What is to be made of one file so that a model takes it: from its facts, the model's limits and the spec's wish.

Pure, and the same for the same three: plan, sidecar and the process that does it all go by what stands here.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Self

from wanrun.fitting.sizes import Size, sizing

if TYPE_CHECKING:
    from wanrun.media import MediaFacts
    from wanrun.models import MediaLimits
    from wanrun.types import Fitting

TOLERANCE_SECONDS = 0.05  #: a sound frame or a rounding more or less is left to the service

_NUMBER = r"((?:0|[1-9][0-9]{0,5})(?:\.[0-9]{1,3})?)"
TRIM = f"{_NUMBER}-{_NUMBER}"  #: `trim` as a spec writes it: seconds, from and to
_VIDEO_UNIT = 2  #: pixels; sides that the encoder takes are even


class Unfit(ValueError):
    """What the spec asks for cannot be made of this file; the text fits behind the file's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What is to be done to one file, step by step in this order; nothing where no step is given."""

    kind: str  #: video or image
    cut: tuple[float, float] | None = None  #: seconds, from and to
    crop: Size | None = None  #: of the middle that is kept, as it is shown: turned upright
    scale: Size | None = None
    white: bool = False  #: transparent parts become white
    anew: bool = False  #: written anew even if nothing else is to be done
    formats: tuple[str, ...] = ()  #: to write, the first one that stays below the bytes
    max_bytes: int = 0
    min_seconds: float | None = None
    max_seconds: float | None = None

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Return the recipe that `to_json` wrote."""
        pairs = {name: tuple(data[name]) for name in ("cut", "crop", "scale", "formats") if data[name] is not None}
        return cls(**{**data, **pairs})

    def to_json(self) -> dict[str, Any]:
        """Return the recipe as JSON, for the process that carries it out."""
        return asdict(self)

    @property
    def is_empty(self) -> bool:
        """Whether the file is taken as it is."""
        return not (self.cut or self.crop or self.scale or self.white or self.anew)

    def __str__(self) -> str:
        """Say what is done, as one clause: `cut to 0-10 s, scaled to 4096 x 2304`."""
        steps = [f"cut to {self.span} s"] if self.cut else []
        steps += [f"cropped to {self.crop[0]} x {self.crop[1]}"] if self.crop else []
        steps += [f"scaled to {self.scale[0]} x {self.scale[1]}"] if self.scale else []
        steps += ["laid on white"] if self.white else []
        return ", ".join(steps) or ("written anew" if self.anew else "")

    @property
    def span(self) -> str:
        """The seconds to keep as a spec writes them: `0-10`."""
        return "-".join(f"{each:.3f}".rstrip("0").rstrip(".") for each in self.cut or ())

    def made(self, facts: MediaFacts) -> MediaFacts:
        """Return the facts of what is made of a file with these facts."""
        if self.is_empty:
            return facts
        width, height = self.scale or self.crop or _shown(facts) or (None, None)
        seconds = facts.seconds if self.cut is None else self.cut[1] - self.cut[0]
        return replace(
            facts,
            format=self.formats[0] if self.formats else facts.format,
            bytes=min(facts.bytes, self.max_bytes),
            width=width,
            height=height,
            seconds=seconds,
            alpha=facts.alpha and not self.white,
            rotation=0,
        )


def trim_of(text: str) -> tuple[Decimal, Decimal] | None:
    """Return the seconds of `0-10`, or None for what is no span of time or an empty one."""
    found = re.fullmatch(TRIM, text)
    span = (Decimal(found[1]), Decimal(found[2])) if found else None
    return span if span is not None and span[0] < span[1] else None


def recipe_for(facts: MediaFacts, limits: MediaLimits, fitting: Fitting) -> Recipe:
    """Return what a spec's wish comes to for one file; raises `Unfit`.

    What is wrong with the result, such as a length that no cutting mends, is not judged here.
    """
    if fitting.trim and facts.kind != "video":
        raise Unfit(f"is a picture; trim is for videos, so leave trim: {_written(fitting)} out")
    recipe = Recipe(
        kind=facts.kind,
        cut=_cut(facts, limits, fitting),
        formats=tuple(each for each in _written_formats(facts) if each in limits.formats),
        max_bytes=limits.max_bytes,
        min_seconds=limits.min_seconds,
        max_seconds=limits.max_seconds,
    )
    if fitting.fit:
        recipe = _within(recipe, facts, limits)
    if facts.kind == "video" and not recipe.is_empty and recipe.crop is None and recipe.scale is None:
        recipe = replace(recipe, crop=_even(facts))
    return recipe


def _written_formats(facts: MediaFacts) -> tuple[str, ...]:
    if facts.kind == "video":
        return ("mp4",)
    return ("jpeg",) if facts.format == "jpeg" else ("png", "jpeg")  # what was never lossy stays so, if it may


def _written(fitting: Fitting) -> str:
    return replace(fitting, fit=False).key.removeprefix("trim=")


def _cut(facts: MediaFacts, limits: MediaLimits, fitting: Fitting) -> tuple[float, float] | None:
    """Return the seconds to keep: those that are asked for, or with `fit` the first ones of a clip that is too long."""
    length = facts.seconds
    if fitting.trim:
        start, end = map(float, fitting.trim)
        if length is not None and end > length + TOLERANCE_SECONDS:
            raise Unfit(f"is {length:.1f} s long; trim: {_written(fitting)} ends behind that")
        return start, end
    most = limits.max_seconds
    if facts.kind == "video" and fitting.fit and most is not None and (length is None or _is_longer(length, most)):
        return 0.0, most
    return None


def _is_longer(seconds: float, most: float) -> bool:
    return seconds > most + TOLERANCE_SECONDS


def _within(recipe: Recipe, facts: MediaFacts, limits: MediaLimits) -> Recipe:
    """Add the steps that bring size, weight, format and transparency within the limits."""
    size, is_video = _shown(facts), facts.kind == "video"
    if size is not None and not _fits(size, limits):
        sized = sizing(size, limits, unit=_VIDEO_UNIT if is_video else 1)
        if sized is not None:
            recipe = replace(recipe, crop=sized.crop, scale=sized.scale)
    white = bool(facts.alpha) and not limits.alpha
    return replace(recipe, white=white, anew=facts.bytes > limits.max_bytes or facts.format not in limits.formats)


def _fits(size: Size, limits: MediaLimits) -> bool:
    short, long = sorted(size)
    return limits.min_side <= short and long <= limits.max_side and long <= limits.max_aspect * short


def _shown(facts: MediaFacts) -> Size | None:
    """Return the size of the picture as it is shown, which is not as it is coded where it is to be turned."""
    if facts.width is None or facts.height is None:
        return None
    return (facts.height, facts.width) if facts.rotation % 180 else (facts.width, facts.height)


def _even(facts: MediaFacts) -> Size | None:
    """Return the even size that an encoder takes of an odd one."""
    size = _shown(facts)
    even = (size[0] // 2 * 2, size[1] // 2 * 2) if size else None
    return even if even != size else None
