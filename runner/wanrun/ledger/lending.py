"""Who works with a ledger that travels: while it is lent, whoever else has a copy may look at it, and no run uses it.

A copy knows nothing of what is submitted after it was made, and would pay for it again. So a file that is handed on
while another process goes on with the ledger says so, until that process hands on a newer one, or a person has looked
at the account and takes the ledger back.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from wanrun.errors import ExitCode, LedgerError, SettingsError
from wanrun.ledger.database import Database
from wanrun.ledger.times import is_time
from wanrun.text import one_line

KEY = "lent"  #: in the table `meta`
MOST_CHARACTERS = 300  #: of a borrower's name


@dataclass(frozen=True, slots=True)
class Lent:
    """Who has gone on with a ledger of which this is a copy."""

    to: str
    at: float  #: epoch seconds

    def written(self) -> str:
        """Return it as the ledger keeps it."""
        return json.dumps(asdict(self))

    def words(self) -> str:
        """Return to whom and since when, in words."""
        return f"lent to {one_line(self.to)} at {datetime.fromtimestamp(self.at, UTC):%Y-%m-%d %H:%M:%S} UTC"


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

    def check_not_lent(self) -> None:
        """Raise `LedgerError` while the ledger is lent, saying what a person has to do first."""
        if lent := self.lent:
            raise not_given_back(self._name, lent)

    def reclaim(self, lent_to: str) -> None:
        """Take the ledger back from one who has not given it back; raises `SettingsError` when it is not lent so."""
        lent = self.lent
        if lent is None:
            raise SettingsError(f"{self._name} is not lent to anybody; nothing was changed")
        if lent.to != lent_to:
            raise SettingsError(f'{self._name} was {lent.words()}, not to "{lent_to}"; nothing was changed')
        self._write("DELETE FROM meta WHERE key = :key", key=KEY)


def not_given_back(name: str, lent: Lent) -> LedgerError:
    """Return the error of a ledger that is lent, which says what a person has to do first."""
    error = LedgerError(
        f"{name} was {lent.words()}, and is not given back: what was submitted there since is not in it, and would be "
        "paid for again. Take the file that was handed on after that, if there is one (wanrun ledger import FILE). "
        "Else look at wanrun tasks, give each task that no job has to its job (wanrun resolve JOB --adopt TASK --spec "
        f'SPEC), and then: wanrun ledger reclaim "{lent.to}"'
    )
    error.exit_code = ExitCode.ATTENTION
    return error


def lent_by(written: str | None, name: str) -> Lent | None:
    """Return what a ledger's own entry says; raises `LedgerError` naming it, since it may be lent to anybody."""
    try:
        return None if written is None else lent_from(written)
    except ValueError as exc:
        error = LedgerError(
            f"{name} is damaged: {exc}. Move it away, then take the last good copy of it, or make a new one: "
            "wanrun ledger rebuild"
        )
        error.exit_code = ExitCode.ATTENTION
        raise error from exc


def lent_from(written: object) -> Lent:
    """Return what `Lent.written` has written; raises `ValueError` for anything else."""
    try:
        lent = Lent(**json.loads(written))  # type: ignore[arg-type]  # which raises TypeError for what is no text
    except (ValueError, TypeError, RecursionError):
        lent = None
    if lent is None or not isinstance(lent.to, str) or not is_time(lent.at):
        raise ValueError(f"it does not say whom it is lent to: {written!r:.80}")
    return lent
