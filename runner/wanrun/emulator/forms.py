"""Reads a `multipart/form-data` body piece by piece, so that an uploaded file never is in memory as a whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from email.message import Message
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from wanrun.emulator.store import Staged

MAX_FIELD_BYTES = 64 * 1024
MAX_FIELDS = 100


class BadForm(Exception):
    """The body is no form that can be read, or one of its fields is too large."""


@dataclass(slots=True)
class Form:
    """The fields before the file, and the file, staged; what follows the file is passed over."""

    fields: dict[str, str] = field(default_factory=dict)
    file_name: str = ""
    file: Staged | None = None


class FormReader:
    """Takes the bytes of a form as they come in."""

    def __init__(self, content_type: str, stage: Callable[[], Staged]) -> None:
        """Start with the request's Content-Type; raises `BadForm` when it names no boundary."""
        boundary = _parameters(f"Content-Type: {content_type}").get_param("boundary")
        if not content_type.lower().startswith("multipart/form-data") or not isinstance(boundary, str) or not boundary:
            raise BadForm("the body should be multipart/form-data with a boundary")
        self.form = Form()
        self._stage = stage
        self._edge = b"\r\n--" + boundary.encode("latin-1", "replace")
        self._left = b"\r\n"  # so that the first boundary looks like the others
        self._part: tuple[str, bytearray | Staged | None] | None = None
        self._state = self._content
        self._ended = False

    def feed(self, data: bytes) -> None:
        """Take more bytes; raises `BadForm` for what cannot be read."""
        self._left += data
        while not self._ended and self._state():
            pass
        if self._ended:
            self._left = b""

    def finish(self) -> Form:
        """Return the form; raises `BadForm` when the body ended too early."""
        if not self._ended:
            self.discard()
            raise BadForm("the form ends before its last boundary")
        return self.form

    def discard(self) -> None:
        """Forget the file."""
        if self.form.file is not None:
            self.form.file.discard()

    def _content(self) -> bool:
        """Take content up to the next boundary; True when there is more to look at."""
        before, edge, rest = self._left.partition(self._edge)
        if not edge:
            keep = len(self._edge) - 1  # a boundary may have begun here
            self._take(self._left[:-keep])
            self._left = self._left[-keep:]
            return False
        self._take(before)
        self._close()
        self._left, self._state = rest, self._after_edge
        return True

    def _after_edge(self) -> bool:
        """Tell the last boundary from the others."""
        if len(self._left) < 2:
            return False
        if self._left.startswith(b"--"):
            self._ended = True
            return False
        self._state = self._head
        return True

    def _head(self) -> bool:
        """Take the headers of a part."""
        head, end, rest = self._left.partition(b"\r\n\r\n")
        if not end:
            if len(self._left) > MAX_FIELD_BYTES:
                raise BadForm("the headers of a field are too large")
            return False
        self._open(head.decode("utf-8", "replace"))
        self._left, self._state = rest, self._content
        # An empty value may be followed by its boundary at once, whose line end is the one of the headers.
        self._left = self._left if not rest.startswith(self._edge[2:]) else b"\r\n" + rest
        return True

    def _open(self, head: str) -> None:
        line = next((line for line in head.split("\r\n") if line.lower().startswith("content-disposition:")), "")
        disposition = _parameters(line)
        name = str(disposition.get_param("name", "", "content-disposition"))
        file_name = disposition.get_param("filename", None, "content-disposition")
        if self.form.file is not None:
            self._part = (name, None)
        elif name == "file" or file_name is not None:
            self.form.file, self.form.file_name = self._stage(), str(file_name or "")
            self._part = (name, self.form.file)
        elif len(self.form.fields) >= MAX_FIELDS:
            raise BadForm("the form has too many fields")
        else:
            self._part = (name, bytearray())

    def _take(self, data: bytes) -> None:
        if self._part is None or not data:
            return
        name, target = self._part
        if isinstance(target, bytearray):
            target += data
            if len(target) > MAX_FIELD_BYTES:
                raise BadForm(f"the field {name} is too large")
        elif target is not None:
            target.write(data)

    def _close(self) -> None:
        if self._part is not None:
            name, target = self._part
            if isinstance(target, bytearray):
                self.form.fields[name] = target.decode("utf-8", "replace")
        self._part = None


def _parameters(line: str) -> Message:
    name, _, value = line.partition(":")
    message = Message()
    message[name or "X"] = value.strip()
    return message
