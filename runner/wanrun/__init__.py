"""wanrun: batches of AI video edits as YAML in git. This module is the face for authors of plugins."""

from __future__ import annotations

from wanrun.errors import SinkConflict, SinkError, SourceError, WanrunError
from wanrun.events import Event, EventName
from wanrun.hookspecs import (
    API_VERSION,
    DeliverContext,
    Objection,
    Observer,
    PrepareContext,
    Sink,
    SinkKind,
    Source,
    SourceKind,
    Submission,
    hookimpl,
)
from wanrun.types import (
    Artifact,
    Delivery,
    Fitted,
    Fitting,
    Identity,
    Job,
    MediaRef,
    MediaUrl,
    Position,
    Receipt,
    Secret,
    SinkRef,
    Usage,
)

__all__ = [
    "API_VERSION",
    "Artifact",
    "DeliverContext",
    "Delivery",
    "Event",
    "EventName",
    "Fitted",
    "Fitting",
    "Identity",
    "Job",
    "MediaRef",
    "MediaUrl",
    "Objection",
    "Observer",
    "Position",
    "PrepareContext",
    "Receipt",
    "Secret",
    "Sink",
    "SinkConflict",
    "SinkError",
    "SinkKind",
    "SinkRef",
    "Source",
    "SourceError",
    "SourceKind",
    "Submission",
    "Usage",
    "WanrunError",
    "hookimpl",
]
