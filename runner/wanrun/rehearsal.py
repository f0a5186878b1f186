"""What `--emulator` makes of sinks that reach beyond this machine: they say what they would have done."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from wanrun.types import Receipt

if TYPE_CHECKING:
    from wanrun.catalog import Catalog
    from wanrun.hookspecs import DeliverContext, Sink, SinkKind
    from wanrun.types import Delivery, Job, SinkRef


def rehearsed(catalog: Catalog) -> Catalog:
    """Return the catalog with every sink that is not local replaced by its rehearsal."""
    kinds = {name: kind if kind.local else _rehearsed(kind) for name, kind in catalog.sinks.items()}
    return replace(catalog, sinks=kinds)


def _rehearsed(kind: SinkKind) -> SinkKind:
    return replace(kind, build=lambda: Rehearsal(kind.build()))


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
