"""The combinations of a job's matrix: every value of every axis with every other, in the order written."""

from __future__ import annotations

import glob
import itertools
import json
import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wanrun import rules
from wanrun.spec.nodes import ListNode, MapNode, ScalarNode
from wanrun.spec.words import clipped, quoted, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from wanrun.rules import Sentence
    from wanrun.spec.kinds import Tell
    from wanrun.spec.nodes import Node
    from wanrun.types import JSON

MAX_JOBS = 100_000  #: of one entry in `jobs`; more is a slip, and would fill the memory


@dataclass(frozen=True, slots=True)
class Combination:
    """One value of every axis; `case` names it in messages, empty where there is no matrix."""

    values: Mapping[str, JSON]
    case: str


CASE = "matrix: "  #: how a combination is called in messages
NO_MATRIX = Combination({}, "")


def axis_values(node: Node, folder: Path, tell: Tell) -> list[JSON]:
    """Return the values of one axis, templates filled in already; empty when something is wrong with it."""
    if isinstance(node, MapNode):
        pattern = node.get("glob")
        return list(_found(pattern, folder, tell)) if isinstance(pattern, ScalarNode) else []
    if not isinstance(node, ListNode):
        return []
    known: set[str] = set()
    for item in node.items:
        text = json.dumps(item.plain(), sort_keys=True)
        if text in known:
            tell(item, rules.AXIS_VALUE_TWICE(f"the value {shown(item.plain())} stands twice in this axis"))
            return []
        known.add(text)
    return [item.plain() for item in node.items]


def _found(pattern: ScalarNode, folder: Path, tell: Tell) -> list[str]:
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


def combinations(axes: Mapping[str, list[JSON]]) -> Iterator[Combination]:
    """Yield the product of all axes, the first varying slowest."""
    for values in itertools.product(*axes.values()):
        named = dict(zip(axes, values, strict=True))
        yield Combination(named, _case(named))


def too_many(axes: Mapping[str, list[JSON]]) -> Sentence | None:
    """Say that a matrix makes more jobs than anybody means, or None."""
    count = math.prod(map(len, axes.values()))
    if count <= MAX_JOBS:
        return None
    return rules.MATRIX_TOO_LARGE(f"this matrix makes {count:,} jobs; at most {MAX_JOBS:,} are allowed")


def unnamed_axes(axes: Mapping[str, object], named: set[str]) -> Sentence | None:
    """Say which axes an id leaves out, or None: jobs that differ only in them would share one name."""
    if not (missing := [axis for axis in axes if axis not in named]):
        return None
    example = "-".join(f"${{{{ matrix.{axis}.slug }}}}" for axis in missing)
    words = f'the id must name every axis of the matrix; it leaves out {quoted(missing, "and")}: add "{example}"'
    return rules.ID_MISSES_AXIS(words)


def _case(values: Mapping[str, JSON]) -> str:
    return CASE + ", ".join(f"{axis}={_brief(value)}" for axis, value in values.items())


def _brief(value: JSON) -> str:
    if isinstance(value, dict):
        first = next((item for item in value.values() if isinstance(item, str | int | float)), "")
        return f"{{{clipped(str(first))}, ...}}"
    return clipped(value) if isinstance(value, str) and value.isprintable() else shown(value)
