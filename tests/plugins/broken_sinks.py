"""A sink that is as it should be, and others that are that but for one thing each, which their conformance shows.

`test_broken_sinks.py` runs this file with pytest, and says what has to fail.
"""
# ruff: noqa: ASYNC230, ASYNC240  # what is wrong here is wrong on purpose

from __future__ import annotations

import os
import socket
import sys
from contextlib import suppress
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio

from wanrun import Receipt, Secret, SinkConflict, SinkError, SinkKind, hookimpl
from wanrun.testing import SinkConformance

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from wanrun import DeliverContext, Delivery, Job, SinkRef
    from wanrun.types import JSON

CHUNK_BYTES = 256 * 1024


class Good:
    """Keeps results as files, and takes a token as if it needed one."""

    def place(self, sink: SinkRef, job: Job) -> str:
        return str(sink.folder / str(sink.options["path"]) / f"{job.id}.mp4")

    async def deliver(self, delivery: Delivery, ctx: DeliverContext) -> Receipt:
        place, artifact = Path(self.place(delivery.sink, delivery.job)), delivery.artifact
        assert isinstance(delivery.sink.options["token"], Secret)
        await ctx.to_thread(self.put, delivery, place)
        return Receipt(str(place), artifact.bytes, artifact.sha256)

    def put(self, delivery: Delivery, place: Path) -> None:
        part = place.with_suffix(f".{os.getpid()}.part")
        place.parent.mkdir(exist_ok=True)
        there = sha256(place.read_bytes()).hexdigest() if place.exists() else None
        if there == delivery.artifact.sha256:
            return
        if there is not None and there not in delivery.may_replace:
            raise SinkConflict(f"{place} holds other bytes; move them away")
        try:
            if copied(delivery, part) != delivery.artifact.sha256:
                raise SinkError(f"{delivery.artifact.path} is damaged")
            part.replace(place)
        finally:
            part.unlink(missing_ok=True)


def copied(delivery: Delivery, path: Path) -> str:
    """Copy an artifact in pieces and return the digest of what was copied."""
    digest = sha256()
    try:
        with delivery.artifact.path.open("rb") as source, path.open("wb") as target:
            while chunk := source.read(CHUNK_BYTES):
                digest.update(chunk)
                target.write(chunk)
    except OSError as exc:
        raise SinkError(f"{delivery.artifact.path}: {exc.strerror}") from exc
    return digest.hexdigest()


class Overwriting(Good):
    """Takes whatever is at the place for its own."""

    def put(self, delivery: Delivery, place: Path) -> None:
        if place.exists() and sha256(place.read_bytes()).hexdigest() != delivery.artifact.sha256:
            place.unlink()
        super().put(delivery, place)


class Partial(Good):
    """Writes the file at its place, piece by piece."""

    async def deliver(self, delivery: Delivery, ctx: DeliverContext) -> Receipt:
        place, artifact = Path(self.place(delivery.sink, delivery.job)), delivery.artifact
        if (place.exists() and place.stat().st_size == artifact.bytes) or not artifact.path.exists():
            return await super().deliver(delivery, ctx)
        place.parent.mkdir(exist_ok=True)
        digest = sha256()
        with artifact.path.open("rb") as source, place.open("wb") as target:
            while chunk := await ctx.to_thread(source.read, CHUNK_BYTES):
                digest.update(chunk)
                await ctx.to_thread(target.write, chunk)
                target.flush()
        if digest.hexdigest() != artifact.sha256:
            raise SinkError(f"{artifact.path} is damaged")
        return Receipt(str(place), artifact.bytes, artifact.sha256)


class Once(Good):
    """Does not know its own work again."""

    def put(self, delivery: Delivery, place: Path) -> None:
        if place.exists() and not delivery.may_replace:
            raise SinkConflict(f"{place} is taken")
        super().put(delivery, place)


class Stubborn(Good):
    """Goes on when it is cancelled."""

    async def deliver(self, delivery: Delivery, ctx: DeliverContext) -> Receipt:
        with suppress(trio.Cancelled):
            await trio.sleep(0.001)
        with trio.CancelScope(shield=True):
            return await super().deliver(delivery, ctx)


class Leaking(Good):
    """Says how it was let in."""

    async def deliver(self, delivery: Delivery, ctx: DeliverContext) -> Receipt:
        receipt = await super().deliver(delivery, ctx)
        token = delivery.sink.options["token"]
        assert isinstance(token, Secret)
        return Receipt(
            receipt.place, receipt.bytes, receipt.sha256, {"link": f"https://example.com/?t={token.reveal()}"}
        )


class LeakingError(Good):
    """Says how it was let in, when something goes wrong."""

    async def deliver(self, delivery: Delivery, ctx: DeliverContext) -> Receipt:
        token = delivery.sink.options["token"]
        assert isinstance(token, Secret)
        try:
            return await super().deliver(delivery, ctx)
        except SinkConflict:
            raise
        except SinkError as exc:
            raise SinkError(f"https://example.com/?t={token.reveal()} has no such file") from exc


class Hoarding(Good):
    """Reads all of a file before it writes any of it."""

    def put(self, delivery: Delivery, place: Path) -> None:
        if delivery.artifact.path.exists():
            content = delivery.artifact.path.read_bytes()
            assert content
        super().put(delivery, place)


class Lying(Good):
    """Leaves out the end, and does not say so."""

    def put(self, delivery: Delivery, place: Path) -> None:
        new = not place.exists()
        super().put(delivery, place)
        if new:
            with place.open("r+b") as file:
                file.truncate(delivery.artifact.bytes - 1)


class Trusting(Good):
    """Takes the artifact for what it was when it was fetched."""

    def put(self, delivery: Delivery, place: Path) -> None:
        if not place.exists() and delivery.artifact.path.exists():
            place.parent.mkdir(exist_ok=True)
            part = place.with_suffix(f".{os.getpid()}.part")
            copied(delivery, part)
            part.replace(place)
        else:
            super().put(delivery, place)


class Wandering(Good):
    """Names another place each time."""

    numbers = count()

    def place(self, sink: SinkRef, job: Job) -> str:
        return str(sink.folder / str(sink.options["path"]) / f"{job.id}-{next(self.numbers)}.mp4")


class Sharing(Good):
    """Has one unfinished file for all."""

    async def deliver(self, delivery: Delivery, ctx: DeliverContext) -> Receipt:
        place, artifact = Path(self.place(delivery.sink, delivery.job)), delivery.artifact
        part = place.with_name("unfinished.part")
        if not place.exists() and artifact.path.exists():
            await ctx.to_thread(place.parent.mkdir, exist_ok=True)
            if await ctx.to_thread(copied, delivery, part) == artifact.sha256:
                await trio.sleep(0.05)
                await ctx.to_thread(part.replace, place)
        return await super().deliver(delivery, ctx)


class Crowded(Good):
    """Has one place for all."""

    def place(self, sink: SinkRef, job: Job) -> str:
        return str(sink.folder / str(sink.options["path"]) / "result.mp4")


class Calling(Good):
    """Asks around before it names a place."""

    def place(self, sink: SinkRef, job: Job) -> str:
        with socket.socket() as sock:
            sock.settimeout(0.1)
            sock.connect_ex(("127.0.0.1", 9))
        return super().place(sink, job)


KINDS = (
    Good, Overwriting, Partial, Once, Stubborn, Leaking, LeakingError, Hoarding, Lying, Trusting, Wandering, Crowded,
    Calling, Sharing,
)  # fmt: skip
OPTIONS: Any = {
    "type": "object",
    "required": ["path", "token"],
    "additionalProperties": False,
    "properties": {
        "path": {"type": "string", "description": "The folder."},
        "token": {"type": "string", "writeOnly": True, "description": "What opens it."},
    },
}
LENIENT: Any = {key: value for key, value in OPTIONS.items() if key != "additionalProperties"}


@hookimpl
def wanrun_sinks() -> dict[str, SinkKind]:
    """Offer them all, and one that takes any option."""
    kinds = {each.__name__.lower(): SinkKind(options=OPTIONS, build=each) for each in KINDS}
    return {**kinds, "lenient": SinkKind(options=LENIENT, build=Good)}


class Conformance(SinkConformance):
    """As a plugin's own tests have it."""

    plugin = sys.modules[__name__]
    heavy = ()  # this module has tests in it, too

    @pytest.fixture
    def options(self) -> Mapping[str, JSON]:
        return {"path": "out", "token": "Bearer ${{ secret.TOKEN }}"}

    @pytest.fixture
    def stored(self) -> Callable[[str], bytes | None]:
        return lambda place: Path(place).read_bytes() if Path(place).exists() else None


class Quick(Conformance):
    """Without what starts processes."""

    test_killed_at_any_time_it_leaves_nothing_partial = None  # type: ignore[assignment]  # taken out of the tests
    test_a_large_artifact_takes_little_memory = None  # type: ignore[assignment]  # as above
    test_nothing_heavy_is_imported_before_it_is_used = None  # type: ignore[assignment]  # as above


class TestGood(Quick):
    kind = "good"


class TestPartial(Conformance):
    kind = "partial"
    test_a_large_artifact_takes_little_memory = None  # type: ignore[assignment]  # as above


class TestHoarding(Conformance):
    kind = "hoarding"
    test_killed_at_any_time_it_leaves_nothing_partial = None  # type: ignore[assignment]  # as above


class TestOverwriting(Quick):
    kind = "overwriting"


class TestOnce(Quick):
    kind = "once"


class TestStubborn(Quick):
    kind = "stubborn"


class TestLeaking(Quick):
    kind = "leaking"


class TestLeakingError(Quick):
    kind = "leakingerror"


class TestLying(Quick):
    kind = "lying"


class TestTrusting(Quick):
    kind = "trusting"


class TestWandering(Quick):
    kind = "wandering"


class TestCrowded(Quick):
    kind = "crowded"


class TestCalling(Quick):
    kind = "calling"


class TestSharing(Quick):
    kind = "sharing"


class TestHeavy(Conformance):
    kind = "good"
    test_killed_at_any_time_it_leaves_nothing_partial = None  # type: ignore[assignment]  # as above
    test_a_large_artifact_takes_little_memory = None  # type: ignore[assignment]  # as above
    heavy = ("socket",)


class TestLenient(Quick):
    kind = "lenient"


class TestOneOfMany(Quick):
    """Keeps one file where it says that it keeps any number."""

    kind = "good"
    keeps_one_file = False
