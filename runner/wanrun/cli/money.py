"""Money in the words and the JSON of several commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wanrun import api


def spent_words(spent: Mapping[str, api.Spent]) -> str:
    """Return what has gone as a clause: `8.07 CNY spent, 22.13 CNY reserved`; empty for nothing."""
    return "; ".join(_words(each) for each in spent.values() if each.total.amount)


def _words(spent: api.Spent) -> str:
    parts = [f"{spent.cost} spent"] if spent.cost.amount else []
    parts += [f"{spent.reserved} reserved"] if spent.reserved.amount else []
    return ", ".join(parts)


def spent_json(spent: Mapping[str, api.Spent]) -> list[dict[str, Any]]:
    """Return what has gone for programs, an object for each currency; amounts are decimal numbers as texts."""
    return [
        {"currency": currency, "spent": each.cost.plain, "reserved": each.reserved.plain}
        for currency, each in spent.items()
    ]
