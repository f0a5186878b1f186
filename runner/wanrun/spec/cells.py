"""Cells of CSV tables, which are all text: each becomes the type that the schema wants where it stands alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wanrun.spec.nodes import Entry, ListNode, Mark, ScalarNode, list_of, map_of
from wanrun.spec.scalars import Unreadable, read_plain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from wanrun.spec.nodes import Node, Plain
    from wanrun.types import JSON


_ANY: dict[str, Any] = {}  #: what takes any value; one object, since schemas are told apart by identity


class Cell(str):
    """The text of one cell, as long as nothing has said which type it is to have."""

    __slots__ = ()


class Fitter:
    """Gives cells their types by one schema; `takes` says whether a part of it takes a text."""

    def __init__(self, schema: Mapping[str, JSON], takes: Callable[[Any, str], bool]) -> None:
        self._root, self._takes = schema, takes
        self._known: dict[tuple[int, str], Plain] = {}

    def fit(self, node: Node, schema: object) -> Node:
        """Return a node whose cells are plain values: text where text is taken, else what YAML would read."""
        if isinstance(node, ScalarNode):
            if not isinstance(node.value, Cell):
                return node
            value = self._value(node.value, self._resolved(schema))
            return ScalarNode(value, node.line, node.column, made_of=node.made_of)
        schema = self._resolved(schema)
        if isinstance(node, ListNode):
            items = schema.get("items") if "prefixItems" not in schema else None
            return list_of([self.fit(item, items) for item in node.items], node)
        fitted = {key: self.fit(entry.node, _of_key(schema, key)) for key, entry in node.entries.items()}
        if all(fitted[key] is entry.node for key, entry in node.entries.items()):
            return node  # as most are, which saves making it anew
        return map_of({key: Entry(entry.key, fitted[key]) for key, entry in node.entries.items()}, node)

    def _value(self, cell: Cell, schema: dict[str, Any]) -> Plain:
        key = id(schema), str(cell)
        if key not in self._known:
            self._known[key] = as_wanted(str(cell), lambda text: self._takes(schema, text))
        return self._known[key]

    def _resolved(self, schema: object) -> dict[str, Any]:
        """Return a schema as a mapping, empty if it is none; of a reference, what it leads to in the whole."""
        if isinstance(schema, dict) and "$ref" not in schema:
            return schema
        for _ in range(len(self._root) + 1):  # references may go in circles
            if not isinstance(schema, dict) or "$ref" not in schema:
                break
            schema = self._found(str(schema["$ref"]))
        return schema if isinstance(schema, dict) and "$ref" not in schema else _ANY

    def _found(self, reference: str) -> object:
        found: Any = self._root
        for step in reference.removeprefix("#/").split("/") if reference.startswith("#/") else ("",):
            found = found.get(step) if isinstance(found, dict) else None
        return found


def as_wanted(text: str, takes: Callable[[str], bool]) -> Plain:
    """Return a text itself where it is taken, else the number, truth value or nothing that it spells, if it does."""
    if takes(text):
        return text
    try:
        return read_plain(text.strip(), Mark(1, 1))
    except Unreadable:
        return text


def as_text(node: Node) -> Node:
    """Return a node whose cells are plain text, as where nothing but text is taken."""
    if isinstance(node, ScalarNode):
        if not isinstance(node.value, Cell):
            return node
        return ScalarNode(str(node.value), node.line, node.column, made_of=node.made_of)
    return list_of([as_text(item) for item in node.items], node) if isinstance(node, ListNode) else node


def _of_key(schema: Mapping[str, Any], key: str) -> object:
    properties = schema.get("properties", {})
    return properties.get(key, schema.get("additionalProperties"))
