"""One artifact on its way to one object: in one piece if it is small, else in parts, of which none is sent twice.

What is under way is noted beside the artifact before it is begun, so that a run that is killed at any instant leaves
the next one what it needs to go on, and nothing in the bucket that nobody knows of.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import quote

import fastcrc

from wanrun import Link, Receipt, SinkConflict, SinkError
from wanrun_plugins._oss_client import CRC64, SHA256, Found, Kept, OssClient, Terms
from wanrun_plugins._oss_notes import Note, Noted
from wanrun_plugins._oss_places import own_metadata
from wanrun_plugins._oss_refusals import EXISTS, Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from wanrun import Artifact, Delivery
    from wanrun.types import JSON

PART_BYTES = 8 * 1024 * 1024  #: of each part, and of what is sent in one piece; so much of a file is in memory
SKEW_SECONDS = 15 * 60  #: between this machine's clock and that of OSS, which takes no requests beyond it


class Upload:
    """One delivery; each method is one step that blocks, and a step that failed can be made again by a new upload."""

    def __init__(self, client: OssClient, delivery: Delivery) -> None:
        self._client, self._delivery = client, delivery
        self._artifact = delivery.artifact
        self._note = Note(delivery.artifact.path.parent, str(client.place))
        self._id: str | None = None
        self._etags: dict[int, str] = {}
        self._kept: Kept | None = None

    def begin(self) -> list[int]:
        """Look what is there, and return the numbers of the parts that are still to be sent, if it is sent in parts."""
        self._survey = _surveyed(self._artifact)
        found = self._client.look()
        if found is not None and self._is_ours(found):
            self._kept = Kept(found.crc64)
            self._give_up_what_was_begun()
            return []
        if found is not None and found.sha256 not in self._delivery.may_replace:
            self._give_up_what_was_begun()
            raise self._conflict(found)
        self._terms = self._terms_of(replaces=found is not None)
        if self._artifact.bytes <= PART_BYTES:
            self._give_up_what_was_begun()
            return []
        self._go_on_or_begin()
        return [number for number in range(1, len(self._survey.parts) + 1) if number not in self._etags]

    def send(self, number: int) -> None:
        """Send one part."""
        assert self._id is not None
        self._etags[number] = self._client.send(self._id, number, self._read(number))

    def finish(self) -> Receipt:
        """Make it an object, unless it is one already, and return the receipt."""
        if self._kept is None:
            self._kept = self._unless_it_exists(self._complete if self._id else self._put)
            self._check(self._kept)
            self._note.remove()
        place, link = str(self._client.place), self._link()
        return Receipt(place, self._artifact.bytes, self._artifact.sha256, self._details(), link)

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    # What is at the place

    def _is_ours(self, found: Found) -> bool:
        """Say whether the same bytes are there."""
        same = found.bytes == self._artifact.bytes and found.crc64 == self._survey.crc64
        return same and found.sha256 in (None, self._artifact.sha256)

    def _conflict(self, found: Found) -> SinkConflict:
        whose = f"sha256 {found.sha256[:12]}" if found.sha256 else f"{found.bytes} bytes, not from wanrun"
        return SinkConflict(
            f"{self._client.place} holds another object ({whose}) than the result of {self._delivery.job.address} "
            f"(sha256 {self._artifact.sha256[:12]}); move it away or give the job another key, then run again"
        )

    def _unless_it_exists(self, step: Callable[[], Kept]) -> Kept:
        """Make a last step; when OSS says that it was made already, look whether that is so."""
        try:
            return step()
        except Refused as exc:
            if exc.code not in EXISTS and exc.code != "NoSuchUpload":
                raise
            found = self._client.look()
            if found is not None and self._is_ours(found):  # our own reply was lost, or an equal one came first
                self._give_up_what_was_begun()
                return Kept(found.crc64)
            if exc.code == "NoSuchUpload":
                self._note.remove()
                raise SinkError(
                    f"{self._client.place}: somebody has aborted the upload; it starts over, the artifact is kept"
                ) from None
            self._give_up_what_was_begun()
            raise (exc if found is None else self._conflict(found)) from None

    def _check(self, kept: Kept) -> None:
        """Raise `SinkError` unless OSS says that it has these very bytes."""
        if kept.crc64 == self._survey.crc64:
            return
        found = self._client.look()
        if found is None:
            raise SinkError(f"{self._client.place}: OSS says that it has the object, and has not; run again")
        if not self._is_ours(found):
            raise SinkError(
                f"{self._client.place}: what OSS has kept has another checksum than the artifact; delete it there, "
                "then run again"
            )

    # In one piece, or in parts

    def _put(self) -> Kept:
        return self._client.put(self._read(1), self._terms)

    def _complete(self) -> Kept:
        assert self._id is not None
        return self._client.complete(self._id, self._etags, forbid_overwrite=self._terms.forbid_overwrite)

    def _read(self, number: int) -> bytes:
        """Return the bytes of one part; raises `SinkError` when they are not those that were looked through."""
        with _opened(self._artifact) as file:
            file.seek((number - 1) * PART_BYTES)
            data = file.read(PART_BYTES)
        if fastcrc.crc64.xz(data) != self._survey.parts[number - 1]:
            raise _damaged(self._artifact)
        return data

    def _go_on_or_begin(self) -> None:
        """Take up the upload that an earlier run has begun of these bytes, or begin one."""
        noted = self._note.read()
        mine = (self._artifact.sha256, PART_BYTES, _digest(self._terms))
        if noted is not None and noted.upload is not None and noted.what == mine:
            if (there := self._parts_there(noted.upload)) is not None:
                self._id, self._etags = noted.upload, there
                return
        else:
            self._give_up_what_was_begun()
        about_to = Noted(*mine, begun_at=time.time(), upload=None)
        self._note.write(about_to)
        self._id = self._client.begin(self._terms)
        self._note.write(replace(about_to, upload=self._id))

    def _parts_there(self, upload: str) -> dict[int, str] | None:
        """Return the parts that OSS has of our bytes; None when it knows no such upload any more."""
        try:
            there = self._client.parts(upload)
        except Refused as exc:
            if exc.code != "NoSuchUpload":
                raise
            return None
        wanted = enumerate(self._survey.parts, 1)
        return {
            number: there[number].etag for number, crc64 in wanted if number in there and there[number].crc64 == crc64
        }

    def _give_up_what_was_begun(self) -> None:
        """Abort the upload that was begun for this place, if there is one; the object itself is not touched."""
        noted = self._note.read()
        if noted is None:
            return
        try:
            for upload in [noted.upload] if noted.upload else self._unnoted(noted.begun_at):
                self._client.abort(upload)
        except Refused:
            return  # its parts wait for the bucket's own rules, or for a key that may do more
        self._note.remove()

    def _unnoted(self, begun_at: float) -> list[str]:
        """Return uploads that a run has begun and, killed at that instant, not noted: they have no part."""
        begun = self._client.begun_since(begun_at - SKEW_SECONDS)
        return [upload for upload in begun if not self._client.parts(upload)]

    # What it is to be

    def _terms_of(self, *, replaces: bool) -> Terms:
        delivery, options = self._delivery, self._delivery.sink.options
        ours = {
            "wanrun-address": delivery.job.address,
            "wanrun-task": delivery.task_id,
            "wanrun-fingerprint": delivery.fingerprint,
            SHA256: self._artifact.sha256,
            CRC64: str(self._survey.crc64),
        }
        metadata = {name: quote(value, safe=" !#$&'()*+,/:;=?@[]") for name, value in own_metadata(options).items()}
        storage = options.get("storage_class")
        kept = {name: quote(value, safe="/:") for name, value in ours.items() if value}
        return Terms(None if storage is None else str(storage), metadata | kept, forbid_overwrite=not replaces)

    def _details(self) -> dict[str, JSON]:
        assert self._kept is not None
        details: dict[str, JSON] = {"crc64": str(self._survey.crc64)}
        if self._kept.version_id:
            details["version_id"] = self._kept.version_id
        return details

    def _link(self) -> Link | None:
        hours = self._delivery.sink.options.get("link_hours")
        return Link(self._client.link(hours), time.time() + hours * 3600) if isinstance(hours, int) else None


@dataclass(frozen=True, slots=True)
class _Survey:
    """What an artifact's bytes are, read once from start to end."""

    crc64: int
    parts: tuple[int, ...]  #: the CRC64 of each


def _surveyed(artifact: Artifact) -> _Survey:
    """Read an artifact through; raises `SinkError` when it is not what was fetched."""
    digest, whole, parts = sha256(), 0, []
    with _opened(artifact) as file:
        while data := file.read(PART_BYTES):
            digest.update(data)
            whole = fastcrc.crc64.xz(data, whole)
            parts.append(fastcrc.crc64.xz(data))
    if digest.hexdigest() != artifact.sha256:
        raise _damaged(artifact)
    return _Survey(whole, tuple(parts))


def _opened(artifact: Artifact) -> BinaryIO:
    try:
        return artifact.path.open("rb")
    except OSError as exc:
        raise SinkError(f"{artifact.path}: the artifact cannot be read ({exc.strerror or exc})") from exc


def _damaged(artifact: Artifact) -> SinkError:
    return SinkError(
        f"{artifact.path}: the artifact is damaged (its sha256 is not {artifact.sha256[:12]} any more); "
        "nothing was delivered"
    )


def _digest(terms: Terms) -> str:
    return sha256(json.dumps(asdict(terms), sort_keys=True).encode()).hexdigest()
