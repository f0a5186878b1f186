"""Sharing a result in a channel: asked for an address, sent there, shared; one that is there already is left.

Slack has no way to share a file only once. A result's name in Slack ends in its checksum, so one that a run shared
which died before it could record that is found again, if the app may read files; otherwise it is shared once more.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, BinaryIO

from wanrun import Receipt, SinkError
from wanrun.client.sending import CHUNK_BYTES, Pieces
from wanrun_plugins._slack_answers import SlackRefused

if TYPE_CHECKING:
    from wanrun import Artifact, DeliverContext, Delivery, Secret
    from wanrun_plugins._slack_calls import Calls

MAX_BYTES = 1_000_000_000  #: that Slack takes in one file
START_SECONDS = 60
MIN_BYTES_PER_SECOND = 64 * 1024
LISTED = 200  #: of the latest files of a channel, among which one is looked for
NAME_CHARACTERS = 150
_LIST, _BEGIN, _SHARE = "files.list", "files.getUploadURLExternal", "files.completeUploadExternal"


def seconds_for(artifact: Artifact) -> float:
    """Return how long sharing a file may take."""
    return START_SECONDS + artifact.bytes / MIN_BYTES_PER_SECOND


@dataclass(frozen=True, slots=True)
class Sharing:
    """One result on its way to one channel."""

    calls: Calls
    api: str
    token: Secret
    channel: str
    delivery: Delivery
    ctx: DeliverContext

    async def share(self, place: str) -> Receipt:
        """Share the result, unless it is there, and return where."""
        artifact = self.delivery.artifact
        if artifact.bytes > MAX_BYTES:
            raise SinkError(f"the result has {artifact.bytes} bytes; Slack takes {MAX_BYTES} in a file")
        file = await self._find() or await self._send(artifact)
        details = {name: file[name] for name in ("id", "permalink") if isinstance(file.get(name), str)}
        return Receipt(place, artifact.bytes, artifact.sha256, details)

    @property
    def _name(self) -> str:
        job = self.delivery.job
        return f"{job.spec}-{job.id}"[:NAME_CHARACTERS] + self._mark

    @property
    def _mark(self) -> str:
        """How the names of files with these bytes end, whatever Slack makes of the rest."""
        return f"-{self.delivery.artifact.sha256[:16]}{self.delivery.artifact.suffix}"

    async def _find(self) -> dict[str, Any] | None:
        """Return the file that a run has shared which died then; None if there is none, or the app may not look."""
        try:
            answer = await self._ask(_LIST, channel=self.channel, count=str(LISTED))
        except SlackRefused as exc:
            if exc.code != "missing_scope":
                raise
            return None
        files = answer.get("files")
        found = [file for file in files if self._is_ours(file)] if isinstance(files, list) else []
        return found[0] if found else None

    def _is_ours(self, file: object) -> bool:
        ours = {"title": self.delivery.job.address, "size": self.delivery.artifact.bytes}
        if not isinstance(file, dict) or not ours.items() <= file.items():
            return False
        return str(file.get("name", "")).endswith(self._mark)

    async def _send(self, artifact: Artifact) -> dict[str, Any]:
        given = await self._ask(_BEGIN, filename=self._name, length=str(artifact.bytes))
        url, file = given.get("upload_url"), given.get("file_id")
        if not isinstance(url, str) or not isinstance(file, str):
            raise SinkError("Slack gave no address for the file")
        try:
            opened = await self.ctx.to_thread(artifact.path.open, "rb")
            with opened:
                body = _Body(opened, artifact, self.ctx)
                await self.calls.upload(url, body.again, artifact.bytes)
                body.check()
        except OSError as exc:
            raise SinkError(f"{artifact.path}: {exc.strerror}") from exc
        files = json.dumps([{"id": file, "title": self.delivery.job.address}])
        arguments = {"files": files, "channel_id": self.channel}
        turn = ("chat.postMessage", self.token, self.channel)  # it is a message in the channel, too
        answer = await self.calls.ask(_SHARE, self.api, self.token, arguments, turn=turn)
        shared = answer.get("files")
        return {"id": file} | (shared[0] if isinstance(shared, list) and shared and isinstance(shared[0], dict) else {})

    async def _ask(self, method: str, **arguments: str) -> dict[str, Any]:
        return await self.calls.ask(method, self.api, self.token, arguments)


class _Body(Pieces):
    """The file's bytes, read as fast as the network takes them, and hashed on the way."""

    def __init__(self, file: BinaryIO, artifact: Artifact, ctx: DeliverContext) -> None:
        self._file, self._artifact, self._ctx = file, artifact, ctx
        self._digest, self._left = sha256(), artifact.bytes

    def again(self) -> _Body:
        """Return itself, to be read from the start."""
        self._file.seek(0)
        self._digest, self._left = sha256(), self._artifact.bytes
        return self

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        chunk = await self._ctx.to_thread(self._file.read, min(CHUNK_BYTES, self._left))
        if not chunk:
            raise SinkError(f"{self._artifact.path} became shorter while it was sent")
        self._left -= len(chunk)
        self._digest.update(chunk)
        return chunk

    def check(self) -> None:
        """Raise `SinkError` unless what was sent is the result, whole."""
        if self._left or self._digest.hexdigest() != self._artifact.sha256:
            raise SinkError(f"{self._artifact.path} is not what the service made; it was not shared")
