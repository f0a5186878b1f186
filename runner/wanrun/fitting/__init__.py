"""Makes local clips and pictures fit a model: what is to be done is worked out here, and done in a process of its own.

    sizes     the nearest size that the limits allow
    recipe    facts, limits and the spec's wish -> what is to be done; words for it
    command   the same as a command line of ffmpeg
    advice    what a person can do about a file that does not fit
    shelf     what was made, kept below `.wanrun/fitted`; starts the process that makes it
    emptying  what is on the shelf, to be taken away by `wanrun clean`
    child     that process: the one place, besides the emulator, where foreign bytes meet a decoder

Without `child` and what it imports, nothing here needs PyAV or decodes anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wanrun.fitting.command import ffmpeg_line
from wanrun.fitting.emptying import made_in, relied_on, unused
from wanrun.fitting.recipe import TRIM, Recipe, Unfit, recipe_for, trim_of
from wanrun.fitting.shelf import FOLDER_NAME, GivenUp, Shelf, require_media

if TYPE_CHECKING:
    from wanrun.hookspecs import Source
    from wanrun.types import Fitting, MediaRef

__all__ = [
    "FOLDER_NAME",
    "TRIM",
    "GivenUp",
    "Recipe",
    "Shelf",
    "Unfit",
    "ffmpeg_line",
    "fitting_of",
    "made_in",
    "recipe_for",
    "relied_on",
    "require_media",
    "trim_of",
    "unused",
]


def fitting_of(source: Source, ref: MediaRef) -> Fitting | None:
    """Return what a reference asks to be made of its file; None for most, and for sources that know no such thing."""
    asks = getattr(source, "fitting", None)
    return None if asks is None else asks(ref)
