"""The combinations of a job's matrix: every value of every axis with every other, in the order written.

Less what `exclude` names, and with what `include` adds; both are read in `including`.
"""

from __future__ import annotations

import glob
import itertools
import json
import math
import os
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from wanrun import rules
from wanrun.spec.cases import Case, Located
from wanrun.spec.including import EXCLUDE, INCLUDE, RESERVED, items_of, less_excluded, with_included
from wanrun.spec.nodes import ListNode, MapNode, ScalarNode
from wanrun.spec.words import clipped, quoted, shown
from wanrun.types import Related

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from pathlib import Path

    from wanrun.rules import Sentence
    from wanrun.spec.kinds import Tell
    from wanrun.spec.nodes import Node, Placed
    from wanrun.spec.report import Report
    from wanrun.types import JSON, Position

MAX_JOBS = 100_000  #: of one entry in `jobs`; more is a slip, and would fill the memory
MAX_COMPARED = 10_000_000  #: combinations times items of `exclude` and `include`, which are compared one by one

_PATTERN = ""  #: in place of a value, where a glob found it
MATRIX = "matrix: "  #: how a combination is called in messages


@dataclass(frozen=True, slots=True)
class Combination:
    """What one job of an entry has to itself: names for its templates, and what messages call it."""

    scope: Mapping[str, Any]
    case: str  #: empty for the only job of an entry
    cells: bool = False  #: values are texts of a CSV table, whose types depend on where they go


ALONE = Combination({}, "")


@dataclass(frozen=True, slots=True)
class Matrix:
    """The axes of a matrix with their values, and its combinations."""

    axes: Mapping[str, list[JSON]]
    found: Iterable[Mapping[str, JSON]]
    node: MapNode
    cite: Callable[[Placed], Position]
    _places: dict[str, dict[str, Placed]] = field(default_factory=dict)

    def combinations(self) -> Iterator[Combination]:
        """Yield the combinations, each named by its values of the axes."""
        for values in self.found:
            named = ", ".join(f"{key}={_brief(values[key])}" for key in self.axes or values)
            yield Combination({"matrix": values}, Case(MATRIX + named, partial(self._named, values)))

    def _named(self, values: Mapping[str, JSON], located: Collection[str]) -> Located:
        """Name a combination, with the places of the values of some axes."""
        shown = [*self.axes, *(key for key in values if key in located and key not in self.axes)] or list(values)
        words, related = [], []
        for key in shown:
            named = f"{key}={_brief(values[key])}"
            place = self._place(key, values[key]) if key in located else None
            words.append(f"{named} at {place}" if place else named)
            related += [Related(place, named)] if place else []
        return Located(MATRIX + ", ".join(words), tuple(related))

    def _place(self, key: str, value: JSON) -> Position | None:
        """Return where a value of the matrix is written: in its axis, the pattern that found it, or an include."""
        if key not in self._places:
            self._places[key] = dict(_places(key, self.node))
        known = self._places[key]
        at = known.get(_identity(value)) or known.get(_PATTERN)
        return self.cite(at) if at else None


def read_matrix(node: MapNode, folder: Path, report: Report) -> Matrix | None:
    """Return a matrix whose templates are filled in, or None when something is wrong with it; that is told."""
    faults = 0

    def tell_and_count(at: Placed, sentence: Sentence) -> None:
        nonlocal faults
        faults += 1
        report.add(at, sentence)

    own = {axis: entry.node for axis, entry in node.own() if axis not in RESERVED}
    axes = {axis: _axis_values(each, folder, tell_and_count) for axis, each in own.items()}
    if fault := _too_many(axes, node):
        tell_and_count(node, fault)
    if faults or not all(axes.values()):
        return None
    product = (dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values()))
    if not any(key in node for key in RESERVED):
        return Matrix(axes, product, node, report.position)
    found = less_excluded(list(product) if axes else [], node, axes, tell_and_count)
    found = with_included(found, node, axes, tell_and_count)
    return None if faults else Matrix(axes, found, node, report.position)


def _places(key: str, node: MapNode) -> Iterator[tuple[str, Placed]]:
    """Yield where the values of an axis stand, by what they are; those of `include` after which the axis' own count."""
    for item in items_of(node, INCLUDE):
        if (added := item.get(key)) is not None:
            yield _identity(added.plain()), added
    axis = node.get(key)
    if isinstance(axis, ListNode):
        yield from ((_identity(item.plain()), item) for item in axis.items)
    elif isinstance(axis, MapNode) and (pattern := axis.get("glob")) is not None:
        yield _PATTERN, pattern


def _identity(value: JSON) -> str:
    return json.dumps(value, sort_keys=True)


def names_of(node: Node) -> dict[str, JSON] | None:
    """Return the names that templates may use of a matrix as written, without values; None for what is no matrix."""
    if not isinstance(node, MapNode):
        return None
    added = [key for item in items_of(node, INCLUDE) for key, _ in item.own()]
    return dict.fromkeys([key for key, _ in node.own() if key not in RESERVED] + added)


def unnamed_axes(axes: Mapping[str, object], named: set[str]) -> Sentence | None:
    """Say which axes an id leaves out, or None: jobs that differ only in them would share one name."""
    if not (missing := [axis for axis in axes if axis not in named]):
        return None
    example = "-".join(f"${{{{ matrix.{axis}.slug }}}}" for axis in missing)
    words = f'the id must name every axis of the matrix; it leaves out {quoted(missing, "and")}: add "{example}"'
    return rules.ID_MISSES_AXIS(words)


def _axis_values(node: Node, folder: Path, tell: Tell) -> list[JSON]:
    """Return the values of one axis; empty when something is wrong with it."""
    if isinstance(node, MapNode):
        pattern = node.get("glob")
        return list(_matching(pattern, folder, tell)) if isinstance(pattern, ScalarNode) else []
    if not isinstance(node, ListNode):
        return []
    known: set[str] = set()
    for item in node.items:
        text = _identity(item.plain())
        if text in known:
            tell(item, rules.AXIS_VALUE_TWICE(f"the value {shown(item.plain())} stands twice in this axis"))
            return []
        known.add(text)
    return [item.plain() for item in node.items]


def _matching(pattern: ScalarNode, folder: Path, tell: Tell) -> list[str]:
    text = str(pattern.value)
    try:
        # Not Path.glob: it refuses absolute patterns and returns hidden files
        matches = glob.iglob(text, root_dir=folder, recursive=True)  # noqa: PTH207
        found = itertools.islice(matches, MAX_JOBS + 1)
        paths = sorted(path for path in found if (folder / path).is_file())
    except (OSError, ValueError) as exc:
        tell(pattern, rules.GLOB_UNREADABLE(f"the pattern {shown(text)} cannot be looked up: {exc}"))
        return []
    if not paths:
        tell(pattern, rules.GLOB_EMPTY(f"no file matches {shown(text)} (patterns start at the spec's folder)"))
    return paths if os.sep == "/" else [path.replace(os.sep, "/") for path in paths]


def _too_many(axes: Mapping[str, list[JSON]], node: MapNode) -> Sentence | None:
    """Say that a matrix makes more jobs than anybody means, or takes too long to make, or None."""
    named = len(items_of(node, INCLUDE))
    count = (math.prod(map(len, axes.values())) if axes else 0) + named
    if count > MAX_JOBS:
        return rules.MATRIX_TOO_LARGE(f"this matrix makes {count:,} jobs; at most {MAX_JOBS:,} are allowed")
    named += len(items_of(node, EXCLUDE))
    if count * named > MAX_COMPARED:
        words = f"{named:,} items of include and exclude are too many for a matrix of {count:,} jobs; use a table"
        return rules.MATRIX_TOO_LARGE(words)
    return None


def _brief(value: JSON) -> str:
    if isinstance(value, dict):
        first = next((item for item in value.values() if isinstance(item, str | int | float)), "")
        return f"{{{clipped(str(first))}, ...}}"
    return clipped(value) if isinstance(value, str) and value.isprintable() else shown(value)
