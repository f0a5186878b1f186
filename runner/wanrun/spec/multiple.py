"""How many jobs one entry of `jobs` makes: each row of its table with each combination of its matrix."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wanrun import rules
from wanrun.spec.cases import both
from wanrun.spec.matrix import ALONE, MAX_JOBS, Combination, read_matrix, unnamed_axes
from wanrun.spec.nodes import MapNode, ScalarNode
from wanrun.spec.tables import KINDS
from wanrun.spec.template import TemplateError, lookups
from wanrun.spec.texts import NoFile
from wanrun.spec.words import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from wanrun.spec.matrix import Matrix
    from wanrun.spec.nodes import Node
    from wanrun.spec.report import Report
    from wanrun.spec.tables import Table, Tables

UNNAMED_ROW = rules.ID_MISSES_COLUMN(
    'the id must name a column of the table that tells its rows apart: add "${{ row.NAME }}", '
    'or "${{ row.NAME.slug }}" for a column of any text'
)


class Multiplier:
    """Multiplies the entries of one spec; `fill` fills in the templates of a matrix or a table."""

    def __init__(self, fill: Callable[[Node], Node | None], report: Report, folder: Path, tables: Tables) -> None:
        self._fill, self._report, self._folder, self._tables = fill, report, folder, tables
        self._found: dict[int, tuple[Node, Table | None]] = {}  # the node is kept, so that its id stays its own

    def combinations(self, job: MapNode, broken: Collection[str]) -> Iterator[Combination]:
        """Yield what each job of an entry has to itself; nothing when that cannot be told, which is reported."""
        matrix, table = job.get("matrix"), job.get("table")
        if "matrix" in broken or "table" in broken:
            return
        rows = self._table(table) if table is not None else None
        made = self._matrix(matrix) if matrix is not None else None
        if (matrix is not None and made is None) or (table is not None and rows is None):
            return
        if not self._id_tells_apart(job, made, rows):
            return
        if rows is None:
            yield from made.combinations() if made else (ALONE,)
            return
        found = list(made.combinations()) if made else [ALONE]
        if (count := len(rows.rows) * len(found)) > MAX_JOBS:
            words = f"this table and this matrix make {count:,} jobs; at most {MAX_JOBS:,} are allowed"
            self._report.add(job, rules.MATRIX_TOO_LARGE(words))
            return
        for row in rows.combinations():
            yield from (_both(row, combination) for combination in found)

    def columns(self, table: Node, value: object) -> Any:
        """Return what the rows of a table offer to templates, each with a value; the value itself when none is known.

        Of a table that cannot be read nothing is known, and that is reported.
        """
        found = self._table(table)
        return found.columns_for(value) if found else value

    def _matrix(self, node: Node) -> Matrix | None:
        made = self._fill(node)
        return read_matrix(made, self._folder, self._report) if isinstance(made, MapNode) else None

    def _table(self, node: Node) -> Table | None:
        if id(node) not in self._found:
            self._found[id(node)] = node, self._read(node)
        return self._found[id(node)][1]

    def _read(self, node: Node) -> Table | None:
        made = self._fill(node)
        own = list(made.own()) if isinstance(made, MapNode) else []
        if len(own) != 1 or own[0][0] not in KINDS or not isinstance(path := own[0][1].node, ScalarNode):
            return None  # the first pass says what is wrong with it
        if not isinstance(path.value, str):
            self._report.add(path, rules.WRONG_TYPE(f"the path of this table is {shown(path.value)}; give text"))
            return None
        shown_as = Path(os.path.normpath(self._report.path.parent / path.value))
        at = self._report.position(path)
        try:
            return self._tables.table(own[0][0], self._folder / path.value, shown_as=shown_as, named_at=at)
        except NoFile as exc:
            self._report.add(path, rules.TABLE_MISSING(f"{path.value}: {exc}"))
            return None

    def _id_tells_apart(self, job: MapNode, matrix: Matrix | None, rows: Table | None) -> bool:
        """Check that an id names every axis and a column: jobs that differ only in them would share one name."""
        node = job.get("id")
        if not isinstance(node, ScalarNode):
            return True
        try:
            found = lookups(str(node.value))
        except TemplateError:
            return False  # reported with all other templates
        named = {lookup.names[1] for lookup in found if lookup.names[0] == "matrix" and len(lookup.names) > 1}
        faults = [unnamed_axes(matrix.axes, named)] if matrix else []
        if rows and not any(lookup.names[0] == "row" for lookup in found):
            faults.append(UNNAMED_ROW)
        for fault in filter(None, faults):
            self._report.add(node, fault)
        return not any(faults)


def _both(row: Combination, combination: Combination) -> Combination:
    if combination is ALONE:
        return row
    return Combination({**row.scope, **combination.scope}, both(row.case, combination.case), row.cells)
