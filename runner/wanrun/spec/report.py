"""Gathers what is wrong with one spec file: each problem once, in file order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wanrun.rules import rule_of
from wanrun.spec.cases import located
from wanrun.spec.nodes import ListNode, MapNode, Mark, ScalarNode
from wanrun.types import Position, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wanrun.rules import Sentence
    from wanrun.spec.nodes import Placed

START = Mark(1, 1)  #: for what concerns a file as a whole


@dataclass(slots=True)
class _Found:
    """What is to be said of one message besides its words."""

    rule: str
    whole: bool
    first: str  #: a combination of a matrix for which it holds; empty where it does not depend on one
    others: set[str] = field(default_factory=set)


class Report:
    """The problems of one file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._found: dict[tuple[int, int, str], _Found] = {}
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
        if isinstance(at, ScalarNode):
            case = located(case, at.made_of)
        message = " ".join(sentence.splitlines())  # what a spec holds may hold line breaks, and a problem is one line
        whole = at is START or isinstance(at, ListNode | MapNode)
        found = self._found.setdefault((at.line, at.column, message), _Found(rule_of(sentence).id, whole, case))
        if found.first and not case:
            found.first = ""
        elif case != found.first:
            found.others.add(case)

    def position(self, at: Placed) -> Position:
        """Return a place of this file as others may cite it."""
        return Position(self.path, at.line, at.column)

    def problems(self) -> Iterator[Problem]:
        """Yield the problems by line and column."""
        for (line, column, message), found in sorted(self._found.items(), key=lambda item: item[0][:2]):
            yield Problem(Position(self.path, line, column), message + _suffix(found), found.rule, found.whole)


def _suffix(found: _Found) -> str:
    if not found.first:
        return ""
    more = f"; and {len(found.others)} more" if found.others else ""
    return f" ({found.first}{more})"
