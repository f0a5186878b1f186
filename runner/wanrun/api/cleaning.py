"""Cleaning up: what a project has on disk, and in a store of one's own, that nobody needs any more.

What an attempt refers to that is unfinished or unsure is never touched. Nothing is written down: a file that is gone
is gone, so an end at any instant leaves nothing that the next command could not go on with.
"""

from __future__ import annotations

import time
from collections import deque
from contextlib import ExitStack
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from wanrun.api.calling import blocking
from wanrun.api.leftovers import delivered_results, partial_downloads
from wanrun.batch import identify_batch, load_batch, plan_batch
from wanrun.engine.calls import CallContext
from wanrun.engine.stop import Reason, gravest
from wanrun.engine.world import World
from wanrun.errors import PASSING, ExitCode, LedgerError, SettingsError, Unavailable, WanrunError, disk_advice
from wanrun.fitting import made_in, unused
from wanrun.ledger import Ledger, LedgerLock
from wanrun.project import Setup, open_project
from wanrun.stages import stage_of
from wanrun.words import files_words

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence
    from os import PathLike

    from wanrun.ledger import Entry
    from wanrun.project import Project
    from wanrun.stages import Stage
    from wanrun.types import StagedFile

    Agree = Callable[["Cleaning"], Awaitable[bool]]

AT_ONCE = 4  #: files of a store of one's own that are removed side by side


class LeftoverSort(StrEnum):
    """What sort of thing can go."""

    STAGED = "staged"  #: in a store of one's own, on its way to the service
    FITTED = "fitted"  #: made of local files that did not fit
    PARTIAL = "partial"  #: downloads that nobody goes on with
    RESULTS = "results"  #: in the artifact store, and delivered everywhere


_MADE = (LeftoverSort.FITTED,)
_FETCHED = (LeftoverSort.PARTIAL, LeftoverSort.RESULTS)


@dataclass(frozen=True, slots=True)
class Leftover:
    """One file that can go."""

    sort: LeftoverSort
    name: str  #: its path, or what the store of one's own calls it
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaning:
    """What can go, what stays and why, and what has gone."""

    found: tuple[Leftover, ...]
    stays: tuple[str, ...] = ()  #: what is left alone, and why, a clause each
    removed: tuple[Leftover, ...] = ()
    troubles: tuple[Reason, ...] = ()  #: what could not be looked at or removed

    @property
    def exit_code(self) -> ExitCode:
        """OK, unless something did not work."""
        return gravest(trouble.exit_code for trouble in self.troubles)

    def __str__(self) -> str:
        return f"{files_words([each.bytes for each in self.found])} to remove"


def clean(
    setup: Setup | None = None, *, results_of: Sequence[str | PathLike[str]] = (), agree: Agree | None = None
) -> Cleaning:
    """Find what nobody needs any more, and remove it if `agree` says so; without it nothing is removed.

    That is what was made of local files, downloads that are over, and what was put into the store of `[staging]` that
    no link can be read of any more; with `results_of`, results of the jobs of these specs that are done. What a job
    refers to that is not over stays, whatever its age. Blocking.

    Raises `SpecError`, `SettingsError`, `PluginError`, `LedgerBusy` while a run uses the ledger, and `LedgerError`;
    what does not work with single files or a store is in the result.
    """
    project = open_project(setup or Setup())
    stage = None if project.setup.emulator is not None else stage_of(project)
    with ExitStack() as stack:
        ledger = _ledger(project, stack)
        return blocking(lambda: _Cleaning(project, ledger, stage).carry_out([Path(each) for each in results_of], agree))


def _ledger(project: Project, stack: ExitStack) -> Ledger | None:
    """Open and hold the ledger, if there is one; none is made."""
    if not project.ledger_path.parent.is_dir():
        return None
    stack.enter_context(LedgerLock(project.ledger_path))
    if not project.ledger_path.is_file():
        return None
    return stack.enter_context(Ledger.open(project.ledger_path, now=time.time))


class _Cleaning:
    """One cleaning, inside trio; `ledger` is held, None where there is none."""

    def __init__(self, project: Project, ledger: Ledger | None, stage: Stage | None) -> None:
        self._project, self._ledger, self._stage = project, ledger, stage
        self._entries: list[Entry] = ledger.entries() if ledger is not None else []
        self._context = CallContext(World())  # lent to the source
        self._staged: dict[str, StagedFile] = {}  # by name
        self._removed: list[Leftover] = []
        self._stays: list[str] = []
        self._troubles: list[Reason] = []

    async def carry_out(self, specs: Sequence[Path], agree: Agree | None) -> Cleaning:
        """Find what can go, ask, and remove it."""
        try:
            on_disk = [*self._fitted(), *self._downloads(), *self._results(specs)]
        except OSError as exc:
            raise LedgerError.of(exc.filename, exc) from exc
        found = [*await self._in_store(), *on_disk]
        cleaning = self._so_far(found)
        if not found or agree is None or not await agree(cleaning):
            return cleaning
        await self._unstage([each for each in found if each.sort is LeftoverSort.STAGED])
        for folder, sorts in ((self._project.fitted, _MADE), (self._project.artifacts, _FETCHED)):
            self._remove_in(folder, [each for each in found if each.sort in sorts])
        return replace(self._so_far(found), removed=tuple(self._removed))

    def _so_far(self, found: Sequence[Leftover]) -> Cleaning:
        return Cleaning(found=tuple(found), stays=tuple(self._stays), troubles=tuple(self._troubles))

    # In a store of one's own

    async def _in_store(self) -> list[Leftover]:
        """Return what was staged that no job, of whatever ledger, can refer to."""
        if self._stage is None:
            return []
        referred_to = self._referred_to()
        if referred_to is None:
            return []
        if not self._stage.source.can_unstage:
            self._stays.append("what is staged stays: its kind of source cannot list it")
            return []
        try:
            kept = await self._stage.source.staged(self._stage.options, self._context)
        except WanrunError as exc:
            self._troubles.append(Reason(f"what is staged cannot be listed: {exc}", _code(exc)))
            return []
        old = [each for each in kept if each.until < time.time()]
        self._staged = {each.name: each for each in old if each.key not in referred_to}
        self._say_stays(len(kept) - len(old), "staged file", "links that some machine was given may still be good")
        self._say_stays(len(old) - len(self._staged), "staged file", "needed by jobs that are not over")
        return [Leftover(LeftoverSort.STAGED, each.name, each.bytes) for each in self._staged.values()]

    def _referred_to(self) -> frozenset[str] | None:
        """Return the keys that jobs refer to that are not over; None, and says why, where that is not known."""
        why = self._why_not_known()
        referred_to = self._ledger.referred_to() if self._ledger is not None and why is None else {}
        unknown = [address for address, keys in referred_to.items() if keys is None]
        if unknown:
            why = f"{unknown[0]} is not over, and what it refers to was not noted; settle or finish it first"
        if why is not None:
            self._stays.append(f"what is staged stays: {why}")
            return None
        return frozenset[str]().union(*filter(None, referred_to.values()))

    def _why_not_known(self) -> str | None:
        if self._ledger is None:
            return f"there is no ledger at {self._project.ledger_path}, which would know what refers to it"
        if lent := self._ledger.lent:
            return f"the ledger was {lent.words()}, where jobs may refer to it"
        return None

    def _say_stays(self, count: int, noun: str, why: str) -> None:
        if count:
            self._stays.append(f"{count} {noun}s stay: {why}" if count > 1 else f"1 {noun} stays: {why}")

    async def _unstage(self, files: Iterable[Leftover]) -> None:
        """Remove what was staged, a few side by side, until something does not work."""
        waiting, renewed = deque(files), 0

        async def work(stage: Stage) -> None:
            nonlocal renewed
            while waiting:
                file = waiting.popleft()
                try:
                    is_gone = await stage.source.unstage(self._staged[file.name], stage.options, self._context)
                except WanrunError as exc:
                    self._troubles.append(Reason(f"{file.name} is not removed: {exc}", _code(exc)))
                    waiting.clear()
                else:
                    self._removed += [file] if is_gone else []
                    renewed += not is_gone

        if self._stage is not None:
            async with trio.open_nursery() as nursery:
                for _ in range(min(AT_ONCE, len(waiting))):
                    nursery.start_soon(work, self._stage)
        self._say_stays(renewed, "staged file", "put there anew meanwhile")

    # On disk

    def _fitted(self) -> list[Leftover]:
        return _sized(LeftoverSort.FITTED, made_in(self._project.fitted))

    def _downloads(self) -> list[Leftover]:
        return _sized(LeftoverSort.PARTIAL, partial_downloads(self._project.artifacts, self._entries))

    def _results(self, specs: Sequence[Path]) -> list[Leftover]:
        if not specs:
            return []
        if self._ledger is None:
            raise SettingsError(f"there is no ledger at {self._project.ledger_path}; no result is known to be done")
        if lent := self._ledger.lent:
            self._stays.append(f"results stay: the ledger was {lent.words()}, where jobs may chain from them")
            return []
        batch = load_batch(specs, self._project)
        plan = plan_batch(batch, identify_batch(batch, self._project), self._entries, self._project)
        free, chained = delivered_results(self._project.artifacts, plan, self._entries)
        self._say_stays(chained, "result", "needed by jobs that chain from it and have none yet")
        return _sized(LeftoverSort.RESULTS, free)

    def _remove_in(self, folder: Path, files: Sequence[Leftover]) -> None:
        with unused(folder) as is_free:
            if is_free:
                self._remove(files)
            elif files:
                self._stays.append(f"what is in {folder} stays: a run with another ledger relies on it")

    def _remove(self, files: Iterable[Leftover]) -> None:
        for file in files:
            try:
                Path(file.name).unlink(missing_ok=True)
            except OSError as exc:
                code = ExitCode.UNFINISHED if exc.errno in PASSING else ExitCode.ATTENTION
                self._troubles.append(Reason(f"{file.name} is not removed: {exc.strerror}; {disk_advice(exc)}", code))
            else:
                self._removed.append(file)


def _sized(sort: LeftoverSort, paths: Iterable[Path]) -> list[Leftover]:
    return [Leftover(sort, str(path), path.lstat().st_size) for path in paths]


def _code(exc: WanrunError) -> ExitCode:
    return ExitCode.UNFINISHED if isinstance(exc, Unavailable) else ExitCode.ATTENTION
