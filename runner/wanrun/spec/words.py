"""Small sentences that several rooms share: nearest names, lists of words, values as a reader may see them."""

from __future__ import annotations

import difflib
import json
import re
import unicodedata
from typing import TYPE_CHECKING

from wanrun.text import QUERY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wanrun.types import JSON

SHOWN_CHARACTERS = 60
SHOWN_NAMES = 20
MANY_NAMES = 1000  #: above which no nearest one is looked for, as that takes long
ID_BYTES = 200
NEAR = 0.65  #: how alike a misspelt name is; two letters of three swapped are 0.67, "video" and "provider" 0.62

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")
_PLAIN = re.compile(r"[A-Za-z_./][\w./ -]*(://[\w./-]*)?")


def quoted(names: Iterable[str], last: str = "or") -> str:
    """Return names in quotes, as a sentence lists them: `"a", "b" or "c"`."""
    return either((f'"{name}"' for name in names), last)


def either(words: Iterable[str], last: str = "or") -> str:
    """Return words as a sentence lists them: `a, b or c`."""
    *rest, final = list(words)
    return f"{', '.join(rest)} {last} {final}" if rest else final


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that a misspelt one most likely means, or None."""
    known = list(known)
    if len(known) > MANY_NAMES:
        return None
    by_lower = {candidate.lower(): candidate for candidate in known}
    found = difflib.get_close_matches(name.lower()[:SHOWN_CHARACTERS], by_lower, n=1, cutoff=NEAR)
    return by_lower[found[0]] if found else None


def did_you_mean(name: str, known: Iterable[str], otherwise: str = "allowed") -> str:
    """Return the end of a sentence about an unknown name: the nearest one, else everything that there is."""
    names = list(known)
    if guess := nearest(name, names):
        return f'; did you mean "{guess}"?'
    more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
    return f"; {otherwise}: {', '.join(names[:SHOWN_NAMES])}{more}" if names else ""


def shown(value: JSON) -> str:
    """Return a value as a message may show it: short, and a link without its query, which may hold a signature."""
    if value is None:
        return "empty"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if not isinstance(value, str):
        return str(value) if type(value) is int else json.dumps(value)
    return json.dumps(clipped(value), ensure_ascii=False)


def clipped(text: str) -> str:
    """Return a text as a message may show it, without quotes."""
    if found := QUERY.search(text):
        text = text[: found.end(2)] + "..."
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 3] + "..."


def flow(value: JSON) -> str:
    """Return a value as YAML on one line, for examples."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    return value if isinstance(value, str) and _PLAIN.fullmatch(value) else json.dumps(value, ensure_ascii=False)


def id_fault(text: str) -> str | None:
    """Say what keeps a text from being an id or a name, or None: jobs, files and keys are named by it."""
    if _ID.match(text) and len(text) <= ID_BYTES:
        return None
    if not text:
        return "it is empty"
    if not unicodedata.is_normalized("NFC", text):
        return "its letters are composed of several characters (not in Unicode form NFC)"
    if odd := next((char for char in text if not _in_id(char)), None):
        return f"{_named(odd)} may not stand in it"
    if not _letter_or_digit(text[0]):
        return f'it starts with "{text[0]}", not with a letter or digit'
    size = len(text.encode())
    return f"it has {size} bytes, more than {ID_BYTES}" if size > ID_BYTES else None


def _in_id(char: str) -> bool:
    return char in "._-" or _letter_or_digit(char)


def _letter_or_digit(char: str) -> bool:
    category = unicodedata.category(char)
    return category[0] == "L" or category == "Nd"


def _named(char: str) -> str:
    return "a space" if char == " " else shown(char)


def slug(text: str) -> str:
    """Return a text as a part of an id: of a file its stem, in lower case, anything but letters and digits as `-`.

    Empty when the text holds neither letter nor digit.
    """
    stem = re.sub(r"\.[A-Za-z][A-Za-z0-9]{0,4}\Z", "", text)
    if stem != text:
        stem = stem.rpartition("/")[2]
    stem = unicodedata.normalize("NFC", stem).lower()
    kept = "".join(char if _in_id(char) else "-" for char in unicodedata.normalize("NFC", stem))
    return re.sub("-{2,}", "-", kept).strip("._-")
