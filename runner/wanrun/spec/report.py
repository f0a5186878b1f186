"""Gathers what is wrong with one spec file: each problem once, in file order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wanrun.rules import rule_of
from wanrun.spec.nodes import Mark
from wanrun.types import Position, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wanrun.rules import Sentence
    from wanrun.spec.nodes import Placed

START = Mark(1, 1)  #: for what concerns a file as a whole


@dataclass(slots=True)
class _Cases:
    """The rule that one message is about, and for which combinations of a matrix it holds.

    `first` is empty where it does not depend on one.
    """

    rule: str
    first: str
    others: set[str]


class Report:
    """The problems of one file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._found: dict[tuple[int, int, str], _Cases] = {}
        self._settled: set[tuple[int, int]] = set()

    def __len__(self) -> int:
        return len(self._found)

    def settle(self, at: Placed, sentence: Sentence) -> None:
        """Note a problem that explains all others at its place, which are not told then."""
        self.add(at, sentence)
        self._settled.add((at.line, at.column))

    def add(self, at: Placed, sentence: Sentence, case: str = "") -> None:
        """Note a problem; the same words at the same place are one problem, however many combinations meet it."""
        if (at.line, at.column) in self._settled:
            return
        message = " ".join(sentence.splitlines())  # what a spec holds may hold line breaks, and a problem is one line
        cases = self._found.setdefault((at.line, at.column, message), _Cases(rule_of(sentence).id, case, set()))
        if cases.first and not case:
            cases.first = ""
        elif case != cases.first:
            cases.others.add(case)

    def position(self, at: Placed) -> Position:
        """Return a place of this file as others may cite it."""
        return Position(self.path, at.line, at.column)

    def problems(self) -> Iterator[Problem]:
        """Yield the problems by line and column."""
        for (line, column, message), cases in sorted(self._found.items(), key=lambda item: item[0][:2]):
            yield Problem(Position(self.path, line, column), message + _suffix(cases), cases.rule)


def _suffix(cases: _Cases) -> str:
    if not cases.first:
        return ""
    more = f"; and {len(cases.others)} more" if cases.others else ""
    return f" ({cases.first}{more})"
