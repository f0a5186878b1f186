"""Tables: files of rows, CSV or JSON Lines, each row of which makes a job and knows the line where it stands.

What is wrong inside a table is reported at its own line; each file is read once, however many jobs and specs name it.
A table may be any file that a stranger's spec names, such as one of secrets: no message repeats what does not look like
the name of a column.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from wanrun import rules
from wanrun.spec.cases import Case, Located, both
from wanrun.spec.cells import Cell
from wanrun.spec.jsonrows import json_row
from wanrun.spec.matrix import MAX_JOBS, Combination
from wanrun.spec.nodes import Mark
from wanrun.spec.report import START, Report
from wanrun.spec.scalars import Unreadable
from wanrun.spec.template import Columns, named_plainly
from wanrun.spec.texts import decoded, file_bytes, real_path
from wanrun.spec.words import shown
from wanrun.types import Position, Related

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from wanrun.rules import Sentence
    from wanrun.spec.nodes import Placed

MAX_BYTES = 32 * 1024 * 1024
MAX_CELLS = 3_000_000
MAX_TOLD = 100  #: faults of one table; what comes after them is not read

_CSV_FAULTS = {
    "unexpected end of data": rules.TABLE_QUOTES("the quotes that open in this row are never closed"),
    "',' expected after '\"'": rules.TABLE_QUOTES(
        'text follows the closing quotes of a cell; a quote inside is written twice: ""'
    ),
    "field larger": rules.TABLE_TOO_LARGE("a cell of this row is too long"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table."""

    number: int  #: counted from 1, the header of a CSV file aside
    line: int  #: where it starts
    values: Columns


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of one file."""

    path: Path  #: as messages show it
    rows: list[Row]
    cells: bool  #: all values are texts, as in CSV
    columns: dict[str, None]  #: every name that a row has
    where: str  #: where the columns are named
    header: Position | None  #: the same as a place, if it is one for all rows

    def combinations(self) -> Iterator[Combination]:
        """Yield the rows, each with what messages call it."""
        for row in self.rows:
            words = f"row {row.number} at {self.path}:{row.line}"
            yield Combination({"row": row.values}, Case(words, partial(self._named, row, words)), self.cells)

    def _named(self, row: Row, words: str, _: Collection[str]) -> Located:
        return Located(words, (Related(Position(self.path, row.line, 1), f"row {row.number}"),))

    def columns_for(self, value: object) -> Columns:
        """Return the columns, each with a value that stands for those of the rows."""
        return Columns(dict.fromkeys(self.columns, value), self.where, self.header)


class Tables:
    """The tables of one call."""

    def __init__(self) -> None:
        self.reports: list[Report] = []
        self._read: dict[tuple[str, str], Table | None] = {}

    def table(self, kind: str, path: Path, *, shown_as: Path, named_at: Position) -> Table | None:
        """Return a table, or None when something in it is wrong, which is reported; raises `NoFile`."""
        key = kind, real_path(path)
        if key not in self._read:
            data = file_bytes(path, MAX_BYTES)
            report = Report(shown_as, foreign=True)
            self.reports.append(report)
            rows = _Reader(report, named_at).rows(kind, data)
            self._read[key] = _table(shown_as, kind, rows) if rows else None
        return self._read[key]


def _table(path: Path, kind: str, rows: list[Row]) -> Table:
    columns: dict[str, None] = {}
    for row in rows:
        if not row.values.keys() <= columns.keys():
            columns |= dict.fromkeys(row.values)
    first = rows[0].values
    return Table(path, rows, kind == "csv", columns, first.where, first.header)


class _Reader:
    """Reads one file; every fault goes to its report."""

    def __init__(self, report: Report, named_at: Position) -> None:
        self._report = report
        self._where = Located(f"a table of {named_at}", (Related(named_at, "the table is named here"),))
        self._told = self._cells = 0

    def rows(self, kind: str, data: bytes) -> list[Row]:
        """Return the rows, none of them when something is wrong."""
        if len(data) > MAX_BYTES:
            words = f"the file is larger than {MAX_BYTES // 1024 // 1024} MiB; split it into several tables"
            self._tell(START, rules.TABLE_TOO_LARGE(words))
            return []
        found: list[Row] = []
        try:
            text = decoded(data, "a table")
            if not text.strip():
                raise Unreadable(START, rules.TABLE_EMPTY(f"the file is empty; a table {_HEADS[kind]}"))
            for row in KINDS[kind](self, text):
                found.append(row)
                self._count(row)
            if not found and not self._told:
                raise Unreadable(START, rules.TABLE_EMPTY("the table has a header and no rows"))
        except Unreadable as exc:
            self._tell(exc, exc.sentence)
        return [] if self._told else found

    def _count(self, row: Row) -> None:
        self._cells += len(row.values)
        if row.number > MAX_JOBS or self._cells > MAX_CELLS:
            words = f"the table has more than {MAX_JOBS:,} rows or {MAX_CELLS:,} cells; split it into several tables"
            raise Unreadable(Mark(row.line, 1), rules.TABLE_TOO_LARGE(words))

    def _tell(self, at: Placed, sentence: Sentence, row: int | None = None) -> None:
        self._told += 1
        self._report.add(at, sentence, self._where if row is None else both(f"row {row}", self._where))
        if self._told == MAX_TOLD:
            words = f"this is fault number {MAX_TOLD}; the rest of the table is not looked at"
            raise Unreadable(at, rules.TABLE_TOO_WRONG(words))

    def _csv(self, text: str) -> Iterator[Row]:
        records = self._records(text)
        line, written = next(records)
        names = [name.strip() for name in written]
        self._check_header(names, line)
        header, where = Position(self._report.path, line, 1), f"{self._report.path}:{line}"
        for number, (line, cells) in enumerate(records, 1):
            if len(cells) == len(names):
                yield Row(number, line, Columns(zip(names, map(Cell, cells), strict=True), where, header))
            else:
                self._tell(Mark(line, 1), _ragged(len(cells), len(names)), number)

    def _records(self, text: str) -> Iterator[tuple[int, list[str]]]:
        """Yield the records of CSV that are not blank, each with the line where it starts."""
        # Every line end becomes \n, as in YAML: a cell of several lines stays what it is however the file is saved.
        reader = csv.reader(io.StringIO(text, newline=None), strict=True)
        while True:
            line = reader.line_num + 1
            try:
                record = next(reader, None)
            except csv.Error as exc:
                fault = next((each for start, each in _CSV_FAULTS.items() if str(exc).startswith(start)), None)
                other = rules.TABLE_SYNTAX(f"this row cannot be read as CSV: {exc}")
                raise Unreadable(Mark(line, 1), fault or other) from exc
            if record is None:
                return
            if record:
                yield line, record

    def _check_header(self, names: list[str], line: int) -> None:
        if len(names) == 1 and (mark := next((mark for mark in ";\t|" if mark in names[0]), None)):
            words = f"the columns are separated by {shown(mark)}; save the table with commas between them"
            raise Unreadable(Mark(line, 1), rules.TABLE_SEPARATOR(words))
        first: dict[str, int] = {}
        for number, name in enumerate(names, 1):
            if not name:
                words = f"column {number} has no name in the header; give it one, or delete it"
                self._tell(Mark(line, 1), rules.COLUMN_UNNAMED(words))
            elif name in first:
                which = f"the column {shown(name)}" if named_plainly(name) else "one name"
                words = f"{which} stands twice in the header, as columns {first[name]} and {number}"
                self._tell(Mark(line, 1), rules.COLUMN_TWICE(words))
            first.setdefault(name, number)

    def _jsonl(self, text: str) -> Iterator[Row]:
        number = 0
        for line, written in enumerate(text.split("\n"), 1):  # a break inside a text is always written \n
            if not written.strip():
                continue
            number += 1
            try:
                yield Row(number, line, Columns(json_row(written, line), str(self._report.path)))
            except Unreadable as exc:
                self._tell(exc, exc.sentence, number)


KINDS: dict[str, Callable[[_Reader, str], Iterator[Row]]] = {"csv": _Reader._csv, "jsonl": _Reader._jsonl}
_HEADS = {
    "csv": "starts with a line of column names",
    "jsonl": 'has a mapping on each line, such as {"sku": "a1"}',
}


def _ragged(cells: int, columns: int) -> Sentence:
    advice = "; put quotes around a text with a comma" if cells > columns else ""
    few, of_few = ("cell" if cells == 1 else "cells"), ("column" if columns == 1 else "columns")
    return rules.ROW_RAGGED(f"this row has {cells} {few}, but the header has {columns} {of_few}{advice}")
