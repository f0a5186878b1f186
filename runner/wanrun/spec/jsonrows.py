"""One line of JSON Lines as a row of a table: a mapping that holds nothing a spec could not hold."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from wanrun import rules
from wanrun.spec.nodes import Mark
from wanrun.spec.scalars import MAX_DIGITS, Unreadable, check_text
from wanrun.spec.traps import MAX_DEPTH
from wanrun.spec.words import shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wanrun.rules import Sentence
    from wanrun.types import JSON


def json_row(written: str, line: int) -> dict[str, Any]:
    """Return the mapping that stands on a line; raises `Unreadable`."""
    at = Mark(line, 1)
    try:
        value = json.loads(
            written, object_pairs_hook=_mapping, parse_constant=_unfit, parse_int=_integer, parse_float=_float
        )
        _check(value, at)
    except json.JSONDecodeError as exc:
        words = f"this is not JSON: {exc.msg[:1].lower()}{exc.msg[1:]}"
        raise Unreadable(Mark(line, exc.colno), rules.TABLE_SYNTAX(words)) from exc
    except _Odd as exc:
        raise Unreadable(at, exc.sentence) from exc
    except RecursionError as exc:
        words = f"this row is nested more than {MAX_DEPTH} levels deep"
        raise Unreadable(at, rules.NESTED_TOO_DEEP(words)) from exc
    if not isinstance(value, dict):
        what = "a text" if isinstance(value, str) else "a number" if type(value) in (int, float) else shown(value)
        words = f'a row is a mapping, such as {{"sku": "a1"}}; this is {what}'
        raise Unreadable(at, rules.ROW_NOT_MAPPING(words))
    return value


class _Odd(Exception):
    """JSON that a table does not take; caught inside this module."""

    def __init__(self, sentence: Sentence) -> None:
        super().__init__(sentence)
        self.sentence = sentence


def _mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, value in pairs:
        if name in made:
            raise _Odd(rules.DUPLICATE_KEY(f"the key {shown(name)} stands twice in this row"))
        made[name] = value
    return made


def _integer(text: str) -> int:
    return int(text) if len(text) <= MAX_DIGITS else _unfit(text)


def _float(text: str) -> float:
    return number if math.isfinite(number := float(text)) else _unfit(text)


def _unfit(text: str) -> Any:
    raise _Odd(rules.NUMBER_UNFIT(f"{shown(text)} is not a number that a spec can hold; quote it if it is text"))


def _check(value: JSON, at: Mark, depth: int = 1) -> None:
    """Raise for characters that may not stand in a table, and `RecursionError` for what is nested too deep."""
    if depth > MAX_DEPTH:
        raise RecursionError
    if isinstance(value, str):
        check_text(value, at, what="a table")
    inside: Iterable[JSON] = value if isinstance(value, list) else ()
    if isinstance(value, dict):
        inside = [*value, *value.values()]
    for each in inside:
        _check(each, at, depth + 1)
