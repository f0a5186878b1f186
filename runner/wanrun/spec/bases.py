"""What specs extend: `extends: base.yaml` puts another file's vars, sinks and defaults below a spec's own.

A base is read once, however many specs extend it, and what is wrong with it is reported at its own lines. It may
extend another one itself. A stranger's spec may name any file as its base, such as one of secrets: of a file that does
not say of itself that it is one, no message repeats anything.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from wanrun import rules
from wanrun.spec.document import parse, read_text
from wanrun.spec.expand import merge
from wanrun.spec.nodes import Entry, MapNode, Mark, ScalarNode, map_of
from wanrun.spec.origins import Origins, raise_lines
from wanrun.spec.report import Report
from wanrun.spec.structure import SHARED, check_base, is_ours
from wanrun.spec.texts import NoFile, check_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wanrun.spec.kinds import Kinds
    from wanrun.spec.nodes import Node

_FOREIGN = "this is no base, which has version: 1 and vars, sinks or defaults; of any other file nothing is shown"

MAX_BASES = 8  #: that stand below one spec, each extended by the one before it


@dataclass(frozen=True, slots=True)
class Base:
    """One file that is extended."""

    root: MapNode
    path: Path  #: absolute, links followed
    report: Report
    broken: set[str] = field(default_factory=set)  #: fields of its `defaults` that are wrong


class Bases:
    """The bases of one call."""

    def __init__(self, sources: Kinds) -> None:
        self.origins = Origins()
        self.reports: list[Report] = []
        self._sources = sources
        self._read: dict[Path, Base | None] = {}
        self._foreign: set[Path] = set()  # what is no base

    def below(self, root: MapNode, report: Report, path: Path) -> list[Base] | None:
        """Return what stands below a spec, the nearest first; None when one cannot be had, which is reported."""
        found: list[Base] = []
        seen = {path: report.path}
        while "extends" in root:
            if (node := _extends(root)) is None:
                return None
            target = Path(os.path.realpath(path.parent / str(node.value)))
            if target in seen:
                report.add(node, rules.EXTENDS_CIRCLE(_circle(list(seen.values()), seen[target])))
                return None
            if len(found) == MAX_BASES:
                words = f"this is base number {MAX_BASES + 1} below one spec; at most {MAX_BASES} are allowed"
                report.add(node, rules.EXTENDS_TOO_DEEP(words))
                return None
            shown_as = Path(os.path.normpath(report.path.parent / str(node.value)))
            if (base := self._base(target, shown_as, node, report)) is None:
                return None
            found.append(base)
            seen[target] = base.report.path
            root, report, path = base.root, base.report, base.path
        return found

    def has_read(self, path: Path) -> bool:
        """Say whether a file stands below one that was asked for before."""
        return path in self._read

    def files(self) -> tuple[Path, ...]:
        """Return the files of all bases that were read, absolute."""
        return tuple(base.path for base in self._read.values() if base is not None)

    def _base(self, path: Path, shown_as: Path, node: ScalarNode, report: Report) -> Base | None:
        if path not in self._read:
            try:
                check_file(path)
            except NoFile as exc:  # not remembered, so that every spec that names it is told
                report.add(node, rules.BASE_MISSING(f"{node.value}: {exc}"))
                return None
            self._read[path] = self._checked(path, shown_as)
        if path in self._foreign:
            report.add(node, rules.NO_BASE(f"{node.value}: {_FOREIGN}"))
        return self._read[path]

    def _checked(self, path: Path, shown_as: Path) -> Base | None:
        report = Report(shown_as, self.origins, foreign=True)
        if (text := read_text(path, report)) is None:
            self.reports.append(report)
            return None
        report = Report(shown_as, self.origins)
        document = parse(text, report)
        if not is_ours(text, document.root if document else None):
            self._foreign.add(path)
            return None
        self.reports.append(report)
        if document is None or not isinstance(document.root, MapNode):
            return None
        raise_lines(document.root, self.origins.add(shown_as, path.parent, document.lines))
        return Base(document.root, path, report, check_base(document.root, report, self._sources))


def merged(root: MapNode, bases: list[Base]) -> MapNode:
    """Return a spec with what its bases give it below its own: vars and sinks by name, defaults as deep as they go."""
    if not bases:
        return root
    entries = {key: entry for key, entry in root.entries.items() if key not in SHARED}
    shared = {key: root.entries[key] for key in SHARED if key in root}
    own = _mapping(root, "defaults")
    under = map_of(shared, root) if shared else None
    layers = [merge(under, own) if own else under, *(_mapping(base.root, "defaults") for base in bases)]
    defaults = None
    for layer in reversed(layers):
        defaults = merge(defaults, layer) if layer else defaults
    if defaults and not ("defaults" in root and own is None):
        entries["defaults"] = Entry(Mark(defaults.line, defaults.column), defaults)
    for name in ("vars", "sinks"):
        entries |= _by_name(name, [root, *(base.root for base in bases)])
    return map_of(entries, root)


def _by_name(name: str, roots: list[MapNode]) -> Iterator[tuple[str, Entry]]:
    """Yield one entry with the names of all files, those of the last base first; the nearest value of each counts."""
    found = [entry for root in reversed(roots) if (entry := root.entries.get(name))]
    maps = [entry.node for entry in found if isinstance(entry.node, MapNode)]
    if maps and len(maps) == len(found):
        names: dict[str, Entry] = {}
        for each in maps:
            names |= each.entries
        yield name, Entry(found[-1].key, map_of(names, maps[-1]))


def _mapping(root: MapNode, key: str) -> MapNode | None:
    return node if isinstance(node := root.get(key), MapNode) else None


def _extends(root: MapNode) -> ScalarNode | None:
    node: Node | None = root.get("extends")
    return node if isinstance(node, ScalarNode) and isinstance(node.value, str) and node.value else None


def _circle(paths: list[Path], first: Path) -> str:
    circle = [*paths[paths.index(first) :], first]
    return f"this closes a circle: {' extends '.join(map(str, circle))}"
