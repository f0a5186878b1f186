"""Carrying a ledger elsewhere: one file out, one file in, never an older one over a newer, never two runs on copies."""

from __future__ import annotations

import dataclasses
import gzip
import sys
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wanrun.api.ledgers import check_no_journal
from wanrun.errors import LedgerBusy, LedgerError, SettingsError, WanrunError
from wanrun.ledger import RESULT_LIFE_SECONDS, AttemptState, Ledger, LedgerLock
from wanrun.ledger.backup import back_up, check_place, snapshot, whole_file, write_copy
from wanrun.ledger.compare import Difference, Relation, compare, tasks_of
from wanrun.ledger.intact import as_ledger
from wanrun.ledger.lending import Lent, is_on_its_way_back, lend, not_given_back
from wanrun.ledger.portable import Portable, account_in, claim_in, digest_of, lent_in, lines_of, migrate, read_portable
from wanrun.ledger.store import SERVICE, account_words
from wanrun.plan import standing
from wanrun.project import Setup, make_private, open_project
from wanrun.streams import silence
from wanrun.types import State

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from os import PathLike

    from wanrun.ledger import Entry
    from wanrun.ledger.compare import Known
    from wanrun.ledger.lending import Claim
    from wanrun.project import Project

STANDARD = "-"  #: in place of a file: standard output, or input
PACKED = ".gz"  #: how the name of a file ends that is to be packed
BEFORE = "before-import"  #: marks the ledger that gave way last to a file that knows all of it
NOBODY = "whoever was giving it back"  #: has a ledger that is on its way to the ledger store, and was lent to nobody
MOST_NAMED = 20  #: of what one ledger knows and another does not


@dataclass(frozen=True, slots=True)
class Exported:
    """A ledger as one file."""

    ledger: Path
    path: Path | None  #: None: standard output
    bytes: int
    lent: Lent | None  #: who goes on with it; whoever imports the file may look, and not run


@dataclass(frozen=True, slots=True)
class MissingResult:
    """A result that was fetched where the ledger comes from, and is not in the artifact store here."""

    job: str
    artifact: str  #: the name of its file in an artifact store
    is_needed: bool  #: it is not delivered to some sink
    until: float | None  #: when the service no longer has it, epoch seconds; None: it has it no more


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What came of an import."""

    ledger: Path
    relation: Relation | None  #: what the file was to the ledger here; None: there was none
    made_at: float  #: when the file was written, epoch seconds
    states: Mapping[State, int]  #: how many jobs stand how
    missing: tuple[MissingResult, ...]
    gone_at: float | None  #: when the first result of what is in flight can no longer be had
    lent: Lent | None
    generation: int | None = None  #: of the ledger store; None: it came as a file
    kept: Path | None = None  #: the ledger that was replaced
    forgotten: Mapping[str, Sequence[str]]  #: tasks that only the replaced one knew, by job


@dataclass(frozen=True, slots=True, kw_only=True)
class Reclaimed:
    """A ledger that was taken back from its borrower."""

    ledger: Path
    goes_back_as: int | None  #: the generation of the ledger store that it has to become first; None: it is free


def new_ledger(setup: Setup | None = None) -> Path:
    """Make an empty ledger where there is none, and return where; raises `SettingsError` when there is one."""
    path = open_project(setup or Setup()).ledger_path
    make_private(path.parent)
    with LedgerLock(path):
        if is_there(path):
            raise SettingsError(f"there is a ledger at {path} already; nothing was changed")
        check_no_journal(path)
        Ledger.open(path, now=time.time).close()
    return path


# Out


def export_ledger(
    to: str | PathLike[str], setup: Setup | None = None, *, lent_to: str | None = None, replace_it: bool = False
) -> Exported:
    """Write the ledger to a file, or with `-` to standard output: one state of it, whole or not at all.

    `lent_to` names who goes on with the ledger: whoever imports the file may look at it, and a run refuses it. The
    same holds for a file that is written while a run uses the ledger, or of one that is taken from a ledger store or on
    its way back there. Raises `SettingsError` for a place that cannot be, or to lend what is handed on through a ledger
    store, `LedgerBusy` when it is to be lent while a run uses it, and `LedgerError`, also when it is lent already.
    """
    ledger = open_project(setup or Setup()).ledger_path
    path = None if str(to) == STANDARD else Path(to).absolute()
    if path is not None:
        check_place(ledger, path, replace=replace_it)
    elif not ledger.is_file():
        raise SettingsError(f"there is no ledger at {ledger}; nothing to copy")
    now = time.time()
    tables, lent = _state_of(ledger, None if lent_to is None else lend(lent_to, now=now), now)
    with closing(tables):
        if path is None:
            return Exported(ledger, None, _print(lines_of(tables, now=now, lent=lent)), lent)
        with whole_file(path, replace=replace_it) as part:
            write_lines(part, lines_of(tables, now=now, lent=lent), packed=path.suffix == PACKED)
            size = part.stat().st_size
    return Exported(ledger, path, size, lent)


def _state_of(ledger: Path, lent: Lent | None, now: float) -> tuple[sqlite3.Connection, Lent | None]:
    """Return a copy of the ledger and who goes on with it: the one that it is lent to, or the run that is using it."""
    try:
        with LedgerLock(ledger):
            tables, used_by = snapshot(ledger), None
    except LedgerBusy as exc:
        if lent is not None:
            raise
        tables, used_by = snapshot(ledger), Lent(f"the run that was using it, {exc.holder}", now)
    try:
        before, claim = lent_in(tables, str(ledger)), claim_in(tables, str(ledger))
        if claim is not None and lent is not None:
            raise SettingsError(
                f"{ledger} goes on with generation {claim.generation} of the ledger store, through which it is handed "
                "on: wanrun ledger export --store"
            )
        if before is not None and lent is not None:
            raise not_given_back(str(ledger), before)
    except WanrunError:
        tables.close()
        raise
    in_store = None if claim is None else Lent(claim.to or NOBODY, claim.at, claim.generation)
    return tables, in_store or before or lent or used_by


def write_lines(path: Path, lines: Iterable[bytes], *, packed: bool) -> None:
    """Write a ledger's lines to a file; the same lines make the same bytes."""
    with path.open("wb") as file:
        if packed:
            with gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0) as inner:
                inner.writelines(lines)
        else:
            file.writelines(lines)


def _print(lines: Iterable[bytes]) -> int:
    """Write lines to standard output and return their size in bytes."""
    size = 0
    try:
        for line in lines:
            size += sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()
    except OSError as exc:
        silence(sys.stdout)
        raise LedgerError(f"standard output: {exc.strerror}; what it got is not a whole ledger") from exc
    return size


# In


def import_ledger(file: str | PathLike[str], setup: Setup | None = None, *, replace: str | None = None) -> Imported:
    """Take a file that `export_ledger` has written as the ledger, in one step, unless the ledger here knows more.

    `replace` names the state of the ledger here that is to give way all the same, as the refusal names it. A ledger
    that gives way is kept beside the new one. Raises `SettingsError` for a file that is none, belongs to another
    service, was written before the ledger here was lent, or is older than it or has diverged from it, with the
    difference; `LedgerBusy` while a run uses the ledger; and `LedgerError`. In each case nothing was changed.
    """
    project = open_project(setup or Setup())
    path, name = project.ledger_path, "standard input" if str(file) == STANDARD else str(file)
    with closing(_read(file, name)) as portable:
        make_private(path.parent)
        with LedgerLock(path):
            return take(portable, name, project, replace)


def _read(file: str | PathLike[str], name: str) -> Portable:
    if str(file) == STANDARD:
        return read_portable(sys.stdin.buffer, name)
    try:
        with Path(file).open("rb") as stream:
            return read_portable(stream, name)
    except OSError as exc:
        raise SettingsError(f"{name}: {exc.strerror}") from exc


def take(portable: Portable, name: str, project: Project, replace: str | None) -> Imported:
    """Let a ledger that was read take the place of the one here, as `import_ledger`; its lock is held."""
    path, relation, kept, forgotten = project.ledger_path, None, None, {}
    imported = described(portable.tables, project, portable.made_at)  # while nothing is changed yet
    if not is_there(path):
        _check_account(portable, None, name, project)
        check_no_journal(path)
    else:
        with closing(snapshot(path)) as here:
            migrate(here, str(path))
            _check_account(portable, account_in(here), name, project)
            difference, lent = compare(here, portable.tables), lent_in(here, str(path))
            relation = difference.relation
            if relation is Relation.SAME and portable.claim is None and _knows_no_more(portable, lent):
                return dataclasses.replace(described(here, project, portable.made_at), relation=relation)
            _check_claim(portable, claim_in(here, str(path)), lent, path)
            _check_lent(portable, lent, name, path)
            if relation in (Relation.OLDER, Relation.DIVERGED):
                state = digest_of(here)
                if replace != state:
                    raise _refusal(difference, name, path, state, replace)
                kept, forgotten = _kept(path, state), tasks_of(difference.here)
            elif relation is Relation.NEWER or not _is_of_store(portable.lent):
                kept = _kept(path, BEFORE)
    write_copy(portable.tables.backup, path, replace=True)
    return dataclasses.replace(imported, relation=relation, kept=kept, forgotten=forgotten)


def _knows_no_more(portable: Portable, lent: Lent | None) -> bool:
    """Say whether a file with the same tasks and deliveries also says nothing new of whom the ledger is lent to."""
    if portable.lent is None or lent is None or portable.lent.generation is not None:
        return portable.lent == lent
    return portable.lent.at <= lent.at


def _check_claim(portable: Portable, claim: Claim | None, lent: Lent | None, path: Path) -> None:
    """Raise `SettingsError` for a file in place of a ledger that has to go back to the ledger store.

    Another generation may take the place of one that was about to be taken.
    """
    is_ours = claim is not None and (lent is None or is_on_its_way_back(lent, claim))
    if claim is not None and (is_ours or not _is_of_store(portable.lent)):
        raise SettingsError(
            f"{path} goes on with generation {claim.generation} of the ledger store; nothing was changed. Give it back "
            "before another takes its place: wanrun ledger export --store"
        )


def _check_lent(portable: Portable, lent: Lent | None, name: str, path: Path) -> None:
    """Raise `SettingsError` for a file from before the ledger here was lent: it would be lent no more, or to another.

    What the borrower has paid for since is in no such file.
    """
    if lent is None or portable.lent == lent or _is_of_store(portable.lent, lent):
        return
    at = portable.made_at if portable.lent is None else portable.lent.at
    if at <= lent.at:
        raise SettingsError(
            f"{name} was {'written' if portable.lent is None else 'lent'} before the ledger here was lent, so it does "
            f"not give it back; nothing was changed\n{not_given_back(str(path), lent)}"
        )


def _is_of_store(*lents: Lent | None) -> bool:
    """Say whether all are of the ledger store, whose generations say what came first."""
    return all(lent is not None and lent.generation is not None for lent in lents)


def is_there(path: Path) -> bool:
    """Say whether there is a ledger; an empty file is what a process leaves that dies while it makes one."""
    return path.is_file() and path.stat().st_size > 0


def _check_account(portable: Portable, here: str | None, name: str, project: Project) -> None:
    theirs = portable.account
    if theirs is None:
        return
    if here is not None and here != theirs:
        raise SettingsError(
            f"{name} belongs to {account_words(theirs)}, and {project.ledger_path} to {account_words(here)}; one never "
            "takes the other's place. Nothing was changed"
        )
    if project.setup.emulator is not None and theirs == SERVICE:
        raise SettingsError(f"{name} belongs to {account_words(theirs)}, not to an emulator; leave out --emulator")


def _refusal(difference: Difference, name: str, path: Path, state: str, replace: str | None) -> SettingsError:
    """Return what is said of a file that does not know all that the ledger here knows."""
    older = difference.relation is Relation.OLDER
    lines = [f"{name} {'is older than' if older else 'has diverged from'} {path}; nothing was changed"]
    lines += ["only the ledger here knows:", *named(difference.here)]
    lines += [] if older else ["only the file knows:", *named(difference.there)]
    if replace is not None:
        lines.append(f"--replace {replace} names another state of the ledger here, which has changed since")
    lines += [
        "what only the ledger here knows would be paid for again if the file took its place. To let it do so all the "
        "same, with the ledger here kept beside it:",
        f"  --replace {state}",
    ]
    return SettingsError("\n".join(lines))


def named(known: Sequence[Known]) -> list[str]:
    """Return what only one ledger knows, a line each."""
    more = len(known) - MOST_NAMED
    return [f"  {each.job}: {each.what}" for each in known[:MOST_NAMED]] + ([f"  and {more} more"] if more > 0 else [])


def _kept(path: Path, mark: str) -> Path:
    """Copy the ledger that is about to give way, beside it, with a mark in its name, and return where."""
    kept = path.with_name(f"{path.stem}-{mark}{path.suffix}")
    back_up(path, kept, replace=True)
    return kept


def described(tables: sqlite3.Connection, project: Project, made_at: float) -> Imported:
    """Return what is said of an import that leaves these tables as the ledger; `made_at` is when they were written."""
    now = time.time()
    with as_ledger(tables) as ledger:
        entries = [entry for entry in ledger.entries() if entry.attempts]
    flying = [entry.attempt.gone_at for entry in entries if entry.attempt is not None]
    return Imported(
        ledger=project.ledger_path,
        relation=None,
        made_at=made_at,
        states=Counter(standing(entry, None)[0] for entry in entries),
        missing=tuple(_missing(entries, project, now)),
        gone_at=min((at for at in flying if at is not None), default=None),
        lent=lent_in(tables, str(project.ledger_path)),
        forgotten={},
    )


def _missing(entries: Iterable[Entry], project: Project, now: float) -> Iterator[MissingResult]:
    for entry in entries:
        attempt = entry.attempt
        if attempt is None or attempt.state is not AttemptState.FETCHED:
            continue
        artifact = attempt.artifact(project.artifacts)
        if not artifact.is_there():
            until = attempt.made_at + RESULT_LIFE_SECONDS
            needed = standing(entry, None)[0] is not State.DONE
            yield MissingResult(entry.address, artifact.path.name, needed, until if until > now else None)


def reclaim_ledger(lent_to: str, setup: Setup | None = None) -> Reclaimed:
    """Take back a ledger that is lent, from the one that it is lent to, who will not give it back.

    What was submitted there since must be in the ledger by then, or it is paid for again. One of a ledger store then
    has to be given back there (`give_back_ledger`) before anybody uses it. Raises `SettingsError` when there is no
    ledger or it is not lent to this one, and `LedgerBusy`.
    """
    path = open_project(setup or Setup()).ledger_path
    if not is_there(path):
        raise SettingsError(f"there is no ledger at {path}; nothing was changed")
    with LedgerLock(path), Ledger.open(path, now=time.time) as ledger:
        ledger.reclaim(lent_to)
        lent = ledger.lent
    return Reclaimed(ledger=path, goes_back_as=None if lent is None else lent.generation)
