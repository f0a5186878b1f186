"""Printing: text that a terminal can take whatever it contains, and JSON."""

from __future__ import annotations

import errno
import json
import logging
import os
import sys
from datetime import UTC, datetime
from shutil import get_terminal_size
from textwrap import wrap
from typing import TYPE_CHECKING, Any, TextIO

import click
from rich.cells import cell_len

from wanrun.errors import disk_advice
from wanrun.redaction import redacted, redacted_json
from wanrun.streams import silence
from wanrun.text import one_line, printable, printable_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wanrun.types import JSON

UNSAID: list[str] = []  #: why not everything is in standard output, which a full disk below it must not end a run for


def say(text: str = "", *, err: bool = False) -> None:
    """Print one text for people."""
    _write(printable(redacted(text)), err=err)


def say_led(lead: str, text: str, **style: Any) -> None:
    """Print one text for people to standard error, its lead in a style where that can be seen and is wanted."""
    shown = printable(redacted(lead + text))
    if _takes_colour(sys.stderr) and shown.startswith(lead):
        shown = click.style(lead, **style) + shown[len(lead) :]
    _write(shown, err=True)


def _takes_colour(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def say_commands(commands: Sequence[str]) -> None:
    """Print workflow commands, which a CI service obeys: whoever makes them escapes what others wrote."""
    for command in commands:
        _write(redacted(command), err=False)


def say_json(value: Mapping[str, JSON] | Sequence[JSON]) -> None:
    """Print one JSON document."""
    text = json.dumps(redacted_json(value), ensure_ascii=not _is_utf8(), indent=2)
    _write(printable_json(text), err=False)


def _is_utf8() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def _write(text: str, *, err: bool) -> None:
    stream = sys.stderr if err else sys.stdout
    encoding = stream.encoding or "utf-8"
    try:
        click.echo(text.encode(encoding, "backslashreplace").decode(encoding), err=err)
    except OSError as exc:  # `wanrun status | head`, or a terminal that is gone, changes nothing about the exit code
        silence(stream)
        if not err and exc.errno not in (errno.EPIPE, errno.EIO):
            UNSAID.append(f"standard output: {exc.strerror}; {disk_advice(exc)}")


class _PrintableLogs(logging.Formatter):
    """Makes a record printable as a whole, with its traceback."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def is_one_screen() -> bool:
    """Say whether what goes to standard output and to standard error is read at one terminal."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdout, sys.stderr))


def clean_logs() -> None:
    """Make printable what libraries and plugins log, where `logging` prints it to standard error by itself."""
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(_PrintableLogs())


def table(rows: Sequence[Sequence[str]], *, gap: int = 2) -> str:
    """Return rows as aligned columns, a line each; the last column is not padded."""
    if not rows:
        return ""
    rows = [[one_line(cell) for cell in row] for row in rows]
    sizes = [[cell_len(cell) for cell in row[:-1]] for row in rows]
    widths = [max(column) + gap for column in zip(*sizes, strict=True)]
    lines = []
    for row, taken in zip(rows, sizes, strict=True):
        cells = [cell + " " * (width - size) for cell, width, size in zip(row, widths, taken, strict=False)]
        lines.append("".join([*cells, row[-1]]).rstrip())
    return "\n".join(lines)


def wrapped(text: str) -> list[str]:
    """Return one line as the lines that a terminal has room for, broken between words; whole where none reads it."""
    if not sys.stdout.isatty():
        return [text]
    indent = " " * max(4, len(text) - len(text.lstrip()) + 2)
    width = max(40, get_terminal_size().columns)
    return wrap(text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def local_time(at: float | None, *, seconds: bool = False) -> str:
    """Return an epoch time as this machine's wall clock shows it."""
    form = "%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M"
    return "" if at is None else datetime.fromtimestamp(at, UTC).astimezone().strftime(form)


def counted(count: int, noun: str) -> str:
    """Return `1 job`, `2 jobs`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
