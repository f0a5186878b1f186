"""What messages call one of the many jobs that an entry makes: by its combination, and where a value of it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from wanrun.spec.template import TemplateError, lookups

if TYPE_CHECKING:
    from collections.abc import Callable, Collection


class Case(str):
    """A combination of a matrix in words; `more` says them again with the places of some axes' values."""

    __slots__ = ("_more",)
    _more: Callable[[Collection[str]], str]

    def __new__(cls, more: Callable[[Collection[str]], str]) -> Self:
        made = super().__new__(cls, more(()))
        made._more = more
        return made

    def at(self, axes: Collection[str]) -> str:
        """Return the words with the places where the values of these axes are written."""
        return self._more(axes)

    def behind(self, text: str) -> Case:
        """Return the words behind a text."""
        more = self._more
        return Case(lambda axes: text + more(axes))


def located(case: str, written: str) -> str:
    """Return a case with the places of the values that a written text takes from the matrix."""
    if not isinstance(case, Case) or not written:
        return case
    try:
        found = lookups(written)
    except TemplateError:
        return case
    return case.at({lookup.names[1] for lookup in found if lookup.names[0] == "matrix" and len(lookup.names) > 1})


def behind(text: str, case: str) -> str:
    """Return a case behind a text; one that knows places goes on to know them."""
    return case.behind(text) if isinstance(case, Case) else text + case
