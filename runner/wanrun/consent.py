"""What a run may spend: the caps that hold for it, and the question that a person is asked before much is spent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wanrun.batch import check_currency
from wanrun.engine.budget import Budget, Cap
from wanrun.errors import SettingsError
from wanrun.money import Money, total
from wanrun.types import Action

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from wanrun.batch import Batch
    from wanrun.ledger import Ledger
    from wanrun.plan import Plan
    from wanrun.project import Project

    Confirm = Callable[["Question"], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Question:
    """What a person is to agree to before anything is submitted; prints as a clause."""

    jobs: int  #: to submit
    wanted: Money  #: that they may cost together
    most: Money  #: of that, what the budget leaves room for
    above: Money  #: the operator's `confirm_above`

    def __str__(self) -> str:
        jobs = "1 job" if self.jobs == 1 else f"{self.jobs} jobs"
        if self.most.millionths == self.wanted.millionths:
            return f"{jobs} to submit may cost up to {self.wanted}"
        left = f"the budget leaves {self.most}, so not all may be submitted"
        return f"{jobs} to submit may cost up to {self.wanted}; {left}"


def parsed_cap(text: str) -> Money:
    """Return the amount given by `--max-cost`; raises `SettingsError` for what is none."""
    try:
        return Money.parse(text)
    except ValueError as exc:
        raise SettingsError(f'--max-cost is "{text}"; {exc}') from exc


def make_budget(project: Project, batch: Batch, ledger: Ledger, max_cost: Money | None) -> Budget:
    """Return the budget of a run; raises `SettingsError` when the jobs are billed in another currency."""
    if max_cost is not None:
        check_currency(max_cost, "--max-cost", batch.jobs, project)
    return Budget(ledger, list(_caps(project, batch, max_cost)), project.price)


def _caps(project: Project, batch: Batch, max_cost: Money | None) -> Iterator[Cap]:
    if (most := project.settings.budget.max_cost) is not None:
        name = project.settings.file.name if project.settings.file else "the settings"
        yield Cap(f"budget.max_cost in {name}", most, "Raise it")
    if max_cost is not None:
        yield Cap("--max-cost", max_cost, "Raise it", this_run=True)
    for spec in batch.specs:
        if spec.budget is not None:
            yield Cap(f"budget.max_cost in {spec.path}", spec.budget.max_cost, "Raise it there", spec=spec.name)


async def ask_first(plan: Plan, project: Project, budget: Budget, confirm: Confirm | None) -> None:
    """Return at once, or when a person has agreed to what the jobs of a plan may cost.

    Raises `SettingsError` when the person does not agree, or when there is nobody to ask (`confirm` None).
    """
    question = _question(plan, project, budget)
    if question is None:
        return
    if confirm is None:
        raise SettingsError(
            f"{question}, which is above confirm_above = {question.above}; nothing was submitted. "
            "Run it at a terminal to be asked, or with --yes"
        )
    if not await confirm(question):
        raise SettingsError("not confirmed; nothing was submitted")


def _question(plan: Plan, project: Project, budget: Budget) -> Question | None:
    above = project.settings.budget.confirm_above
    if above is None or project.setup.emulator is not None:
        return None
    costs = [planned.cost for planned in plan.jobs if planned.action is Action.SUBMIT and planned.cost is not None]
    wanted = total(costs).get(above.currency)
    if wanted is None or (most := budget.most(wanted)).amount <= above.amount:
        return None
    return Question(len(costs), wanted, most, above)
