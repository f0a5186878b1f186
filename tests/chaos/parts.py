"""What a part of the proofs offers, and the list of them in the order of the page."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wanrun.types import JSON

NAMES = ("simulation", "kills", "signals", "cancels", "syscalls", "power", "network")

Found = dict[str, Any]  #: a result file: what `measure` returned, with `machine` and `size`


@dataclass(frozen=True)
class Table:
    """A table of the page; all columns but the first are figures."""

    head: Sequence[str]
    rows: Sequence[Sequence[object]]


class Part(Protocol):
    """A module of this package that measures one thing."""

    #: heading on the page
    TITLE: str
    #: a paragraph or two of Markdown: what is done, and who judges; no figures
    HOW: str
    #: frozen dataclasses of the part's own; a field `seed: int` is set by `--seed`
    CI: Any
    FULL: Any

    def measure(self, size: Any) -> dict[str, JSON]:
        """Do it, in folders of its own that are gone afterwards; a broken promise is a figure here, not an error."""

    def tables(self, found: Found) -> Iterable[Table]:
        """Return the figures of a result file for the page."""


def part(name: str) -> Part:
    """Return the module of a part."""
    return cast("Part", import_module(f"chaos.{name}"))


def sized(full: Any, **wanted: float | None) -> Any:
    """Return a size with what is wanted otherwise, such as another seed, as far as it has that."""
    has = {field.name for field in fields(full)}
    return replace(full, **{name: value for name, value in wanted.items() if name in has and value is not None})
