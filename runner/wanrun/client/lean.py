"""Loads httpx without the command line that it brings along: with rich and pygments, a fifth of a run's start."""

from __future__ import annotations

import sys

COMMAND_LINE = "httpx._main"

if "httpx" not in sys.modules:
    sys.modules[COMMAND_LINE] = None  # type: ignore[assignment]  # it cannot be imported, which httpx is ready for
    try:
        import httpx  # noqa: F401  # so that it is there, without
    finally:
        del sys.modules[COMMAND_LINE]
