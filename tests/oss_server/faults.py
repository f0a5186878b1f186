"""What goes wrong on demand, at the n-th call of one operation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass
class Fault:
    """One thing that goes wrong, at the call number `at` of an operation and the next ones, `times` in all."""

    operation: str  #: such as `UploadPart`; `*` for all of them, counted together
    does: Literal["refuse", "garble", "drop", "cut", "stall", "lose", "hold", "slow"]
    """`refuse` answers with an error, `garble` with its `status` and `message` as they are. `drop` closes before the
    body is read, `cut` within it, `lose` after the work is done and before the answer; `stall` and `hold` are `cut` and
    `lose` that wait first until they are released. `slow` takes its time, and then all is well."""
    at: int = 1
    times: int = 1
    status: int = 503
    code: str = "ServiceUnavailable"
    message: str = "Please reduce your request rate."
    headers: Mapping[str, str] = field(default_factory=dict)  #: of a refusal, such as Retry-After
    facts: Mapping[str, str] = field(default_factory=dict)  #: further elements of its XML
    seconds: float = 0.0  #: of what is slow

    def meets(self, numbers: Mapping[str, int]) -> bool:
        """Say whether it happens at a call that is of this number for its operation, and of that among all; from 1."""
        number = numbers.get(self.operation, 0)
        return self.at <= number < self.at + self.times
