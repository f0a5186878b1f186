"""The ledger: the SQLite file of what happened, and the one place that says what was paid for.

`sql` holds the tables, `database` the file, `rows` what is read; `entries`, `attempts`, `deliveries`, `spending`,
`lending` and `telling` are parts of the writing, `lookups` of the asking, and `store` is all of them. `lock` is the
rule that one run at a time uses it.
"""

from __future__ import annotations

from wanrun.ledger.lock import LedgerLock
from wanrun.ledger.rows import (
    FLYING,
    FREE,
    GOOD,
    RESULT_LIFE_SECONDS,
    Attempt,
    AttemptState,
    DeliveryRow,
    Entry,
    UnsureAttempt,
)
from wanrun.ledger.spending import Spent
from wanrun.ledger.store import Ledger

__all__ = [
    "FLYING",
    "FREE",
    "GOOD",
    "RESULT_LIFE_SECONDS",
    "Attempt",
    "AttemptState",
    "DeliveryRow",
    "Entry",
    "Ledger",
    "LedgerLock",
    "Spent",
    "UnsureAttempt",
]
