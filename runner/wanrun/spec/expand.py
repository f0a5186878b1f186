"""From the document to drafts of jobs: vars, defaults merged under each job, matrix and table, templates filled in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from wanrun import rules
from wanrun.spec.cases import both, located
from wanrun.spec.cells import as_text
from wanrun.spec.document import template_mark
from wanrun.spec.matrix import names_of
from wanrun.spec.multiple import Multiplier
from wanrun.spec.nodes import Entry, ListNode, MapNode, Mark, ScalarNode, map_of, scalars
from wanrun.spec.structure import FIELDS, OWN_FIELDS, SHARED
from wanrun.spec.template import BROKEN, LATER, OF_JOBS, SECRETS, Filler, TemplateError, faults_of, lookups
from wanrun.spec.words import ID_BYTES, id_fault, shown, slug

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from wanrun.spec.kinds import Tell
    from wanrun.spec.matrix import Combination
    from wanrun.spec.nodes import Node, Placed
    from wanrun.spec.report import Report
    from wanrun.spec.structure import Broken
    from wanrun.spec.tables import Tables
    from wanrun.spec.template import Scope

#: Fields in which a CSV cell gets its type only from the model, or from the kind of source.
_TYPED_LATER = ("prompt", "negative_prompt", "parameters", "media")


@dataclass(slots=True)
class Draft:
    """One job with its templates filled in, not yet checked against its model."""

    id: str
    node: MapNode  #: the entry of `jobs` it comes from
    fields: dict[str, Node]
    broken: set[str]  #: fields that are wrong, which has been reported
    shared: frozenset[str]  #: fields that come from `defaults`
    combination: Combination
    scope: Mapping[str, Any]
    among: str = ""  #: what stands before its id in messages: its spec, where a base may have several
    made: set[str] = field(default_factory=set)  #: fields in which templates were filled in

    def case(self, name: str) -> str:
        """Say which job a message about a field means, where its place does not: by combination, or by id."""
        if name not in self.shared or (self.combination.case and not self.among):
            return self.combination.case
        return self.called

    @property
    def called(self) -> str:
        """What messages call the job."""
        return called(f"{self.among}{self.id}", self.combination.case)


class Expander:
    """Makes the drafts of one spec."""

    def __init__(
        self,
        root: MapNode,
        lines: list[str],
        report: Report,
        *,
        name: str,
        folder: Path,
        broken: Broken,
        tables: Tables,
    ) -> None:
        self._root, self._lines, self._report, self._broken = root, lines, report, broken
        self._case = ""
        self._told: set[tuple[int, int, str]] = set()  # templates that are wrong whatever the job
        self._name, self._among = name, f"{name}/" if "extends" in root else ""
        self._filler = Filler(self._fault, position=report.position)
        self._base: dict[str, Any] = {"spec": {"name": name}}
        self._base["vars"] = self._vars()
        self._multiplier = Multiplier(self._fill_alone, report, folder, tables)

    def drafts(self) -> Iterator[Draft]:
        """Yield every job; raises `TooMuch` when templates make too much."""
        under = self._under_every_job()
        self._check_templates()
        jobs = self._root.get("jobs")
        for number, node in enumerate(jobs.items if isinstance(jobs, ListNode) else []):
            if isinstance(node, MapNode):
                yield from self._job(number, node, under)

    def _under_every_job(self) -> MapNode | None:
        """Return what holds for every job that does not say otherwise: `defaults`, and under them the spec's own."""
        own = {name: self._root.entries[name] for name in SHARED if name in self._root}
        whole = map_of(own, self._root) if own else None
        defaults = self._root.get("defaults")
        return merge(whole, defaults) if isinstance(defaults, MapNode) else whole

    def check_shared(self) -> None:
        """Report what is wrong with the templates of a base, which may name vars that only its specs have."""
        self._base["vars"] = BROKEN
        self._check_templates()

    def fill(self, node: Node, draft: Draft, name: str) -> Node | None:
        """Fill in a field of a job with what the job offers to templates; None when that fails, which is reported."""
        self._case = draft.case(name)
        return self._filler.fill(node, {**draft.scope, **SECRETS} if name == "media" else draft.scope)

    def fill_shared(self, node: Node, draft: Draft) -> Node | None:
        """Fill in what several jobs share, such as the options of a sink; as `fill`."""
        self._case = draft.called
        return self._filler.fill(node, {**draft.scope, **SECRETS})

    def fill_told(self, node: Node) -> Node | None:
        """Fill in the options of a sink that `notify` names, where there is no job; as `fill`."""
        self._case = "it is named in notify, which tells of whole runs"
        return self._filler.fill(node, {**self._base, **SECRETS})

    def _fill_alone(self, node: Node) -> Node | None:
        """Fill in what no single job is asked for: a matrix, or the path of a table."""
        self._case = ""
        return self._filler.fill(node, self._base)

    def _vars(self) -> dict[str, Any]:
        """Return the vars; each may refer to those above it."""
        node = self._root.get("vars")
        if not isinstance(node, MapNode):
            return {}
        found: dict[str, Any] = dict.fromkeys(node.entries, LATER)
        filler = Filler(self._fault, scalars_only=True)
        for name, entry in node.entries.items():
            value = filler.fill(entry.node, {"vars": found, "spec": self._base["spec"]})
            found[name] = BROKEN if value is None else value.plain()
        return found

    def _job(self, number: int, node: MapNode, under: MapNode | None) -> Iterator[Draft]:
        broken = self._broken.get(number, set()) | self._broken.get(-1, set())
        shared = frozenset(key for key in FIELDS if under and key in under and key not in node)
        merged = merge(under, node)
        for combination in self._multiplier.combinations(node, broken):
            scope = {**self._base, **combination.scope}
            yield self._draft(Draft("", node, {}, set(broken), shared, combination, scope, self._among), merged)

    def _draft(self, draft: Draft, merged: MapNode) -> Draft:
        draft.id = self._id(draft, merged.get("id"))
        draft.scope = {**draft.scope, "job": {"id": draft.id or BROKEN}}
        for name in FIELDS:
            if name in OWN_FIELDS or (node := merged.get(name)) is None or name in draft.broken:
                continue
            if (value := self.fill(node, draft, name)) is None:
                draft.broken.add(name)
                continue
            if value is not node:
                draft.made.add(name)
                if draft.combination.cells and name not in _TYPED_LATER:
                    value = as_text(value)
            draft.fields[name] = value
        return draft

    def _id(self, draft: Draft, node: Node | None) -> str:
        """Return the job's id, or an empty text when there is none that can be used."""
        if node is None or "id" in draft.broken:
            return ""
        made = self.fill(node, draft, "id")
        if not isinstance(made, ScalarNode) or made.value is None:
            return ""
        text = str(made.value) if isinstance(made.value, str) else shown(made.value)
        if fault := id_fault(text):
            message = f"the id {shown(text)} cannot be used: {fault}; {_id_advice(node)}"
            self._report.add(made, rules.ID_UNFIT(message), draft.combination.case)
            return ""
        return text

    def _check_templates(self) -> None:
        """Report what is wrong with a template wherever its job's combination does not matter."""
        scope = {**self._base, "job": {"id": BROKEN}, "matrix": BROKEN, "row": BROKEN}
        self._check_below(self._root.get("sinks"), {**scope, **SECRETS})
        self._check_fields(self._root.get("defaults"), scope)
        jobs = self._root.get("jobs")
        for node in jobs.items if isinstance(jobs, ListNode) else []:
            if isinstance(node, MapNode):
                self._check_job_templates(node)

    def _check_job_templates(self, node: MapNode) -> None:
        matrix, table = node.get("matrix"), node.get("table")
        scope = dict(self._base)
        self._check_below(matrix, scope)
        self._check_below(table, scope)
        if matrix is not None:
            names = names_of(matrix)
            scope["matrix"] = BROKEN if names is None else dict.fromkeys(names, BROKEN)
        if table is not None:
            scope["row"] = self._multiplier.columns(table, BROKEN)
        self._check_below(node.get("id"), scope)
        scope["job"] = {"id": BROKEN}
        self._check_fields(node, scope)

    def _check_fields(self, node: Node | None, scope: Scope) -> None:
        for key, entry in node.own() if isinstance(node, MapNode) else ():
            if key not in OWN_FIELDS:
                self._check_below(entry.node, {**scope, **SECRETS} if key == "media" else scope)

    def _check_below(self, node: Node | None, scope: Scope) -> None:
        for leaf in scalars(node) if node is not None and node.templated else ():
            if leaf.templated:
                self._case = f'spec "{self._name}"' if self._report.origin(leaf) else ""
                faults = list(faults_of(str(leaf.value), scope))
                for fault in faults:
                    self._fault(leaf, fault)
                for fault in faults:
                    self._told.add((leaf.line, leaf.column, str(fault)))

    def _fault(self, node: ScalarNode, fault: TemplateError) -> None:
        if fault.sentence and (node.line, node.column, str(fault)) not in self._told:
            mark = self._template_mark(node, fault.index)
            self._report.add(mark, fault.sentence, located(self._case, str(node.value)), fault.related)

    def _template_mark(self, node: ScalarNode, index: int) -> Placed:
        if (origin := self._report.origin(node)) is None:
            return template_mark(self._lines, node, index)
        local = template_mark(origin.lines, Mark(node.line - origin.first, node.column), index)
        return Mark(local.line + origin.first, local.column)


def id_mark(job: MapNode) -> Placed:
    """Return where the id of a job is written."""
    return job.get("id") or job


def called(job: str, case: str) -> str:
    """Return what messages call a job whose place tells too little: its id, and its combination or row."""
    return both(f'job "{job}"', case) if case else f'job "{job}"'


def tell_of(draft: Draft, name: str, report: Report) -> Tell:
    """Return how to report on a field of a job: naming the job only where a template made the value."""
    case = draft.case(name) if name in draft.made else ""
    return lambda at, message: report.add(at, message, case)


def merge(under: MapNode | None, over: MapNode) -> MapNode:
    """Return a mapping with another one's entries under its own: mappings merge deeply, all else is replaced."""
    if under is None:
        return over
    entries = dict(under.entries)
    for key, entry in over.entries.items():
        below = entries.get(key)
        if below and isinstance(below.node, MapNode) and isinstance(entry.node, MapNode):
            entries[key] = Entry(entry.key, merge(below.node, entry.node))
        else:
            entries[key] = entry
    return map_of(entries, over)


def _id_advice(node: Node) -> str:
    assert isinstance(node, ScalarNode)
    if node.templated:
        found = [lookup for lookup in lookups(str(node.value)) if lookup.names[0] in OF_JOBS and len(lookup.names) == 2]
        example = found[0] if found else "matrix.clip"
        return f"take the .slug of what it is made of, such as ${{{{ {example}.slug }}}}"
    proposal = slug(str(node.value))
    return f'write "{proposal}"' if 0 < len(proposal.encode()) <= ID_BYTES else "write a shorter one"
