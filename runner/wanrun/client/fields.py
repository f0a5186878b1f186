"""Single values out of the service's answers: each reader takes any JSON and gives a value or None, never an error."""

from __future__ import annotations

import math
import re
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from wanrun.client.text import MAX_ID, clean, whole

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The zone of the service's time strings, which name none.
SERVICE_ZONE = timezone(timedelta(hours=8))
_MAX_AT = 253_402_300_800.0  # epoch seconds of the year 10000
_NUMBER = re.compile(r"[+-]?\d{1,20}(\.\d{1,20})?")
_TASK_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}")
_STAMP = "%Y%m%dT%H%M%SZ"  # of signed links, in UTC


class Unreadable(ValueError):
    """An answer lacks what it is for; raised by the parsers, turned into an error of its family by the client."""


def mapping(value: object) -> Mapping[str, object]:
    """Return a JSON object as it is, anything else as an empty one."""
    return value if isinstance(value, dict) else {}


def text(value: object) -> str | None:
    """Return a text unchanged; None for anything else and for the empty text."""
    return whole(value) if isinstance(value, str) and value else None


def short(value: object) -> str | None:
    """Return a code or an id fit to show; numbers count as text."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value) if abs(value) < 10**18 else None
    return clean(value, limit=MAX_ID) or None if isinstance(value, str) else None


def task_id(value: object) -> str | None:
    """Return a task id; None when it is not one that could stand in a URL."""
    return value if isinstance(value, str) and _TASK_ID.fullmatch(value) else None


def number(value: object) -> float | None:
    """Return a finite number of 0 or more, also when it is written as a text."""
    if isinstance(value, str) and _NUMBER.fullmatch(bare := value.strip()):
        value = float(bare)  # which strips less
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e18:
        return None
    return float(value) if math.isfinite(value) else None


def count(value: object) -> int | None:
    """Return a whole number of 0 or more, also when it is written as a text."""
    found = number(value)
    return int(found) if found is not None and found.is_integer() else None


def time_at(value: object) -> float | None:
    """Return the epoch seconds of a time string such as `2026-11-02 10:00:00.123`, read in the service's zone."""
    if not isinstance(value, str) or len(value) > 40:
        return None
    try:
        at = datetime.fromisoformat(value.strip())
    except ValueError:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=SERVICE_ZONE)).timestamp()


def milliseconds_at(value: object) -> float | None:
    """Return the epoch seconds of a time in epoch milliseconds."""
    found = number(value)
    return found / 1000 if found and found / 1000 < _MAX_AT else None


def link_expires_at(link: str) -> float | None:
    """Return when a signed link stops working, epoch seconds, as its own query says; None when it does not."""
    try:
        said = {name.casefold(): value for name, value in parse_qsl(urlsplit(link).query)}
    except ValueError:
        return None
    at = number(said.get("expires"))
    for start, life in (("x-oss-date", "x-oss-expires"), ("x-amz-date", "x-amz-expires")):
        at = _stamp_plus(said.get(start), said.get(life)) if at is None else at
    return at if at is not None and at < _MAX_AT else None


def _stamp_plus(start: str | None, life: str | None) -> float | None:
    seconds = number(life)
    try:
        began = datetime.strptime(f"{start}+0000", f"{_STAMP}%z").timestamp()
    except ValueError:
        return None
    return None if seconds is None else began + seconds
