"""The last line against leaks: secret values that this process knows are cut out of what it prints, logs and records.

Secrets are kept apart by their type (`wanrun.Secret`); this is for texts of others, such as a library's error that
quotes the address it called. It knows values, so a process that has looked up none cuts nothing.
"""

from __future__ import annotations

import base64
import json
import logging
import traceback
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

from wanrun.types import HIDDEN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from wanrun.types import JSON

SHORTEST = 8  #: characters; a shorter value is no secret, and cutting it out would garble ordinary words

_RESERVED = "!$&'()*+,;=:@/?"  #: what some programs leave as it is in a link
_QUOTING = (
    quote,
    quote_plus,
    lambda text: quote(text, safe=""),
    lambda text: quote(text, safe=_RESERVED),
    lambda text: json.dumps(text)[1:-1],
    lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    lambda text: repr(text)[1:-1],
)

_hidden: set[str] = set()
_forms: list[str] = []  # every form of every value, longest first, so that none is cut out of a longer one


def hide(value: str) -> None:
    """Cut a value, and each of its lines, out of everything from here on, in all the forms it may take."""
    _guard_logs()
    new = {value, *(line.strip() for line in value.splitlines())} - _hidden
    if found := {each for each in new if len(each.strip()) >= SHORTEST}:
        _hidden.update(found)
        known = {form for each in _hidden for form in _forms_of(each)}
        _forms[:] = sorted(known, key=len, reverse=True)


def redacted(text: str) -> str:
    """Return a text with `***` in place of every value that is to be hidden."""
    for form in _forms:
        if form in text:
            text = text.replace(form, HIDDEN)
    return text


def redacted_json(value: Mapping[str, JSON] | Sequence[JSON] | JSON) -> Any:
    """Return a JSON value whose texts are redacted; keys are our own and stay."""
    if not _forms:
        return value
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, dict):
        return {key: redacted_json(item) for key, item in value.items()}
    return [redacted_json(item) for item in value] if isinstance(value, list | tuple) else value


def _guard_logs() -> None:
    """Redact every record of the `logging` module from here on, whatever logger and handler it goes through."""
    if not isinstance(made_by := logging.getLogRecordFactory(), _Records):
        logging.setLogRecordFactory(_Records(made_by))


class _Records:
    """Makes log records without secrets; a filter on handlers would miss those that are added later."""

    def __init__(self, make: Callable[..., logging.LogRecord]) -> None:
        self._make = make

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record = self._make(*args, **kwargs)
        if _forms:
            record.msg, record.args = redacted(_message(record)), ()
            if record.exc_info and record.exc_info[0] is not None:
                record.exc_text = redacted("".join(traceback.format_exception(*record.exc_info)).rstrip("\n"))
                record.exc_info = None
            record.stack_info = redacted(record.stack_info) if record.stack_info else None
        return record


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # the plugin's own mistake, which logging would report with all it holds
        return f"a log message that does not fit its arguments: {record.msg!s}"


@cache
def _forms_of(value: str) -> frozenset[str]:
    """Return a value as it is, quoted for links, JSON and Python, and as base64 at any place of a longer text."""
    quoted = {quoting(value) for quoting in _QUOTING}
    quoted |= {json.dumps(each)[1:-1] for each in quoted}  # a text that quotes it, quoted in JSON
    data = value.encode("utf-8", "surrogatepass")
    return frozenset({value, *quoted, *map(_lower_hex, quoted), *_base64(data), data.hex(), data.hex().upper()})


def _lower_hex(text: str) -> str:
    """Return a percent-encoded text with the codes in lower case."""
    first, *rest = text.split("%")
    return "%".join([first, *(part[:2].lower() + part[2:] for part in rest)])


def _base64(data: bytes) -> Iterator[str]:
    """Yield the characters that these bytes make at each of the three offsets, without those shared with others."""
    for offset in range(3):
        start, end = -(-8 * offset // 6), 8 * (offset + len(data)) // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(bytes(offset) + data).decode()[start:end]
