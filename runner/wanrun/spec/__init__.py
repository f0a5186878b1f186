"""The spec language: YAML files in, checked jobs out, or every problem at its line and column.

    document   bytes -> YAML -> nodes that know where they stand
    bases      what it extends, merged under it
    structure  first pass: the document as written, templates left out
    expand     vars, defaults, matrix, table, templates -> drafts of jobs
    jobs       second pass: every draft against its model, sources and sinks -> jobs

A spec is data: nothing is read but the files named, the bases and tables that they name,
and the folders that a glob looks into.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wanrun import rules
from wanrun.money import Money
from wanrun.redaction import hide
from wanrun.spec.bases import Base, Bases, merged
from wanrun.spec.cases import located, related_of
from wanrun.spec.document import read
from wanrun.spec.expand import Expander, id_mark
from wanrun.spec.jobs import JobMaker, Shop
from wanrun.spec.matrix import MATRIX
from wanrun.spec.nodes import ListNode, MapNode, ScalarNode
from wanrun.spec.notify import Subscription, subscriptions, told_sinks
from wanrun.spec.printed import printed_schema
from wanrun.spec.report import START, Report, problems_of
from wanrun.spec.sinks import Places, SinkMaker
from wanrun.spec.structure import check_base, check_structure, is_base
from wanrun.spec.tables import Tables
from wanrun.spec.template import MAX_VALUES, TooMuch
from wanrun.spec.words import id_fault, shown, slug
from wanrun.types import Related

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from wanrun.catalog import Catalog
    from wanrun.spec.expand import Draft
    from wanrun.spec.structure import Broken
    from wanrun.types import Job, Position, Problem

__all__ = ["Loaded", "Spec", "SpecBudget", "Subscription", "load", "printed_schema"]


@dataclass(frozen=True)
class SpecBudget:
    """What a spec says that it may spend, over all runs; the operator's settings may allow less."""

    max_cost: Money
    position: Position


@dataclass(frozen=True)
class Spec:
    """One spec file and its jobs."""

    name: str
    path: Path  #: as it was given
    folder: Path  #: absolute; relative paths in the spec start here
    jobs: tuple[Job, ...]
    budget: SpecBudget | None = None
    notify: tuple[Subscription, ...] = ()  #: who hears of what


@dataclass(frozen=True)
class Loaded:
    """What `load` found. With problems, `specs` holds only what was not wrong and is not to be run."""

    specs: tuple[Spec, ...]
    problems: tuple[Problem, ...]  #: in the order of the files, then by line and column
    bases: tuple[Path, ...] = ()  #: as they were given; what no other file extends, so that it was checked alone
    without_jobs: tuple[Path, ...] = ()  #: every base, absolute

    @property
    def jobs(self) -> tuple[Job, ...]:
        """All jobs, in the order written."""
        return tuple(job for spec in self.specs for job in spec.jobs)


def load(paths: Sequence[Path], *, catalog: Catalog, providers: Collection[str] = ("default",)) -> Loaded:
    """Read specs and return their jobs and everything that is wrong with them; a file named twice is read once.

    Nothing that a file contains makes this raise; `catalog` may, when a plugin cannot build a sink (`WanrunError`).
    """
    loader = _Loader(catalog, providers)
    found = [loader.read(path, Path(absolute)) for absolute, path in _distinct(paths).items()]
    specs = loader.load([file for file in found if file])
    loader.check_chains()
    for secret in loader.written_out:
        hide(secret)
    problems = problems_of([*loader.reports, *loader.bases.reports, *loader.tables.reports])
    bases = {*loader.bases.files(), *(file.absolute for file in loader.alone)}
    alone = tuple(file.path for file in loader.alone)
    return Loaded(tuple(specs), tuple(problems), alone, tuple(sorted(bases)))


def _distinct(paths: Sequence[Path]) -> dict[str, Path]:
    """Return the paths as given by the files they lead to, links followed."""
    distinct: dict[str, Path] = {}
    for path in paths:
        distinct.setdefault(os.path.realpath(path), path)
    return distinct


@dataclass(eq=False)
class _File:
    """A file that has been read, with what it extends."""

    path: Path  #: as it was given
    absolute: Path  #: links followed
    root: MapNode
    lines: list[str]
    report: Report
    bases: list[Base] | None = None  #: None where one cannot be had, and so nothing is known of what it would give


class _Loader:
    """Loads the specs of one call, which may not be in each other's way."""

    def __init__(self, catalog: Catalog, providers: Collection[str]) -> None:
        self.reports: list[Report] = []
        self.tables = Tables()
        self._shop = Shop(catalog, providers)
        self.bases = Bases(self._shop.sources)
        self.alone: list[_File] = []
        self._places = Places(catalog)
        self._names: dict[str, Position] = {}

    def read(self, path: Path, absolute: Path) -> _File | None:
        """Read a spec; None when it is no mapping, which is reported."""
        report = Report(path, self.bases.origins)
        self.reports.append(report)
        document = read(path, report)
        if document is None:
            self._shop.chains.unread()
            return None
        if not isinstance(document.root, MapNode):
            what = shown(document.root.plain())
            words = f"a spec is a mapping that starts with version: 1; this is {what}"
            report.add(document.root, rules.SPEC_NOT_MAPPING(words))
            self._shop.chains.unread()
            return None
        return _File(path, absolute, document.root, document.lines, report)

    def load(self, files: Sequence[_File]) -> list[Spec]:
        """Make the jobs of specs. A base that was named with them is none; one that none extends is checked alone."""
        for file in sorted(files, key=lambda file: "jobs" not in file.root):  # specs first: they say what is a base
            if self._stands_alone(file):
                file.bases = self.bases.below(file.root, file.report, file.absolute)
        highest = [file for file in files if self._stands_alone(file)]
        specs = [file for file in highest if "jobs" in file.root or not is_base(file.root)]
        self.alone = [file for file in highest if file not in specs]
        for file in self.alone:
            self._check_base(file)
        return [self._spec(file) for file in specs]

    def _spec(self, file: _File) -> Spec:
        name = self._name(file.root, file.path, file.report)
        jobs, notify = self._jobs(file, name)
        return Spec(name, file.path, file.absolute.parent, tuple(jobs), _budget(file.root, file.report), notify)

    def _stands_alone(self, file: _File) -> bool:
        return "jobs" in file.root or not self.bases.has_read(file.absolute)

    def _check_base(self, file: _File) -> None:
        """Report what is wrong with a base whatever a spec makes of it."""
        check_base(file.root, file.report, self._shop.sources)
        if file.bases is None:
            return
        root = merged(file.root, file.bases)
        expander = self._expander(file, root, name=file.path.stem, broken={})
        self._sinks(file, root, expander)
        expander.check_shared()

    @property
    def written_out(self) -> set[str]:
        """Secrets that stand in the specs themselves."""
        return self._shop.sources.written_out | self._shop.sinks.written_out

    def check_chains(self) -> None:
        """Report what is wrong between the jobs of all specs; to be called when the last one is loaded."""
        self._shop.chains.check()

    def _name(self, root: MapNode, path: Path, report: Report) -> str:
        """Return the spec's name; one that cannot be used or is taken is reported."""
        node = root.get("name")
        if node is not None and not (isinstance(node, ScalarNode) and isinstance(node.value, str) and node.value):
            return path.stem  # the first pass says what is wrong with it
        name, at = (path.stem, START) if node is None else (str(node.plain()), node)
        if fault := id_fault(name):
            whose = "the file's name makes" if node is None else "this is"
            words = f'{whose} the name of the spec {shown(name)}, and {fault}; write name: "{slug(name)}"'
            report.add(at, rules.NAME_UNFIT(words))
        elif name in self._names:
            words = f'another spec is called "{name}" too, at {self._names[name]}; rename one of them'
            report.add(at, rules.NAME_TAKEN(words), related=[Related(self._names[name], "the other spec")])
        else:
            self._names[name] = report.position(at)
        return name

    def _jobs(self, file: _File, name: str) -> tuple[list[Job], tuple[Subscription, ...]]:
        """Return the jobs of a spec, and who hears of what becomes of them."""
        report, path = file.report, file.absolute
        broken = check_structure(file.root, report, self._shop.sources)
        if file.bases is None:  # half of it would seem to be missing
            self._shop.chains.unread()
            return [], ()
        for base in file.bases:
            broken.setdefault(-1, set()).update(base.broken)
        root = merged(file.root, file.bases)
        expander = self._expander(file, root, name=name, broken=broken)
        sinks = self._sinks(file, root, expander)
        maker = JobMaker(self._shop, report, name=name, path=path, sinks=sinks)
        jobs: dict[str, Job] = {}
        taken: dict[str, tuple[MapNode, str]] = {}
        drafts = 0
        notify: tuple[Subscription, ...] = ()
        try:
            notify = subscriptions(root.get("notify"), sinks)
            for drafts, draft in enumerate(expander.drafts(), 1):  # noqa: B007  # counted for the check below
                _take_id(draft, taken, report)
                if job := maker.make(draft):
                    jobs.setdefault(job.id, job)
        except TooMuch:
            words = f"the templates of this spec make more than {MAX_VALUES:,} values; split it"
            report.add(START, rules.TEMPLATE_TOO_MUCH(words))
        if len(jobs) < drafts and not any(map(len, [*self.reports, *self.bases.reports])):
            raise AssertionError(f"{path}: a job was lost without a word")
        self._shop.chains.read(name, taken.keys(), whole=_is_whole(root, taken))
        for job in jobs.values():
            self._places.check(job, taken[job.id][1], report)
        return list(jobs.values()), notify

    def _expander(self, file: _File, root: MapNode, *, name: str, broken: Broken) -> Expander:
        folder = file.absolute.parent
        return Expander(root, file.lines, file.report, name=name, folder=folder, broken=broken, tables=self.tables)

    def _sinks(self, file: _File, root: MapNode, expander: Expander) -> SinkMaker:
        return SinkMaker(
            root.get("sinks"),
            told_sinks(root.get("notify")),
            kinds=self._shop.sinks,
            catalog=self._shop.catalog,
            expander=expander,
            report=file.report,
            folder=file.absolute.parent,
        )


def _is_whole(root: MapNode, taken: Mapping[str, tuple[MapNode, str]]) -> bool:
    """Say whether every job of a spec has given its ids, or some may be missing."""
    nodes, named = root.get("jobs"), {id(node) for node, _ in taken.values()}
    return "" not in taken and isinstance(nodes, ListNode) and all(id(node) in named for node in nodes.items)


def _budget(root: MapNode, report: Report) -> SpecBudget | None:
    """Return the spec's budget; None without one, and for one that the first pass has reported."""
    table = root.get("budget")
    node = table.get("max_cost") if isinstance(table, MapNode) else None
    written = node.plain() if node is not None else None
    if node is None or not isinstance(written, str) or not Money.is_written(written.strip()):
        return None
    return SpecBudget(Money.parse(written.strip()), report.position(node))


def _take_id(draft: Draft, taken: dict[str, tuple[MapNode, str]], report: Report) -> None:
    """Report a job whose id another one has."""
    case = draft.combination.case
    if not draft.id or draft.id not in taken:
        taken[draft.id] = draft.node, case
        return
    other, other_case = taken[draft.id]
    if draft.node is other:
        what = "combinations" if MATRIX in case else "rows"
        written = str(draft.node.plain()["id"])
        one, two = located(other_case, written), located(case, written)
        which = f"{one} and {two.removeprefix(MATRIX)}"
        words = f'two {what} make the id "{draft.id}" ({which}); add what tells them apart'
        report.add(id_mark(other), rules.ID_NOT_TELLING(words), related=[*related_of(one), *related_of(two)])
    else:
        where = report.position(id_mark(other))
        words = f'the id "{draft.id}" is taken by the job at {where}'
        report.add(id_mark(draft.node), rules.ID_TAKEN(words), case, [Related(where, "the job that has the id")])
