"""What `--emulator` makes of sinks that reach beyond this machine: what they would have done is said, and not done."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from wanrun.hookspecs import Notifier, Sink
from wanrun.types import Receipt

if TYPE_CHECKING:
    from wanrun.catalog import Catalog
    from wanrun.hookspecs import DeliverContext, NotifyContext, SinkKind
    from wanrun.notices import Notice
    from wanrun.types import Delivery, Job, SinkRef


def rehearsed(catalog: Catalog) -> Catalog:
    """Return the catalog with every sink that is not local replaced by its rehearsal."""
    kinds = {name: kind if kind.local else _rehearsed(kind) for name, kind in catalog.sinks.items()}
    return replace(catalog, sinks=kinds)


def _rehearsed(kind: SinkKind) -> SinkKind:
    return replace(kind, build=lambda: _stand_in(kind.build()))


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


class UntoldNotifier:
    """Stands in for a notifier: the core says what it would have been told, and it is not told."""

    async def notify(self, notice: Notice, ctx: NotifyContext) -> None:
        """Do nothing."""


class _UntoldRehearsal(Rehearsal, UntoldNotifier):
    """Stands in for what is both."""
