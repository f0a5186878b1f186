"""A recipe as a command line of ffmpeg, for people who would rather do it themselves."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wanrun.fitting.recipe import Recipe

Filter = tuple[str, str]  #: name, arguments

QUALITY = "18"  #: crf: nobody sees a difference to the original
BITS_PART = 0.8  #: of the bytes that a model takes, how many the pictures may need


def ffmpeg_line(recipe: Recipe, source: str, target: str) -> str:
    """Return the command line that makes of a video what the recipe says; ffmpeg turns it upright by itself."""
    words = ["ffmpeg"]
    if recipe.cut:
        start, end = recipe.cut
        words += ["-ss", f"{start:g}"] if start else []
        words += ["-t", f"{round(end - start, 3):g}"]
    words += ["-i", _not_an_option(source)]
    if filters := size_filters(recipe):
        words += ["-vf", ",".join(f"{name}={arguments}" for name, arguments in filters)]
    words += ["-c:v", "libx264", "-crf", QUALITY]
    if recipe.anew and (rate := most_bits(recipe)):
        words += ["-maxrate", str(rate), "-bufsize", str(rate)]
    words += ["-pix_fmt", "yuv420p", "-c:a", "aac", "-movflags", "+faststart", _not_an_option(target)]
    return shlex.join(words)


def size_filters(recipe: Recipe) -> list[Filter]:
    """Return the filters that crop to the middle and scale, as ffmpeg and PyAV understand them."""
    filters: list[Filter] = []
    if recipe.crop:
        filters.append(("crop", f"{recipe.crop[0]}:{recipe.crop[1]}"))
    if recipe.scale:
        filters.append(("scale", f"{recipe.scale[0]}:{recipe.scale[1]}"))
    return filters


def most_bits(recipe: Recipe) -> int | None:
    """Return the bits a second that keep a video below its most bytes, where its length is bounded."""
    if recipe.max_seconds is None:
        return None
    seconds = recipe.cut[1] - recipe.cut[0] if recipe.cut else recipe.max_seconds
    return int(recipe.max_bytes * 8 * BITS_PART / max(seconds, 1.0))


def _not_an_option(path: str) -> str:
    return f"./{path}" if path.startswith("-") else path
