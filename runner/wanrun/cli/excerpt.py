"""A line of a spec with a caret below the place that is wrong, as a terminal of some width can show it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from rich.cells import cell_len

from wanrun.text import QUERY, USERINFO, pieces

if TYPE_CHECKING:
    from collections.abc import Sequence

TAB = "    "  #: where a tab would lead depends on the terminal
CUT = "..."  #: stands where a line is too long


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A line as it is shown, and the cells below it that the caret takes."""

    text: str
    before: int
    carets: int

    @property
    def caret(self) -> str:
        """The line below."""
        return " " * self.before + "^" * self.carets


def excerpt(line: str, start: int, end: int, *, cells: int, encoding: str = "utf-8") -> Excerpt:
    """Return a line, cut around what stands from column `start` to before `end` so that it fits into `cells`.

    Columns count characters from 1. What drives a terminal is replaced, and links are without their query, which may
    sign them.
    """
    shown = [each.replace("\t", TAB) for each in _without_queries(line, pieces(line))]
    shown = [each.encode(encoding, "backslashreplace").decode(encoding) for each in shown] + [" "]
    first = min(start, len(shown)) - 1  # behind the end of the line, where something is missing, there is a place too
    last = max(first + 1, min(end, len(shown)) - 1)
    widths = [cell_len(each) for each in shown]
    low, high = _window(widths, first, last, cells)
    head, tail = CUT if low else "", CUT if high < len(shown) else ""
    before = len(head) + sum(widths[low:first])
    carets = max(1, sum(widths[first : min(last, high)]))
    return Excerpt((head + "".join(shown[low:high]) + tail).rstrip(), before, carets)


def _window(widths: Sequence[int], first: int, last: int, cells: int) -> tuple[int, int]:
    """Return which characters to show: all, or the first, or some around the place, a third of the room before it."""
    if sum(widths) <= cells + 1:  # the place behind the end need not fit
        return 0, len(widths)
    from_start = sum(widths[:last]) <= cells - len(CUT)
    room = max(1, cells - len(CUT) * (1 if from_start else 2))
    left = room if from_start else max(room // 3, room - sum(widths[first:]))
    low, before = first, 0
    while low > 0 and before + widths[low - 1] <= left:
        low -= 1
        before += widths[low]
    ends = accumulate(widths[low:])
    return low, max(low + sum(end <= room for end in ends), first + 1)


def _without_queries(line: str, shown: list[str]) -> list[str]:
    """Return what stands for the characters of a line, without that for users, passwords and queries of its links."""
    hidden = [(found.end(1), found.end(), "") for found in USERINFO.finditer(line)]
    hidden += [(found.end(2), found.end(), "...") for found in QUERY.finditer(line)]
    for start, end, instead in hidden:
        shown[start:end] = [instead, *[""] * (end - start - 1)] if end > start else []
    return shown
