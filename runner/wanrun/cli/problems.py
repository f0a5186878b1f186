"""Spec problems for people: a line each, and at a terminal the line of the spec with a caret below the place."""

from __future__ import annotations

import sys
from shutil import get_terminal_size
from typing import TYPE_CHECKING

from wanrun.cli.excerpt import excerpt
from wanrun.cli.output import counted, say, say_led
from wanrun.redaction import redacted
from wanrun.spec.excerpts import Excerpts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wanrun.types import Problem

NARROWEST = 20  #: cells for a line, however narrow the terminal says that it is
BAR = " | "  #: between the number of a line and the line


def tell_problems(problems: Sequence[Problem]) -> None:
    """Print problems to standard error, and count them."""
    excerpts = Excerpts(problems) if sys.stderr.isatty() else None
    gutter = max(len(str(problem.position.line)) for problem in problems) + 2
    for problem in problems:
        say_led(f"{problem.position}:", f" {problem.message}", bold=True)
        if excerpts is not None:
            _tell_line(problem, excerpts, gutter)
    files = {problem.position.path for problem in problems}
    where = str(problems[0].position.path) if len(files) == 1 else f"{len(files)} files"
    say(f"{counted(len(problems), 'problem')} in {where}; nothing was submitted", err=True)


def _tell_line(problem: Problem, excerpts: Excerpts, gutter: int) -> None:
    """Print the line that a problem is about; not one that holds a secret, nor one of which nothing is to be seen."""
    at, line, end = problem.position, excerpts.line(problem), excerpts.end(problem)
    if not line.strip() or redacted(line) != line:
        return
    behind = 0 if end is None else end.column if end.line == at.line else len(line.rstrip()) + 1
    cells = max(NARROWEST, get_terminal_size().columns - gutter - len(BAR))
    cut = excerpt(line, at.column, behind, cells=cells, encoding=sys.stderr.encoding or "utf-8")
    say(f"{at.line:>{gutter}}{BAR}{cut.text}", err=True)
    say_led(f"{'':>{gutter}}{BAR}{cut.caret}", "", fg="red")
