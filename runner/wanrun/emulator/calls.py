"""What goes in and out of the account: calls and answers as plain values, without HTTP libraries and without I/O."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wanrun.emulator.forms import Form
    from wanrun.types import JSON

API = "/api/v1"
UPLOADS = "/emulator/upload"
RESULTS = "/emulator/results/"
STATEMENT = "/emulator/statement"


class Kind(StrEnum):
    """The calls that the service knows; fault scripts and the statement use these words."""

    CREATE = "create"
    QUERY = "query"
    LIST = "list"
    CANCEL = "cancel"
    POLICY = "policy"  #: asks for leave to upload
    UPLOAD = "upload"  #: to the upload host
    DOWNLOAD = "download"  #: of a result
    OTHER = "other"  #: anything else, answered with 404


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request; header names in lower case, `path` without the query and percent-decoded."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    form: Form | None = None  #: an upload's body, which the host reads as it comes in

    @property
    def kind(self) -> Kind:
        """Which of the service's calls this is, by method and path."""
        return kind_of(self.method, self.path)

    @property
    def task_id(self) -> str:
        """The task that a query or a cancel is about, else an empty string."""
        if self.kind not in (Kind.QUERY, Kind.CANCEL):
            return ""
        return self.path.removeprefix(f"{API}/tasks/").removesuffix("/").removesuffix("/cancel")

    @property
    def result(self) -> str:
        """The object that a download asks for, else an empty string."""
        return self.path.removeprefix(RESULTS) if self.kind is Kind.DOWNLOAD else ""

    def discard(self) -> None:
        """Forget an uploaded file that did not become an object."""
        if self.form is not None and self.form.file is not None:
            self.form.file.discard()


def kind_of(method: str, path: str) -> Kind:
    """Tell which of the service's calls a method and a path are; a slash at the end of the path changes nothing."""
    if path.startswith(RESULTS) and method in ("GET", "HEAD"):
        return Kind.DOWNLOAD
    if method == "POST" and path == UPLOADS:
        return Kind.UPLOAD
    below = path.removeprefix(API).removesuffix("/")  # the official SDK's asyncio classes write one
    if method == "GET":
        return _kind_of_get(below)
    if method == "POST" and below.startswith("/services/"):
        return Kind.CREATE
    if method == "POST" and below.startswith("/tasks/") and below.endswith("/cancel"):
        return Kind.CANCEL
    return Kind.OTHER


def _kind_of_get(below: str) -> Kind:
    if below == "/tasks":
        return Kind.LIST
    if below.startswith("/tasks/") and not below.endswith("/cancel"):
        return Kind.QUERY
    return Kind.POLICY if below == "/uploads" else Kind.OTHER


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a stored object, to be read piece by piece while it is sent."""

    key: str
    start: int
    length: int


@dataclass(slots=True)
class Answer:
    """One HTTP response; the body is bytes, or a span of a stored object."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | Span = b""
    code: str = ""  #: the service's error code, for the statement
    request_id: str = ""
    task_id: str = ""

    @property
    def length(self) -> int:
        """How many bytes the body has."""
        return self.body.length if isinstance(self.body, Span) else len(self.body)


class Refused(Exception):
    """The service says no to a call; becomes an answer with the flat error body."""

    def __init__(self, status: int, code: str, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.retry_after = status, code, message, retry_after

    def answer(self, request_id: str) -> Answer:
        """Return the answer that tells the caller."""
        body: dict[str, JSON] = {"code": self.code, "message": self.message, "request_id": request_id}
        answer = json_answer(body, status=self.status)
        answer.code, answer.request_id = self.code, request_id
        if self.retry_after is not None:
            answer.headers["Retry-After"] = f"{self.retry_after:g}"
        return answer


def json_answer(body: Mapping[str, JSON], *, status: int = 200) -> Answer:
    """Return an answer with a JSON body."""
    return Answer(status, {"Content-Type": "application/json"}, json.dumps(body, ensure_ascii=False).encode())
