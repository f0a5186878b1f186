"""The service's times: text in UTC+8 for queries and list windows, whole milliseconds for list rows."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

ZONE = timezone(timedelta(hours=8))


def as_text(at: float) -> str:
    """Return epoch seconds as `YYYY-MM-DD HH:mm:ss.SSS`."""
    return datetime.fromtimestamp(round(at, 3), ZONE).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def as_milliseconds(at: float) -> int:
    """Return epoch seconds as whole milliseconds."""
    return round(at * 1000)


def from_window(text: str) -> float:
    """Return the epoch seconds of a list window's `YYYYMMDDhhmmss`; ValueError for anything else."""
    return datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=ZONE).timestamp()
