"""The process that makes one file fit: `python -m wanrun.fitting.child ORDER`, started by `shelf` alone.

Foreign bytes meet a decoder here. So it gives up memory, further files and the right to leave core dumps before PyAV
is loaded, and ends when whoever started it does. It prints one line of JSON: the format that it made, or why not.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from wanrun.fitting.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Mapping

MEMORY_BYTES = 4 << 30  #: of address space; 10 bit of 8192 x 4320 with all their references take some two
MEBIBYTE = 1024 * 1024


def main(text: str) -> int:
    """Carry out one order and return the exit code."""
    order = json.loads(text)
    recipe = Recipe.from_json(order["recipe"])
    Thread(target=_end_with_our_parent, daemon=True).start()
    _give_up_rights(recipe)
    try:
        made = _make(Path(order["source"]), Path(order["target"]), recipe)
    except MemoryError:
        return _say({"why": f"it needs more than {MEMORY_BYTES // MEBIBYTE} MB of memory"}, 1)
    except (OSError, ValueError, ArithmeticError, LookupError) as exc:  # PyAV's own errors are among these
        return _say({"why": str(exc) or type(exc).__name__}, 1)
    return _say({"format": made}, 0)


def _end_with_our_parent() -> None:
    """Wait for the end of a pipe that nobody writes to; our parent has the other end."""
    with suppress(OSError):
        os.read(0, 1)
    os._exit(1)


def _give_up_rights(recipe: Recipe) -> None:
    """Bound what this process can use; where the system knows no such bounds, the deadline is all there is."""
    try:
        import resource
    except ImportError:
        return
    bounds = {
        resource.RLIMIT_AS: MEMORY_BYTES,
        resource.RLIMIT_FSIZE: 2 * recipe.max_bytes,  # the index of a video is moved to its front
        resource.RLIMIT_CORE: 0,
    }
    for what, bound in bounds.items():
        with suppress(OSError, ValueError):
            resource.setrlimit(what, (bound, bound))
    with suppress(OSError, AttributeError):
        os.nice(5)


def _make(source: Path, target: Path, recipe: Recipe) -> str:
    """Make the file in the first of its formats that is not too large, and return that format."""
    from wanrun.fitting import films, pictures  # which load PyAV

    for made in recipe.formats or ("",):
        make = films.make if recipe.kind == "video" else pictures.make
        make(source, target, recipe, made)
        if (size := target.stat().st_size) <= recipe.max_bytes:
            return made
    raise ValueError(f"it still has {size / MEBIBYTE:.4g} MB")


def _say(answer: Mapping[str, Any], code: int) -> int:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
