"""The ledger as a file: a second copy of it, a look at whether it is sound, and a new one from sidecars."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from wanrun.api.findings import Checkup, Finding, fine, note, problem, warning
from wanrun.copies import checksum
from wanrun.errors import PASSING, ExitCode, LedgerError, SettingsError, disk_advice
from wanrun.ledger import AttemptState, Ledger, LedgerLock
from wanrun.ledger.backup import back_up, faults_of, write_copy
from wanrun.ledger.journal import MAGIC
from wanrun.ledger.rebuild import Clock, Rebuilding, Rebuilt
from wanrun.plan import standing
from wanrun.project import Setup, make_private, open_project
from wanrun.types import State
from wanrun.words import megabytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from os import PathLike

    from wanrun.ledger import Entry
    from wanrun.project import Project
    from wanrun.types import Artifact

_DAMAGED = "move it away, then take the last good copy, or make a new one: wanrun ledger rebuild"
_NOWHERE = "the next run fetches it anew while the service keeps it, 24 h after its end; wanrun rescue does so now"


@dataclass(frozen=True, slots=True)
class Backup:
    """A copy of a ledger."""

    ledger: Path
    path: Path
    bytes: int


def back_up_ledger(to: str | PathLike[str], setup: Setup | None = None, *, replace_it: bool = False) -> Backup:
    """Copy the ledger to a file, whole or not at all, also while a run is writing.

    `replace_it`: a file that is there already gives way once the copy is checked. Raises `SettingsError` for a place
    that cannot be, and `LedgerError`.
    """
    project = open_project(setup or Setup())
    path = Path(to).absolute()
    return Backup(project.ledger_path, path, back_up(project.ledger_path, path, replace=replace_it))


# A new one


def rebuild_ledger(
    folders: Sequence[str | PathLike[str]] = (), setup: Setup | None = None, *, into: Path | None = None
) -> Rebuilt:
    """Make a new ledger of what the sidecars below some folders prove, and put their results into its artifact store.

    Without folders it is the project root, or what the emulator has delivered. The ledger appears in one step, at its
    usual place or `into` another; one that is there already is never touched. Raises `SettingsError` when there is one
    or a folder is missing, `LedgerBusy` while a run uses it, `LedgerError` when something cannot be read or written.
    """
    usual = open_project(setup or Setup())
    where = [Path(each).absolute() for each in folders] or [_usual_folder(usual)]
    project = usual if into is None else replace(usual, ledger_path=into.resolve())
    path = project.ledger_path
    _check_rebuild(path, where)
    made = Rebuilt(ledger=path)
    make_private(path.parent)
    with ExitStack() as stack:
        stack.enter_context(LedgerLock(path))
        clock = Clock()
        ledger = stack.enter_context(Ledger.in_memory(now=clock))
        make_private(project.artifacts)
        try:
            Rebuilding(ledger, clock, project.artifacts, recorded=project.recorded, made=made).carry_out(where)
        except OSError as exc:
            raise _disk(exc) from exc
        if made.tasks:
            write_copy(ledger.copy_into, path)
    return made


def _usual_folder(project: Project) -> Path:
    """Return where results are by default."""
    return project.settings.root if project.setup.emulator is None else project.ledger_path.parent / "delivered"


def _check_rebuild(path: Path, folders: Sequence[Path]) -> None:
    if os.path.lexists(path):
        raise SettingsError(
            f"{path} is there already, and nothing takes its place; move it away, or make the new one elsewhere with "
            "--into FILE"
        )
    check_no_journal(path)
    for folder in folders:
        if not folder.is_dir():
            raise SettingsError(f"{folder}: no such folder")


def check_no_journal(path: Path) -> None:
    """Raise `SettingsError` where a journal without its ledger would be played back into a new one."""
    journal = path.with_name(f"{path.name}-journal")
    if journal.is_file() and journal.read_bytes().startswith(MAGIC):
        raise SettingsError(f"{journal} belongs to a ledger that is gone; move it away, or it would spoil the new one")


def _disk(exc: OSError) -> LedgerError:
    error = LedgerError(f"{exc.filename or 'the disk'}: {exc.strerror}; no ledger was made: {disk_advice(exc)}")
    error.exit_code = ExitCode.UNFINISHED if exc.errno in PASSING else ExitCode.INVALID
    return error


# Whether it is sound


def check_ledger(setup: Setup | None = None, *, deep: bool = False) -> Checkup:
    """Look at the ledger's file and at the artifacts it names; `deep` reads every artifact whole.

    A run may be under way. What is wrong is in the findings; raises `SettingsError` where there is no ledger.
    """
    project = open_project(setup or Setup())
    path = project.ledger_path
    if not path.is_file():
        raise SettingsError(f"there is no ledger at {path}; nothing to check")
    try:
        faults = faults_of(path)
        if faults:
            return Checkup(tuple(_damaged(path, fault) for fault in faults))
        with Ledger.open(path, now=time.time) as ledger:
            entries, _ = ledger.entries(), ledger.hindrance()
    except LedgerError as exc:
        return Checkup((_unreadable(exc, path, is_named=project.setup.ledger is not None),))
    found = list(_artifacts(entries, project, deep=deep))
    kept = sum(_is_kept(entry) for entry in entries)
    whole = fine("ledger", f"{path} is sound; {len(entries)} jobs", path=str(path), entries=len(entries))
    if not found:
        read = "whole, by their checksums" if deep else "there, with the right size"
        found = [fine("artifacts", f"all {kept} are {read}", artifacts=kept, deep=deep)]
    return Checkup((whole, *found))


def _unreadable(exc: LedgerError, path: Path, *, is_named: bool) -> Finding:
    """Say why a ledger could not be looked at, which is no word about whether it is sound, unless SQLite says so.

    A file that is no database was damaged if it is at the ledger's usual place; one that was named is another file.
    """
    if exc.is_corrupt or (exc.is_foreign and not is_named):
        return problem("ledger", str(exc), advice=_DAMAGED, exit_code=ExitCode.ATTENTION)
    if exc.is_foreign:
        return problem("ledger", f"{path} is no ledger: it is not even a database", exit_code=exc.exit_code)
    return problem("ledger", str(exc), exit_code=exc.exit_code)


def _damaged(path: Path, fault: str) -> Finding:
    return problem("ledger", f"{path} is damaged: {fault}", advice=_DAMAGED, exit_code=ExitCode.ATTENTION)


def _is_kept(entry: Entry) -> bool:
    return entry.attempt is not None and entry.attempt.state is AttemptState.FETCHED


def _artifacts(entries: Sequence[Entry], project: Project, *, deep: bool) -> Iterator[Finding]:
    """Yield what is wrong with the artifacts of jobs, one finding a job."""
    for entry in entries:
        if not _is_kept(entry):
            continue
        assert entry.attempt is not None
        artifact = entry.attempt.artifact(project.artifacts)
        fault = _fault(artifact, deep=deep)
        if fault is not None:
            yield _finding(entry, artifact, fault)


def _fault(artifact: Artifact, *, deep: bool) -> str | None:
    """Say what is wrong with an artifact; an empty text: it is not there."""
    try:
        size = artifact.path.stat().st_size
        if size != artifact.bytes:
            return f"has {megabytes(size)} instead of {megabytes(artifact.bytes)} ({size} and {artifact.bytes} bytes)"
        if deep and checksum(artifact.path) != artifact.sha256:
            return "has another checksum than when it was fetched"
    except FileNotFoundError:
        return ""
    except OSError as exc:
        return f"cannot be read ({exc.strerror})"
    return None


def _finding(entry: Entry, artifact: Artifact, fault: str) -> Finding:
    places = [row.place for row in entry.deliveries if row.state == "delivered"]
    facts = {"job": entry.address, "path": str(artifact.path), "sha256": artifact.sha256}
    if not fault and standing(entry, None)[0] is State.DONE:
        words = "its artifact is no longer in the store; it is delivered, and nothing needs it"
        return note(entry.address, words, **facts)
    if not fault:
        return warning(entry.address, "its artifact is not in the store and not delivered", advice=_NOWHERE, **facts)
    good = f"its delivered copy is {places[0]}" if places else _NOWHERE
    return warning(entry.address, f"{artifact.path} {fault}", advice=f"move it away; {good}", **facts)
