"""What has been spent, by the ledger alone."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wanrun.ledger import Ledger, Spent
from wanrun.project import Setup, open_project

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wanrun.money import Money


@dataclass(frozen=True, slots=True)
class Spendings:
    """What a project's ledger says of money."""

    spent: Mapping[str, Spent]  #: over the life of the ledger, by currency
    max_cost: Money | None  #: the operator's cap on it


def spending(setup: Setup | None = None) -> Spendings:
    """Return what has been spent and reserved over the life of the ledger; reads only.

    Raises `LedgerError` when the ledger cannot be read.
    """
    project = open_project(setup or Setup())
    max_cost = project.settings.budget.max_cost
    if not project.ledger_path.is_file():
        return Spendings({}, max_cost)
    with Ledger.open(project.ledger_path, now=time.time) as ledger:
        return Spendings(ledger.spent_with(project.price), max_cost)
