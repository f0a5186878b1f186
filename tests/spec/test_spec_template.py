"""Templates: what they look up, what they keep, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest

from wanrun.spec.nodes import ListNode, Mark, node_of
from wanrun.spec.template import Filler, TemplateError, TooMuch, fill, has_template
from wanrun.spec.words import slug

SCOPE: dict[str, Any] = {
    "vars": {"season": "spring", "n": 5, "half": 0.5, "yes": True, "none": None, "deep": {"a": [1]}},
    "matrix": {"clip": "clips/Hero shot.v2.mp4"},
    "spec": {"name": "hero"},
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${{ vars.season }}", "spring"),
        ("${{vars.season}}-${{ spec.name }}", "spring-hero"),
        ("${{ vars.n }}", 5),
        ("${{ vars.n }} s", "5 s"),
        ("${{ vars.half }} ${{ vars.yes }}", "0.5 true"),
        ("${{ vars.none }}", None),
        ("${{ vars.deep }}", {"a": [1]}),
        ("${{ vars.deep.a }}", [1]),
        ("${{ matrix.clip.name }}", "Hero shot.v2.mp4"),
        ("${{ matrix.clip.stem }}", "Hero shot.v2"),
        ("${{ matrix.clip.suffix }}", ".mp4"),
        ("${{ matrix.clip.slug }}", "hero-shot.v2"),
        ("$${{ vars.n }}", "${{ vars.n }}"),
        ("$ { $5 }}", "$ { $5 }}"),
    ],
)
def test_a_template_gives_the_value_it_names(text: str, value: object) -> None:
    """A whole template keeps the value's type; inside a text it becomes text."""
    assert fill(text, SCOPE) == value


@pytest.mark.parametrize(
    ("text", "message", "index"),
    [
        ("${{ vars.season }} ${{ vars.saeson }}", 'vars.saeson is not defined; did you mean "vars.season"?', 1),
        ("${{ vars.zzz }}", "vars.zzz is not defined; known: vars.season, vars.n, vars.half", 0),
        ("${{ vars.n.slug }}", "vars.n is 5, which has no part slug", 0),
        ("a ${{ vars.none }}", "vars.none is empty, which cannot stand inside a text", 0),
        ("${{ vars.season.upper }}", "vars.season is a text", 0),
        ("${{ }}", "is no template", 0),
        ("${{ vars.season + 1 }}", "is no template", 0),
        ("${{ vars['season'] }}", "is no template", 0),
        ("$${{ ${{ vars.a", 'without "}}"', 1),
        ("${{ job.id }}", "job cannot be used here", 0),
        ("${{ vras.a }}", 'vras is not defined; did you mean "vars"?', 0),
    ],
)
def test_what_cannot_be_looked_up_is_said_with_its_place(text: str, message: str, index: int) -> None:
    """The error says which template of the text it is about."""
    with pytest.raises(TemplateError) as caught:
        fill(text, SCOPE)

    assert message in str(caught.value)
    assert caught.value.index == index


def test_an_escaped_template_is_none() -> None:
    """`$${{` stands for the characters themselves."""
    assert not has_template("$${{ vars.a }}")
    assert has_template("$${{ ${{ vars.a }}")


def test_a_text_cannot_grow_beyond_bounds() -> None:
    """Doubling a text often enough is refused instead of filling the memory."""
    scope = {"vars": {"a": "x" * 60_000}}

    with pytest.raises(TemplateError, match="more than 100,000 characters"):
        fill("${{ vars.a }}${{ vars.a }}", scope)


def test_values_cannot_multiply_beyond_bounds() -> None:
    """A large mapping that many templates repeat is refused as well."""
    filler = Filler(lambda node, error: None)
    filler.left = 1000
    node = node_of(["${{ vars.many }}"] * 20, Mark(1, 1))
    assert isinstance(node, ListNode)

    with pytest.raises(TooMuch):
        filler.fill(node, {"vars": {"many": list(range(100))}})


def test_what_holds_no_template_is_shared() -> None:
    """Filling in copies nothing that stays as it is."""
    plain = node_of({"a": [1, 2]}, Mark(1, 1))

    assert Filler(lambda node, error: None).fill(plain, SCOPE) is plain


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("clips/Hero 1.mp4", "hero-1"),
        ("Warm sunset.", "warm-sunset"),
        ("3.5mm lens", "3.5mm-lens"),
        ("Straße & Öl", "straße-öl"),
        ("cafe\u0301", "café"),
        ("16/9", "16-9"),
        ("..hidden", "hidden"),
        ("!!!", ""),
    ],
)
def test_a_slug_can_stand_in_an_id(text: str, expected: str) -> None:
    """Lower case, letters and digits of any script, everything else a dash; of a file its stem."""
    assert slug(text) == expected
