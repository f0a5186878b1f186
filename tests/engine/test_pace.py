"""The account is asked for no more than it allows, and kept busy with what it allows."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
import trio

from wanrun.models import ServiceLimits

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock

    from simulation import Simulation

    Simulate = Callable[..., Simulation]


pytestmark = pytest.mark.slow


async def test_the_account_never_throttles_and_is_never_idle(simulate: Simulate, autojump_clock: MockClock) -> None:
    """A hundred tasks of a minute, five at once, take twenty minutes and hardly more, with few calls and no 429."""
    sim = simulate()

    outcome = await sim.run(sim.clips(*(f"job-{n}" for n in range(100))))

    statement = sim.account.statement()
    assert outcome.exit_code == 0
    assert all(set(statuses) == {"200"} for statuses in statement["calls"].values())
    assert statement["peak_running"] == 5
    assert trio.current_time() < 1.02 * 100 * 60 / 5
    assert sum(statement["calls"][kind]["200"] for kind in ("query", "list")) < 2.5 * 100


async def test_where_nothing_waits_an_end_is_seen_soon(simulate: Simulate, autojump_clock: MockClock) -> None:
    """A large account runs whatever is in flight: a hundred tasks of 5 s, 25 at once, take four rounds of that."""
    roomy = ServiceLimits(creates_per_second=1000, running_at_once=1000, queued=1000, queries_per_second=1000)
    sim = simulate(limits=roomy, seconds=5.0, queue_seconds=0.0)
    sim.settings(
        "[providers.default.limits]\ntasks_in_flight = 25\ncreates_per_second = 500\nqueries_per_second = 500\n"
    )

    outcome = await sim.run(sim.clips(*(f"job-{n}" for n in range(100))))

    assert outcome.exit_code == 0
    assert trio.current_time() < 1.1 * 4 * 5


async def test_no_more_tasks_are_in_flight_than_the_settings_say(simulate: Simulate, autojump_clock: MockClock) -> None:
    """What waits here can still be changed; what waits at the service cannot."""
    sim = simulate()
    sim.settings("[providers.default.limits]\ntasks_in_flight = 3\n")

    await sim.run(sim.clips(*(f"job-{n}" for n in range(9))))

    changes = [(task.created_at, 1) for task in sim.account.tasks.values()]
    changes += [(task.ended_at, -1) for task in sim.account.tasks.values() if task.ended_at is not None]
    in_flight, peak = 0, 0
    for _, change in sorted(changes):
        in_flight += change
        peak = max(peak, in_flight)
    assert peak == 3


async def test_settings_hold_creates_and_queries_back(simulate: Simulate, autojump_clock: MockClock) -> None:
    """The operator may ask for less than the service allows, for the sake of other programs on the account."""
    sim = simulate()
    sim.settings("[providers.default.limits]\ncreates_per_second = 0.5\nqueries_per_second = 1\n")

    await sim.run(sim.clips("one", "two", "three", "four"))

    made = sorted(task.created_at for task in sim.account.tasks.values())
    assert all(later - earlier >= 1.999 for earlier, later in itertools.pairwise(made))
    assert sim.account.statement()["peak_queries_per_second"] <= 1


async def test_a_running_task_is_looked_at_at_least_every_poll_seconds(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """However long tasks take, the end of one is known soon."""
    sim = simulate(seconds=1000.0)
    sim.settings("[providers.default]\npoll_seconds = 20\n")
    looks: list[float] = []
    strike = sim.account.strike

    def note(call: object) -> object:
        if "/tasks" in call.path:  # type: ignore[attr-defined]
            looks.append(trio.current_time())
        return strike(call)  # type: ignore[arg-type]

    sim.account.strike = note  # type: ignore[method-assign, assignment]
    await sim.run(sim.clips("one"))

    assert max(later - earlier for earlier, later in itertools.pairwise(looks)) <= 20.5


async def test_jobs_are_submitted_in_the_order_of_the_spec(simulate: Simulate, autojump_clock: MockClock) -> None:
    """Whoever stops a run early finds the first jobs done, not some."""
    sim = simulate()
    ids = [f"job-{n}" for n in range(12)]

    await sim.run(sim.clips(*ids))

    made = sorted(sim.account.tasks.values(), key=lambda task: task.created_at)
    assert [task.prompt for task in made] == [f"prompt of {each}" for each in ids]
