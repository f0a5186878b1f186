"""Which file something is written in, where a spec is made of several: its own, and those that it extends.

As compilers do, every base gets a block of line numbers of its own, far above those of any file. So the nodes of a
merged tree still say where they are written, and whoever passes them on does not have to know of bases.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wanrun.spec.nodes import ListNode, MapNode, Mark

if TYPE_CHECKING:
    from pathlib import Path

    from wanrun.spec.nodes import Node, Placed

BLOCK = 1 << 24  #: more lines than a file of the largest size can have


@dataclass(frozen=True, slots=True)
class Origin:
    """A base as the place where values are written."""

    path: Path  #: as messages show it
    folder: Path  #: absolute; relative paths in it start here
    lines: list[str]
    first: int  #: what its line numbers are raised by


class Origins:
    """The bases of one call, by their blocks of lines."""

    def __init__(self) -> None:
        self._origins: list[Origin] = []

    def add(self, path: Path, folder: Path, lines: list[str]) -> Origin:
        """Give a base its block."""
        origin = Origin(path, folder, lines, BLOCK * (len(self._origins) + 1))
        self._origins.append(origin)
        return origin

    def of(self, at: Placed) -> Origin | None:
        """Return the base that something is written in; None for a spec's own file."""
        return self._origins[at.line // BLOCK - 1] if at.line >= BLOCK else None


def raise_lines(node: Node, origin: Origin) -> None:
    """Move a tree that was just read into its base's block; a node that has several places there is moved once."""
    moved: set[int] = set()

    def move(placed: Node | Mark) -> None:
        if id(placed) in moved:
            return
        moved.add(id(placed))
        placed.line += origin.first
        if isinstance(placed, ListNode):
            for item in placed.items:
                move(item)
        elif isinstance(placed, MapNode):
            for entry in placed.entries.values():
                move(entry.key)
                move(entry.node)

    move(node)
