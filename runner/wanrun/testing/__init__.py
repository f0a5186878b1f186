"""What the tests of a plugin import: classes that hold it to what wanrun expects of it, and servers to try it against.

    from wanrun.testing import SinkConformance

    class TestShelf(SinkConformance):
        plugin, kind = wanrun_shelf, "shelf"

Fixtures come with `pytest_plugins = ["wanrun.testing.fixtures"]`. Needs pytest; which other plugins of it are
installed is of no matter.
"""

from __future__ import annotations

from wanrun.errors import MissingExtra

try:
    import pytest as pytest
except ImportError as exc:
    raise MissingExtra("wanrun.testing is for tests with pytest", extra="testing") from exc

from wanrun.testing.artifacts import make_artifact, make_clip
from wanrun.testing.chat import ChatServer, Post
from wanrun.testing.emulator import Emulator
from wanrun.testing.lent import Lent, Upload
from wanrun.testing.notifiers import NotifierConformance
from wanrun.testing.sinks import SinkConformance
from wanrun.testing.sources import SourceConformance

__all__ = [
    "ChatServer",
    "Emulator",
    "Lent",
    "NotifierConformance",
    "Post",
    "SinkConformance",
    "SourceConformance",
    "Upload",
    "make_artifact",
    "make_clip",
]
