"""Gathers what is wrong with one spec file, and what it is made of: each problem once, in file order."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from wanrun.rules import rule_of
from wanrun.spec.cases import located, related_of
from wanrun.spec.nodes import ListNode, MapNode, Mark, ScalarNode
from wanrun.types import Position, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from wanrun.rules import Sentence
    from wanrun.spec.nodes import Placed
    from wanrun.spec.origins import Origin, Origins
    from wanrun.types import Related

START = Mark(1, 1)  #: for what concerns a file as a whole


@dataclass(slots=True)
class _Found:
    """What is to be said of one message besides its words."""

    rule: str
    whole: bool
    related: tuple[Related, ...]  #: places that the words name
    first: str  #: a combination of a matrix for which it holds; empty where it does not depend on one
    others: set[str] = field(default_factory=set)


class Report:
    """The problems of one file, a spec or a table, and those that a spec has with values from its bases.

    One that is `foreign` may be any file, of which no line is shown.
    """

    def __init__(self, path: Path, origins: Origins | None = None, *, foreign: bool = False) -> None:
        self.path, self._origins, self.foreign = path, origins, foreign
        self._found: dict[tuple[int, int, str], _Found] = {}
        self._settled: set[tuple[int, int]] = set()

    def __len__(self) -> int:
        return len(self._found)

    def settle(self, at: Placed, sentence: Sentence) -> None:
        """Note a problem that explains all others at its place, which are not told then."""
        self.add(at, sentence)
        self._settled.add((at.line, at.column))

    def add(self, at: Placed, sentence: Sentence, case: str = "", related: Iterable[Related] = ()) -> None:
        """Note a problem; the same words at the same place are one problem, however many combinations meet it.

        `related` are the places that the words name; those of the case are known without.
        """
        if (at.line, at.column) in self._settled:
            return
        if isinstance(at, ScalarNode):
            case = located(case, at.made_of)
        message = " ".join(sentence.splitlines())  # what a spec holds may hold line breaks, and a problem is one line
        whole = at is START or isinstance(at, ListNode | MapNode)
        new = _Found(rule_of(sentence).id, whole, tuple(related), case)
        found = self._found.setdefault((at.line, at.column, message), new)
        if found.first and not case:
            found.first = ""
        elif case != found.first:
            found.others.add(case)

    def position(self, at: Placed) -> Position:
        """Return a place of this file, or of a base, as others may cite it."""
        if (origin := self.origin(at)) is None:
            return Position(self.path, at.line, at.column)
        return Position(origin.path, at.line - origin.first, at.column)

    def origin(self, at: Placed) -> Origin | None:
        """Return the base that something is written in; None for this file."""
        return self._origins.of(at) if self._origins else None

    def found(self) -> Iterator[tuple[Position, str, _Found]]:
        """Yield what was noted, as often as it differs."""
        for (line, column, message), found in self._found.items():
            yield self.position(Mark(line, column)), message, found


def problems_of(reports: Iterable[Report]) -> list[Problem]:
    """Return the problems of several files in the files' order, by line and column; what several have is one."""
    rank: dict[Path, int] = {}
    foreign: set[tuple[Position, str]] = set()
    merged: dict[tuple[Position, str], _Found] = {}
    for report in reports:
        rank.setdefault(report.path, len(rank))
        for at, message, found in report.found():
            foreign.update([(at, message)] if report.foreign else [])
            merged[at, message] = _both(merged[at, message], found) if (at, message) in merged else found
    ordered = sorted(merged.items(), key=lambda item: (rank[item[0][0].path], item[0][0]))
    return [
        Problem(at, message + _suffix(found), found.rule, found.whole, (at, message) in foreign, _related(found))
        for (at, message), found in ordered
    ]


def _both(one: _Found, other: _Found) -> _Found:
    """Return what two files have found alike, for the combinations of both."""
    if not one.first or not other.first:
        return replace(one, first="", others=set())
    return replace(one, others=(one.others | other.others | {other.first}) - {one.first})


def _related(found: _Found) -> tuple[Related, ...]:
    """Return the places that a message names, as often as they differ."""
    return tuple(dict.fromkeys([*found.related, *related_of(found.first)]))


def _suffix(found: _Found) -> str:
    if not found.first:
        return ""
    more = f"; and {len(found.others)} more" if found.others else ""
    return f" ({found.first}{more})"
