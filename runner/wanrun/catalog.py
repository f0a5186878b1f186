"""Everything that plugins offered, by the names that specs use; made by `registry`, read by everybody else."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wanrun.hookspecs import Notifier, Sink

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from wanrun.events import Event
    from wanrun.hookspecs import LedgerStoreKind, Objection, SinkKind, Source, SourceKind, Submission
    from wanrun.models import Model


@dataclass(frozen=True)
class Catalog:
    """The kinds and models that are installed, and the one object built for each kind that is used."""

    sources: Mapping[str, SourceKind]
    sinks: Mapping[str, SinkKind]
    models: Mapping[str, Model]
    observers: Callable[[], list[Callable[[Event], None]]] = list  #: called once per run
    check_job: Callable[[Submission], list[tuple[str, Objection]]] = lambda _: []  #: with who objects
    ledger_stores: Mapping[str, LedgerStoreKind] = field(default_factory=dict)  #: by their tables in `wanrun.toml`
    off: Mapping[str, str] = field(default_factory=dict)  #: installed plugins that are not imported, and why
    _sources: dict[str, Source] = field(default_factory=dict, repr=False, compare=False)
    _sinks: dict[str, Sink] = field(default_factory=dict, repr=False, compare=False)
    _built: dict[str, Sink | Notifier] = field(default_factory=dict, repr=False, compare=False)

    def source(self, kind: str) -> Source:
        """Return the source of a kind, built at first use; KeyError for a kind nobody offers."""
        if kind not in self._sources:
            self._sources[kind] = self.sources[kind].build()
        return self._sources[kind]

    def sink(self, kind: str) -> Sink:
        """Return the sink of a kind that takes files, built at first use; KeyError for a kind nobody offers."""
        if kind not in self._sinks:
            built = self._build(kind)
            assert isinstance(built, Sink), f"{kind} takes no files"  # a spec that would ask for it is refused
            self._sinks[kind] = built
        return self._sinks[kind]

    def notifier(self, kind: str) -> Notifier | None:
        """Return the sink of a kind that hears of events; None when it does not. Otherwise as `sink`."""
        built = self._build(kind)
        return built if isinstance(built, Notifier) else None

    def takes_files(self, kind: str) -> bool:
        """Say whether sinks of a kind take files; some only hear of events. Otherwise as `sink`."""
        return isinstance(self._build(kind), Sink)

    def _build(self, kind: str) -> Sink | Notifier:
        if kind not in self._built:
            self._built[kind] = self.sinks[kind].build()
        return self._built[kind]
