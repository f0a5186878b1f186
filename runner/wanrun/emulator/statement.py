"""The account statement: what was made, what was billed, and how busy it was, as one JSON object."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

from wanrun.emulator import stamps
from wanrun.emulator.tasks import Status

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from wanrun.emulator.tasks import Task
    from wanrun.models import Model
    from wanrun.types import JSON


def costs(tasks: Iterable[Task]) -> dict[str, str]:
    """Return what billed tasks cost together, by currency, as decimal numbers."""
    total: dict[str, Decimal] = defaultdict(Decimal)
    for task in tasks:
        total[task.currency] += Decimal(task.cost)
    return {currency: f"{amount.normalize():f}" for currency, amount in sorted(total.items())}


def bill(task: Task, model: Model, region: str) -> None:
    """Note what a task that succeeded costs: its billed seconds at the price of its resolution.

    Where the model file knows no price for the region, that is nothing.
    """
    price = next((each for each in model.prices if each["region"] == region), None)
    if price is None:
        return
    per_second = price["per_second"]
    assert isinstance(per_second, Mapping)
    amount = Decimal(str(per_second[task.resolution])) * Decimal(str(task.billed_seconds))
    task.cost, task.currency = f"{amount.normalize():f}", str(price["currency"])


def statement(
    *,
    account: str,
    tasks: Collection[Task],
    calls: Mapping[str, Counter[int]],
    peaks: Mapping[str, int],
    warnings: Iterable[str],
) -> dict[str, JSON]:
    """Put the account statement together."""
    billed = [task for task in tasks if task.status is Status.SUCCEEDED]
    return {
        "account": account,
        "tasks_made": len(tasks),
        "tasks_billed": len(billed),
        "billed_seconds": round(sum(task.billed_seconds for task in billed), 2),
        "cost": dict(costs(billed)),
        "calls": {kind: {str(status): count for status, count in sorted(by.items())} for kind, by in calls.items()},
        **peaks,
        "warnings": list(warnings),
        "tasks": [_task(task) for task in tasks],
    }


def _task(task: Task) -> dict[str, JSON]:
    times = {"submitted": task.created_at, "started": task.scheduled_at, "ended": task.ended_at}
    shown: dict[str, JSON] = {
        "task_id": task.id,
        "request_id": task.request_id,
        "model": task.model,
        "prompt": task.prompt,
        "state": task.status.value,
        "resolution": task.resolution,
        "billed_seconds": task.billed_seconds,
        "cost": task.cost,
    }
    shown |= {name: stamps.as_text(at) for name, at in times.items() if at is not None}
    if task.code:
        shown |= {"code": task.code, "message": task.message}
    return shown
