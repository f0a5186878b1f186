"""Everything that plugins offered, by the names that specs use; made by `registry`, read by everybody else."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from wanrun.events import Event
    from wanrun.hookspecs import Objection, Sink, SinkKind, Source, SourceKind, Submission
    from wanrun.models import Model


@dataclass(frozen=True)
class Catalog:
    """The kinds and models that are installed, and the one object built for each kind that is used."""

    sources: Mapping[str, SourceKind]
    sinks: Mapping[str, SinkKind]
    models: Mapping[str, Model]
    observers: Callable[[], list[Callable[[Event], None]]] = list  #: called once per run
    check_job: Callable[[Submission], list[tuple[str, Objection]]] = lambda _: []  #: with who objects
    _sources: dict[str, Source] = field(default_factory=dict, repr=False, compare=False)
    _sinks: dict[str, Sink] = field(default_factory=dict, repr=False, compare=False)

    def source(self, kind: str) -> Source:
        """Return the source of a kind, built at first use; KeyError for a kind nobody offers."""
        if kind not in self._sources:
            self._sources[kind] = self.sources[kind].build()
        return self._sources[kind]

    def sink(self, kind: str) -> Sink:
        """Return the sink of a kind, built at first use; KeyError for a kind nobody offers."""
        if kind not in self._sinks:
            self._sinks[kind] = self.sinks[kind].build()
        return self._sinks[kind]
