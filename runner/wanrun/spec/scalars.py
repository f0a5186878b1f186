"""What unquoted text means by YAML 1.2's core rules: nothing, true, false, a number, else text (`on`, `12:30`)."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from wanrun import rules
from wanrun.spec.nodes import Mark

if TYPE_CHECKING:
    from wanrun.rules import Sentence
    from wanrun.spec.nodes import Placed, Plain

MAX_DIGITS = 64  #: of a number; nothing in a spec is that large, and huge numbers are slow to handle

_WORDS: dict[str, Plain] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_LINE_END = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


class Unreadable(Exception):
    """The file, or one value of it, cannot be read; caught inside this package."""

    def __init__(self, at: Placed, sentence: Sentence) -> None:
        super().__init__(sentence)
        self.line, self.column, self.sentence = at.line, at.column, sentence


def read_plain(text: str, at: Placed) -> Plain:
    """Return the value of unquoted text; raises `Unreadable` for a number that JSON cannot hold."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789":
        return text
    if _INTEGER.fullmatch(text):
        return _integer(_short(text, at))
    if _FLOAT.fullmatch(text) and math.isfinite(number := float(_short(text, at))):
        return number
    if _FLOAT.fullmatch(text) or _NOT_FINITE.fullmatch(text):
        raise Unreadable(at, rules.NUMBER_UNFIT(f"{text} is not a number that a spec can hold; quote it if it is text"))
    return text


def _short(text: str, at: Placed) -> str:
    if len(text) > MAX_DIGITS:
        words = f"this number has more than {MAX_DIGITS} digits; quote it if it is text"
        raise Unreadable(at, rules.NUMBER_UNFIT(words))
    return text


def _integer(text: str) -> int:
    if text[:2] in ("0o", "0x"):
        return int(text[2:], 8 if text[1] == "o" else 16)
    return int(text)


def check_text(text: str, at: Placed | None = None, *, what: str = "a spec") -> None:
    """Raise `Unreadable` for a character that text may not hold, at its place in a file or at a given place."""
    if not (found := _UNPRINTABLE.search(text)):
        return
    if at is None:
        before = _LINE_END.split(text[: found.start()])
        at = Mark(len(before), len(before[-1]) + 1)
    words = f"the character U+{ord(found.group()):04X} may not stand in {what}; leave it out"
    raise Unreadable(at, rules.CONTROL_CHARACTER(words))


def lines_of(text: str) -> list[str]:
    """Split a text into lines where YAML does."""
    return _LINE_END.split(text)
