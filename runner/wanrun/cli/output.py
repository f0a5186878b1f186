"""Printing: text that a terminal can take whatever it contains, and JSON."""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click
from rich.cells import cell_len

from wanrun.redaction import redacted, redacted_json
from wanrun.streams import silence

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wanrun.types import JSON

_UNSHOWN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_NOT_ASCII = re.compile(r"[^\x00-\x7e]")


def printable(text: str) -> str:
    """Return a text without what could drive a terminal: escapes, controls but the newline, and bidi marks."""
    return "".join(
        character if character == "\n" or unicodedata.category(character) not in _UNSHOWN else "\ufffd"
        for character in text
    )


def one_line(text: str) -> str:
    """Return a text as one line, whatever a service or a plugin has put into it."""
    return printable(" ".join(text.split()))


def say(text: str = "", *, err: bool = False) -> None:
    """Print one text for people."""
    _write(printable(redacted(text)), err=err)


def say_json(value: Mapping[str, JSON] | Sequence[JSON]) -> None:
    """Print one JSON document."""
    text = json.dumps(redacted_json(value), ensure_ascii=not _is_utf8(), indent=2)
    _write(_NOT_ASCII.sub(_escaped, text), err=False)


def _is_utf8() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def _escaped(character: re.Match[str]) -> str:
    """Return a character as it may stand in JSON at a terminal; `json` itself escapes only the ASCII controls."""
    text = character[0]
    return json.dumps(text)[1:-1] if unicodedata.category(text) in _UNSHOWN else text


def _write(text: str, *, err: bool) -> None:
    stream = sys.stderr if err else sys.stdout
    encoding = stream.encoding or "utf-8"
    try:
        click.echo(text.encode(encoding, "backslashreplace").decode(encoding), err=err)
    except BrokenPipeError:  # `wanrun status | head` changes nothing about the exit code
        silence(stream)


def table(rows: Sequence[Sequence[str]], *, gap: int = 2) -> str:
    """Return rows as aligned columns, a line each; the last column is not padded."""
    if not rows:
        return ""
    rows = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(cell_len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    lines = []
    for row in rows:
        cells = [cell + " " * (width + gap - cell_len(cell)) for cell, width in zip(row, widths, strict=False)]
        lines.append("".join([*cells, row[-1]]).rstrip())
    return "\n".join(lines)


def local_time(at: float | None, *, seconds: bool = False) -> str:
    """Return an epoch time as this machine's wall clock shows it."""
    form = "%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M"
    return "" if at is None else datetime.fromtimestamp(at, UTC).astimezone().strftime(form)


def counted(count: int, noun: str) -> str:
    """Return `1 job`, `2 jobs`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
