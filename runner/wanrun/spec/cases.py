"""What messages call one of the many jobs that an entry makes: by its row and combination, and where they stand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from wanrun.spec.template import TemplateError, lookups

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from wanrun.types import Related


class Located(str):
    """Words that name places, and the places."""

    __slots__ = ("related",)
    related: tuple[Related, ...]

    def __new__(cls, words: str, related: tuple[Related, ...] = ()) -> Self:
        made = super().__new__(cls, words)
        made.related = related
        return made


class Case(str):
    """A row or a combination of a matrix in words; `at` says them again with their places, and those of some axes.

    There is one for each of ten thousand jobs, and places are seldom asked for.
    """

    __slots__ = ("_more",)
    _more: Callable[[Collection[str]], Located]

    def __new__(cls, words: str, more: Callable[[Collection[str]], Located]) -> Self:
        made = super().__new__(cls, words)
        made._more = more
        return made

    def at(self, axes: Collection[str]) -> Located:
        """Return the words with the places where the values of these axes are written."""
        return self._more(axes)


def located(case: str, written: str) -> str:
    """Return a case with the places of the values that a written text takes from the matrix."""
    if not isinstance(case, Case) or not written:
        return case
    try:
        found = lookups(written)
    except TemplateError:
        return case
    return case.at({lookup.names[1] for lookup in found if lookup.names[0] == "matrix" and len(lookup.names) > 1})


def related_of(case: str) -> tuple[Related, ...]:
    """Return the places that a case names."""
    words = case.at(()) if isinstance(case, Case) else case
    return words.related if isinstance(words, Located) else ()


def both(one: str, other: str) -> str:
    """Return two cases as one, which goes on to know the places of both."""

    def more(axes: Collection[str]) -> Located:
        parts = [each.at(axes) if isinstance(each, Case) else each for each in (one, other)]
        return Located(", ".join(parts), tuple(place for part in parts for place in related_of(part)))

    if isinstance(one, Case) or isinstance(other, Case):
        return Case(f"{one}, {other}", more)
    return more(())
