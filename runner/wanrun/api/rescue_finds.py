"""What there is to rescue: the account's finished tasks, sorted by who knows them, what expires first at the front."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from wanrun.api.account import all_rows
from wanrun.client import TaskStatus
from wanrun.engine.stop import Reason, gravest, stop_code
from wanrun.errors import ExitCode, ServiceError
from wanrun.fingerprint import PROMPT_CHARACTERS, digest
from wanrun.ledger import FLYING, AttemptState
from wanrun.plan import standing
from wanrun.services import account_of
from wanrun.types import Artifact, State

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from wanrun.api.calling import Caller
    from wanrun.client import TaskRow
    from wanrun.ledger import Attempt, Entry, Ledger

CLOCK_SECONDS = 300.0  #: by which the service's clock and ours may differ


class Fate(StrEnum):
    """What a rescue made of one task."""

    STORED = "in the store"  #: of a job of the ledger; the next run delivers it
    RESCUED = "rescued"  #: a file in the folder
    THERE = "there already"
    RUNNING = "not ended"
    NO_VIDEO = "no video"  #: it ended without one
    LATER = "later"  #: not this time; running again may do it
    STUCK = "needs a person"
    LOST = "lost"  #: paid, and its result is no longer to be had


_CODES = {Fate.LATER: ExitCode.UNFINISHED, Fate.STUCK: ExitCode.ATTENTION, Fate.LOST: ExitCode.LOST}


@dataclass(frozen=True, slots=True, kw_only=True)
class RescuedTask:
    """One task, and what became of it."""

    task: str
    provider: str
    model: str | None
    job: str | None  #: address of the job that the ledger knows the task by
    fate: Fate
    why: str = ""  #: one clause; may be empty
    path: Path | None = None
    bytes: int | None = None
    sha256: str | None = None
    claims: tuple[str, ...] = ()  #: held or unsure jobs that it may be the task of


@dataclass(frozen=True, slots=True, kw_only=True)
class RescueReport:
    """What a rescue came to."""

    tasks: tuple[RescuedTask, ...]
    troubles: tuple[Reason, ...]  #: of whole providers, or of the disk
    folder: Path

    @property
    def exit_code(self) -> ExitCode:
        """OK when all that has ended is on disk."""
        codes = [_CODES.get(task.fate, ExitCode.OK) for task in self.tasks]
        return gravest(iter([*codes, *(trouble.exit_code for trouble in self.troubles)]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Find:
    """One task whose result may be rescued."""

    task_id: str
    provider: str
    caller: Caller
    row: TaskRow | None  #: None: the list does not know it any more
    job: str | None
    owned: Attempt | None = None  #: the ledger waits for its result
    stored: Artifact | None = None  #: the artifact store has it

    @property
    def made_at(self) -> float | None:
        """When the task was made, epoch seconds: a day later nobody can ask for a link."""
        if self.row is not None and self.row.created_at is not None:
            return self.row.created_at
        return self.owned.intended_at if self.owned is not None else None


class Search:
    """Looks once through every account and the ledger; `running` and `troubles` are filled meanwhile."""

    def __init__(
        self, callers: Mapping[str, Caller], ledger: Ledger | None, artifacts: Path, *, has: Callable[[str], bool]
    ) -> None:
        """Look nowhere yet; `has` says whether an earlier rescue has the result of a task in its folder."""
        self._callers, self._ledger, self._artifacts, self._has = callers, ledger, artifacts, has
        self.running: list[Find] = []
        self.troubles: list[Reason] = []
        self._silent: set[str] = set()  # providers whose list could not be read
        self._jobs: Mapping[str, str] = ledger.jobs_of_tasks() if ledger is not None else {}
        self._fetched = ledger.artifacts_of_tasks() if ledger is not None else {}
        self._latest: dict[str, tuple[Entry, Attempt]] = {}
        for entry in ledger.entries() if ledger is not None else ():
            if entry.attempt is not None and entry.attempt.task_id is not None:
                self._latest[entry.attempt.task_id] = entry, entry.attempt

    async def finds(self, *, everything: bool) -> list[Find]:
        """Return what has ended well, and what only the ledger still waits for; what expires first is first.

        Without `everything`, what was fetched before is left out: it is in the artifact store, or was delivered.
        """
        found: dict[str, Find] = {}
        for name, caller in self._callers.items():
            for row in await self._rows(name, caller):
                if row.task_id not in found:
                    found[row.task_id] = self._find(row.task_id, name, row)
        self.running = [find for find in found.values() if find.row and not find.row.status.terminal]
        ended = [find for find in found.values() if find.row and find.row.status is TaskStatus.SUCCEEDED]
        wanted = [find for find in ended if everything or find.owned or find.task_id not in self._fetched]
        return sorted([*wanted, *self._unlisted(found)], key=lambda find: (find.made_at or 0.0, find.task_id))

    async def _rows(self, name: str, caller: Caller) -> list[TaskRow]:
        """Return the tasks of one account; one that cannot be asked is a trouble, and the others go on."""
        try:
            rows = await all_rows(caller, status=None, model=None)
        except ServiceError as exc:
            self.troubles.append(Reason(f"the tasks of provider {name} cannot be listed: {exc}", stop_code(exc)))
            self._silent.add(name)
            return []
        if self._ledger is not None:
            self._ledger.belong_to(account_of(caller.client) or "service")
        return rows

    def _find(self, task_id: str, provider: str, row: TaskRow | None) -> Find:
        entry, attempt = self._latest.get(task_id, (None, None))
        stored = self._stored(task_id)
        owned = entry is not None and attempt is not None and _is_awaited(entry, attempt, stored=stored is not None)
        if entry is not None and entry.provider in self._callers:
            provider = entry.provider
        return Find(
            task_id=task_id,
            provider=provider,
            caller=self._callers[provider],
            row=row,
            job=self._jobs.get(task_id),
            owned=attempt if owned else None,
            stored=stored,
        )

    def _stored(self, task_id: str) -> Artifact | None:
        """Return a task's artifact if it is still in the store."""
        if task_id not in self._fetched:
            return None
        sha256, size, suffix = self._fetched[task_id]
        artifact = Artifact(self._artifacts / f"{sha256}{suffix}", sha256, size, suffix)
        return artifact if artifact.is_there() else None

    def _unlisted(self, found: Mapping[str, Find]) -> list[Find]:
        """Return the tasks that the ledger waits for and no list has: as old as a day, or the list lags.

        What is lost by the ledger is among them where an earlier rescue has it.
        """
        listed = {task_id for task_id, find in found.items() if find.row and find.row.status is not TaskStatus.UNKNOWN}
        return [
            self._find(task_id, entry.provider, None)
            for task_id, (entry, attempt) in self._latest.items()
            if task_id not in listed and entry.provider in self._callers.keys() - self._silent
            if attempt.state in (*FLYING, AttemptState.UNDECIDED)
            or (attempt.state is AttemptState.LOST and self._has(task_id))
        ]


def _is_awaited(entry: Entry, attempt: Attempt, *, stored: bool) -> bool:
    """Say whether the ledger would take a result: it waits for it, or believes that it is gone."""
    if attempt.state is AttemptState.FETCHED:
        return not stored and standing(entry, None)[0] is not State.DONE
    return attempt.state in (*FLYING, AttemptState.UNDECIDED, AttemptState.LOST)


class Claims:
    """The creates that may have made a task that nobody knows; whose it is, a run or a person decides."""

    def __init__(self, ledger: Ledger | None) -> None:
        self._evidence: Mapping[str, str] = ledger.claimed() if ledger is not None else {}
        self._doubts = ledger.in_doubt() if ledger is not None else []

    def of(self, find: Find, prompt: str | None) -> tuple[str, ...]:
        """Return the addresses of the jobs that a task may be of."""
        if find.job is not None:
            return ()
        known = self._evidence.get(find.task_id)
        key = digest({"model": find.row.model if find.row else None, "prompt": (prompt or "")[:PROMPT_CHARACTERS]})
        until = (find.made_at or 0.0) + CLOCK_SECONDS
        same = [address for address, doubt, at in self._doubts if doubt == key and at <= until]
        return tuple(dict.fromkeys([known, *same] if known else same))
