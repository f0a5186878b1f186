"""Reads the text files that specs name besides media: bounded, regular files only, UTF-8, no control characters."""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING

from wanrun import rules
from wanrun.spec.nodes import Mark
from wanrun.spec.scalars import Unreadable, check_text

if TYPE_CHECKING:
    from pathlib import Path


_LINE_END = re.compile("\r\n|[\n\r]")
_NO_PATH = "this cannot be a path"


class NoFile(Exception):
    """Why there is nothing to read at a path, as a clause; caught inside this package."""


def real_path(path: Path) -> str:
    """Return the one path of a file, whatever links lead to it, in a circle too; raises `NoFile`."""
    try:
        return os.path.realpath(path)
    except ValueError as exc:  # NUL
        raise NoFile(_NO_PATH) from exc


def file_bytes(path: Path, max_bytes: int) -> bytes:
    """Return what a regular file holds, or one byte more than `max_bytes` of it; raises `NoFile`."""
    check_file(path)
    try:
        with path.open("rb") as file:
            return file.read(max_bytes + 1)
    except OSError as exc:
        raise NoFile(f"cannot be read ({exc.strerror or exc})") from exc


def check_file(path: Path) -> None:
    """Raise `NoFile` unless a path leads to a regular file: a pipe may never end, and opening one may hang."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise NoFile("no such file (paths start at the folder of the file that names them)") from None
    except OSError as exc:
        raise NoFile(f"cannot be read ({exc.strerror or exc})") from exc
    except ValueError as exc:  # NUL, or half of a character
        raise NoFile(_NO_PATH) from exc
    if not stat.S_ISREG(mode):
        raise NoFile(f"this is {'a folder' if stat.S_ISDIR(mode) else 'not a regular file'}; name one file")


def decoded(data: bytes, what: str) -> str:
    """Return the text of a file that is `what`; raises `Unreadable` at what is not UTF-8, or may not stand in it."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        lines = _LINE_END.split(exc.object[: exc.start].decode())  # of the object, which has no mark of byte order
        words = "this is not UTF-8 text; save the file as UTF-8"
        raise Unreadable(Mark(len(lines), len(lines[-1]) + 1), rules.NOT_UTF8(words)) from exc
    check_text(text, what=what)
    return text
