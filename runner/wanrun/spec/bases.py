"""What specs extend: `extends: base.yaml` puts another file's vars, sinks and defaults below a spec's own.

A base is read once, however many specs extend it, and what is wrong with it is reported at its own lines. It may
extend another one itself.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from wanrun import rules
from wanrun.spec.document import read
from wanrun.spec.expand import merge
from wanrun.spec.nodes import Entry, MapNode, Mark, ScalarNode, map_of
from wanrun.spec.origins import Origins, raise_lines
from wanrun.spec.report import Report
from wanrun.spec.structure import SHARED, check_base
from wanrun.spec.texts import NoFile, check_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wanrun.spec.kinds import Kinds
    from wanrun.spec.nodes import Node

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

    def below(self, root: MapNode, report: Report, path: Path) -> list[Base] | None:
        """Return what stands below a spec, the nearest first; None when not all can be read, which is reported."""
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

    def is_base(self, path: Path) -> bool:
        """Say whether a file stands below a spec that was asked for before."""
        return path in self._read

    def _base(self, path: Path, shown_as: Path, node: ScalarNode, report: Report) -> Base | None:
        if path in self._read:
            return self._read[path]
        try:
            check_file(path)
        except NoFile as exc:  # not remembered, so that every spec that names it is told
            report.add(node, rules.BASE_MISSING(f"{node.value}: {exc}"))
            return None
        own = Report(shown_as, self.origins)
        self.reports.append(own)
        self._read[path] = self._checked(path, own)
        return self._read[path]

    def _checked(self, path: Path, report: Report) -> Base | None:
        document = read(path, report)
        if document is None:
            return None
        origin = self.origins.add(report.path, path.parent, document.lines)
        raise_lines(document.root, origin)
        if not isinstance(document.root, MapNode) or "version" not in document.root:
            report.table = True  # any file can be named as one, and what is none may hold secrets
            report.add(document.root, rules.SPEC_NOT_MAPPING("a base is a mapping that starts with version: 1"))
            return None
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
