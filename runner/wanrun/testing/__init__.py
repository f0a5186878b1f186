"""What the tests of a plugin import: classes that hold it to what wanrun expects of it, and servers to try it against.

    from wanrun.testing import SinkConformance

    class TestShelf(SinkConformance):
        plugin, kind = wanrun_shelf, "shelf"

Fixtures come with `pytest_plugins = ["wanrun.testing.fixtures"]`. Needs pytest; which other plugins of it are
installed is of no matter. The names below are imported when first used, since the processes that these tests start
need but few of them.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from wanrun.errors import MissingExtra

if TYPE_CHECKING:
    from wanrun.testing.artifacts import make_artifact, make_clip
    from wanrun.testing.chat import ChatServer, Post
    from wanrun.testing.emulator import Emulator
    from wanrun.testing.ledger_stores import LedgerStoreConformance
    from wanrun.testing.lent import Lent, Upload
    from wanrun.testing.notifiers import NotifierConformance
    from wanrun.testing.sinks import SinkConformance
    from wanrun.testing.sources import SourceConformance

__all__ = [
    "ChatServer",
    "Emulator",
    "LedgerStoreConformance",
    "Lent",
    "NotifierConformance",
    "Post",
    "SinkConformance",
    "SourceConformance",
    "Upload",
    "make_artifact",
    "make_clip",
]

if find_spec("pytest") is None:
    raise MissingExtra("wanrun.testing is for tests with pytest", extra="testing")

_HOME_OF = {
    "ChatServer": "chat",
    "Emulator": "emulator",
    "LedgerStoreConformance": "ledger_stores",
    "Lent": "lent",
    "NotifierConformance": "notifiers",
    "Post": "chat",
    "SinkConformance": "sinks",
    "SourceConformance": "sources",
    "Upload": "lent",
    "make_artifact": "artifacts",
    "make_clip": "artifacts",
}


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
