"""The sinks of a job: its names resolved, options filled in for each job, and no two results in one place."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from wanrun import rules
from wanrun.errors import WanrunError
from wanrun.spec.expand import called
from wanrun.spec.kinds import Chosen
from wanrun.spec.nodes import ListNode, MapNode, node_of
from wanrun.spec.report import START
from wanrun.spec.words import did_you_mean, shown
from wanrun.types import SinkRef

if TYPE_CHECKING:
    from pathlib import Path

    from wanrun.catalog import Catalog
    from wanrun.rules import Sentence
    from wanrun.spec.expand import Draft, Expander
    from wanrun.spec.kinds import Kinds
    from wanrun.spec.nodes import Node
    from wanrun.spec.report import Report
    from wanrun.types import Job

DEFAULT_NAME, DEFAULT_KIND, DEFAULT_PATH = "out", "folder", "out"  #: the sink of a spec that defines none


class SinkMaker:
    """Turns the sinks of one spec's drafts into references."""

    def __init__(self, sinks: Node | None, kinds: Kinds, expander: Expander, report: Report, folder: Path) -> None:
        self._kinds, self._expander, self._report, self._folder = kinds, expander, report, folder
        self._defined = sinks is not None
        self._chosen = self._choose(sinks)
        self._fixed: dict[str, SinkRef | None] = {}
        self._checked: dict[int, tuple[Node, bool]] = {}

    def refs(self, draft: Draft) -> tuple[SinkRef, ...] | None:
        """Return the sinks of a job, or None when something is wrong with them; that is reported."""
        if "sinks" in draft.broken:
            return None
        node = draft.fields.get("sinks")
        if isinstance(node, ListNode) and not self._known(node):
            return None
        names = [str(item.plain()) for item in node.items] if isinstance(node, ListNode) else list(self._chosen)
        refs = [self._ref(name, draft) for name in names]
        found = tuple(ref for ref in refs if ref)
        return found if len(found) == len(refs) else None

    def _choose(self, sinks: Node | None) -> dict[str, Chosen | None]:
        """Return the kinds of all sinks; None for one that is wrong, which the first pass has reported."""
        if sinks is None:
            path = node_of({DEFAULT_KIND: {"path": DEFAULT_PATH}}, START)
            assert isinstance(path, MapNode)
            return {DEFAULT_NAME: self._kinds.choose(path, DEFAULT_NAME, self._report.add)}
        own = sinks.own() if isinstance(sinks, MapNode) else ()
        return {name: self._one(name, entry.node) for name, entry in own}

    def _one(self, name: str, node: Node) -> Chosen | None:
        if not isinstance(node, MapNode):
            return None
        chosen = self._kinds.choose(node, f"sinks.{name}", self._report.add)
        fine = chosen and self._kinds.check(chosen, f"sinks.{name}.{chosen.kind}", self._report.add, templates=True)
        return chosen if fine else None

    def _known(self, names: ListNode) -> bool:
        """Check the names that a job lists, once for each list."""
        if id(names) not in self._checked:
            unknown = [item for item in names.items if str(item.plain()) not in self._chosen]
            for item in unknown:
                self._report.add(item, self._unknown(str(item.plain())))
            self._checked[id(names)] = names, not unknown
        return self._checked[id(names)][1]

    def _unknown(self, name: str) -> Sentence:
        if not self._defined:
            words = f'no sink is called {shown(name)}: the spec has no "sinks", and then results go to the folder "out"'
            return rules.UNKNOWN_SINK(words)
        return rules.UNKNOWN_SINK(f"no sink is called {shown(name)}{did_you_mean(name, self._chosen, 'the spec has')}")

    def _ref(self, name: str, draft: Draft) -> SinkRef | None:
        chosen = self._chosen[name]
        if chosen is None:
            return None
        if chosen.options.templated:
            return self._filled(name, chosen, draft)
        if name not in self._fixed:
            self._fixed[name] = self._new(name, chosen)
        return self._fixed[name]

    def _filled(self, name: str, chosen: Chosen, draft: Draft) -> SinkRef | None:
        options = self._expander.fill_shared(chosen.options, draft)
        if not isinstance(options, MapNode):
            return None
        made = Chosen(chosen.kind, options, chosen.at)
        if draft.combination.cells:
            made = self._kinds.fitted(made)
        label = f"sinks.{name}.{chosen.kind}"
        if not self._kinds.check(made, label, lambda at, message: self._report.add(at, message, draft.called)):
            return None
        return self._new(name, made)

    def _new(self, name: str, chosen: Chosen) -> SinkRef:
        at = self._report.position(chosen.options)
        return SinkRef(name, chosen.kind, self._kinds.plain(chosen), self._folder, at)


class Places:
    """Where results go, over all specs of one call: one place, one result."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._taken: dict[tuple[str, str], tuple[Job, str]] = {}

    def check(self, job: Job, report: Report) -> None:
        """Ask every sink of a job for its place; report a place that is refused or taken."""
        for sink in job.sinks:
            try:
                place = self._catalog.sink(sink.kind).place(sink, job)
            except WanrunError as exc:
                report.add(sink.position, rules.PLACE_REFUSED(f"sinks.{sink.name}: {exc}"), called(job.id, job.case))
                continue
            self._take(sink, place, job, report)

    def _take(self, sink: SinkRef, place: str, job: Job, report: Report) -> None:
        same = unicodedata.normalize("NFC", place).casefold()  # many file systems tell neither apart
        other, other_sink = self._taken.setdefault((sink.kind, same), (job, sink.name))
        if other is job and other_sink == sink.name:
            return
        if other is job:
            rule = rules.SINKS_AT_ONE_PLACE
            message = f'the sinks "{other_sink}" and "{sink.name}" of job "{job.id}" lead to one place, {place}'
        else:
            rule = rules.PLACE_TAKEN
            whose = f'job "{other.id}" at {other.position}'
            message = f'the result of job "{job.id}" would go to {place}, where that of {whose} goes'
        report.add(job.position, rule(f"{message}; name the place with ${{{{ job.id }}}}"))
