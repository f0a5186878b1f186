"""A known secret is cut out of any text, in the forms that texts give it, and ordinary text stays as it is."""

from __future__ import annotations

import base64
import io
import json
import logging
import re
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

import httpx
import pytest

from wanrun.redaction import hide, redacted, redacted_json

if TYPE_CHECKING:
    from collections.abc import Callable

VALUE = 'canary/+ "7%é\\~\N{BIRD}?x=1&y'


@pytest.mark.parametrize(
    "form",
    [
        pytest.param(VALUE, id="plain"),
        pytest.param(quote(VALUE), id="percent-encoded"),
        pytest.param(quote(VALUE, safe=""), id="percent-encoded, slashes too"),
        pytest.param(
            re.sub("%..", lambda code: code[0].lower(), quote(VALUE, safe="")), id="percent-encoded in lower case"
        ),
        pytest.param(quote_plus(VALUE), id="as a form"),
        pytest.param(json.dumps(VALUE)[1:-1], id="JSON in ASCII"),
        pytest.param(json.dumps(VALUE, ensure_ascii=False)[1:-1], id="JSON"),
        pytest.param(repr(VALUE)[1:-1], id="as Python shows it"),
        pytest.param(VALUE.encode().hex(), id="hex"),
    ],
)
def test_a_value_is_cut_out_in_every_form(form: str) -> None:
    """Wherever it stands in a text, and as often."""
    hide(VALUE)

    assert redacted(f"POST {form}, then {form}!") == "POST ***, then ***!"


@pytest.mark.parametrize("before", ["", "u", "us", "use", "user:"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_base64_of_a_longer_text_holds_none_of_it(before: str, encode: Callable[[bytes], bytes]) -> None:
    """Such as `user:password`: what is left does not decode to any three characters of the value."""
    hide(VALUE)

    text = redacted(encode(f"{before}{VALUE}:after".encode()).decode())

    assert "***" in text
    assert len(text.partition("***")[0]) <= len(before) * 4 / 3 + 1
    assert len(text.partition("***")[2]) <= len(":after") * 4 / 3 + 4


def test_a_link_that_holds_a_secret_is_cut_as_http_clients_write_it() -> None:
    """They leave some reserved characters as they are."""
    value = "canary/T0:B0,(1)!x=y"
    hide(value)

    assert redacted(str(httpx.URL(f"https://example.com/{value}"))) == "https://example.com/***"


def test_short_values_and_blank_lines_spoil_no_text() -> None:
    """Seven characters are no secret; a value of many lines is hidden line by line, its indentation not."""
    hide("seven77")
    hide("first line\n        \n   second line")

    assert redacted("seven77         x") == "seven77         x"
    assert redacted("the first line and second line") == "the *** and ***"


def test_a_longer_value_is_cut_before_a_shorter_one_inside_it() -> None:
    """Nothing of the longer one is left over."""
    hide("canary-1")
    hide("canary-1-and-more")

    assert redacted("canary-1-and-more, canary-1") == "***, ***"


def test_json_is_redacted_below_its_keys() -> None:
    """Numbers and the rest stay as they are."""
    hide("canary-1")

    assert redacted_json({"a": ["x canary-1", 1, None, {"b": "canary-1"}]}) == {"a": ["x ***", 1, None, {"b": "***"}]}


def test_log_records_are_redacted_whatever_handler_takes_them(caplog: pytest.LogCaptureFixture) -> None:
    """Message, arguments and traceback; a handler that is added later, on a logger of its own, changes nothing."""
    hide("canary-1")
    stream = io.StringIO()
    logger = logging.getLogger("tests.redaction")
    handler = logging.StreamHandler(stream)
    logger.addHandler(handler)
    try:
        logger.warning("posting to %s with %r", "canary-1", ["canary-1"], stack_info=True)
        logger.warning("no such %d", "canary-1")
        try:
            raise ValueError("canary-1")
        except ValueError:
            logger.exception("it broke")
    finally:
        logger.removeHandler(handler)

    said = stream.getvalue()
    assert "canary-1" not in said + caplog.text
    assert "posting to *** with ['***']" in said
    assert "ValueError: ***" in said


def test_nothing_known_costs_nothing() -> None:
    """A text is handed back itself, so printing megabytes of a plan is as quick as ever."""
    text = "x" * 1_000_000

    assert redacted(text) is text
    assert redacted_json(text) is text
