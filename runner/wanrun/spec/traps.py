"""YAML's own complaints as sentences that name the trap: tabs, unquoted templates, open quotes, stray colons."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wanrun import rules
from wanrun.spec.nodes import OPENING, Mark

if TYPE_CHECKING:
    import yaml

    from wanrun.rules import Sentence

MAX_DEPTH = 32  #: levels of lists and mappings; some versions of YAML's parser have a limit of their own above it

TOO_DEEP = rules.NESTED_TOO_DEEP(f"this is nested more than {MAX_DEPTH} levels deep")
EMPTY = rules.EMPTY_FILE("the file is empty; a spec starts with version: 1 and has a list of jobs")
QUOTE_TEMPLATE = rules.TEMPLATE_UNQUOTED('put quotes around a template inside { } or [ ]: "${{ ... }}"')
_COLON = rules.COLON_IN_TEXT(
    'a ": " inside text starts a mapping; put quotes around the text, and check the indentation'
)


def explain(error: yaml.YAMLError, lines: list[str]) -> tuple[Mark, Sentence]:
    """Return where YAML stopped reading and what the writer can do about it."""
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    mark = _place(getattr(error, "problem_mark", None) or getattr(error, "context_mark", None))
    opened = _place(getattr(error, "context_mark", None))
    line = lines[mark.line - 1] if mark.line <= len(lines) else ""
    if "\t" in line[: len(line) - len(line.lstrip())]:
        words = "a tab indents this line; YAML takes only spaces there"
        return Mark(mark.line, line.index("\t") + 1), rules.TAB_INDENT(words)
    if "," in problem and (template := _unquoted_template(line, mark)):
        return template, QUOTE_TEMPLATE
    if "end of stream" in problem and "quoted" in (getattr(error, "context", None) or ""):
        return opened, rules.QUOTES_UNCLOSED("the quotes that open here are never closed")
    return _by_problem(problem, mark, opened, line)


def _by_problem(problem: str, mark: Mark, opened: Mark, line: str) -> tuple[Mark, Sentence]:
    char = line[mark.column - 1 : mark.column]
    if "mapping values are not allowed" in problem:
        return mark, _COLON
    if "cannot start any token" in problem:
        return mark, rules.TEXT_START(f'text may not start with "{char}"; put quotes around it')
    if "unknown escape character" in problem:
        start = mark.column if char == "\\" else mark.column - 1  # PyYAML's two parsers differ
        words = "this \\ escape means nothing in double quotes; use single quotes, or \\\\ for a backslash"
        return Mark(mark.line, start), rules.UNKNOWN_ESCAPE(words)
    if "nesting depth" in problem:
        return mark, TOO_DEEP
    if "alphabetic or numeric" in problem:
        return opened, rules.STAR_UNQUOTED('text that starts with "*" or "&" needs quotes')
    if "or '}'" in problem or "or ']'" in problem:
        words = f"the bracket opened at {opened.line}:{opened.column} is not closed, or a comma is missing here"
        return mark, rules.BRACKET_UNCLOSED(words)
    if "<block end>" in problem or problem.startswith("did not find expected"):
        words = f"this line does not fit what starts at {opened.line}:{opened.column}; check its indentation"
        return mark, rules.INDENTATION(words)
    return mark, rules.YAML_SYNTAX(f"this cannot be read as YAML: {problem}")


def odd_key(lines: list[str], mark: Mark) -> Sentence:
    """Explain a key that is a mapping or list: mostly a template of another tool's spelling, without quotes."""
    rest = lines[mark.line - 1][max(0, mark.column - 2) :]
    if rest.startswith("{{"):
        return rules.TEMPLATE_SPELLING('a template is written "${{ ... }}", in quotes')
    return rules.KEY_NOT_TEXT("a key must be text, not a list or mapping")


def _unquoted_template(line: str, mark: Mark) -> Mark | None:
    start = line.rfind(OPENING, 0, mark.column - 1 + len(OPENING))
    return Mark(mark.line, start + 1) if start >= 0 else None


def _place(mark: yaml.Mark | None) -> Mark:
    return Mark(mark.line + 1, mark.column + 1) if mark else Mark(1, 1)
