"""Who may call the account and how often, and which calls a fault script hits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wanrun.emulator.windows import Window

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from wanrun.models import ServiceLimits

POLICIES_PER_SECOND = 100
USUAL_QUERIES_PER_SECOND = 20.0


class Gate:
    """The keys that work, and the rates that hold: creates by model, queries for the account."""

    def __init__(
        self,
        limits: Mapping[str, ServiceLimits],
        *,
        keys: Collection[str] | None,
        refused_keys: Collection[str],
        retry_after: float | None,
    ) -> None:
        self.retry_after = retry_after
        self.creates = {name: Window(each.creates_per_second) for name, each in limits.items()}
        rates = [each.queries_per_second for each in limits.values()]
        self.queries = Window(max(rates, default=USUAL_QUERIES_PER_SECOND))  # query, list and cancel together
        self.policies = {name: Window(POLICIES_PER_SECOND) for name in limits}
        self._keys, self._refused = keys, refused_keys

    def accepts(self, key: str) -> bool:
        """Say whether an API key works here."""
        known = key.startswith("sk-") and len(key) > len("sk-") if self._keys is None else key in self._keys
        return known and key not in self._refused

    def peaks(self) -> dict[str, int]:
        """Return the most calls in any one second, refused ones included."""
        return {
            "peak_creates_per_second": max((each.peak for each in self.creates.values()), default=0),
            "peak_queries_per_second": self.queries.peak,
        }
