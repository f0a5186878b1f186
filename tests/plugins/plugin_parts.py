"""What the tests of plugins share: references, jobs, deliveries and the things that the core lends."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import trio

from wanrun import Artifact, Delivery, Identity, Job, MediaRef, MediaUrl, Position, Sandbox, SinkRef, Usage

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

MEDIA = Path(__file__).parents[2] / "specs" / "media"  #: the real files that ship with the project
TEN_MEGABYTES = 10 * 1000 * 1000


@dataclass
class Lent:
    """What the core lends to sources and sinks; uploads are only noted."""

    inline_bytes_left: int = TEN_MEGABYTES
    identity: Identity = field(default_factory=lambda: Identity("sha256:unknown"))
    uploads: list[tuple[Path, str, str]] = field(default_factory=list)

    async def upload(self, path: Path, *, key: str, mime: str) -> MediaUrl:
        self.uploads.append((path, key, mime))
        return MediaUrl(f"oss://dashscope-instant/{path.name}")

    async def fitted(self, path: Path) -> Path:
        raise AssertionError(f"nothing is to be made of {path}")

    async def to_thread(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        return await trio.to_thread.run_sync(lambda: function(*args, **kwargs))


def media_ref(folder: Path, kind: str, type_: str = "video", **options: Any) -> MediaRef:
    return MediaRef(type_, kind, options, folder, Position(folder / "hero.yaml", 4, 9))


def a_job(folder: Path, id_: str = "shot") -> Job:
    return Job(
        spec="hero",
        id=id_,
        spec_path=folder / "hero.yaml",
        position=Position(folder / "hero.yaml", 3, 3),
        model="wan2.7-videoedit",
        provider="default",
        prompt="Ton über alles",
        negative_prompt=None,
        media=(),
        parameters={"resolution": "720P"},
        sinks=(),
    )


def sink_ref(folder: Path, *, sandbox: Sandbox | None = None, **options: Any) -> SinkRef:
    return SinkRef("disk", "folder", options, folder, Position(folder / "hero.yaml", 2, 3), sandbox)


def a_delivery(
    folder: Path, content: bytes = b"a result", *, id_: str = "shot", may_replace: tuple[bytes, ...] = (), **sink: Any
) -> Delivery:
    """Return a delivery of an artifact with this content, which lies in a store below the folder."""
    store = folder / "store"
    store.mkdir(exist_ok=True)
    digest = sha256(content).hexdigest()
    (store / digest).write_bytes(content)
    return Delivery(
        artifact=Artifact(store / digest, digest, len(content), ".mp4"),
        sink=sink_ref(folder, **sink),
        job=a_job(folder, id_),
        fingerprint="f1:0123",
        task_id="task-1",
        usage=Usage(billed_seconds=10.0, input_seconds=5.0, output_seconds=5.0, resolution=720),
        may_replace=frozenset(sha256(old).hexdigest() for old in may_replace),
    )
