"""Putting a file into the service's temporary store: one form, streamed from disk and hashed on its way."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import stat
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, Protocol, TypeVar

import trio

from wanrun.client.reading import read_answer, read_json
from wanrun.client.refusals import BROKEN, Answer, Call, no_answer, refusal, too_late
from wanrun.client.sending import CHUNK_BYTES, Pieces
from wanrun.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wanrun.client.policy import UploadPolicy
    from wanrun.client.sending import Http

T = TypeVar("T")

MIN_BYTES_PER_SECOND = 16 * 1024  #: on the whole; slower than this, an upload is given up
GRACE_SECONDS = 60.0  #: on top of the time at the slowest speed

_UPLOAD = Call("upload")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_MIME = re.compile(r"[A-Za-z0-9.+-]{1,60}/[A-Za-z0-9.+-]{1,60}")


class ThreadRunner(Protocol):
    """Runs a blocking function outside the event loop; passed in, so that virtual time can do without threads."""

    async def __call__(self, function: Callable[[], T], /) -> T:
        """Return what the function returns."""
        ...


@dataclass(frozen=True, slots=True)
class Upload:
    """A file in the service's temporary store."""

    url: str  #: `oss://...`, for a create with the same model
    sha256: str  #: of the bytes that were sent
    bytes: int


async def upload_file(
    http: Http, policy: UploadPolicy, path: Path, *, name: str, mime: str, in_thread: ThreadRunner
) -> Upload:
    """Send one file, see `Client.upload`."""
    if not _NAME.fullmatch(name) or not _MIME.fullmatch(mime):
        raise SourceError(f"{path}: cannot be uploaded under the name {name!a} as {mime!a}")
    key = f"{policy.upload_dir}/{name}"
    file = await _opened(path, in_thread)
    try:
        size = _checked_size(path, file, policy)
        form = _Form(path, file, size, fields=_fields(policy, key, mime), name=name, mime=mime, in_thread=in_thread)
        await _send(http, policy, form)
    finally:
        file.close()
    return Upload(f"oss://{key}", form.sha256, size)


async def _opened(path: Path, in_thread: ThreadRunner) -> BinaryIO:
    try:
        return await in_thread(partial(open, path, "rb", buffering=0))  # type: ignore[arg-type]  # raw is binary too
    except OSError as exc:
        raise SourceError(f"{path}: cannot be read for its upload: {exc.strerror}") from exc


def _checked_size(path: Path, file: BinaryIO, policy: UploadPolicy) -> int:
    entry = os.fstat(file.fileno())
    if not stat.S_ISREG(entry.st_mode):
        raise SourceError(f"{path}: is no file that can be uploaded")
    most = policy.max_file_bytes
    if most is not None and entry.st_size > most:
        raise SourceError(f"{path}: {entry.st_size} bytes, and the service takes uploads up to {most} bytes")
    return entry.st_size


def _fields(policy: UploadPolicy, key: str, mime: str) -> list[tuple[str, str]]:
    return [
        ("OSSAccessKeyId", policy.access_key_id),
        ("Signature", policy.signature),
        ("policy", policy.policy),
        ("x-oss-object-acl", policy.object_acl),
        ("x-oss-forbid-overwrite", policy.forbid_overwrite),
        ("key", key),
        ("success_action_status", "200"),
        ("x-oss-content-type", mime),
    ]


class _Form(Pieces):
    """The form's bytes, once: the fields, then the file as its last part, read as fast as the network takes it."""

    def __init__(
        self,
        path: Path,
        file: BinaryIO,
        size: int,
        *,
        fields: list[tuple[str, str]],
        name: str,
        mime: str,
        in_thread: ThreadRunner,
    ) -> None:
        self._path, self._file, self._left, self._in_thread = path, file, size, in_thread
        boundary = secrets.token_hex(16)
        self._head = _head(fields, boundary, name, mime)
        self._tail = f"\r\n--{boundary}--\r\n".encode()
        self._digest = hashlib.sha256()
        self.content_type = f"multipart/form-data; boundary={boundary}"
        self.length = len(self._head) + size + len(self._tail)
        self.file_bytes = size

    @property
    def sha256(self) -> str:
        """Of the bytes sent so far, in hexadecimal."""
        return self._digest.hexdigest()

    @property
    def sent(self) -> bool:
        """Whether all of it has been asked for."""
        return not self._tail

    async def __anext__(self) -> bytes:
        if self._head:
            head, self._head = self._head, b""
            return head
        if self._left:
            return await self._from_file()
        if self._tail:
            await self._expect_end()
            tail, self._tail = self._tail, b""
            return tail
        raise StopAsyncIteration

    async def _from_file(self) -> bytes:
        chunk = await self._read(min(CHUNK_BYTES, self._left))
        if not chunk:
            raise SourceError(f"{self._path}: became shorter while it was uploaded")
        self._left -= len(chunk)
        self._digest.update(chunk)
        return chunk

    async def _expect_end(self) -> None:
        if await self._read(1):
            raise SourceError(f"{self._path}: became longer while it was uploaded")

    async def _read(self, most: int) -> bytes:
        try:
            return await self._in_thread(partial(self._file.read, most))
        except OSError as exc:  # not to be taken for a broken connection
            raise SourceError(f"{self._path}: cannot be read for its upload: {exc.strerror}") from exc


def _head(fields: list[tuple[str, str]], boundary: str, name: str, mime: str) -> bytes:
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n' for key, value in fields
    ]
    disposition = f'Content-Disposition: form-data; name="file"; filename="{name}"'
    return f"{''.join(parts)}--{boundary}\r\n{disposition}\r\nContent-Type: {mime}\r\n\r\n".encode()


async def _send(http: Http, policy: UploadPolicy, form: _Form) -> None:
    url, seconds = policy.upload_host, GRACE_SECONDS + form.file_bytes / MIN_BYTES_PER_SECOND
    broken: Exception | None = None
    with trio.move_on_after(seconds):
        try:
            answer = await _answer(http, url, form)
        except BROKEN as exc:
            broken = exc
        else:
            if answer.ok and form.sent:
                return
            raise refusal(_UPLOAD, answer, problem="it came before the whole file was sent" if answer.ok else "")
    if broken is None:
        raise too_late(_UPLOAD, seconds, url=url, request_id=None)
    raise no_answer(_UPLOAD, broken, url=url, secrets=(policy.signature, policy.policy))


async def _answer(http: Http, url: str, form: _Form) -> Answer:
    headers = {"Content-Type": form.content_type, "Content-Length": str(form.length)}
    request = http.request("POST", url, headers=headers, content=form)
    response = await http.send(request)
    text = (await read_answer(response)).decode("utf-8", "replace")
    return Answer(response.status_code, read_store_error(text) or read_json(text), text)


def read_store_error(text: str) -> dict[str, object] | None:
    """Return code, message and request id of the store's XML error; None for any other text.

    Found by their tags, without an XML parser: three short texts are not worth the attacks that one must withstand.
    """
    names = {"code": "Code", "message": "Message", "request_id": "RequestId"}
    found = {name: re.search(rf"<{tag}>([^<]{{1,500}})</{tag}>", text) for name, tag in names.items()}
    return {name: match[1] for name, match in found.items() if match} or None
