"""Spec problems as a log of SARIF 2.1.0, which code scanning services and editors read."""

from __future__ import annotations

import os
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from wanrun.rules import RULES
from wanrun.text import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wanrun.spec.excerpts import Excerpts
    from wanrun.types import Position, Problem

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
ROOT = "PROJECTROOT"  #: what paths start from; where that is on this machine is nobody's business


def sarif_log(problems: Sequence[Problem], notes: Sequence[str], excerpts: Excerpts, *, root: Path) -> dict[str, Any]:
    """Return a log with one run: every rule, and a result for each problem, at paths relative to the project root."""
    ranks = {rule: rank for rank, rule in enumerate(RULES)}
    driver = {
        "name": "wanrun",
        "version": version("wanrun"),
        "rules": [{"id": rule.id, "shortDescription": {"text": rule.text}} for rule in RULES.values()],
    }
    results = [
        {
            "ruleId": problem.rule,
            "ruleIndex": ranks[problem.rule],
            "level": "error",
            "message": {"text": one_line(problem.message)},
            "locations": [{"physicalLocation": _location(problem, excerpts, root)}],
        }
        | _related(problem, root)
        for problem in problems
    ]
    said = [{"level": "note", "message": {"text": one_line(note)}} for note in notes]
    run = {
        "tool": {"driver": driver},
        "invocations": [{"executionSuccessful": True, "toolExecutionNotifications": said}],
        "originalUriBaseIds": {ROOT: {"description": {"text": "The project root."}}},
        "columnKind": "unicodeCodePoints",
        "results": results,
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _location(problem: Problem, excerpts: Excerpts, root: Path) -> dict[str, Any]:
    place, end = _place(problem.position, root), excerpts.end(problem)
    if end is not None:
        place["region"] |= {"endLine": end.line, "endColumn": end.column}
    return place


def _related(problem: Problem, root: Path) -> dict[str, Any]:
    """Return the other places that a problem names, each with what stands there; nothing where there are none."""
    found = [
        {"physicalLocation": _place(other.position, root), "message": {"text": one_line(other.message)}}
        for other in problem.related
    ]
    return {"relatedLocations": found} if found else {}


def _place(at: Position, root: Path) -> dict[str, Any]:
    return {"artifactLocation": _artifact(at.path, root), "region": {"startLine": at.line, "startColumn": at.column}}


def _artifact(path: Path, root: Path) -> dict[str, str]:
    place = below(path, root)
    if place.is_absolute():
        return {"uri": place.as_uri()}
    return {"uri": quote(place.as_posix()), "uriBaseId": ROOT}


def below(path: Path, root: Path) -> Path:
    """Return a path from a root that it is below of, as it was named or where links lead to its folder; else whole."""
    named = Path(os.path.abspath(path))  # noqa: PTH100  # a link to a file is in the repository, not where it leads
    for whole in (named, named.parent.resolve() / named.name):
        if whole.is_relative_to(root):
            return whole.relative_to(root)
    return named
