"""Reads one spec file into nodes: bytes, UTF-8, YAML's events, values by YAML 1.2's core rules.

The tree is built from events, and limits hold while it is built, so a small file cannot become a large tree.
What the values mean is left to the other rooms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml

from wanrun import rules
from wanrun.spec import traps
from wanrun.spec.nodes import Entry, ListNode, MapNode, Mark, Node, ScalarNode, list_of, map_of
from wanrun.spec.report import START
from wanrun.spec.scalars import Unreadable, check_text, lines_of, read_plain
from wanrun.spec.texts import decoded
from wanrun.spec.words import shown
from wanrun.types import Related

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wanrun.spec.nodes import Placed
    from wanrun.spec.report import Report

MAX_BYTES = 10 * 1024 * 1024
MAX_ALIASES = 100
MAX_NODES = 500_000  #: with every alias counted at its full size

_LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader


@dataclass(frozen=True, slots=True)
class Document:
    """The text of a spec file and its tree."""

    lines: list[str]
    root: Node


def template_mark(lines: list[str], at: Placed, index: int) -> Mark:
    """Return where the template number `index` (from 0) of a text stands that starts at a place of these lines."""
    line, start = at.line - 1, at.column - 1
    while line < len(lines):
        column = lines[line].find("${{", start)
        if column < 0:
            line, start = line + 1, 0
        elif index:
            index, start = index - 1, column + 3
        else:
            return Mark(line + 1, column + 1)
    return Mark(at.line, at.column)


def read(path: Path, report: Report) -> Document | None:
    """Read a file; what keeps it from being read is reported, and then None is returned."""
    text = read_text(path, report)
    return parse(text, report) if text is not None else None


def read_text(path: Path, report: Report) -> str | None:
    """Return the text of a file; what keeps it from being read is reported, and repeats nothing of it."""
    try:
        return _text(path)
    except Unreadable as exc:
        report.add(exc, exc.sentence)
        return None


def parse(text: str, report: Report) -> Document | None:
    """Return the tree of a text; what keeps it from being one is reported, and then None is returned."""
    lines = lines_of(text)
    try:
        return Document(lines, _Builder(text, lines, report).root())
    except Unreadable as exc:
        report.add(exc, exc.sentence)
    except yaml.YAMLError as exc:
        report.add(*traps.explain(exc, lines))
    return None


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except IsADirectoryError:
        words = "this is a folder; name the spec files in it, such as specs/*.yaml"
        raise Unreadable(START, rules.FILE_IS_FOLDER(words)) from None
    except FileNotFoundError:
        pattern = "; no file matches this pattern" if set(path.name) & set("*?[") else ""
        raise Unreadable(START, rules.FILE_MISSING(f"there is no such file{pattern}")) from None
    except OSError as exc:
        words = f"the file cannot be read: {exc.strerror or exc}"
        raise Unreadable(START, rules.FILE_UNREADABLE(words)) from exc
    if len(data) > MAX_BYTES:
        words = f"the file is larger than {MAX_BYTES // 1024 // 1024} MiB; split it into several specs"
        raise Unreadable(START, rules.FILE_TOO_LARGE(words))
    return decoded(data, "a spec")


class _Builder:
    """Builds the tree from YAML's events, in one pass."""

    def __init__(self, text: str, lines: list[str], report: Report) -> None:
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=_LOADER)
        self._lines, self._report = lines, report
        self._anchors: dict[str, tuple[Node, int, int] | None] = {}  # node, size, height; None while it is built
        self._nodes = self._aliases = 0

    def root(self) -> Node:
        """Return the one document of the file."""
        next(self._events)  # the stream's start
        if isinstance(next(self._events), yaml.StreamEndEvent):
            raise Unreadable(START, traps.EMPTY)
        node, _ = self._node(next(self._events), 1)
        next(self._events)  # the document's end
        if not isinstance(after := next(self._events), yaml.StreamEndEvent):
            words = "a second document starts here; a file holds one spec"
            raise Unreadable(_mark(after), rules.SECOND_DOCUMENT(words))
        return node

    def _node(self, event: yaml.Event, depth: int) -> tuple[Node, int]:
        """Return the node that starts with this event, and its height."""
        self._count(1, event)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, depth)
        if depth > traps.MAX_DEPTH:
            raise Unreadable(_mark(event), traps.TOO_DEEP)
        assert isinstance(event, yaml.NodeEvent)
        if (tag := getattr(event, "tag", None)) is not None:
            words = f'the tag "{tag}" is not read; leave it out, and quote what is text'
            self._report.settle(_mark(event), rules.YAML_TAG(words))
        if event.anchor is None:
            return self._content(event, depth)
        before, self._anchors[event.anchor] = self._nodes, None
        node, height = self._content(event, depth)
        self._anchors[event.anchor] = node, self._nodes - before, height
        return node, height

    def _content(self, event: yaml.Event, depth: int) -> tuple[Node, int]:
        if isinstance(event, yaml.SequenceStartEvent):
            return self._list(event, depth)
        if isinstance(event, yaml.MappingStartEvent):
            return self._map(event, depth)
        assert isinstance(event, yaml.ScalarEvent)
        return self._scalar(event), 1

    def _alias(self, event: yaml.AliasEvent, depth: int) -> tuple[Node, int]:
        self._aliases += 1
        if self._aliases > MAX_ALIASES:
            words = f"this is alias number {MAX_ALIASES + 1}; {MAX_ALIASES} are allowed"
            raise Unreadable(_mark(event), rules.TOO_MANY_ALIASES(words))
        if event.anchor not in self._anchors:
            words = f"no anchor &{event.anchor} stands above; quote text that starts with *"
            raise Unreadable(_mark(event), rules.UNKNOWN_ANCHOR(words))
        anchored = self._anchors[event.anchor]
        if anchored is None:
            raise Unreadable(_mark(event), rules.ANCHOR_IN_ITSELF(f"the anchor &{event.anchor} holds itself"))
        node, size, height = anchored
        self._count(size, event)
        if depth + height - 1 > traps.MAX_DEPTH:
            words = f"with this alias, values are nested more than {traps.MAX_DEPTH} levels deep"
            raise Unreadable(_mark(event), rules.NESTED_TOO_DEEP(words))
        return node, height

    def _count(self, nodes: int, event: yaml.Event) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            words = f"the file holds more than {MAX_NODES:,} values, aliases written out"
            raise Unreadable(_mark(event), rules.TOO_MANY_VALUES(words))

    def _scalar(self, event: yaml.ScalarEvent) -> ScalarNode:
        mark = _mark(event)
        if event.style:  # quoted or a block: always text
            self._check(event.value, mark)
            return ScalarNode(event.value, mark.line, mark.column)
        try:
            value = read_plain(event.value, mark)
        except Unreadable as exc:
            self._report.settle(exc, exc.sentence)
            value = event.value
        return ScalarNode(value, mark.line, mark.column, self._cut(event))

    def _check(self, text: str, mark: Mark) -> None:
        try:
            check_text(text, mark)
        except Unreadable as exc:  # only an escape such as "\0" gets this far
            self._report.settle(exc, exc.sentence)

    def _cut(self, event: yaml.ScalarEvent) -> bool:
        end = event.end_mark
        assert end is not None
        rest = self._lines[end.line][end.column :] if end.line < len(self._lines) else ""
        return rest.lstrip(" \t").startswith("#") and rest[:1] in " \t"

    def _list(self, start: yaml.Event, depth: int) -> tuple[ListNode, int]:
        items: list[Node] = []
        height = 0
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            item, below = self._node(event, depth + 1)
            items.append(item)
            height = max(height, below)
        return list_of(items, _mark(start)), height + 1

    def _map(self, start: yaml.Event, depth: int) -> tuple[MapNode, int]:
        entries: dict[str, Entry] = {}
        height = 0
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key, mark = self._key(event)
            node, below = self._node(next(self._events), depth + 1)
            height = max(height, below)
            if self._new_key(key, mark, entries):
                entries[key] = Entry(mark, node)
        return map_of(entries, _mark(start)), height + 1

    def _key(self, event: yaml.Event) -> tuple[str, Mark]:
        mark = _mark(event)
        self._count(1, event)
        if not isinstance(event, yaml.ScalarEvent):
            raise Unreadable(mark, traps.odd_key(self._lines, mark))
        if event.tag is not None or event.anchor is not None:
            self._report.add(mark, rules.KEY_NOT_PLAIN("a key is plain text, without tag or anchor"))
        if "\n" in event.value:
            self._report.add(mark, rules.KEY_OF_LINES("a key is text of one line"))
        self._check(event.value, mark)
        return event.value, mark

    def _new_key(self, key: str, mark: Mark, entries: dict[str, Entry]) -> bool:
        if key == "<<":
            self._report.add(mark, rules.MERGE_KEY('merge keys are not read; use "defaults" for what the jobs share'))
            return False
        if first := entries.get(key):
            where = self._report.position(first.key)
            words = f"the key {shown(key)} stands twice in one mapping; the first is at {where}"
            self._report.add(mark, rules.DUPLICATE_KEY(words), related=[Related(where, "the first one")])
            return False
        return True


def _mark(event: yaml.Event) -> Mark:
    mark = event.start_mark
    assert mark is not None  # every event of a file has one
    return Mark(mark.line + 1, mark.column + 1)
