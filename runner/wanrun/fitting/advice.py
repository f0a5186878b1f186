"""What a person can do about a file that does not fit: the options that make it fit, and a command line of ffmpeg."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from wanrun.fitting.command import ffmpeg_line
from wanrun.fitting.recipe import Recipe, Unfit, recipe_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from wanrun.media import MediaFacts
    from wanrun.models import MediaLimits
    from wanrun.types import Fitting

ENDING = ".fit.mp4"  #: of what the command line makes
SHARED = " (it is for all that is made of this line: jobs that are done become other ones by it, and are paid again)"


@dataclass(frozen=True, slots=True)
class Wish:
    """A file that does not fit, and what a spec asks to be made of it so far."""

    path: Path
    facts: MediaFacts
    limits: MediaLimits
    fitting: Fitting
    can_fit: bool  #: whether its source has the option
    is_shared: bool = False  #: whether what stands there is for other combinations or rows too


def advice_for(wish: Wish, is_right: Callable[[MediaFacts], bool]) -> str:
    """Return what would mend a file, as the end of a sentence; empty where nothing here would.

    `is_right` says whether a model takes a file with such facts.
    """
    if wish.fitting.fit:
        return ""
    try:
        recipe = recipe_for(wish.facts, wish.limits, replace(wish.fitting, fit=True))
    except Unfit:
        return ""
    if recipe.is_empty or not is_right(recipe.made(wish.facts)):
        return ""
    options = (
        [f"write {missing_options(recipe, wish.fitting)} beside its path to have it {recipe}{SHARED * wish.is_shared}"]
        if wish.can_fit
        else []
    )
    lines = [f"run: {ffmpeg_line(recipe, *_paths(wish.path))}"] if recipe.kind == "video" else []
    return ", or ".join([*options, *lines])


def conversion(path: Path, problem: str, limits: MediaLimits) -> str:
    """Return how a video of a format that is not taken becomes one that is; empty where the problem is another."""
    if "is video/" not in problem or "mp4" not in limits.formats:
        return ""
    return f"run: {ffmpeg_line(Recipe(kind='video'), *_paths(path))}"


def missing_options(recipe: Recipe, fitting: Fitting) -> str:
    """Return the options that a spec lacks: `trim: 0-10, fit: true`."""
    is_cut = recipe.cut is not None and fitting.trim is None
    rest = replace(recipe, cut=None) if is_cut else recipe
    trim = [f"trim: {recipe.span}"] if is_cut else []
    return ", ".join([*trim, *([] if rest.is_empty else ["fit: true"])])


def _paths(path: Path) -> tuple[str, str]:
    """Return how a shell calls a file, and the one to make of it, from the working directory."""
    try:
        source = os.fspath(path.absolute().relative_to(Path.cwd()))
    except (ValueError, OSError):
        source = os.fspath(path)
    return source, os.fspath(Path(source).with_suffix(ENDING))
