"""What a run may spend: the caps that hold for it, and the question that a person is asked before much is submitted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wanrun.batch import check_currency
from wanrun.errors import SettingsError
from wanrun.money import Cap, Money, total
from wanrun.types import Action

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping

    from wanrun.batch import Batch
    from wanrun.plan import PlannedJob
    from wanrun.project import Project

    Confirm = Callable[["Question"], Awaitable[bool]]

MANY_JOBS = 10_000  #: a run that would submit more asks first: a matrix or a table may have grown by accident


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a person is to agree to before anything is submitted; prints as a clause."""

    jobs: int  #: to submit
    wanted: tuple[Money, ...]  #: that they may cost together, an amount for each currency
    most: tuple[Money, ...]  #: of that, what the budget leaves room for
    unpriced: int = 0  #: jobs of which nobody knows what they cost
    above: Money | None = None  #: the operator's `confirm_above`, if it is asked for that

    @property
    def why(self) -> str:
        """What it is asked for, to go behind the clause."""
        above = f", which is above confirm_above = {self.above}" if self.above is not None else ""
        return above + (f"; a run that submits more than {MANY_JOBS} jobs asks first" if self._is_about_many else "")

    @property
    def _is_about_many(self) -> bool:
        return self.jobs > MANY_JOBS

    def occasions(self) -> Iterator[tuple[str, str]]:
        """Yield what it is asked for, each with what of it stays the same however much was spent meanwhile."""
        if self.above is not None:
            (most,) = (money for money in self.most if money.currency == self.above.currency)
            yield f"it may cost {most}, above confirm_above = {self.above}", f"confirm_above = {self.above}"
        if self._is_about_many:
            yield f"it submits {self.jobs} jobs, more than {MANY_JOBS}", f"more than {MANY_JOBS} jobs to submit"

    def __str__(self) -> str:
        jobs = "1 job" if self.jobs == 1 else f"{self.jobs} jobs"
        if not self.wanted:
            return f"{jobs} to submit, and what they cost is not known"
        unpriced = f", and what {self.unpriced} of them cost is not known" if self.unpriced else ""
        words = f"{jobs} to submit may cost up to {_amounts(self.wanted)}{unpriced}"
        if self.most == self.wanted:
            return words
        return f"{words}; the budget leaves {_amounts(self.most)}, so not all may be submitted"


def _amounts(amounts: Iterable[Money]) -> str:
    return " and ".join(map(str, amounts))


def parsed_cap(text: str | None) -> Money | None:
    """Return the amount given by `--max-cost`, None if it is not; raises `SettingsError` for what is no amount."""
    if text is None:
        return None
    try:
        return Money.parse(text)
    except ValueError as exc:
        raise SettingsError(f'--max-cost is "{text}"; {exc}') from exc


def caps_of(project: Project, batch: Batch, own: Mapping[str, Money | None]) -> list[Cap]:
    """Return the caps on a run: of the settings, its own ones by what they are called, and of the specs.

    Raises `SettingsError` when the jobs are billed in another currency than one of its own is in.
    """
    given = {words: most for words, most in own.items() if most is not None}
    for words, most in given.items():
        check_currency(most, words, batch.jobs, project)
    return list(_caps(project, batch, given))


def _caps(project: Project, batch: Batch, own: Mapping[str, Money]) -> Iterator[Cap]:
    if (most := project.settings.budget.max_cost) is not None:
        name = project.settings.file.name if project.settings.file else "the settings"
        yield Cap(f"budget.max_cost in {name}", most, "Raise it")
    for words, most in own.items():
        yield Cap(words, most, "Raise it", this_run=True)
    for spec in batch.specs:
        if spec.budget is not None:
            yield Cap(f"budget.max_cost in {spec.path}", spec.budget.max_cost, "Raise it there", spec=spec.name)


def question_about(jobs: Iterable[PlannedJob], project: Project, room: Callable[[Money], Money]) -> Question | None:
    """Return what a person is asked before these jobs are carried out; None for nothing, as always at the emulator.

    `room` says how much of an amount the caps on all jobs leave room for.
    """
    if project.setup.emulator is not None:
        return None
    costs = [planned.cost for planned in jobs if planned.action is Action.SUBMIT]
    wanted = total(cost for cost in costs if cost is not None)
    most = {currency: room(money) for currency, money in wanted.items()}
    above = project.settings.budget.confirm_above
    if above is not None and (above.currency not in most or most[above.currency].amount <= above.amount):
        above = None
    if above is None and len(costs) <= MANY_JOBS:
        return None
    return Question(
        jobs=len(costs),
        wanted=tuple(wanted.values()),
        most=tuple(most.values()),
        unpriced=costs.count(None),
        above=above,
    )


async def ask_first(question: Question, confirm: Confirm | None) -> None:
    """Return when a person has agreed.

    Raises `SettingsError` when the person does not agree, or when there is nobody to ask (`confirm` None).
    """
    if confirm is None:
        raise SettingsError(
            f"{question}{question.why}; nothing was submitted. Run it at a terminal to be asked, or with --yes"
        )
    if not await confirm(question):
        raise SettingsError("not confirmed; nothing was submitted")
