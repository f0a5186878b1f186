"""Spec problems for programs and reviews: JSON, workflow commands, SARIF, a comment; `docs/problems.md` says more."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wanrun.cli.markdown import problems_page
from wanrun.cli.output import say, say_commands, say_json
from wanrun.cli.sarif import below, sarif_log
from wanrun.errors import SpecError
from wanrun.settings import project_root
from wanrun.spec.excerpts import Excerpts
from wanrun.text import one_line, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wanrun.types import JSON, Problem

FORMATS = ("json", "github", "sarif")  #: of `validate`, besides text

#: Escapes of workflow commands: in what is said and, with two more, in the properties before it.
_DATA = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_PROPERTY = _DATA | {":": "%3A", ",": "%2C"}


@contextmanager
def problems_as(form: str) -> Iterator[None]:
    """Print the problems of specs in a command's format and end the command; as text, they are left to `cli`."""
    try:
        yield
    except SpecError as exc:
        if form == "text":
            raise
        say_report(form, exc.problems)
        raise click.exceptions.Exit(int(exc.exit_code)) from exc


def say_report(form: str, problems: Sequence[Problem], notes: Sequence[str] = (), **facts: Any) -> None:
    """Print problems, also where there are none, in any format but text; `facts` stand in JSON besides."""
    excerpts = Excerpts(problems)
    if form == "json":
        found: list[JSON] = [problem_json(problem, excerpts) for problem in problems]
        say_json({**facts, "notes": list(notes), "problems": found})
    elif form == "sarif":
        say_json(sarif_log(problems, notes, excerpts, root=project_root(Path.cwd())))
    elif form == "markdown":
        say(problems_page(problems))
    else:
        workspace = os.environ.get("GITHUB_WORKSPACE")
        root = Path(workspace) if workspace else project_root(Path.cwd())
        say_commands([_annotation(problem, excerpts, root) for problem in problems])
        say_commands([f"::notice::{_escaped(note, _DATA)}" for note in notes])


def problem_json(problem: Problem, excerpts: Excerpts) -> dict[str, Any]:
    """Return a problem as programs read it; its end is null where that is not known."""
    at, end = problem.position, excerpts.end(problem)
    return {
        "file": at.path.as_posix(),
        "line": at.line,
        "column": at.column,
        "end_line": end and end.line,
        "end_column": end and end.column,
        "rule": problem.rule,
        "message": problem.message,
        "related": [
            {
                "file": other.position.path.as_posix(),
                "line": other.position.line,
                "column": other.position.column,
                "message": one_line(other.message),
            }
            for other in problem.related
        ],
    }


def _annotation(problem: Problem, excerpts: Excerpts, root: Path) -> str:
    """Return the command that annotates a file; the text names the place again, since a step's log does not show it."""
    at, end = problem.position, excerpts.end(problem)
    properties = {
        "file": below(at.path, root).as_posix(),
        "line": at.line,
        "endLine": end.line if end else None,
        "col": at.column,
        "endColumn": end.column if end else None,
        "title": f"wanrun {problem.rule}",
    }
    written = ",".join(f"{key}={_escaped(str(each), _PROPERTY)}" for key, each in properties.items() if each)
    return f"::error {written}::{_escaped(str(problem), _DATA)}"


def _escaped(text: str, escapes: dict[str, str]) -> str:
    return "".join(escapes.get(each, each) for each in printable(text))
