"""Text that others wrote, made fit to show: specs, services, plugins and names of files may hold anything.

The one place that knows what drives a terminal, what a CI service takes for a command, and where a link's query is.
"""

from __future__ import annotations

import re
import unicodedata

REPLACEMENT = "\ufffd"  #: stands where a character is not shown

#: Links in a text: the part that only names, then `?` or `#`, then what may sign it. Names of schemes are short.
QUERY = re.compile(r"""([a-z][a-z0-9+.-]{0,20}://[^\s?#]*)([?#])[^\s"'<>]*""", re.IGNORECASE)
#: User and password in front of a host.
USERINFO = re.compile(r"""([a-z][a-z0-9+.-]{0,20}://)[^\s/?#@]*@""", re.IGNORECASE)

#: Controls, formats (bidi marks, zero width), halves of characters, and separators that are lines to some.
_UNSHOWN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_KEPT = "\n\t"
_WITHOUT_KEPT = str.maketrans("", "", _KEPT)

_WORD = re.compile(r"[A-Za-z0-9_./-]*")  #: nothing that needs care

#: What CI services take for a command: at the start of a line `::`, anywhere `##[`, `##vso[` and the like.
_LINE_COMMAND = re.compile(r"^([^\S\n]*:)(?=:)", re.MULTILINE)
_COMMAND = re.compile(r"#(?=#\w*\[)")


def printable(text: str) -> str:
    """Return a text that drives no terminal and commands no CI service; lines and tabs stay."""
    if not text.translate(_WITHOUT_KEPT).isprintable():  # it mostly is, and looking at each character takes long
        text = "".join(REPLACEMENT if is_unshown(each) and each not in _KEPT else each for each in text)
    if "::" in text:
        text = _LINE_COMMAND.sub(r"\1 ", text)
    return _COMMAND.sub("# ", text) if "##" in text else text


def pieces(line: str) -> list[str]:
    """Return what stands for each character of a line when it is printable, so that places in it can be found again."""
    shown = [REPLACEMENT if is_unshown(each) and each not in _KEPT else each for each in line]
    for found in _COMMAND.finditer(line):
        shown[found.start()] += " "
    return shown


def one_line(text: str) -> str:
    """Return a text as one line, whatever a service or a plugin has put into it."""
    if _WORD.fullmatch(text):  # as most cells of a table
        return text
    return printable(" ".join(text.split()))


def printable_json(text: str) -> str:
    """Return a JSON text of the same meaning that drives no terminal and commands no CI service."""
    if not text.isascii():  # of ASCII, JSON itself escapes what is not shown
        text = "".join(_escaped(each) if each > "\x7e" and is_unshown(each) else each for each in text)
    return _COMMAND.sub(r"\\u0023", text)


def is_unshown(character: str) -> bool:
    """Say whether a character is nothing to see, and may be something to obey."""
    return unicodedata.category(character) in _UNSHOWN


def without_queries(text: str, mark: str = "") -> str:
    """Return a text whose links have no user, password, query or fragment; `mark` stands where a query was."""
    if "://" not in text:  # most texts hold no link, and the patterns look at each character
        return text
    return QUERY.sub(lambda found: found[1] + mark, USERINFO.sub(r"\1", text))


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
