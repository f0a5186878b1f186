"""Who works with a ledger that travels: while it is lent, whoever else has a copy may look at it, and no run uses it.

A copy knows nothing of what is submitted after it was made, and would pay for it again. So a file that is handed on
while another process goes on with the ledger says so, until that process hands on a newer one, or a person has looked
at the account and takes the ledger back.

In a ledger store, a ledger is a row of generations, and who goes on with one of them has put its lock there. A ledger
here that is a copy of one says which; only while it holds a claim, and the lock is surely there, may runs use it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from secrets import token_hex

from wanrun.errors import ExitCode, LedgerError, SettingsError
from wanrun.ledger.database import Database
from wanrun.ledger.times import is_time
from wanrun.text import one_line

KEY, CLAIM_KEY = "lent", "claim"  #: in the table `meta`
OWN_KEYS = (KEY, CLAIM_KEY)  #: what each copy has its own of
MOST_CHARACTERS = 300  #: of a borrower's name


@dataclass(frozen=True, slots=True)
class Lent:
    """Who has gone on with a ledger of which this is a copy."""

    to: str  #: empty: nobody; it waits in the ledger store
    at: float  #: epoch seconds
    generation: int | None = None  #: in the ledger store; None: it travels as a file

    @property
    def is_free(self) -> bool:
        """Whether nobody goes on with it, so that it can be taken from the ledger store."""
        return not self.to

    def written(self) -> str:
        """Return it as the ledger keeps it."""
        return json.dumps({name: value for name, value in asdict(self).items() if value is not None})

    def words(self) -> str:
        """Return to whom and since when, in words."""
        at = f"{datetime.fromtimestamp(self.at, UTC):%Y-%m-%d %H:%M:%S} UTC"
        if self.is_free:
            return f"given back to the ledger store as generation {self.generation} at {at}"
        return f"lent to {one_line(self.to)} at {at}"


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to go on with one generation of the ledger store; its lock there is these very words."""

    generation: int  #: 0: of a ledger that was never there
    to: str  #: who has it; empty: nobody could have, since it was taken back here or never lent
    at: float  #: epoch seconds
    token: str  #: that no other claim has

    def written(self) -> str:
        """Return it as the ledger and the lock keep it."""
        return json.dumps(asdict(self))


def lend(to: str, *, now: float) -> Lent:
    """Return that a ledger is lent from now on; raises `SettingsError` for a name that nobody could type again."""
    if not to.strip() or not to.isprintable() or len(to) > MOST_CHARACTERS or set(to) & set('"$`\\'):
        raise SettingsError(
            f"whom a ledger is lent to is named in one line of up to {MOST_CHARACTERS} characters without quotes, $ "
            f'and backslashes, such as the address of a job; "{one_line(to):.60}" is no such name'
        )
    return Lent(to, now)


class Lending(Database):
    """Whether this ledger may be worked with; `store.Ledger` adds the rest."""

    @property
    def lent(self) -> Lent | None:
        """Who has gone on with the ledger of which this is a copy; None: nobody."""
        rows = self._read("SELECT value FROM meta WHERE key = :key", key=KEY)
        return lent_by(rows[0]["value"] if rows else None, self._name)

    @property
    def claim(self) -> Claim | None:
        """What this ledger has of the ledger store, or was about to have; None: nothing."""
        rows = self._read("SELECT value FROM meta WHERE key = :key", key=CLAIM_KEY)
        return claim_by(rows[0]["value"] if rows else None, self._name)

    def check_not_lent(self) -> None:
        """Raise `LedgerError` while the ledger is lent, saying what a person has to do first."""
        if error := self.hindrance():
            raise error

    def hindrance(self) -> LedgerError | None:
        """Return why no run uses the ledger, saying what a person has to do first; None: one may."""
        lent, claim = self.lent, self.claim
        if lent is None:
            return None
        if claim is None:
            return not_given_back(self._name, lent)
        return _unfinished(self._name, lent, claim)

    def reclaim(self, lent_to: str) -> None:
        """Take the ledger back from one who has not given it back; raises `SettingsError` when it is not lent so.

        One of the ledger store is then to be given back there, as the next generation, before anybody uses it.
        """
        lent = self.lent
        if lent is None or lent.is_free:
            raise SettingsError(f"{self._name} is not lent to anybody; nothing was changed")
        if lent.to != lent_to:
            raise SettingsError(f'{self._name} was {lent.words()}, not to "{lent_to}"; nothing was changed')
        if lent.generation is None:
            self._write("DELETE FROM meta WHERE key = :key", key=KEY)
        else:
            self.give_up(Claim(lent.generation, "", self._now(), token_hex(16)))

    # In the ledger store

    def give_up(self, claim: Claim) -> None:
        """Record that from now on no run uses the ledger, since it becomes the generation after the claimed one."""
        with self.transaction():
            self._set(KEY, Lent("", self._now(), claim.generation + 1).written())
            self._set(CLAIM_KEY, claim.written())

    def given_up(self) -> None:
        """Record that nothing is left to be given back: what is here is no more than a copy."""
        self._write("DELETE FROM meta WHERE key = :key", key=CLAIM_KEY)

    def taken(self) -> None:
        """Record that the lock of the claimed generation is there, and is ours: runs may use the ledger."""
        self._write("DELETE FROM meta WHERE key = :key", key=KEY)

    def taken_by(self, other: Lent) -> None:
        """Record that another one has the generation."""
        with self.transaction():
            self._set(KEY, other.written())
            self.given_up()

    def _set(self, key: str, value: str) -> None:
        self._write("INSERT OR REPLACE INTO meta (key, value) VALUES (:key, :value)", key=key, value=value)


def is_on_its_way_back(lent: Lent | None, claim: Claim | None) -> bool:
    """Say whether a ledger is to become the next generation of the ledger store, and may not be there yet."""
    return lent is not None and claim is not None and lent.generation == claim.generation + 1


def _unfinished(name: str, lent: Lent, claim: Claim) -> LedgerError:
    """Return the error of a ledger that a killed command has left on the way to or from the ledger store."""
    if is_on_its_way_back(lent, claim):
        words = (
            f"{name} is to go back to the ledger store as generation {lent.generation}, and may not be there yet. "
            "Finish that: wanrun ledger export --store"
        )
    else:
        words = (
            f"{name} was being taken from the ledger store, and may be ours there already. Finish that: "
            f'wanrun ledger import --store --lend-to "{claim.to}"'
        )
    error = LedgerError(words)
    error.exit_code = ExitCode.ATTENTION
    return error


def not_given_back(name: str, lent: Lent) -> LedgerError:
    """Return the error of a ledger that is lent, which says what a person has to do first."""
    error = LedgerError(f"{name} was {lent.words()}{_what_to_do(lent)}")
    error.exit_code = ExitCode.ATTENTION
    return error


def not_taken(name: str) -> SettingsError:
    """Return the error of a ledger that may know less than the one in the ledger store does."""
    return SettingsError(
        f"{name} is not taken from the ledger store that wanrun.toml names, which may know of more that is paid. Take "
        "that one: wanrun ledger import --store --lend-to WHO"
    )


def _what_to_do(lent: Lent) -> str:
    if lent.is_free:
        return (
            ": this is a copy to look at, and whoever takes it there goes on with it. Take it: "
            "wanrun ledger import --store --lend-to WHO"
        )
    in_store = lent.generation is not None
    newer = (
        "See whether it is back: wanrun ledger import --store."
        if in_store
        else "Take the file that was handed on after that, if there is one (wanrun ledger import FILE)."
    )
    return (
        ", and is not given back: what was submitted there since is not in it, and would be paid for again. "
        f"{newer} Else look at wanrun tasks, give each task that no job has to its job (wanrun resolve JOB --adopt "
        f'TASK --spec SPEC), and then: wanrun ledger reclaim "{lent.to}"'
    ) + (", and wanrun ledger export --store" if in_store else "")


def lent_by(written: str | None, name: str) -> Lent | None:
    """Return what a ledger's own entry says; raises `LedgerError` naming it, since it may be lent to anybody."""
    try:
        return None if written is None else lent_from(written)
    except ValueError as exc:
        raise _damaged(name, exc) from exc


def claim_by(written: str | None, name: str) -> Claim | None:
    """Return what a ledger's own entry says of its claim; raises `LedgerError` naming it."""
    try:
        return None if written is None else claim_from(written)
    except ValueError as exc:
        raise _damaged(name, exc) from exc


def _damaged(name: str, exc: ValueError) -> LedgerError:
    error = LedgerError(
        f"{name} is damaged: {exc}. Move it away, then take the last good copy of it, or make a new one: "
        "wanrun ledger rebuild"
    )
    error.exit_code = ExitCode.ATTENTION
    return error


def lent_from(written: object) -> Lent:
    """Return what `Lent.written` has written; raises `ValueError` for anything else."""
    try:
        lent = Lent(**json.loads(written))  # type: ignore[arg-type]  # which raises TypeError for what is no text
    except (ValueError, TypeError, RecursionError):
        lent = None
    if lent is None or not isinstance(lent.to, str) or not is_time(lent.at) or not _is_whole(lent.generation, lent.to):
        raise ValueError(f"it does not say whom it is lent to: {written!r:.80}")
    return lent


def _is_whole(generation: object, to: str) -> bool:
    """Say whether a borrower may come with a generation: only what is in the ledger store is lent to nobody."""
    return is_generation(generation) or (generation is None and to != "")


def claim_from(written: object) -> Claim:
    """Return what `Claim.written` has written; raises `ValueError` for anything else."""
    try:
        claim = Claim(**json.loads(written))  # type: ignore[arg-type]  # which raises TypeError for what is no text
    except (ValueError, TypeError, RecursionError):
        claim = None
    if claim is None or not (isinstance(claim.to, str) and isinstance(claim.token, str) and is_time(claim.at)):
        raise ValueError(f"it does not say who goes on with it: {written!r:.80}")
    if not is_generation(claim.generation):
        raise ValueError(f"it does not say which generation it is: {written!r:.80}")
    return claim


def is_generation(value: object) -> bool:
    """Say whether a value may be the number of a generation; 0 is that of a ledger that was never in the store."""
    return type(value) is int and 0 <= value < 10**8
