"""Two copies of one ledger compared by what they know of paid tasks and deliveries: which of them has gone on.

What decides is what a run would pay for or deliver again. Rows that say nothing of that are not looked at: a job that
was entered and never submitted, a create that surely made no task, the events.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from wanrun.ledger.rows import AttemptState

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Mapping

    Row = Mapping[str, Any]


class Relation(StrEnum):
    """What the other copy is to this one."""

    SAME = "same"
    NEWER = "newer"  #: it knows all that this one does, and more
    OLDER = "older"  #: this one knows all that it does, and more
    DIVERGED = "diverged"  #: each knows something that the other does not


@dataclass(frozen=True, slots=True, order=True)
class Known:
    """Something that only one of two ledgers knows."""

    job: str  #: its address
    what: str
    task: str | None = None  #: that may have been paid for


@dataclass(frozen=True, slots=True)
class Difference:
    """What each of two ledgers knows and the other does not."""

    here: tuple[Known, ...]
    there: tuple[Known, ...]

    @property
    def relation(self) -> Relation:
        """What the ledger there is to the one here."""
        if self.here and self.there:
            return Relation.DIVERGED
        if self.here:
            return Relation.OLDER
        return Relation.NEWER if self.there else Relation.SAME


def compare(here: sqlite3.Connection, there: sqlite3.Connection) -> Difference:
    """Compare two ledgers of one version of the tables."""
    mine, theirs = _Side(here), _Side(there)
    found = _Found()
    for row in mine.attempts.values():
        other = theirs.match(row)
        if other is not None:
            _compare_attempts(row, other, found)
        elif row["state"] != AttemptState.WITHDRAWN:
            found.add(True, _known(row))
    for row in theirs.attempts.values():
        if mine.match(row) is None and row["state"] != AttemptState.WITHDRAWN:
            found.add(False, _known(row))
    _compare_deliveries(mine, theirs, found)
    return found.difference(mine.last_event_at, theirs.last_event_at)


#: How far an attempt has come; where two have come equally far and differ, the ledger that was used last knows more.
_STAGES = (
    (AttemptState.INTENDED,),
    (AttemptState.UNSURE,),
    (AttemptState.WITHDRAWN, AttemptState.HELD),
    (AttemptState.IN_FLIGHT, AttemptState.UNDECIDED),
    (AttemptState.SUCCEEDED, AttemptState.FETCHED),  # a result that has gone from the store is fetched anew
    (AttemptState.REFUSED, AttemptState.FAILED, AttemptState.LOST),
    (AttemptState.ABANDONED,),
    (AttemptState.DISMISSED,),
)
_STAGE = {state.value: number for number, states in enumerate(_STAGES) for state in states}


def _compare_attempts(row: Row, other: Row, found: _Found) -> None:
    """Compare what two ledgers have of one attempt."""
    if row["fingerprint"] != other["fingerprint"]:  # one task, and two persons have given it to different jobs
        found.add(True, _known(row))
        found.add(False, _known(other))
    elif any(row[name] != other[name] for name in _TELLING):
        here, there = _progress(row), _progress(other)
        if here == there:
            found.undecided.append((_known(row), _known(other)))
        elif not row["state"] == other["state"] == AttemptState.WITHDRAWN:
            found.add(here > there, _known(row if here > there else other))


_TELLING = ("state", "tries", "task_id", "artifact_sha256")


def _progress(row: Row) -> tuple[int, int]:
    return row["tries"], _STAGE.get(row["state"], len(_STAGES))


def _known(row: Row) -> Known:
    """Return an attempt in words."""
    state = str(row["state"]).replace("_", " ")
    of_task = f"task {row['task_id']}" if row["task_id"] else "a create without a task"
    return Known(row["job"], f"{of_task}, {state}", row["task_id"])


def _compare_deliveries(mine: _Side, theirs: _Side, found: _Found) -> None:
    for key in mine.deliveries.keys() | theirs.deliveries.keys():
        row, other = mine.deliveries.get(key), theirs.deliveries.get(key)
        if row is None or (other is not None and _since(row) < _since(other)):
            assert other is not None
            found.add(False, Known(other["job"], f"{other['state']}: {other['place']}"))
        elif other is None or _since(row) > _since(other):
            found.add(True, Known(row["job"], f"{row['state']}: {row['place']}"))


def _since(row: Row) -> tuple[float, bool]:
    """Return what moves on with every change of a delivery."""
    return row["at"], row["state"] == "lapsed"


class _Found:
    """Gathers what only one side knows."""

    def __init__(self) -> None:
        self._here: set[Known] = set()
        self._there: set[Known] = set()
        self.undecided: list[tuple[Known, Known]] = []  #: what both know differently, and nothing tells which is later

    def add(self, is_here: bool, known: Known) -> None:
        (self._here if is_here else self._there).add(known)

    def difference(self, here_at: float, there_at: float) -> Difference:
        """Return what was found; the ledger with the later event is right about what is undecided."""
        for mine, theirs in self.undecided:
            if here_at >= there_at:
                self._here.add(mine)
            if there_at >= here_at:
                self._there.add(theirs)
        return Difference(tuple(sorted(self._here, key=_order)), tuple(sorted(self._there, key=_order)))


def _order(known: Known) -> tuple[str, str, str]:
    return known.job, known.what, known.task or ""


class _Side:
    """One of the two ledgers: the attempts and deliveries that count, and how to find those of the other."""

    def __init__(self, tables: sqlite3.Connection) -> None:
        self.attempts: dict[int, Row] = {row["id"]: row for row in _rows(tables, _ATTEMPTS)}
        self._by_task = {row["task_id"]: row for row in self.attempts.values() if row["task_id"]}
        self.deliveries = {_key(row): row for row in _rows(tables, _DELIVERIES)}
        ((at,),) = tables.execute("SELECT coalesce(max(at), 0) FROM events").fetchall()
        self.last_event_at = float(at)

    def match(self, row: Row) -> Row | None:
        """Return what this side has of an attempt of the other one: the same task, or the same before it had one."""
        if row["task_id"] in self._by_task:
            return self._by_task[row["task_id"]]
        other = self.attempts.get(row["id"])
        if other is None or (row["task_id"] and other["task_id"]):
            return None
        return other if _is_same(row, other) else None


def _is_same(row: Row, other: Row) -> bool:
    """Say whether two attempts of one id are one: of the same job's version, and intended at once or tried anew."""
    if row["fingerprint"] != other["fingerprint"]:
        return False
    return bool(row["intended_at"] == other["intended_at"] or row["tries"] != other["tries"])


def _key(row: Row) -> tuple[str, str, str]:
    return row["fingerprint"], row["artifact_sha256"], row["options_digest"]


def _rows(tables: sqlite3.Connection, statement: str) -> Iterator[dict[str, Any]]:
    cursor = tables.execute(statement)
    names = [column[0] for column in cursor.description]
    for row in cursor:
        yield dict(zip(names, row, strict=True))


_ATTEMPTS = (
    "SELECT attempts.id, address AS job, fingerprint, state, tries, intended_at, task_id, artifact_sha256"
    " FROM attempts JOIN entries ON entries.id = attempts.entry ORDER BY attempts.id"
)
_DELIVERIES = (
    "SELECT entries.address AS job, fingerprint, artifact_sha256, options_digest, place, state, at"
    " FROM deliveries JOIN entries ON entries.id = deliveries.entry"
)


def tasks_of(known: Iterable[Known]) -> dict[str, list[str]]:
    """Return the tasks that may have been paid for, by the address of their job."""
    found: dict[str, list[str]] = defaultdict(list)
    for each in known:
        if each.task is not None and each.task not in found[each.job]:
            found[each.job].append(each.task)
    return dict(found)
