"""The object storage beside the service: upload policies, form uploads, and results behind signed links.

Speaks as object storage does: errors are XML, a link carries its own leave, and a Range that makes no sense is passed
over.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from datetime import UTC, datetime
from email.utils import formatdate
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from xml.sax.saxutils import escape

from wanrun.emulator.calls import RESULTS, UPLOADS, Answer, Span
from wanrun.emulator.store import READY
from wanrun.emulator.tasks import Status

if TYPE_CHECKING:
    from wanrun.emulator.account import Account
    from wanrun.emulator.calls import Call
    from wanrun.emulator.forms import Form
    from wanrun.emulator.store import Stored
    from wanrun.emulator.tasks import Task
    from wanrun.types import JSON

POLICY_SECONDS = 300
MAX_FILE_MB = 100
KEY_ID = "LTAI-emulator"
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class Denied(Exception):
    """Object storage says no; becomes an answer with an XML body."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message

    def answer(self, request_id: str) -> Answer:
        """Return the answer that tells the caller."""
        body = (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f"<Error><Code>{self.code}</Code><Message>{escape(self.message)}</Message>"
            f"<RequestId>{request_id}</RequestId></Error>"
        )
        return Answer(self.status, {"Content-Type": "application/xml"}, body.encode(), code=self.code)


# Uploads


def policy(account: Account, model: str) -> dict[str, JSON]:
    """Return the leave to upload files for a model, for the next five minutes; it needs no memory here."""
    now = account.clock()
    day = datetime.fromtimestamp(now, UTC).date().isoformat()
    folder = f"dashscope-instant/{_digest(account.id)}/{day}/{account.new_id()}"
    terms = {"until": now + POLICY_SECONDS, "folder": folder, "model": model}
    text = base64.b64encode(json.dumps(terms).encode()).decode()
    return {
        "policy": text,
        "signature": _sign(account, text),
        "upload_dir": folder,
        "upload_host": account.origin + UPLOADS,
        "expire_in_seconds": POLICY_SECONDS,
        "max_file_size_mb": MAX_FILE_MB,
        "capacity_limit_mb": 999999999,
        "oss_access_key_id": KEY_ID,
        "x_oss_object_acl": "private",
        "x_oss_forbid_overwrite": "true",
    }


def upload(account: Account, call: Call) -> Answer:
    """Take a file by form; the bytes are in the store's staging already and become an object or are discarded."""
    form = call.form
    if form is None or form.file is None:
        raise Denied(400, "InvalidArgument", "The body should be a form whose last field is file.")
    try:
        key, model = _allowed(account, form)
        stored = account.store.keep(form.file, key)
    finally:
        form.file.discard()
    account.keep_upload(key, model)
    headers = {"ETag": f'"{stored.etag}"', "x-oss-hash-crc64ecma": str(stored.crc64)}
    asked = form.fields.get("success_action_status", "204")
    return Answer(int(asked) if asked in ("200", "201", "204") else 204, headers)


def _allowed(account: Account, form: Form) -> tuple[str, str]:
    """Return the key and the model of an upload that its policy allows."""
    fields = form.fields
    terms = _terms(account, fields)
    if account.clock() >= terms["until"]:
        raise Denied(403, "AccessDenied", "Invalid according to Policy: Policy expired.")
    key = fields.get("key", "").replace("${filename}", form.file_name)
    if not key.startswith(terms["folder"] + "/") or key == terms["folder"] + "/":
        raise Denied(403, "AccessDenied", "Invalid according to Policy: Policy Condition failed: starts-with $key")
    for name, wanted in {"x-oss-object-acl": "private", "x-oss-forbid-overwrite": "true"}.items():
        if fields.get(name) != wanted:
            raise Denied(403, "AccessDenied", f"Invalid according to Policy: Policy Condition failed: eq ${name}")
    if account.shelf.has(key):
        raise Denied(409, "FileAlreadyExists", "The object you specified already exists and can not be overwritten.")
    assert form.file is not None
    if form.file.size > MAX_FILE_MB * 1024**2:
        raise Denied(400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size.")
    return key, terms["model"]


def _terms(account: Account, fields: dict[str, str]) -> dict[str, Any]:
    text = fields.get("policy", "")
    if fields.get("OSSAccessKeyId") != KEY_ID:
        raise Denied(403, "InvalidAccessKeyId", "The OSS Access Key Id you provided does not exist in our records.")
    if not hmac.compare_digest(_sign(account, text).encode(), fields.get("Signature", "").encode()):
        raise Denied(403, "SignatureDoesNotMatch", "The request signature we calculated does not match yours.")
    terms: dict[str, Any] = json.loads(base64.b64decode(text))
    return terms


# Results


def link(account: Account, task: Task) -> str:
    """Return the signed link to a task's result; the same one however often it is asked for."""
    path, until = f"{RESULTS}{task.id}.mp4", str(task.link_until)
    signed = {"Expires": until, "OSSAccessKeyId": KEY_ID, "Signature": _sign(account, f"{path}\n{until}")}
    return f"{account.origin}{path}?{urlencode(signed)}"


def download(account: Account, call: Call) -> Answer:
    """Serve a result to whoever has the link, and refuse one who sends a key along."""
    if "authorization" in call.headers:
        raise Denied(400, "InvalidArgument", "Authorization header is invalid.")
    task = _linked(account, call)
    key = task.result or READY
    stored = account.store.info(key)
    if stored is None:
        raise Denied(404, "NoSuchKey", "The specified key does not exist.")
    tag = f'"{stored.etag}"'
    if call.headers.get("if-match", tag) not in (tag, "*"):
        raise Denied(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold.")
    return _content(call, task, key, stored)


def _linked(account: Account, call: Call) -> Task:
    """Return the task whose result a link is good for, now."""
    until = call.query.get("Expires", "")
    wanted, given = _sign(account, f"{call.path}\n{until}"), call.query.get("Signature", "")
    if not hmac.compare_digest(wanted.encode(), given.encode()):
        raise Denied(403, "SignatureDoesNotMatch", "The request signature we calculated does not match yours.")
    if account.clock() >= int(until):
        raise Denied(403, "AccessDenied", "Request has expired.")
    task = account.tasks.get(call.result.removesuffix(".mp4"))
    if task is None or task.status is not Status.SUCCEEDED:
        raise Denied(404, "NoSuchKey", "The specified key does not exist.")
    return task


def _content(call: Call, task: Task, key: str, stored: Stored) -> Answer:
    headers = {
        "Content-Type": "video/mp4",
        "Accept-Ranges": "bytes",
        "ETag": f'"{stored.etag}"',
        "Last-Modified": formatdate(task.ended_at, usegmt=True),
        "x-oss-hash-crc64ecma": str(stored.crc64),
    }
    span = _span(call.headers.get("range", ""), stored.bytes)
    if span is None:
        return Answer(200, headers, Span(key, 0, stored.bytes))
    start, length = span
    headers["Content-Range"] = f"bytes {start}-{start + length - 1}/{stored.bytes}"
    return Answer(206, headers, Span(key, start, length))


def _span(asked: str, size: int) -> tuple[int, int] | None:
    """Return start and length of a Range; None, which means all of it, for one that is absent or out of range."""
    found = _RANGE.fullmatch(asked.strip())
    if found is None or not any(found.groups()):
        return None
    first, last = found.groups()
    if not first:
        length = min(int(last), size)
        return (size - length, length) if length else None
    start, end = int(first), int(last) if last else size - 1
    if start >= size or end < start or (last and end >= size):
        return None
    return start, end - start + 1


def _sign(account: Account, text: str) -> str:
    return base64.b64encode(hmac.digest(account.secret.encode(), text.encode(), "sha1")).decode()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
