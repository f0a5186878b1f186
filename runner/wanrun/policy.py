"""What policies, which are plugins, have against the jobs that a run would submit; one veto stops it all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wanrun import rules
from wanrun.errors import SpecError
from wanrun.hookspecs import Objection, Submission
from wanrun.selection import ONCE_MORE
from wanrun.text import one_line
from wanrun.types import Action, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from wanrun.catalog import Catalog
    from wanrun.plan import Plan, PlannedJob


def objections(plan: Plan, catalog: Catalog) -> Mapping[str, tuple[tuple[str, Objection], ...]]:
    """Return, by address, what is said against jobs to be submitted, each with the plugin that says it.

    Raises `PluginError` when a plugin fails.
    """
    found = {}
    for planned in plan.jobs:
        if planned.action is Action.SUBMIT and (said := catalog.check_job(_submission(planned))):
            found[planned.job.address] = tuple(said)
    return found


def _submission(planned: PlannedJob) -> Submission:
    job, cost = planned.job, planned.cost
    return Submission(
        job=job,
        identities=planned.identities,
        seconds=planned.seconds,
        cost=cost.amount if cost is not None else None,
        currency=cost.currency if cost is not None else None,
        again=planned.why == ONCE_MORE,
    )


def refuse_vetoed(plan: Plan, catalog: Catalog) -> list[str]:
    """Raise `SpecError` with every veto at its job; return what is said besides, in words for people."""
    said = objections(plan, catalog)
    if problems := list(_vetoes(plan, said)):
        raise SpecError(problems)
    return [f"{address}: {against(plugin, each)}" for address, every in said.items() for plugin, each in every]


def _vetoes(plan: Plan, said: Mapping[str, tuple[tuple[str, Objection], ...]]) -> Iterator[Problem]:
    for planned in plan.jobs:
        for plugin, objection in said.get(planned.job.address, ()):
            if objection.veto:
                message = f"{planned.job.address}: {against(plugin, objection)}"
                yield Problem(planned.job.position, message, rules.POLICY_VETO.id)


def against(plugin: str, objection: Objection) -> str:
    """Return an objection in words, with who objects."""
    return f"{'vetoed' if objection.veto else 'warned of'} by {plugin}: {one_line(objection.message)}"
