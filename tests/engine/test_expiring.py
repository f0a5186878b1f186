"""Results live for a day: what dies first is fetched first, with a warning hours before, whatever the clock does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
from twist import Asked, Twist

from simulation import Simulation, states
from wanrun.emulator.calls import Kind
from wanrun.engine import FETCHES_AT_ONCE

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx
    from trio.testing import MockClock

    Simulate = Callable[..., Simulation]

pytestmark = pytest.mark.slow

HOUR = 3600.0


class Downloads:
    """Notes the prompts of the tasks whose results are downloaded, in order."""

    def __init__(self) -> None:
        self.prompts: list[str] = []

    def __call__(self, asked: Asked) -> httpx.Response | None:
        """Let every call through."""
        if asked.kind is Kind.DOWNLOAD and asked.task is not None:
            self.prompts.append(asked.task.prompt)
        return None


async def submit_one_an_hour(sim: Simulation, count: int) -> None:
    """Submit one job an hour, the last one of the spec first."""
    for number in reversed(range(count)):
        await sim.leave_in_flight(sim.clips(f"j{number:02}", name=f"s{number:02}.yaml"))
        await trio.sleep(HOUR)


async def test_what_dies_first_is_fetched_first(simulate: Simulate, autojump_clock: MockClock) -> None:
    """Twelve results wait, the oldest last in the specs: they are downloaded in the order in which they die.

    As many as are fetched side by side may overtake each other.
    """
    sim, downloads = simulate(), Downloads()
    await submit_one_an_hour(sim, 12)
    specs = sorted(sim.folder.glob("s*.yaml"))
    sim.faults({"on": "download", "do": {"status": 503}})
    await sim.run(*specs)
    sim.faults()

    outcome = await sim.run(*specs, transport=Twist(sim.account, instead=downloads))

    assert outcome.exit_code == 0
    order = [f"prompt of j{number:02}" for number in reversed(range(12))]
    assert sorted(downloads.prompts, reverse=True) == order
    assert all(abs(downloads.prompts.index(prompt) - rank) < FETCHES_AT_ONCE for rank, prompt in enumerate(order))


async def test_the_oldest_tasks_are_looked_at_first(simulate: Simulate, autojump_clock: MockClock) -> None:
    """Of tasks that all have ended meanwhile, those whose results die first are asked for first."""
    sim = simulate()
    await submit_one_an_hour(sim, 6)
    specs = sorted(sim.folder.glob("s*.yaml"))
    transport = Twist(sim.account)

    await sim.run(*specs, transport=transport)

    asked = [call.task.prompt for call in transport.calls if call.kind is Kind.QUERY and call.task is not None]
    assert asked[:6] == [f"prompt of j{number:02}" for number in reversed(range(6))]


async def test_a_result_with_few_hours_left_is_warned_of_once(simulate: Simulate, autojump_clock: MockClock) -> None:
    """Less than four hours before its end the run says so: as an event, and in the summary if it could not fetch it."""
    sim = simulate()
    spec = sim.clips("one")
    await sim.leave_in_flight(spec)
    await trio.sleep(21 * HOUR)
    sim.faults({"on": "download", "do": {"status": 503}})
    sim.events.clear()

    late = await sim.run(spec)
    (told,) = sim.named("result_expiring")
    sim.faults()
    outcome = await sim.run(spec)

    assert (late.exit_code, outcome.exit_code) == (3, 0)
    assert told.job == "batch/one"
    assert 2.9 * HOUR < told.data["seconds"] <= 3 * HOUR  # type: ignore[operator]  # a number
    assert late.run_notes == ("batch/one: its result is not fetched, and gone in 3.0 h; run again soon",)
    assert outcome.run_notes == ()


async def test_a_young_result_is_not_warned_of(simulate: Simulate, autojump_clock: MockClock) -> None:
    """With hours to go there is nothing to say."""
    sim = simulate()
    spec = sim.clips("one")
    await sim.leave_in_flight(spec)
    await trio.sleep(19 * HOUR)

    outcome = await sim.run(spec)

    assert (outcome.exit_code, sim.named("result_expiring")) == (0, [])


async def test_a_run_that_lasts_warns_when_the_time_comes(simulate: Simulate, autojump_clock: MockClock) -> None:
    """The run itself may be what takes so long: a task that runs for 21 hours is spoken of after 20."""
    sim = simulate(seconds=21 * HOUR)

    outcome = await sim.run(sim.clips("one"))

    (told,) = sim.named("result_expiring")
    assert outcome.exit_code == 0
    assert 3.5 * HOUR < told.data["seconds"] <= 4 * HOUR  # type: ignore[operator]  # a number


@pytest.mark.parametrize("step_hours", [-1.0, 1.0])
@pytest.mark.parametrize("age_hours", [0.1, 22.5, 23.5])
async def test_a_clock_that_is_set_between_two_runs_loses_nothing(
    simulate: Simulate, autojump_clock: MockClock, step_hours: float, age_hours: float
) -> None:
    """A result that the service still has is fetched, though our clock says that its day is over."""
    sim = simulate(faults=[{"on": "download", "nth": [1, 2], "do": {"status": 403, "code": "AccessDenied"}}])
    spec = sim.clips("one")
    await sim.leave_in_flight(spec)
    await trio.sleep(age_hours * HOUR)
    sim.faults({"on": "download", "nth": [1, 2], "do": {"status": 403, "code": "AccessDenied"}})

    outcome = await sim.run(spec, now=lambda: sim.clock() + step_hours * HOUR)

    assert (outcome.exit_code, states(outcome), sim.made) == (0, {"one": "done"}, 1)


@pytest.mark.parametrize("step_hours", [-1.0, 1.0, 30.0])
async def test_a_clock_that_was_set_when_the_job_was_submitted_loses_nothing(
    simulate: Simulate, autojump_clock: MockClock, step_hours: float
) -> None:
    """What our clock said at the create is read by the service's, whose answer told how far they were apart."""
    sim = simulate()
    spec = sim.clips("one")
    sim.faults({"on": "query", "do": {"status": 503}})
    await sim.run(spec, now=lambda: sim.clock() + step_hours * HOUR)
    await trio.sleep(22 * HOUR)
    sim.faults({"on": "query", "nth": [1, 2], "do": {"status": 404, "code": "InvalidParameter", "message": "?"}})

    outcome = await sim.run(spec)

    assert (outcome.exit_code, states(outcome), sim.made) == (0, {"one": "done"}, 1)


@pytest.mark.parametrize("step_hours", [-1.0, 1.0, 10.0])
async def test_a_clock_that_is_set_during_a_run_changes_nothing(
    simulate: Simulate, autojump_clock: MockClock, step_hours: float
) -> None:
    """Durations are on a clock that nobody sets: summer time, a correction or a suspended machine end no wait early."""
    sim = simulate(faults=[{"on": ["query", "list", "create"], "every": 3, "do": {"status": 429, "retry_after": 5}}])
    steps_at = 40.0

    def stepped() -> float:
        return sim.clock() + (step_hours * HOUR if trio.current_time() > steps_at else 0.0)

    outcome = await sim.run(sim.clips(*(f"j{number}" for number in range(8))), now=stepped, max_wait_seconds=HOUR)

    assert (outcome.exit_code, sim.made) == (0, 8)
    assert trio.current_time() < 1200


@pytest.mark.parametrize("step_hours", [-1.0, 1.0])
async def test_a_clock_that_is_set_does_not_move_the_time_to_wait(
    simulate: Simulate, autojump_clock: MockClock, step_hours: float
) -> None:
    """`--max-wait` is so many seconds, whatever the wall clock says."""
    sim = simulate(seconds=1000.0)

    def stepped() -> float:
        return sim.clock() + (step_hours * HOUR if trio.current_time() > 5 else 0.0)

    outcome = await sim.run(sim.clips("one"), now=stepped, max_wait_seconds=100)

    assert (outcome.exit_code, states(outcome)) == (3, {"one": "in flight"})
    assert 100 <= trio.current_time() <= 101
