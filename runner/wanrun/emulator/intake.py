"""From the body of a create to a task: what the service remembers of it, and how long its media are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from wanrun.emulator import checks
from wanrun.emulator.ready import mp4_seconds
from wanrun.emulator.tasks import Task

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wanrun.emulator.faults import Effect
    from wanrun.emulator.store import Store
    from wanrun.models import Model

_SHORT_URL = 200  #: characters of a data URL that the history keeps


def new_task(body: Mapping[str, Any], model: Model, *, task_id: str, request_id: str, now: float) -> Task:
    """Return the task of a body, whatever is wrong with it."""
    given, parameters = body.get("input"), body.get("parameters")
    prompt = given.get("prompt") if checks.is_object(given) else None
    task = Task(task_id, request_id, model.name, "", now)
    task.prompt = prompt[: checks.MAX_PROMPT] if isinstance(prompt, str) else ""
    task.media = [{**item, "url": _short(item["url"])} for item in checks.media_items(body)]
    task.parameters = dict(parameters) if checks.is_object(parameters) else {}
    asked = task.parameters.get("resolution", model.defaults.get("resolution"))
    task.resolution = str(asked) if asked in model.sizes else str(model.defaults.get("resolution", "1080P"))
    return task


def apply(effect: Effect, task: Task) -> None:
    """Give a task the fate that a fault script wrote for it."""
    if effect.link_seconds is not None:
        task.link_seconds = effect.link_seconds
    if effect.unknown_after_seconds is not None:
        task.unknown_at = task.created_at + effect.unknown_after_seconds
    if effect.fail:
        task.fate = [effect.fail["code"], effect.fail.get("message", "The task failed.")]


def measure(task: Task, model: Model, *, store: Store, ready_seconds: float) -> checks.Fault | None:
    """Fill in a task's lengths as far as they can be known without decoding; a fault for a video too short or long.

    A video that cannot be read here counts as long as the ready clip. What `duration` cuts off is not billed.
    """
    length = ready_seconds
    for item in task.media:
        if item["url"].startswith("oss://"):
            key = item["url"].removeprefix("oss://")
            length = stored_seconds(store, key) or length
            fault = _length_fault(item["type"], stored_seconds(store, key), model)
            if fault is not None:
                return fault
    task.input_seconds = kept_seconds(length, task.parameters)
    task.output_seconds = ready_seconds
    return None


def kept_seconds(length: float, parameters: Mapping[str, Any]) -> float:
    """Return how much of a video of this length remains after the cut that the parameters ask for."""
    asked = parameters.get("duration") or 0
    return min(length, float(asked)) if asked else length


def stored_seconds(store: Store, key: str) -> float | None:
    """Return how long a stored mp4 says it is; None for anything else."""
    stored = store.info(key)
    return mp4_seconds(lambda start, length: store.read(key, start, length), stored.bytes) if stored else None


def prompt_of(body: bytes) -> str:
    """Return the prompt of a create's raw body, empty when it cannot be read."""
    try:
        return str(json.loads(body)["input"]["prompt"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return ""


def _length_fault(kind: str, seconds: float | None, model: Model) -> checks.Fault | None:
    limits = model.media.get(kind)
    if seconds is None or limits is None or limits.min_seconds is None or limits.max_seconds is None:
        return None
    return checks.length_fault(seconds, limits)


def _short(url: str) -> str:
    return url if len(url) <= _SHORT_URL or not url.startswith("data:") else f"{url[:40]}..."
