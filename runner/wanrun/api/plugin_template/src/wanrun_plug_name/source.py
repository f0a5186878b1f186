"""The source: a clip of a library folder, by its name."""

from __future__ import annotations

from hashlib import file_digest
from typing import TYPE_CHECKING

from wanrun import Identity, MediaUrl, SourceError

if TYPE_CHECKING:
    from pathlib import Path

    from wanrun import JSON, MediaRef, PrepareContext

OPTIONS: dict[str, JSON] = {
    "type": "object",
    "required": ["clip"],
    "additionalProperties": False,
    "properties": {
        "clip": {
            "type": "string",
            "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]*$",
            "description": "The clip's name, without .mp4.",
            "examples": ["street"],
        },
        "library": {
            "type": "string",
            "minLength": 1,
            "description": "The folder of clips, from that of the spec.",
            "default": "library",
            "examples": ["library"],
        },
    },
}


class PlugNameSource:
    """Finds a clip, says what it is, and has it uploaded."""

    def locate(self, ref: MediaRef) -> Path:
        """Return the clip's path; raises `SourceError` when it is not there."""
        path = ref.folder / str(ref.options.get("library", "library")) / f"{ref.options['clip']}.mp4"
        if not path.is_file():
            raise SourceError(f"{path}: there is no such clip; put it there, or give another name")
        return path

    def identify(self, ref: MediaRef) -> Identity:
        """Return the digest of the clip's bytes: the same bytes are the same input, wherever they are."""
        path = self.locate(ref)
        try:
            with path.open("rb") as file:
                digest = file_digest(file, "sha256").hexdigest()
        except OSError as exc:
            raise SourceError(f"{path}: cannot be read ({exc.strerror})") from exc
        return Identity(f"sha256:{digest}", bytes=path.stat().st_size, mime="video/mp4")

    async def prepare(self, ref: MediaRef, ctx: PrepareContext) -> MediaUrl:
        """Have the clip uploaded, once however many jobs use it, and return its address."""
        return await ctx.upload(self.locate(ref), key=ctx.identity.key, mime="video/mp4")
