"""Printing: text that a terminal can take whatever it contains, and JSON."""

from __future__ import annotations

import json
import sys
import unicodedata
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wanrun.types import JSON

_UNSHOWN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def printable(text: str) -> str:
    """Return a text without what could drive a terminal: escapes, controls but the newline, and bidi marks."""
    return "".join(
        character if character == "\n" or unicodedata.category(character) not in _UNSHOWN else "\ufffd"
        for character in text
    )


def say(text: str = "", *, err: bool = False) -> None:
    """Print one text for people."""
    click.echo(printable(text), err=err)


def say_json(value: Mapping[str, JSON] | Sequence[JSON]) -> None:
    """Print one JSON document."""
    click.echo(json.dumps(value, ensure_ascii=not _is_utf8(), indent=2))


def _is_utf8() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def table(rows: Sequence[Sequence[str]], *, gap: int = 2) -> str:
    """Return rows as aligned columns; the last column is not padded."""
    if not rows:
        return ""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    lines = []
    for row in rows:
        cells = [cell.ljust(width + gap) for cell, width in zip(row, widths, strict=False)]
        lines.append("".join([*cells, row[-1]]).rstrip())
    return "\n".join(lines)


def local_time(at: float | None) -> str:
    """Return an epoch time as this machine's wall clock shows it."""
    return "" if at is None else datetime.fromtimestamp(at, UTC).astimezone().strftime("%Y-%m-%d %H:%M")


def counted(count: int, noun: str) -> str:
    """Return `1 job`, `2 jobs`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
