"""What `--emulator` makes of sinks and sources that reach beyond this machine.

What a sink would have done is said, and not done; a source gives a link that leads nowhere, for which the emulator has
a clip of its own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from wanrun.hookspecs import Notifier, Sink
from wanrun.types import MediaUrl, Receipt

if TYPE_CHECKING:
    from pathlib import Path

    from wanrun.catalog import Catalog
    from wanrun.hookspecs import DeliverContext, NotifyContext, PrepareContext, SinkKind, Source, SourceKind
    from wanrun.notices import Notice
    from wanrun.types import Delivery, Identity, Job, MediaRef, SinkRef


def rehearsed(catalog: Catalog) -> Catalog:
    """Return the catalog with every sink that is not local, and every remote source, replaced by its rehearsal."""
    sinks = {name: kind if kind.local else _rehearsed(kind) for name, kind in catalog.sinks.items()}
    sources = {name: _unread(kind) if kind.remote else kind for name, kind in catalog.sources.items()}
    return replace(catalog, sinks=sinks, sources=sources)


def _rehearsed(kind: SinkKind) -> SinkKind:
    return replace(kind, build=lambda: _stand_in(kind.build()))


def is_unread(catalog: Catalog, kind: str) -> bool:
    """Say whether a kind of source asks nobody in this run, so that it has no use for its secrets."""
    return kind in catalog.sources and isinstance(catalog.source(kind), UnreadSource)


def _unread(kind: SourceKind) -> SourceKind:
    return replace(kind, build=lambda: UnreadSource(kind.build()))


def _stand_in(made: Sink | Notifier) -> Sink | Notifier:
    if not isinstance(made, Sink):
        return UntoldNotifier()
    return _UntoldRehearsal(made) if isinstance(made, Notifier) else Rehearsal(made)


class Rehearsal:
    """Stands in for a sink: names the same place, delivers nothing."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def place(self, sink: SinkRef, job: Job) -> str:
        """Name the sink's place as a rehearsal, so that a real delivery to it is still due afterwards."""
        return f"rehearsal of {self._sink.place(sink, job)}"

    async def deliver(self, delivery: Delivery, ctx: DeliverContext) -> Receipt:
        """Return a receipt that says what would have been delivered where."""
        artifact = delivery.artifact
        place = self.place(delivery.sink, delivery.job)
        return Receipt(place, artifact.bytes, artifact.sha256, {"rehearsed": True})


class UnreadSource:
    """Stands in for a remote source: names the same input, and asks nobody for it."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def locate(self, ref: MediaRef) -> Path | None:
        """As the source itself, which needs no network for it."""
        return self._source.locate(ref)

    def identify(self, ref: MediaRef) -> Identity:
        """As the source itself."""
        return self._source.identify(ref)

    async def prepare(self, ref: MediaRef, ctx: PrepareContext) -> MediaUrl:
        """Return a link that leads nowhere."""
        return MediaUrl(f"https://{ref.kind}.invalid/")


class UntoldNotifier:
    """Stands in for a notifier: the core says what it would have been told, and it is not told."""

    async def notify(self, notice: Notice, ctx: NotifyContext) -> None:
        """Do nothing."""


class _UntoldRehearsal(Rehearsal, UntoldNotifier):
    """Stands in for what is both."""
