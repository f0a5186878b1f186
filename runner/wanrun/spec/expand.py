"""From the document to drafts of jobs: vars, defaults merged under each job, matrix, templates filled in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from wanrun import rules
from wanrun.spec.matrix import NO_MATRIX, Combination, axis_values, combinations, too_many, unnamed_axes
from wanrun.spec.nodes import Entry, ListNode, MapNode, ScalarNode, map_of, scalars
from wanrun.spec.structure import FIELDS, SHARED
from wanrun.spec.template import BROKEN, LATER, SECRETS, Filler, TemplateError, faults_of, lookups
from wanrun.spec.words import ID_BYTES, id_fault, shown, slug

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from wanrun.spec.document import Document
    from wanrun.spec.kinds import Tell
    from wanrun.spec.nodes import Node, Placed
    from wanrun.spec.report import Report
    from wanrun.spec.structure import Broken
    from wanrun.spec.template import Scope
    from wanrun.types import JSON


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
    made: set[str] = field(default_factory=set)  #: fields in which templates were filled in

    def case(self, name: str) -> str:
        """Say which job a message about a field means, where its place does not: by combination, or by id."""
        if self.combination.case or name not in self.shared:
            return self.combination.case
        return f'job "{self.id}"'


class Expander:
    """Makes the drafts of one spec."""

    def __init__(self, document: Document, report: Report, *, name: str, folder: Path, broken: Broken) -> None:
        assert isinstance(document.root, MapNode)
        self._document, self._report, self._folder, self._broken = document, report, folder, broken
        self._root = document.root
        self._case = ""
        self._filler = Filler(self._fault, position=report.position)
        self._base: dict[str, Any] = {"spec": {"name": name}}
        self._base["vars"] = self._vars()

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

    def fill(self, node: Node, draft: Draft, name: str) -> Node | None:
        """Fill in a field of a job with what the job offers to templates; None when that fails, which is reported."""
        self._case = draft.case(name)
        return self._filler.fill(node, {**draft.scope, **SECRETS} if name == "media" else draft.scope)

    def fill_shared(self, node: Node, draft: Draft) -> Node | None:
        """Fill in what several jobs share, such as the options of a sink; as `fill`."""
        self._case = f'job "{draft.id}"'
        return self._filler.fill(node, {**draft.scope, **SECRETS})

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
        axes = self._axes(node, broken)
        if axes is None or not self._id_names_axes(node, axes):
            return
        for combination in combinations(axes) if axes else (NO_MATRIX,):
            scope = self._base if not axes else {**self._base, "matrix": combination.values}
            yield self._draft(Draft("", node, {}, set(broken), shared, combination, scope), merged)

    def _draft(self, draft: Draft, merged: MapNode) -> Draft:
        draft.id = self._id(draft, merged.get("id"))
        draft.scope = {**draft.scope, "job": {"id": draft.id or BROKEN}}
        for name in FIELDS:
            if name in ("id", "matrix") or (node := merged.get(name)) is None or name in draft.broken:
                continue
            if (value := self.fill(node, draft, name)) is None:
                draft.broken.add(name)
                continue
            draft.fields[name] = value
            if value is not node:
                draft.made.add(name)
        return draft

    def _id(self, draft: Draft, node: Node | None) -> str:
        """Return the job's id, or an empty text when there is none that can be used."""
        if node is None or "id" in draft.broken:
            return ""
        made = self.fill(node, draft, "id")
        if not isinstance(made, ScalarNode) or made.value is None:
            return ""
        text = made.value if isinstance(made.value, str) else shown(made.value)
        if fault := id_fault(text):
            message = f"the id {shown(text)} cannot be used: {fault}; {_id_advice(node)}"
            self._report.add(made, rules.ID_UNFIT(message), draft.combination.case)
            return ""
        return text

    def _axes(self, node: MapNode, broken: set[str]) -> dict[str, list[JSON]] | None:
        """Return the axes of a job's matrix, empty without one; None when something is wrong with it."""
        matrix = node.get("matrix")
        if matrix is None or "matrix" in broken:
            return {} if matrix is None else None
        self._case = ""
        if not isinstance(made := self._filler.fill(matrix, self._base), MapNode):
            return None
        axes = {axis: axis_values(entry.node, self._folder, self._report.add) for axis, entry in made.own()}
        if fault := too_many(axes):
            self._report.add(matrix, fault)
            return None
        return axes if all(axes.values()) else None

    def _id_names_axes(self, node: MapNode, axes: Mapping[str, object]) -> bool:
        id_node = node.get("id")
        if not axes or not isinstance(id_node, ScalarNode):
            return True
        try:
            found = lookups(str(id_node.value))
        except TemplateError:
            return False  # reported with all other templates
        named = {lookup.names[1] for lookup in found if lookup.names[0] == "matrix" and len(lookup.names) > 1}
        if fault := unnamed_axes(axes, named):
            self._report.add(id_node, fault)
        return not fault

    def _check_templates(self) -> None:
        """Report what is wrong with a template wherever its job's combination does not matter."""
        scope = {**self._base, "job": {"id": BROKEN}, "matrix": BROKEN}
        self._check_below(self._root.get("sinks"), {**scope, **SECRETS})
        self._check_fields(self._root.get("defaults"), scope)
        jobs = self._root.get("jobs")
        for node in jobs.items if isinstance(jobs, ListNode) else []:
            if isinstance(node, MapNode):
                self._check_job_templates(node)

    def _check_job_templates(self, node: MapNode) -> None:
        matrix = node.get("matrix")
        scope = dict(self._base)
        self._check_below(matrix, scope)
        if matrix is not None:
            axes = dict.fromkeys(matrix.entries, BROKEN) if isinstance(matrix, MapNode) else BROKEN
            scope["matrix"] = axes
        self._check_below(node.get("id"), scope)
        scope["job"] = {"id": BROKEN}
        self._check_fields(node, scope)

    def _check_fields(self, node: Node | None, scope: Scope) -> None:
        for key, entry in node.own() if isinstance(node, MapNode) else ():
            if key not in ("id", "matrix"):
                self._check_below(entry.node, {**scope, **SECRETS} if key == "media" else scope)

    def _check_below(self, node: Node | None, scope: Scope) -> None:
        self._case = ""
        for leaf in scalars(node) if node is not None and node.templated else ():
            if leaf.templated:
                for fault in faults_of(str(leaf.value), scope):
                    self._fault(leaf, fault)

    def _fault(self, node: ScalarNode, fault: TemplateError) -> None:
        if fault.sentence:
            self._report.add(self._document.template_mark(node, fault.index), fault.sentence, self._case)


def id_mark(job: MapNode) -> Placed:
    """Return where the id of a job is written."""
    return job.get("id") or job


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
    if node.templated:
        return "take the .slug of what it is made of, such as ${{ matrix.clip.slug }}"
    assert isinstance(node, ScalarNode)
    proposal = slug(str(node.value))
    return f'write "{proposal}"' if 0 < len(proposal.encode()) <= ID_BYTES else "write a shorter one"
