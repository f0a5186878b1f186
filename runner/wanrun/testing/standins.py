"""A plugin for whatever a job needs besides the kind that is tested: an input, and somewhere for its result."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wanrun.hookspecs import SinkKind, SourceKind, hookimpl
from wanrun.types import Identity, MediaUrl, Receipt

if TYPE_CHECKING:
    from wanrun.hookspecs import DeliverContext, PrepareContext
    from wanrun.types import JSON, Delivery, Job, MediaRef, SinkRef

GIVEN, NOWHERE = "given-by-conformance", "nowhere-of-conformance"

_NAME: dict[str, JSON] = {"type": "string", "description": "What tells it from others."}
OPTIONS: dict[str, JSON] = {"type": "object", "properties": {"name": _NAME}}


class Given:
    """An input that is simply there."""

    def locate(self, ref: MediaRef) -> None:
        """Name no file."""

    def identify(self, ref: MediaRef) -> Identity:
        """Return its name."""
        return Identity(f"url:{ref.options.get('name')}")

    async def prepare(self, ref: MediaRef, ctx: PrepareContext) -> MediaUrl:
        """Return a link that leads nowhere."""
        return MediaUrl("https://example.com/given.mp4")


class Nowhere:
    """Keeps nothing."""

    def place(self, sink: SinkRef, job: Job) -> str:
        """Return a place for each job."""
        return f"nowhere/{job.address}"

    async def deliver(self, delivery: Delivery, ctx: DeliverContext) -> Receipt:
        """Say that it is there."""
        artifact = delivery.artifact
        return Receipt(self.place(delivery.sink, delivery.job), artifact.bytes, artifact.sha256)


@hookimpl
def wanrun_sources() -> dict[str, SourceKind]:
    """Offer the input."""
    return {GIVEN: SourceKind(options=OPTIONS, build=Given, short="name")}


@hookimpl
def wanrun_sinks() -> dict[str, SinkKind]:
    """Offer the place."""
    return {NOWHERE: SinkKind(options=OPTIONS, build=Nowhere)}
