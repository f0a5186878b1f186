"""What the core lends to a plugin while it works, for tests: uploads are checked and noted, and go nowhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from hashlib import file_digest
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import trio

from wanrun.errors import SourceError
from wanrun.types import Identity, MediaUrl

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

P = ParamSpec("P")
T = TypeVar("T")

INLINE_BYTES = 10 * 1024 * 1024
NOTIFY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that a source has had uploaded."""

    path: Path
    key: str
    mime: str


@dataclass
class Lent:
    """Stands in for `PrepareContext`, `DeliverContext` and `NotifyContext`."""

    identity: Identity = field(default_factory=lambda: Identity("sha256:unknown"))
    inline_bytes_left: int = INLINE_BYTES
    seconds: float = NOTIFY_SECONDS
    remembered: str | None = None
    uploads: list[Upload] = field(default_factory=list)

    async def upload(self, path: Path, *, key: str, mime: str) -> MediaUrl:
        """Note the file, once its bytes are those of the key, which is what the core holds them against too."""
        digest = await self.to_thread(_digest, path)
        if key.rpartition(":")[2] != digest:
            raise SourceError(f"{path}: its bytes are not those of the key {key}")
        self.uploads.append(Upload(path, key, mime))
        return MediaUrl(f"oss://dashscope-instant/conformance/{digest}{path.suffix}")

    async def fitted(self, path: Path) -> Path:
        """Return the file itself, as the core does for one that fits already."""
        await trio.lowlevel.checkpoint()
        return path

    def remember(self, text: str) -> None:
        """Keep a text, which `remembered` is from here on."""
        self.remembered = text

    async def to_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking function in a thread; as in a run, a cancelled caller waits for it."""
        return await trio.to_thread.run_sync(partial(function, *args, **kwargs))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
