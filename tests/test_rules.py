"""Every rule has an id that filters can be written against, and a sentence for those who meet it first in CI."""

from __future__ import annotations

import re

import pytest

from wanrun.rules import OTHER, RULES, UNKNOWN_KEY, Rule, rule_of


@pytest.mark.parametrize("rule", RULES.values(), ids=list(RULES))
def test_a_rule_has_a_plain_id_and_a_sentence(rule: Rule) -> None:
    """The id is made of words, the text stands alone."""
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", rule.id)
    assert rule.text[0].isupper()
    assert rule.text.endswith(".")


def test_a_sentence_remembers_its_rule() -> None:
    """It is a text like any other, and what is made of it by other means belongs to no rule."""
    sentence = UNKNOWN_KEY('unknown key "medai"')

    assert sentence == 'unknown key "medai"'
    assert rule_of(sentence) is UNKNOWN_KEY
    assert rule_of(f"{sentence}!") is OTHER


def test_an_id_is_given_once() -> None:
    """Two rules of one id could not be told apart."""
    with pytest.raises(AssertionError, match="unknown-key"):
        Rule("unknown-key", "Another.")
