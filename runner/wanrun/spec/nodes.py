"""A YAML file as a tree of values that know where they stand; every other room of this package reads these trees."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from wanrun.types import JSON

Plain: TypeAlias = "bool | int | float | str | None"
Node: TypeAlias = "ScalarNode | ListNode | MapNode"

OPENING = "${{"  #: what makes a text a template


class Placed(Protocol):
    """Anything that stands at a line and column, both from 1."""

    @property
    def line(self) -> int: ...

    @property
    def column(self) -> int: ...


@dataclass(slots=True)
class Mark:
    """A bare place in the file, such as that of a key."""

    line: int
    column: int


@dataclass(slots=True, eq=False)
class ScalarNode:
    """A text, number, truth value or nothing."""

    value: Plain
    line: int
    column: int
    cut: bool = False  #: unquoted, and what follows on its line was read as a comment
    made_of: str = ""  #: the text whose templates made the value, if any did

    @property
    def templated(self) -> bool:
        """Whether the text holds a template."""
        return isinstance(self.value, str) and OPENING in self.value

    def plain(self) -> JSON:
        """Return the value alone."""
        return self.value


@dataclass(slots=True, eq=False)
class ListNode:
    """A list; `templated` says whether a template stands anywhere below it."""

    items: list[Node]
    line: int
    column: int
    templated: bool = False
    _plain: list[JSON] | None = field(default=None, repr=False)

    def plain(self) -> JSON:
        """Return the value without places; made once and shared, so nobody may change it."""
        if self._plain is None:
            self._plain = [item.plain() for item in self.items]
        return self._plain


@dataclass(slots=True)
class Entry:
    """One key of a mapping and its value."""

    key: Mark
    node: Node


@dataclass(slots=True, eq=False)
class MapNode:
    """A mapping; `templated` says whether a template stands anywhere below it (keys are never templates)."""

    entries: dict[str, Entry]
    line: int
    column: int
    templated: bool = False
    _plain: dict[str, JSON] | None = field(default=None, repr=False)

    def __contains__(self, key: str) -> bool:
        return key in self.entries

    def get(self, key: str) -> Node | None:
        """Return the value of a key, or None."""
        entry = self.entries.get(key)
        return entry.node if entry else None

    def own(self) -> Iterator[tuple[str, Entry]]:
        """Yield the entries except those that are free for anchors (`x-...`)."""
        return ((key, entry) for key, entry in self.entries.items() if not key.startswith("x-"))

    def plain(self) -> dict[str, JSON]:
        """Return the value without places; made once and shared, so nobody may change it."""
        if self._plain is None:
            self._plain = {key: entry.node.plain() for key, entry in self.entries.items()}
        return self._plain


def list_of(items: list[Node], at: Placed) -> ListNode:
    """Make a list node that stands at a place."""
    return ListNode(items, at.line, at.column, any(item.templated for item in items))


def map_of(entries: dict[str, Entry], at: Placed) -> MapNode:
    """Make a mapping node that stands at a place."""
    return MapNode(entries, at.line, at.column, any(entry.node.templated for entry in entries.values()))


def node_of(value: JSON, at: Placed, made_of: str = "") -> Node:
    """Turn a plain value into nodes that all stand at one place: where a template was."""
    if isinstance(value, dict):
        return map_of(
            {key: Entry(Mark(at.line, at.column), node_of(item, at, made_of)) for key, item in value.items()}, at
        )
    if isinstance(value, list):
        return list_of([node_of(item, at, made_of) for item in value], at)
    return ScalarNode(value, at.line, at.column, made_of=made_of)


def scalars(node: Node) -> Iterator[ScalarNode]:
    """Yield every scalar below a node, in file order; keys free for anchors are left out."""
    if isinstance(node, ScalarNode):
        yield node
    children: Iterable[Node] = ()
    if isinstance(node, ListNode):
        children = node.items
    elif isinstance(node, MapNode):
        children = (entry.node for _, entry in node.own())
    for child in children:
        yield from scalars(child)
