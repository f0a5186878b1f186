"""The ledger in a ledger store: taken from there by one at a time, and given back as the next generation.

Each step is made for the case that it is the last one, or that its answer is lost: whatever is to be put there is
first recorded here, so that it can be put again, and a ledger is free for runs only between two steps that are sure.
"""

from __future__ import annotations

import dataclasses
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from wanrun.api.carrying import Imported, described, is_there, named, take, write_lines
from wanrun.errors import ExitCode, LedgerError, SettingsError, WanrunError
from wanrun.ledger import Ledger, LedgerLock
from wanrun.ledger.backup import snapshot
from wanrun.ledger.compare import Relation, compare
from wanrun.ledger.generations import ledger_name, lock_name, surveyed
from wanrun.ledger.lending import Claim, Lent, claim_from, is_on_its_way_back, lend, not_given_back
from wanrun.ledger.portable import Portable, lines_of, mark, migrate, read_portable
from wanrun.project import Setup, make_private, open_project
from wanrun.storing import ledger_store_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wanrun.hookspecs import LedgerStore
    from wanrun.ledger.generations import Survey
    from wanrun.project import Project

MOST_LOCK_BYTES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenBack:
    """A ledger that is in the ledger store, where it can be taken."""

    ledger: Path
    place: str  #: of the store
    generation: int
    is_new: bool  #: put there by this call, or by one before whose answer was lost
    note: str | None = None  #: why what is old was not removed


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreStanding:
    """What is in the ledger store."""

    place: str
    generation: int  #: the newest; 0: none yet
    lent: Lent | None  #: who goes on with that; None: nobody


def take_ledger(setup: Setup | None = None, *, lend_to: str | None = None, replace: str | None = None) -> Imported:
    """Take the newest generation of the ledger store as the ledger here: to look at, or with `lend_to` to go on with.

    `lend_to` names who goes on with it; of several at once one gets it, and the others are told who. Done again after
    whatever happened to it, the call goes on where it was. With the ledger taken already, or without `lend_to`, no run
    is ever let in that was not before. Otherwise as `import_ledger`; raises `LedgerError` when another one has it,
    and what the ledger store raises.
    """
    project = open_project(setup or Setup())
    borrower = None if lend_to is None else lend(lend_to, now=time.time()).to
    visit = Visit(project, ledger_store_of(project))
    make_private(project.ledger_path.parent)
    with LedgerLock(project.ledger_path):
        return visit.take(borrower, replace) if borrower is not None else visit.look(replace)


def give_back_ledger(setup: Setup | None = None) -> GivenBack:
    """Put the ledger into the ledger store as the next generation, and let no run use it here until it is taken again.

    It must have been taken from there, or reclaimed, or be the first. Done again after whatever happened to it, the
    call goes on where it was. Raises `SettingsError` for a ledger that cannot go there, `LedgerError` where somebody
    else has put that generation there meanwhile, `LedgerBusy` while a run uses it, and what the ledger store raises.
    """
    project = open_project(setup or Setup())
    visit = Visit(project, ledger_store_of(project))
    if not is_there(project.ledger_path):
        raise SettingsError(f"there is no ledger at {project.ledger_path}; begin one: wanrun ledger new")
    with LedgerLock(project.ledger_path):
        return visit.give_back()


def ledger_store_standing(project: Project) -> StoreStanding | None:
    """Return what is in the ledger store; None where the settings name none. Raises what `take_ledger` does."""
    if project.settings.ledger_store is None:
        return None
    visit = Visit(project, ledger_store_of(project))
    survey = surveyed(visit.store.names())
    lent = visit.holder(survey.newest) if survey.is_locked else None
    return StoreStanding(place=visit.place, generation=survey.newest, lent=lent)


class Visit:
    """What one command does with the ledger here and the store; the ledger's lock is held."""

    def __init__(self, project: Project, store: LedgerStore) -> None:
        self.store, self.place = store, store.place()
        self._project, self._path = project, project.ledger_path

    # From there

    def look(self, replace: str | None) -> Imported:
        """Take the newest generation to be looked at; one that is ours stays as it is, and ours."""
        survey = self._survey()
        lent, claim = self._standing()
        if claim is not None and (is_on_its_way_back(lent, claim) or claim.generation == survey.newest):
            if lent is not None:
                raise self._unfinished()
            return self._known(claim)
        return self._bring(survey, None, replace)

    def take(self, borrower: str, replace: str | None) -> Imported:
        """Take the newest generation to go on with, once its lock is ours and it is surely the newest still."""
        if is_on_its_way_back(*self._standing()):
            self.give_back()
        survey, imported = self._survey(), None
        while True:
            _, claim = self._standing()
            if claim is None or claim.generation != survey.newest:
                claim = Claim(survey.newest, borrower, time.time(), token_hex(16))
                imported = self._bring(survey, claim, replace)
            self._lock(claim)
            survey = self._survey()
            if survey.newest == claim.generation:
                break
        with self._ledger() as ledger:
            ledger.taken()
        return self._known(claim) if imported is None else dataclasses.replace(imported, lent=None)

    def _bring(self, survey: Survey, claim: Claim | None, replace: str | None) -> Imported:
        """Let a generation take the place of the ledger here, marked so that no run uses it yet."""
        name = f"generation {survey.newest} of {self.place}"
        lent = self.holder(survey.newest) if survey.is_locked and claim is None else None
        with closing(self._read(survey.newest)) as portable:
            marked = portable.marked(lent or Lent("", portable.made_at, survey.newest), claim)
            imported = take(marked, name, self._project, replace)
            return dataclasses.replace(imported, generation=survey.newest)

    def _lock(self, claim: Claim) -> None:
        """Put the lock of a generation; raises `LedgerError` when another one has, and records who."""
        with _scratch() as file:
            file.write_text(claim.written(), encoding="utf-8")
            is_ours = self.store.create(lock_name(claim.generation), file)
        if not is_ours:
            lent = self.holder(claim.generation)
            with self._ledger() as ledger:
                ledger.taken_by(lent)
            raise not_given_back(f"generation {claim.generation} of {self.place}", lent)

    def holder(self, generation: int) -> Lent:
        """Return who has a generation, by its lock; raises `SettingsError` for a lock that does not say it."""
        with _scratch() as file:
            self.store.read(lock_name(generation), file)
            with file.open("rb") as stream:
                written = stream.read(MOST_LOCK_BYTES)
        try:
            claim = claim_from(written)
            return Lent(lend(claim.to, now=claim.at).to, claim.at, generation)
        except (ValueError, SettingsError):
            raise SettingsError(
                f"{self.place}: {lock_name(generation)} does not say who goes on with the ledger; it is none of "
                "wanrun's. See who put it there, and remove it if nobody goes on with generation "
                f"{generation}"
            ) from None

    # Back

    def give_back(self) -> GivenBack:
        """Put the ledger there as the generation after the one that it was, once no run uses it any more."""
        survey = surveyed(self.store.names())
        claim = self._given_up(survey)
        if claim is None:
            self._check_known(survey)
            return GivenBack(ledger=self._path, place=self.place, generation=survey.newest, is_new=False)
        generation = claim.generation + 1
        is_in = survey.newest <= generation and self._put(generation)
        after = surveyed(self.store.names())
        with self._ledger() as ledger:
            ledger.given_up()  # it is there, or can never be: nobody overwrites what another one has put there
        if not is_in or after.newest != generation:
            self._check_known(after)
        return GivenBack(
            ledger=self._path, place=self.place, generation=after.newest, is_new=is_in, note=self._tidied(after)
        )

    def _given_up(self, survey: Survey) -> Claim | None:
        """Let no run use the ledger from here on, and return the claim by which it goes back; None: it is back."""
        with self._ledger() as ledger:
            lent, claim = ledger.lent, ledger.claim
            if claim is None and lent is not None and lent.generation is not None and lent.is_free:
                self._check_not_behind(lent.generation, survey)
                return None
            if (error := ledger.hindrance()) and not is_on_its_way_back(lent, claim):
                raise error
            if claim is None and survey.newest:
                raise SettingsError(
                    f"{self.place} has generation {survey.newest} already, which the ledger here was not taken from; "
                    "nothing was changed. To go on with that one: wanrun ledger import --store --lend-to WHO"
                )
            claim = claim or Claim(0, "", time.time(), token_hex(16))
            self._check_not_behind(claim.generation, survey)
            if lent is None:
                ledger.give_up(claim)
            return claim

    def _put(self, generation: int) -> bool:
        """Put the ledger there; its bytes are the same each time, also after a death in between."""
        with closing(snapshot(self._path)) as tables, _scratch() as file:
            lent = self._standing()[0]
            assert lent is not None  # it was given up
            mark(tables, None, None)
            write_lines(file, lines_of(tables, now=lent.at), packed=True)
            return self.store.create(ledger_name(generation), file)

    def _check_known(self, survey: Survey) -> None:
        """Raise `LedgerError` unless the newest generation knows all that the ledger here does."""
        with closing(self._read(survey.newest)) as portable, closing(snapshot(self._path)) as here:
            migrate(here, str(self._path))
            difference = compare(here, portable.tables)
        if difference.relation in (Relation.SAME, Relation.NEWER):
            return
        lines = [
            f"generation {survey.newest} of {self.place} is from somebody else, who has taken the ledger back; nothing "
            "was put there, and no run uses the ledger here any more. Only the one here knows:",
            *named(difference.here),
            "take that one (wanrun ledger import --store --lend-to WHO), which says how to keep the one here beside "
            "it, and give each task that it does not know to its job (wanrun resolve JOB --adopt TASK --spec SPEC)",
        ]
        error = LedgerError("\n".join(lines))
        error.exit_code = ExitCode.ATTENTION
        raise error

    def _tidied(self, survey: Survey) -> str | None:
        """Remove what is old; return why not, since nothing hangs on it."""
        try:
            for name in survey.spare:
                self.store.remove(name)
        except WanrunError as exc:
            return f"what is old was not removed: {exc}"
        return None

    # Both

    def _survey(self) -> Survey:
        """Look what is there; raises `SettingsError` for less than the ledger here is from.

        Where there is more than what the ledger here goes on with, it was taken back, and no run uses it from here on.
        """
        survey = surveyed(self.store.names())
        if not survey.newest:
            raise SettingsError(
                f"{self.place} has no ledger yet. Put the one there that knows what is paid: wanrun ledger export "
                "--store. If nothing has ever run, begin one before: wanrun ledger new"
            )
        lent, claim = self._standing()
        known = claim.generation if claim is not None else lent.generation if lent is not None else None
        self._check_not_behind(known or 0, survey)
        if claim is not None and lent is None and claim.generation < survey.newest:
            self.give_back()
        return survey

    def _check_not_behind(self, generation: int, survey: Survey) -> None:
        if survey.newest < generation:
            raise SettingsError(
                f"{self.place} has no generation after {survey.newest}, and the ledger here is of generation "
                f"{generation}; see that [ledger_store] names the place that it is from. To move to another place, "
                "copy the newest of what is there, with its lock"
            )

    def _standing(self) -> tuple[Lent | None, Claim | None]:
        if not is_there(self._path):
            return None, None
        with self._ledger() as ledger:
            return ledger.lent, ledger.claim

    def _unfinished(self) -> LedgerError:
        with self._ledger() as ledger:
            error = ledger.hindrance()
        assert error is not None  # asked for only where there is one
        return error

    def _known(self, claim: Claim) -> Imported:
        """Return what is said of a ledger that stays here as it is."""
        with closing(snapshot(self._path)) as tables:
            migrate(tables, str(self._path))
            found = described(tables, self._project, time.time())
        return dataclasses.replace(found, relation=Relation.SAME, generation=claim.generation)

    def _ledger(self) -> Ledger:
        return Ledger.open(self._path, now=time.time)

    def _read(self, generation: int) -> Portable:
        with _scratch() as file:
            self.store.read(ledger_name(generation), file)
            with file.open("rb") as stream:
                return read_portable(stream, f"generation {generation} of {self.place}")


@contextmanager
def _scratch() -> Iterator[Path]:
    """Give the path of a file that lasts as long as it is needed."""
    with TemporaryDirectory(prefix="wanrun-") as folder:
        yield Path(folder) / "object"
