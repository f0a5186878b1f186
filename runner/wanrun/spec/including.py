"""`exclude` and `include` of a matrix, read as GitHub Actions reads them; but what has no effect is a problem here.

What `exclude` names goes first. Then each item of `include` that agrees with combinations of the axes gives them its
other keys; one that agrees with none is a combination of its own, and names every axis.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from wanrun import rules
from wanrun.spec.nodes import ListNode, MapNode
from wanrun.spec.words import did_you_mean, quoted, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from wanrun.spec.kinds import Tell
    from wanrun.spec.nodes import Placed
    from wanrun.types import JSON

    Values: TypeAlias = "dict[str, JSON]"
    Axes: TypeAlias = "Mapping[str, Sequence[JSON]]"

EXCLUDE, INCLUDE = "exclude", "include"
RESERVED = (EXCLUDE, INCLUDE)  #: keys of a matrix that are no axes


def items_of(matrix: MapNode, key: str) -> list[MapNode]:
    """Return the items of `exclude` or `include`, where they are mappings."""
    node = matrix.get(key)
    return [item for item in node.items if isinstance(item, MapNode)] if isinstance(node, ListNode) else []


def less_excluded(found: list[Values], matrix: MapNode, axes: Axes, tell: Tell) -> list[Values]:
    """Return the combinations that no item of `exclude` names, and tell of each item that names none."""
    for item in items_of(matrix, EXCLUDE):
        wanted = _values(item)
        left = [values for values in found if not _agrees(values, wanted)]
        if len(left) == len(found):
            _tell_of_no_effect(item, axes, tell)
        found = left
    if axes and not found and not items_of(matrix, INCLUDE):
        tell(matrix, rules.MATRIX_EMPTY("every combination of this matrix is excluded, so it makes no job"))
    return found


def with_included(found: list[Values], matrix: MapNode, axes: Axes, tell: Tell) -> list[Values]:
    """Return the combinations with what `include` gives to them, and those that it adds."""
    added: list[Values] = []
    for item in items_of(matrix, INCLUDE):
        wanted = _values(item)
        common = {key: value for key, value in wanted.items() if key in axes}
        agreeing = [values for values in found if _agrees(values, common)]
        if agreeing and len(common) == len(wanted):
            words = "this include adds nothing: a combination like it is there already"
            tell(item, rules.INCLUDE_WITHOUT_EFFECT(words))
        elif not agreeing and (missing := [axis for axis in axes if axis not in wanted]):
            words = f"no combination agrees with this include, and as one of its own it lacks {quoted(missing)}"
            tell(item, rules.INCLUDE_INCOMPLETE(words))
        elif not agreeing:
            added.append(wanted)
        for values in agreeing:
            values.update((key, value) for key, value in wanted.items() if key not in axes)
    return found + added


def _values(item: MapNode) -> Values:
    return {key: entry.node.plain() for key, entry in item.own()}


def _agrees(value: JSON, wanted: JSON) -> bool:
    """Say whether a value is what an item wants: of a mapping, at the keys that the item names."""
    if isinstance(value, dict) and isinstance(wanted, dict):
        return all(key in value and _agrees(value[key], each) for key, each in wanted.items())
    return type(value) is type(wanted) and value == wanted  # 1, 1.0 and true are three values


def _tell_of_no_effect(item: MapNode, axes: Axes, tell: Tell) -> None:
    for at, words in _strange(item, axes):
        tell(at, rules.EXCLUDE_WITHOUT_EFFECT(words))
        return
    tell(item, rules.EXCLUDE_WITHOUT_EFFECT("this exclude matches no combination that is not excluded already"))


def _strange(item: MapNode, axes: Axes) -> Iterator[tuple[Placed, str]]:
    """Yield what in an item of `exclude` is nothing of the matrix."""
    for key, entry in item.own():
        value = entry.node.plain()
        if key not in axes:
            yield entry.key, f"the matrix has no axis {shown(key)}{did_you_mean(key, axes, 'its axes')}"
        elif not any(_agrees(each, value) for each in axes[key]):
            yield entry.node, f"the axis {shown(key)} has no value {shown(value)}{_values_like(value, axes[key])}"


def _values_like(value: JSON, known: Sequence[JSON]) -> str:
    """Return the end of a sentence about a value that is none of the known ones: what may have been meant."""
    if same := [each for each in known if str(each) == str(value)]:
        return f"; it has {shown(same[0])}, and quotes make another value of that"
    return did_you_mean(str(value), [str(each) for each in known], "it has")
