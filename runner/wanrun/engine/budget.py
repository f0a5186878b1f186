"""The budget: sets money aside before a create leaves, and says no when a cap would be passed.

Only the ledger counts, so a cap holds over all runs and deaths. A job that does not fit waits while something in flight
may turn out cheaper than what was set aside for it. When nothing can, it ends submitting for all that the cap covers:
jobs are not reordered to use up what is left.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import trio

from wanrun.errors import ExitCode
from wanrun.ledger import AttemptState, Spent
from wanrun.money import Money, room_for

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wanrun.engine.work import OpenJob, Work
    from wanrun.ledger import Ledger
    from wanrun.money import Cap, Price
    from wanrun.types import MediaRef, Usage

#: A run finds out what came of these, and may free some of what is set aside for them.
_UNSETTLED = (
    AttemptState.INTENDED,
    AttemptState.UNSURE,
    AttemptState.IN_FLIGHT,
    AttemptState.SUCCEEDED,
    AttemptState.UNDECIDED,
)


@dataclass(frozen=True, slots=True)
class Reservation:
    """What a create may cost at most, to be written with its intention; None where no price is known and no cap is."""

    money: Money | None


class Budget:
    """The caps of one run and what counts against them."""

    def __init__(
        self, ledger: Ledger, caps: Sequence[Cap] = (), prices: Callable[[str, str], Price | None] = lambda *_: None
    ) -> None:
        """Take the caps, and give what earlier runs have left without an amount its amount."""
        self._ledger, self._caps, self._prices = ledger, tuple(caps), prices
        self._own: set[int] = set()  # entries that this run has reserved for
        self._closed: list[Cap] = []  # caps that a job did not fit into
        self._told: list[Cap] = []  # of these, the ones that the run's reasons name
        self.news = trio.Event()  # something that money was set aside for has ended, or the line has moved
        self._line: list[OpenJob] = []  # what is to be reserved for, in the order of the specs
        ledger.appraise(prices)

    def priced(self, job: OpenJob, length_of: Callable[[MediaRef], float | None]) -> OpenJob:
        """Return a job with what it costs at most, now that the length of its media is known; see `Price.of_job`."""
        price = self._prices(job.provider, job.model)
        if price is None or job.planned is None:
            return job
        return replace(job, planned=replace(job.planned, cost=price.of_job(job.planned.job, length_of)))

    def tell(self) -> None:
        """Wake those that wait for room: something may have become cheaper."""
        self.news.set()
        self.news = trio.Event()

    def stand_in_line(self, job: OpenJob) -> None:
        """Put a job behind those that came before it, so that a cheap one does not overtake what waits for room."""
        if job not in self._line:
            self._line.append(job)

    def give_back(self, job: OpenJob) -> None:
        """Free what was set aside for a create that surely made no task; its job goes back to the head of the line."""
        self._line.insert(0, job)
        self.tell()

    def is_behind(self, job: OpenJob) -> bool:
        """Say whether another job that a common cap covers is before this one."""
        mine = [cap for cap in self._caps if cap.covers(job.address)]
        return any(cap.covers(other.address) for other in self._before(job) for cap in mine)

    def _leave_line(self, job: OpenJob) -> None:
        self._line = [other for other in self._line if other is not job]
        self.tell()

    def has_room(self, job: OpenJob) -> bool:
        """Say whether a job would fit just now, beside those that stand before it in the line."""
        return all(self._fits(cap, job) for cap in self._caps if cap.covers(job.address))

    def _fits(self, cap: Cap, job: OpenJob) -> bool:
        line = [each for each in self._before(job) if cap.covers(each.address)]
        costs = [each.planned.cost for each in (*line, job) if each.planned is not None]
        room = self._room(cap)
        return None not in costs and room >= sum(cost.millionths for cost in costs if cost is not None)

    def _before(self, job: OpenJob) -> list[OpenJob]:
        return self._line[: self._line.index(job)] if job in self._line else self._line

    def reserve(self, job: OpenJob) -> Reservation | None:
        """Set aside what a job may cost, or return None when there is no room for it.

        To be written in the transaction of the intention (`Ledger.reserve`) before anything is awaited, or another job
        would be given the same money.
        """
        assert job.planned is not None
        self._leave_line(job)
        cost = job.planned.cost
        if any(not self._has_room(cap, cost) for cap in self._caps if cap.covers(job.address)):
            return None
        self._own.add(job.entry)
        return Reservation(cost)

    def _has_room(self, cap: Cap, cost: Money | None) -> bool:
        if cap not in self._closed and (cost is None or self._room(cap) < cost.millionths):
            self._closed.append(cap)
        return cap not in self._closed

    def _room(self, cap: Cap) -> int:
        return cap.most.millionths - self._counted(cap).total.millionths

    def _counted(self, cap: Cap) -> Spent:
        spent = self._ledger.spent(spec=cap.spec, entries=self._own if cap.this_run else None)
        nothing = Money.of_millionths(0, cap.most.currency)
        return spent.get(cap.most.currency, Spent(nothing, nothing))

    def cost(self, job: OpenJob, usage: Usage | None) -> Money | None:
        """Return what a task has cost that ended well; None, so that what was set aside counts, if nobody can say."""
        price = self._prices(job.provider, job.model)
        return None if price is None or usage is None else price.of_usage(usage)

    def most(self, wanted: Money) -> Money:
        """Return how much of what is wanted the caps on all jobs leave room for."""
        return room_for(wanted, (self._room(cap) for cap in self._caps if cap.spec is None))

    def spent_by_run(self, spec: str | None = None) -> dict[str, Spent]:
        """Return what this run has submitted costs, by currency; of one spec's jobs if it is named."""
        return self._ledger.spent(spec=spec, entries=self._own)

    def is_spent_for(self, job: OpenJob) -> bool:
        """Say whether a cap on this job was reached before, so that preparing it would be in vain."""
        return any(cap.covers(job.address) for cap in self._closed)

    def turn_away(self, work: Work, job: OpenJob) -> None:
        """Leave a job that there is no room for to another run; no other under the same cap is submitted either."""
        cap = next(cap for cap in self._closed if cap.covers(job.address))
        if cap not in self._told:
            self._told.append(cap)
            words = self._words(cap, job, _left(work, cap))
            end = work.stop.submissions if cap.spec is None else work.stop.note
            end(words, ExitCode.STOPPED_BY_BUDGET)
        work.settle(job)

    def _words(self, cap: Cap, job: OpenJob, left: int) -> str:
        assert job.planned is not None
        spent = self._counted(cap)
        count = "1 job is" if left == 1 else f"{left} jobs are"
        cost = job.planned.cost
        if cost is not None and cost.millionths > cap.most.millionths:
            words = f"{job.address} may cost {cost}, more than that in all; {count} left"
            return f"{cap.words} is {cap.most}: {words}. {cap.advice}"
        return (
            f"{cap.words} is {cap.most}: {spent.cost} spent and {spent.reserved} reserved leave no room for "
            f"{job.address}, which may cost {cost}; {count} left. {self._advice(cap, cost, spent)}"
        )

    def _advice(self, cap: Cap, cost: Money | None, spent: Spent) -> str:
        if cap.this_run:
            return "Run again to go on"
        may_fit = cost is not None and spent.cost.millionths + cost.millionths <= cap.most.millionths
        if may_fit and spent.reserved.amount and self._is_unsettled(cap):
            return f"{cap.advice}, or run again once what is reserved has settled"
        return cap.advice

    def _is_unsettled(self, cap: Cap) -> bool:
        """Say whether a run may yet find out what something under a cap has cost."""
        return any(
            entry.attempt is not None and entry.attempt.state in _UNSETTLED
            for entry in self._ledger.entries()
            if cap.covers(entry.address)
        )


def _left(work: Work, cap: Cap) -> int:
    """Return how many jobs under a cap nothing was submitted for."""
    asked = [job for job in work.open.values() if job.planned is not None and cap.covers(job.address)]
    in_doubt = [
        attempt.entry
        for state in (AttemptState.INTENDED, AttemptState.UNSURE)
        for attempt in work.ledger.attempts_in(state, {job.entry for job in asked})
    ]
    return len(work.waiting_for_submission(asked, work.flying().union(in_doubt)))
