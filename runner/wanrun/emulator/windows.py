"""How many calls the service takes: sliding windows of one second, which also remember their busiest moment."""

from __future__ import annotations

from collections import deque

WINDOW_SECONDS = 1.0


class Window:
    """Counts calls of the last second; a call that is refused takes no place."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.peak = 0  #: the most calls, refused ones included, in any one second
        self._taken: deque[float] = deque()
        self._seen: deque[float] = deque()

    def take(self, now: float) -> bool:
        """Say whether a call at this time (epoch seconds) may pass, and count it."""
        _forget(self._seen, now)
        self._seen.append(now)
        self.peak = max(self.peak, len(self._seen))
        _forget(self._taken, now)
        if len(self._taken) >= self.limit:
            return False
        self._taken.append(now)
        return True


def _forget(times: deque[float], now: float) -> None:
    while times and times[0] <= now - WINDOW_SECONDS:
        times.popleft()
