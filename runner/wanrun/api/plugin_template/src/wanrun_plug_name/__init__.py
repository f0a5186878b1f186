"""The hooks: what this plugin offers to wanrun, under which names. What is heavy is imported when a kind is built."""

from __future__ import annotations

from wanrun import SinkKind, SourceKind, hookimpl

from wanrun_plug_name.sink import OPTIONS as SINK_OPTIONS
from wanrun_plug_name.sink import PlugNameSink
from wanrun_plug_name.source import OPTIONS as SOURCE_OPTIONS
from wanrun_plug_name.source import PlugNameSource


@hookimpl
def wanrun_sources() -> dict[str, SourceKind]:
    """Offer `{plug-name: ...}` as an input."""
    kind = SourceKind(options=SOURCE_OPTIONS, build=PlugNameSource, short="clip", by_content=True)
    return {"plug-name": kind}


@hookimpl
def wanrun_sinks() -> dict[str, SinkKind]:
    """Offer `{plug-name: ...}` as a place for results."""
    return {"plug-name": SinkKind(options=SINK_OPTIONS, build=PlugNameSink, short="path", local=True)}
