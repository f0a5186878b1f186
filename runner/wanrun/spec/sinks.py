"""The sinks of a spec: names resolved, options filled in for each job or for `notify`, no two results in one place."""

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
from wanrun.types import Related, SinkRef

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from wanrun.catalog import Catalog
    from wanrun.rules import Sentence
    from wanrun.spec.expand import Draft, Expander
    from wanrun.spec.kinds import Kinds
    from wanrun.spec.nodes import Node, Placed, ScalarNode
    from wanrun.spec.report import Report
    from wanrun.types import Job

DEFAULT_NAME, DEFAULT_KIND, DEFAULT_PATH = "out", "folder", "out"  #: the sink of a spec that defines none


class SinkMaker:
    """Turns the sinks of one spec into references: those of its drafts, and those that `notify` names (`told`)."""

    def __init__(
        self,
        sinks: Node | None,
        told: Collection[str],
        *,
        kinds: Kinds,
        catalog: Catalog,
        expander: Expander,
        report: Report,
        folder: Path,
    ) -> None:
        self._kinds, self._catalog, self._folder = kinds, catalog, folder
        self._expander, self._report = expander, report
        self._defined = sinks is not None
        self._chosen = self._choose(sinks)
        self._for_files = [name for name in self._chosen if name not in told and self._takes_files(name)]
        self._default = None if self._for_files else self._new_default()
        self._fixed: dict[str, SinkRef | None] = {}
        self._checked: dict[int, tuple[Node, bool]] = {}

    def refs(self, draft: Draft) -> tuple[SinkRef, ...] | None:
        """Return the sinks of a job, or None when something is wrong with them; that is reported."""
        if "sinks" in draft.broken:
            return None
        node = draft.fields.get("sinks")
        if isinstance(node, ListNode) and not self._known(node):
            return None
        if not isinstance(node, ListNode) and not self._for_files:
            return (self._default,) if self._default else None
        names = [str(item.plain()) for item in node.items] if isinstance(node, ListNode) else self._for_files
        refs = [self._ref(name, draft) for name in names]
        found = tuple(ref for ref in refs if ref)
        return found if len(found) == len(refs) else None

    def told(self, to: ScalarNode) -> SinkRef | None:
        """Return the sink that an item of `notify` names, or None when something is wrong with it; that is reported."""
        name = str(to.value)
        if name not in self._chosen:
            self._report.add(to, self._unknown(name, 'no "sinks"'))
            return None
        chosen = self._chosen[name]
        if chosen is None or not self._hears(to, name, chosen.kind):
            return None
        options = self._expander.fill_told(chosen.options)
        if not isinstance(options, MapNode):
            return None
        made = Chosen(chosen.kind, options, chosen.at)
        if options is not chosen.options and not self._kinds.check(
            made, f"sinks.{name}.{chosen.kind}", self._report.add
        ):
            return None
        return self._new(name, made)

    def _choose(self, sinks: Node | None) -> dict[str, Chosen | None]:
        """Return the kinds of all sinks; None for one that is wrong, which the first pass has reported."""
        if sinks is None:
            return {DEFAULT_NAME: self._choose_default()}
        own = sinks.own() if isinstance(sinks, MapNode) else ()
        return {name: self._one(name, entry.node) for name, entry in own}

    def _choose_default(self) -> Chosen | None:
        path = node_of({DEFAULT_KIND: {"path": DEFAULT_PATH}}, START)
        assert isinstance(path, MapNode)
        return self._kinds.choose(path, DEFAULT_NAME, self._report.add)

    def _new_default(self) -> SinkRef | None:
        """Return where results go when all sinks of the spec only hear of events; None where that kind is missing."""
        chosen = self._choose_default()
        return self._new(DEFAULT_NAME, chosen) if chosen else None

    def _takes_files(self, name: str) -> bool:
        """Say whether a sink takes files; also of one that is wrong or cannot be built, which is said elsewhere."""
        chosen = self._chosen[name]
        try:
            return chosen is None or self._catalog.takes_files(chosen.kind)
        except WanrunError:
            return True

    def _hears(self, at: Placed, name: str, kind: str) -> bool:
        """Say whether a sink hears of events; one that does not, or cannot be built, is reported."""
        try:
            hears = self._catalog.notifier(kind) is not None
        except WanrunError as exc:
            self._report.add(at, rules.OTHER(f"sinks.{name}: {exc}"))
            return False
        if not hears:
            takes = f'the sink "{name}" is of the kind "{kind}", which takes files and hears of no events'
            self._report.add(at, rules.SINK_WITHOUT_EVENTS(f"{takes}; name one that does"))
        return hears

    def _one(self, name: str, node: Node) -> Chosen | None:
        if not isinstance(node, MapNode):
            return None
        chosen = self._kinds.choose(node, f"sinks.{name}", self._report.add)
        fine = chosen and self._kinds.check(chosen, f"sinks.{name}.{chosen.kind}", self._report.add, templates=True)
        return chosen if fine else None

    def _known(self, names: ListNode) -> bool:
        """Check the names that a job lists, once for each list."""
        if id(names) not in self._checked:
            faults = [(item, fault) for item in names.items if (fault := self._fault(str(item.plain())))]
            for item, fault in faults:
                self._report.add(item, fault)
            self._checked[id(names)] = names, not faults
        return self._checked[id(names)][1]

    def _fault(self, name: str) -> Sentence | None:
        """Say why a job cannot name a sink; None when it can."""
        if name not in self._chosen:
            return self._unknown(name, 'no "sinks", and then results go to the folder "out"')
        if (chosen := self._chosen[name]) is None or self._takes_files(name):
            return None
        hears = f'the sink "{name}" is of the kind "{chosen.kind}", which hears of events and takes no files'
        return rules.SINK_WITHOUT_FILES(f'{hears}; name one that does, and this one in "notify"')

    def _unknown(self, name: str, without: str) -> Sentence:
        if not self._defined:
            return rules.UNKNOWN_SINK(f"no sink is called {shown(name)}: the spec has {without}")
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
        folder = origin.folder if (origin := self._report.origin(chosen.options)) else self._folder
        return SinkRef(name, chosen.kind, self._kinds.plain(chosen), folder, at)


class Places:
    """Where results go, over all specs of one call: one place, one result."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._taken: dict[tuple[str, str], tuple[Job, str]] = {}

    def check(self, job: Job, case: str, report: Report) -> None:
        """Ask every sink of a job for its place; report a place that is refused or taken."""
        for sink in job.sinks:
            try:
                place = self._catalog.sink(sink.kind).place(sink, job)
            except WanrunError as exc:
                report.add(sink.position, rules.PLACE_REFUSED(f"sinks.{sink.name}: {exc}"), called(job.id, case))
                continue
            self._take(sink, place, job, report)

    def _take(self, sink: SinkRef, place: str, job: Job, report: Report) -> None:
        same = unicodedata.normalize("NFC", place).casefold()  # many file systems tell neither apart
        other, other_sink = self._taken.setdefault((sink.kind, same), (job, sink.name))
        related = []
        if other is job and other_sink == sink.name:
            return
        if other is job:
            rule = rules.SINKS_AT_ONE_PLACE
            message = f'the sinks "{other_sink}" and "{sink.name}" of job "{job.id}" lead to one place, {place}'
        else:
            rule = rules.PLACE_TAKEN
            whose = f'job "{other.id}" at {other.position}'
            message = f'the result of job "{job.id}" would go to {place}, where that of {whose} goes'
            related.append(Related(other.position, "the other job"))
        name = "${{ spec.name }}-${{ job.id }}" if other.id == job.id and other is not job else "${{ job.id }}"
        report.add(job.position, rule(f"{message}; name the place with {name}"), related=related)
