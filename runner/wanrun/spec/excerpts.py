"""The lines that problems are about, and where in them what is wrong ends; each file is read once more.

A problem knows only where something starts, so that ten thousand good jobs need not remember where each value ends.
Tables are left out, and what is no base: any file can be named as one, by a stranger's spec too, and its lines may be
secrets.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import yaml

from wanrun.spec.document import MAX_BYTES
from wanrun.spec.nodes import OPENING, Mark
from wanrun.spec.scalars import lines_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from wanrun.types import Problem

MAX_SCANNED = 2_000_000  #: characters of a file; what starts further down has an end that is not known

_LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
_SOLID = (yaml.ScalarToken, yaml.AliasToken, yaml.AnchorToken, yaml.TagToken)

_Place = tuple[int, int]


class Excerpts:
    """What the files say at the places of some problems; nothing of a file that cannot be read any more."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        wanted: dict[Path, set[_Place]] = defaultdict(set)
        for problem in problems:
            at = problem.position
            if not problem.foreign:
                wanted[at.path] |= set() if problem.whole else {(at.line, at.column)}
        texts = {path: _text(path) for path in wanted}
        self._lines = {path: lines_of(text) for path, text in texts.items()}
        self._ends = {path: _ends(text, wanted[path]) for path, text in texts.items()}

    def line(self, problem: Problem) -> str:
        """Return the line that a problem is about; empty where there is none, or none that may be shown."""
        at = problem.position
        lines = [] if problem.foreign else self._lines.get(at.path, [])
        return lines[at.line - 1] if at.line <= len(lines) else ""

    def end(self, problem: Problem) -> Mark | None:
        """Return the place behind what is wrong: a value, a key or a template; None where that is not known."""
        at = problem.position
        if problem.whole or problem.foreign:
            return None
        if found := self._ends.get(at.path, {}).get((at.line, at.column)):
            return Mark(*found)
        line = self.line(problem)
        close = line.find("}}", at.column - 1) if line.startswith(OPENING, at.column - 1) else -1
        return Mark(at.line, close + 3) if close >= 0 else None


def _text(path: Path) -> str:
    if not path.is_file():  # a pipe has been read, and gives nothing any more
        return ""
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES).decode("utf-8-sig", "replace")
    except OSError:
        return ""


def _ends(text: str, wanted: set[_Place]) -> dict[_Place, _Place]:
    """Return where the values and keys end that start at the wanted places."""
    ends: dict[_Place, _Place] = {}
    last = max(wanted, default=(0, 0))
    try:
        for token in yaml.scan(text[:MAX_SCANNED], Loader=_LOADER):
            start = token.start_mark.line + 1, token.start_mark.column + 1
            if start > last:
                break
            if isinstance(token, _SOLID) and start in wanted:
                ends.setdefault(start, (token.end_mark.line + 1, token.end_mark.column + 1))
    except yaml.YAMLError:  # it says where reading stopped; what stands above is known
        pass
    return ends
