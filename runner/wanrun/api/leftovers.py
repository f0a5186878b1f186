"""What a project has on disk that can go: what can be made again, is over, or, if asked for, was delivered everywhere.

Never a ledger, a result that is not delivered or was rescued, or a file whose name is not exactly one of ours.
"""

from __future__ import annotations

import re
import stat
from typing import TYPE_CHECKING

from wanrun.chains import upstreams
from wanrun.ledger import FREE, AttemptState
from wanrun.ledger.rows import latest
from wanrun.plan import standing
from wanrun.types import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from wanrun.ledger import Entry
    from wanrun.plan import Plan

_DOWNLOAD = re.compile(r"(?P<attempt>[0-9]{1,18})(?P<suffix>\.part|\.doubtful)")
_COPY = re.compile(r"\.wanrun-[0-9a-f]{16}\.part")  #: what a killed command was copying into the store
#: After these nobody goes on with a download; one that is lost was paid for, and is kept as far as it came.
_OVER = frozenset({*FREE, AttemptState.FETCHED, AttemptState.ABANDONED})
_HAS_RESULT = (State.TO_DELIVER, State.DONE)


def partial_downloads(store: Path, entries: Iterable[Entry]) -> list[Path]:
    """Return the downloads in an artifact store that nobody goes on with, by the attempts of its ledger.

    One that was set aside as doubtful goes only once a good one is there.
    """
    states = {attempt.id: attempt.state for entry in entries for attempt in entry.attempts}

    def is_over(name: str) -> bool:
        found = _DOWNLOAD.fullmatch(name)
        if found is None:
            return _COPY.fullmatch(name) is not None
        state = states.get(int(found["attempt"]))
        return state is AttemptState.FETCHED or (state in _OVER and found["suffix"] == ".part")

    if store.is_symlink() or not store.is_dir():
        return []
    return [path for path in sorted(store.iterdir()) if is_over(path.name) and stat.S_ISREG(path.lstat().st_mode)]


def delivered_results(store: Path, plan: Plan, entries: Iterable[Entry]) -> tuple[list[Path], int]:
    """Return the results that nothing asks for any more, and how many stay since a chain needs them.

    They are those of the plan's jobs that are done, so delivered to every sink of their specs, unless the same file is
    the result of a job that is not, or a job that has no result yet chains from one of them.
    """
    entries = list(entries)
    done = [each.entry for each in plan.jobs if each.state is State.DONE and each.entry is not None]
    done_ids, needed = {entry.id for entry in done}, set(_chained_from(plan, entries))
    still_asked = {
        attempt.artifact_sha256
        for entry in entries
        for attempt in entry.attempts
        if attempt.state is AttemptState.FETCHED and (entry.id not in done_ids or entry.address in needed)
    }
    free: dict[Path, None] = {}
    chained = 0
    for entry in done:
        artifact = entry.attempt.artifact(store) if entry.attempt is not None else None
        if artifact is None or not artifact.is_there() or artifact.path.is_symlink():
            continue
        if artifact.sha256 not in still_asked:
            free[artifact.path] = None
        chained += entry.address in needed
    return list(free), chained


def _chained_from(plan: Plan, entries: Iterable[Entry]) -> Iterator[str]:
    """Yield the addresses of the jobs that one without a result chains from, by its spec, or else by the ledger."""
    planned = {each.job.address: each for each in plan.jobs}
    for each in planned.values():
        if each.state not in _HAS_RESULT:
            yield from upstreams(each.job)
    for address, entry in latest(entries).items():
        if address not in planned and standing(entry, None)[0] not in _HAS_RESULT:
            yield from entry.chains_from
