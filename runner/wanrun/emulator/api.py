"""The service's HTTP face: one call in, one answer out, for an account.

Follows the order in which the service looks at a call: key, headers, rate, model, body. Knows no sockets; hosts do.
"""

from __future__ import annotations

import json
import math
import re
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from wanrun.emulator import oss, stamps
from wanrun.emulator.calls import Answer, Kind, Refused, json_answer
from wanrun.emulator.checks import is_object, media_items
from wanrun.emulator.faults import Effect
from wanrun.emulator.tasks import KEPT_SECONDS, Status, list_row, query_body, unknown_body

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from wanrun.emulator.account import Account
    from wanrun.emulator.calls import Call
    from wanrun.emulator.tasks import Task
    from wanrun.emulator.windows import Window

ACCOUNT_HEADER = "X-Wanrun-Emulator"
MAX_PAGE_SIZE = 100
_TASK_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def answer(account: Account, call: Call, effect: Effect | None = None) -> Answer:
    """Carry out a call and return the answer; with a fault's status, only return that answer.

    `effect` is what `Account.strike` said of the call. What a fault does to the connection is left to the host.
    """
    effect = effect or Effect()
    account.advance()
    request_id = account.new_id()
    try:
        if effect.status is not None:
            raise Refused(effect.status, effect.code, effect.message, retry_after=effect.retry_after)
        reply = _HANDLERS[call.kind](account, call, effect, request_id)
    except Refused as refusal:
        reply = refusal.answer(request_id)
    except oss.Denied as denial:
        reply = denial.answer(request_id)
    reply.headers |= {ACCOUNT_HEADER: account.id, "Date": formatdate(account.clock(), usegmt=True)}
    reply.request_id = reply.request_id or request_id
    account.count(call, reply)
    return reply


def _create(account: Account, call: Call, effect: Effect, request_id: str) -> Answer:
    _check_key(account, call)
    if call.headers.get("x-dashscope-async", "").lower() != "enable":
        raise Refused(403, "AccessDenied", "current user api does not support synchronous calls.")
    body = _parsed(call.body)
    model = _model_of(account, body.get("model"), call.path)
    _check_rate(account, account.gate.creates[model])
    _check_objects(account, call, body, model)
    if account.queue_is_full(model):
        raise Refused(
            429,
            "Throttling.AllocationQuota",
            "Allocated quota exceeded, please increase your quota limit.",
            retry_after=account.gate.retry_after,
        )
    task = account.create(body, request_id=request_id, effect=effect)
    output = {"task_status": Status.PENDING.value, "task_id": task.id}
    return _about(task, json_answer({"output": dict(output), "request_id": request_id}))


def _parsed(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        body = None
    if not is_object(body):
        raise Refused(400, "InvalidParameter", "Required body invalid, please check the request body format.")
    return body


def _model_of(account: Account, name: object, path: str) -> str:
    if not name:
        raise Refused(400, "BadRequest.EmptyModel", "Required parameter model is missing.")
    if not isinstance(name, str) or name not in account.models:
        raise Refused(404, "InvalidParameter", "Model not exist.")
    if not path.endswith(account.models[name].path):
        raise Refused(400, "InvalidParameter", "url error, please check url!")
    return name


def _check_objects(account: Account, call: Call, body: Mapping[str, Any], model: str) -> None:
    """Refuse `oss://` URLs that are not asked to be resolved, or are not this account's and this model's."""
    urls = [item["url"] for item in media_items(body) if item["url"].startswith("oss://")]
    resolve = call.headers.get("x-dashscope-ossresourceresolve", "").lower() == "enable"
    if any(not resolve or account.shelf.find(url, model) is None for url in urls):
        text = "Failed to find the requested media resource during the data inspection process."
        raise Refused(400, "InvalidParameter.DataInspection", text)


def _query(account: Account, call: Call, effect: Effect, request_id: str) -> Answer:
    _check_read(account, call)
    if not _TASK_ID.fullmatch(call.task_id):
        raise Refused(400, "InvalidParameter", "task_id is not valid.")
    task = account.tasks.get(call.task_id)
    if task is None:
        return json_answer(unknown_body(call.task_id, request_id))
    link = oss.link(account, task) if task.status is Status.SUCCEEDED else ""
    return _about(task, json_answer(query_body(task, link=link, now=account.clock(), request_id=request_id)))


def _list(account: Account, call: Call, effect: Effect, request_id: str) -> Answer:
    _check_read(account, call)
    now = account.clock()
    page_no, page_size = _whole(call, "page_no", 1), _whole(call, "page_size", 10)
    if page_size > MAX_PAGE_SIZE:
        raise Refused(400, "InvalidParameter", f"page_size should be 1 to {MAX_PAGE_SIZE}.")
    start, end = _window(call, now)
    kept_from, visible_until = math.nextafter(now - KEPT_SECONDS, math.inf), now - effect.lag_seconds
    found = account.tasks_between(max(start, kept_from), min(end, visible_until))
    found = [task for task in found if _wanted(task, call, account, now)] if _filters(call) else found
    first = len(found) - page_no * page_size
    page = found[max(first, 0) : max(first + page_size, 0)]
    return json_answer(
        {
            "request_id": request_id,
            "total": len(found),
            "total_page": math.ceil(len(found) / page_size),
            "page_no": page_no,
            "page_size": page_size,
            "data": [list_row(task, region=account.region_id, now=now) for task in reversed(page)],
        }
    )


def _window(call: Call, now: float) -> tuple[float, float]:
    """Return the span of time that a list call is about: a day, which one given end is enough to place."""
    try:
        given = [stamps.from_window(text) if (text := call.query.get(n)) else None for n in ("start_time", "end_time")]
    except ValueError:
        raise Refused(400, "InvalidParameter", "start_time and end_time should be YYYYMMDDhhmmss.") from None
    start, end = given
    if start is None:
        end = now if end is None else end
        return end - KEPT_SECONDS, end
    end = start + KEPT_SECONDS if end is None else end
    if not 0 <= end - start <= KEPT_SECONDS:
        raise Refused(400, "InvalidParameter", "start_time and end_time should be at most 24 hours apart.")
    return start, end


_FILTERS = ("task_id", "model_name", "status", "region", "api_key_id")


def _filters(call: Call) -> bool:
    return any(call.query.get(name) for name in _FILTERS)


def _wanted(task: Task, call: Call, account: Account, now: float) -> bool:
    row = list_row(task, region=account.region_id, now=now)
    return all(not call.query.get(name) or row[name] == call.query[name] for name in _FILTERS)


def _whole(call: Call, name: str, default: int) -> int:
    text = call.query.get(name) or str(default)
    if not text.isascii() or not text.isdigit() or not int(text[:9]) > 0:
        raise Refused(400, "InvalidParameter", f"{name} should be a whole number from 1.")
    return int(text[:9])


def _cancel(account: Account, call: Call, effect: Effect, request_id: str) -> Answer:
    _check_key(account, call)
    _check_rate(account, account.gate.queries)
    task = account.tasks.get(call.task_id)
    if task is None or not account.cancel(task):
        text = "Failed to cancel the task, please confirm if the task is in PENDING status."
        raise Refused(400, "UnsupportedOperation", text)
    return _about(task, json_answer({"request_id": request_id}))


def _policy(account: Account, call: Call, effect: Effect, request_id: str) -> Answer:
    _check_key(account, call)
    model = call.query.get("model", "")
    if call.query.get("action") != "getPolicy" or not model:
        raise Refused(400, "InvalidParameter", "action should be getPolicy, with a model.")
    if model not in account.models:
        raise Refused(404, "InvalidParameter", "Model not exist.")
    _check_rate(account, account.gate.policies[model])
    return json_answer({"request_id": request_id, "data": oss.policy(account, model)})


def _upload(account: Account, call: Call, effect: Effect, request_id: str) -> Answer:
    return oss.upload(account, call)


def _download(account: Account, call: Call, effect: Effect, request_id: str) -> Answer:
    return oss.download(account, call)


def _other(account: Account, call: Call, effect: Effect, request_id: str) -> Answer:
    raise Refused(404, "NotFound", "The requested resource does not exist.")


def _check_read(account: Account, call: Call) -> None:
    _check_key(account, call)
    if "x-dashscope-async" in call.headers:
        raise Refused(403, "AccessDenied", "current user api does not support asynchronous calls.")
    _check_rate(account, account.gate.queries)


def _check_key(account: Account, call: Call) -> None:
    scheme, _, key = call.headers.get("authorization", "").partition(" ")
    if not key.strip():
        raise Refused(401, "InvalidApiKey", "No API-key provided.")
    if scheme.lower() != "bearer" or not account.gate.accepts(key.strip()):
        raise Refused(401, "InvalidApiKey", "Invalid API-key provided.")


def _check_rate(account: Account, window: Window) -> None:
    if not window.take(account.clock()):
        text = "Requests rate limit exceeded, please try again later."
        raise Refused(429, "Throttling.RateQuota", text, retry_after=account.gate.retry_after)


def _about(task: Task, reply: Answer) -> Answer:
    reply.task_id = task.id
    return reply


_HANDLERS: dict[Kind, Callable[[Account, Call, Effect, str], Answer]] = {
    Kind.CREATE: _create,
    Kind.QUERY: _query,
    Kind.LIST: _list,
    Kind.CANCEL: _cancel,
    Kind.POLICY: _policy,
    Kind.UPLOAD: _upload,
    Kind.DOWNLOAD: _download,
    Kind.OTHER: _other,
}
