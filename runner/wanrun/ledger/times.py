"""Which numbers can be a time of a ledger that came from elsewhere."""

from __future__ import annotations

MOST_SECONDS = 1e10  #: since or before 1970: some three hundred years, of which every calendar knows the dates


def is_time(value: object) -> bool:
    """Say whether a value is a number of seconds that can be computed with and shown as a date."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -MOST_SECONDS <= value <= MOST_SECONDS
