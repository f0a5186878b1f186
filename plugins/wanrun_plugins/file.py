"""Source `file`: a picture goes into the request while it is small, all else into the service's temporary store."""

from __future__ import annotations

import os
import re
import stat
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING
from urllib.parse import unquote

from wanrun import Fitting, Identity, MediaUrl, SourceError, SourceKind, hookimpl
from wanrun.fitting import TRIM, trim_of
from wanrun.sniff import HEAD_BYTES, described, mime_of

if TYPE_CHECKING:
    from wanrun import MediaRef, PrepareContext
    from wanrun.types import JSON

INLINE_BYTES = 7 * 1024 * 1024  #: of a picture; base64 makes a third more of it, and one data URL may have 10 MiB
CHUNK_BYTES = 1024 * 1024

FILE_URL = re.compile(r"file:(?://(?:localhost)?(?P<path>/.*))?", re.DOTALL)

OPTIONS: dict[str, JSON] = {
    "type": "object",
    "required": ["path"],
    "additionalProperties": False,
    "properties": {
        "path": {
            "type": "string",
            "minLength": 1,
            "description": "The file's path, from the folder of the spec or base where it is written; file:// URLs are "
            "taken too.",
            "examples": ["clips/shot.mp4"],
        },
        "trim": {
            "type": "string",
            "pattern": f"^{TRIM}$",
            "description": "The seconds of a clip to keep, from and to, with decimals if need be: it is cut on this "
            "machine before it is uploaded, and its sound with it.",
            "examples": ["0-10", "12.5-20"],
        },
        "fit": {
            "type": "boolean",
            "description": "Whether a file that exceeds the model's limits is made to fit on this machine, as far as "
            "it is needed: a clip is cut to its first seconds, cropped and scaled, a picture also laid on white. A job "
            "that is done without it is another one with it, and paid again, also where the file fits already.",
            "default": False,
            "examples": [True],
        },
    },
}


class FileSource:
    """A file of this machine."""

    def __init__(self) -> None:
        self._digests = _Digests()

    def locate(self, ref: MediaRef) -> Path:
        """Return the file's path; raises `SourceError` unless it is a file with something in it that can be read."""
        path = _path(ref)
        _entry(path, ref)
        return path

    def fitting(self, ref: MediaRef) -> Fitting | None:
        """Return what is asked to be made of the file; raises `SourceError` for a span of time without a length."""
        trim, fit = ref.options.get("trim"), ref.options.get("fit") is True
        span = trim_of(str(trim)) if trim is not None else None
        if trim is not None and span is None:
            raise SourceError(f"{_named(ref)}: trim: {trim} ends before it begins; give the seconds from and to")
        return Fitting(span, fit) if span or fit else None

    def identify(self, ref: MediaRef) -> Identity:
        """Return the digest of the bytes, read once however many jobs use the file, and what is asked to be made of it.

        Never what is made of it, which another version of PyAV may make in other bytes.
        """
        identity, fitting = self._digests.identity(_path(ref), ref), self.fitting(ref)
        return identity if fitting is None else replace(identity, key=f"{fitting.key}:{identity.key}")

    async def prepare(self, ref: MediaRef, ctx: PrepareContext) -> MediaUrl:
        """Return a `data:` URL for a small picture that is not the video to edit, else upload the file."""
        path = _path(ref)
        identity = ctx.identity  # not read again: what is sent is compared with it
        if (fitting := self.fitting(ref)) is not None:
            made = await ctx.fitted(path)
            if made == path:  # it fits as it is: held against what the plan has seen, as any other file
                identity = replace(identity, key=identity.key.removeprefix(f"{fitting.key}:"))
            else:
                path, identity = made, await ctx.to_thread(self._digests.identity, made, ref)
        if ref.type != "video" and _inlined_length(identity) <= ctx.inline_bytes_left:
            return MediaUrl(await ctx.to_thread(_data_url, path, _named(ref), identity))
        return await ctx.upload(path, key=identity.key, mime=str(identity.mime))


class _Digests:
    """Identities by what the file system says of a file, so that each file is hashed once, in whatever thread."""

    def __init__(self) -> None:
        self._guard = Lock()
        self._known: dict[tuple[object, ...], Identity] = {}
        self._being_read: dict[tuple[object, ...], Lock] = {}

    def identity(self, path: Path, ref: MediaRef) -> Identity:
        entry = _entry(path, ref)
        key = (path, entry.st_dev, entry.st_ino, entry.st_size, entry.st_mtime_ns, entry.st_ctime_ns)
        with self._guard:
            reading = self._being_read.setdefault(key, Lock())
        with reading:
            if key not in self._known:
                self._known[key] = _read_identity(path, _named(ref))
            return self._known[key]


def _named(ref: MediaRef) -> str:
    """Return the path as the spec writes it, for messages."""
    return str(ref.options["path"])


def _path(ref: MediaRef) -> Path:
    """Return the path that a reference names; `~` and variables are not expanded."""
    name = _named(ref)
    match = FILE_URL.match(name)
    if match is not None and not match["path"]:
        raise SourceError(f"{name}: a file URL has three slashes and a full path; for a path from here leave file: out")
    return ref.folder / (unquote(match["path"]) if match else name)


def _entry(path: Path, ref: MediaRef) -> os.stat_result:
    """Return what the file system says of a file with something in it; messages name it as the reference does."""
    name = _named(ref)
    try:
        entry = path.stat()
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise SourceError(f"{name}: no such file ({_hint(name, ref)})") from exc
    except OSError as exc:
        raise _unreadable(name, exc) from exc
    except ValueError as exc:  # NUL, or half of a character
        raise SourceError(f"{name!a}: this cannot be a path") from exc
    if not stat.S_ISREG(entry.st_mode):
        what = "a folder" if stat.S_ISDIR(entry.st_mode) else "not a regular file"
        raise SourceError(f"{name}: this is {what}; name one file")
    if entry.st_size == 0:
        raise SourceError(f"{name}: the file is empty")
    if not os.access(path, os.R_OK):
        raise SourceError(f"{name}: cannot be read; check its permissions")
    return entry


def _hint(name: str, ref: MediaRef) -> str:
    """Say what a path that leads nowhere may have been meant to be."""
    if name.startswith(("~", "$")):
        return "~ and variables are not expanded; write the whole path"
    if set(name) & set("*?["):
        return "for the files of a pattern, write it in a matrix: {glob: ...}"
    if "\\" in name:
        return "the parts of a path stand between slashes: /"
    if name.startswith("www."):
        return "a link starts with https://"
    return f"paths start at the folder of {ref.position.path.name}"  # a spec, or a base of it


def _read_identity(path: Path, name: str) -> Identity:
    digest, size, head = sha256(), 0, b""
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                head = head or chunk[:HEAD_BYTES]
                size += len(chunk)
                digest.update(chunk)
    except OSError as exc:
        raise _unreadable(name, exc) from exc
    mime = mime_of(head)
    if mime is None:
        raise SourceError(f"{name} is {described(path, head)}; use JPEG, PNG, BMP, WEBP, MP4 or MOV")
    return Identity(f"sha256:{digest.hexdigest()}", bytes=size, mime=mime)


def _inlined_length(identity: Identity) -> float:
    """Return how many characters of `data:` URL a file becomes; infinite for what may not become one."""
    mime, size = identity.mime or "", identity.bytes or 0
    if not mime.startswith("image/") or size > INLINE_BYTES:
        return float("inf")
    return len(f"data:{mime};base64,") + 4 * ((size + 2) // 3)


def _data_url(path: Path, name: str, identity: Identity) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(INLINE_BYTES + 1)
    except OSError as exc:
        raise _unreadable(name, exc) from exc
    if f"sha256:{sha256(data).hexdigest()}" != identity.key:
        raise SourceError(f"{name}: the file changed since the plan; run again to submit it as it is now")
    return f"data:{identity.mime};base64,{b64encode(data).decode('ascii')}"


def _unreadable(name: str, exc: OSError) -> SourceError:
    return SourceError(f"{name}: cannot be read ({exc.strerror or exc})")


@hookimpl
def wanrun_sources() -> dict[str, SourceKind]:
    """Offer `file`."""
    return {"file": SourceKind(options=OPTIONS, build=FileSource, short="path", by_content=True)}
