"""Which jobs of its specs one command is about: chosen by pattern or tag, paid for once more, or at most so many."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from wanrun.chains import in_order
from wanrun.errors import SettingsError
from wanrun.plan import standing
from wanrun.types import Action, State

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from wanrun.plan import Plan, PlannedJob

ONCE_MORE = "one more take, as asked"
LEFT_OUT = "left to another run by --limit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What the options of one command choose; patterns as in `names`."""

    only: tuple[str, ...] = ()  #: these jobs and no others; empty: all
    exclude: tuple[str, ...] = ()  #: but not these
    tag: tuple[str, ...] = ()  #: and only jobs with one of these tags; empty: whatever tags they have
    only_changed: bool = False  #: and of these, only what is new or has changed
    again: tuple[str, ...] = ()  #: of these, one more task for each that is done or failed: it is paid for again
    limit: int | None = None  #: submit at most so many jobs, the first ones


def names(address: str, patterns: Iterable[str]) -> bool:
    """Say whether one of the patterns is a job's: `spec/job`, or without `/` its id; `*`, `?` and `[...]` match."""
    job = address.partition("/")[2]
    return any(fnmatchcase(address if "/" in pattern else job, pattern) for pattern in patterns)


def select(plan: Plan, selection: Selection) -> Plan:
    """Return the plan of the chosen jobs; those that are not chosen are its `others`.

    Raises `SettingsError` for a tag, or a pattern of `only` or `again`, that is no job's, since it must be misspelt.
    """
    _check("--only", selection.only, plan.jobs)
    _check_tags(selection.tag, plan.jobs)
    chosen = [planned for planned in plan.jobs if _is_chosen(planned, selection)]
    _check("--again", selection.again, chosen)
    jobs = [_again(planned) if names(planned.job.address, selection.again) else planned for planned in chosen]
    kept = {planned.job.address for planned in chosen}
    others = tuple(planned for planned in plan.jobs if planned.job.address not in kept)
    return replace(plan, jobs=tuple(_limited(jobs, selection.limit)), others=(*plan.others, *others))


def _check(option: str, patterns: Iterable[str], jobs: Iterable[PlannedJob]) -> None:
    jobs = list(jobs)
    for pattern in patterns:
        if not any(names(planned.job.address, [pattern]) for planned in jobs):
            raise SettingsError(f'no job of these specs matches {option} "{pattern}"; wanrun plan lists them')


def _check_tags(tags: Iterable[str], jobs: Iterable[PlannedJob]) -> None:
    known = sorted({tag for planned in jobs for tag in planned.job.tags})
    for tag in tags:
        if tag not in known:
            hint = f"known: {', '.join(known)}" if known else "none of them has tags"
            raise SettingsError(f'no job of these specs has the tag of --tag "{tag}"; {hint}')


def _is_chosen(planned: PlannedJob, selection: Selection) -> bool:
    address = planned.job.address
    if selection.only_changed and planned.state not in (State.NEW, State.CHANGED):
        return False
    if selection.tag and not set(selection.tag) & set(planned.job.tags):
        return False
    return (not selection.only or names(address, selection.only)) and not names(address, selection.exclude)


def _again(planned: PlannedJob) -> PlannedJob:
    """Return a job that is done or failed as one to submit; what is held or lost is a person's to resolve first."""
    state = planned.state
    if planned.entry is not None and state is State.MOVED:
        state, _, _ = standing(planned.entry, planned.destinations)
    rests = planned.action is Action.NOTHING and state in (State.DONE, State.FAILED)
    return replace(planned, action=Action.SUBMIT, why=ONCE_MORE) if rests else planned


def _limited(jobs: Sequence[PlannedJob], limit: int | None) -> Iterator[PlannedJob]:
    """Leave all but the first jobs to submit to another run; what a job chains from comes before it."""
    submit = {planned.job.address for planned in jobs if planned.action is Action.SUBMIT}
    if limit is not None:
        ordered = [job.address for job in in_order(planned.job for planned in jobs) if job.address in submit]
        submit = set(ordered[:limit])
    for planned in jobs:
        is_left = planned.action is Action.SUBMIT and planned.job.address not in submit
        yield replace(planned, action=Action.NOTHING, why=LEFT_OUT) if is_left else planned


def left_out(plan: Plan) -> int:
    """Return how many jobs of a plan `--limit` leaves to another run."""
    return sum(planned.why == LEFT_OUT for planned in plan.jobs)
