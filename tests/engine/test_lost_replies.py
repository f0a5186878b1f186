"""What nobody but a person can tell of a create without a usable answer, and how the person settles it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from twist import Twist, mute

from simulation import Simulation, states
from wanrun import api
from wanrun.errors import SettingsError
from wanrun.types import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock

    Simulate = Callable[..., Simulation]


async def held(sim: Simulation) -> str:
    """Leave job one held, its task made, and return the task's id."""
    sim.faults({"on": "create", "nth": 1, "do": {"lose_reply": True}})
    outcome = await sim.run(sim.clips("one"), transport=Twist(sim.account, rewrite=mute))
    assert states(outcome) == {"one": "held"}
    (task_id,) = sim.account.tasks
    return task_id


async def test_a_held_job_is_left_alone(simulate: Simulate, autojump_clock: MockClock) -> None:
    """It waits for a person, however often it is run; no call is made for it."""
    sim = simulate()
    await held(sim)

    outcome = await sim.run(sim.clips("one"), key=None)

    assert (outcome.exit_code, outcome.submitted, states(outcome)) == (1, 0, {"one": "held"})


async def test_adopting_the_task_goes_on_with_it(simulate: Simulate, autojump_clock: MockClock) -> None:
    """A person who found the task in the console hands it over, and nothing is paid again."""
    sim = simulate()
    task_id = await held(sim)

    standing = api.resolve("one", api.Decision.ADOPT, sim.setup, task_id=task_id)
    outcome = await sim.run(sim.clips("one"))

    assert standing.state is State.IN_FLIGHT
    assert (outcome.exit_code, outcome.submitted, sim.made) == (0, 0, 1)


async def test_resubmitting_makes_another_task(simulate: Simulate, autojump_clock: MockClock) -> None:
    """A person may decide to pay for one more."""
    sim = simulate()
    await held(sim)

    standing = api.resolve("batch/one", api.Decision.RESUBMIT, sim.setup)
    outcome = await sim.run(sim.clips("one"))

    assert standing.state is State.NEW
    assert (outcome.exit_code, outcome.submitted, sim.made) == (0, 1, 2)


async def test_an_abandoned_job_is_lost_and_left_alone(simulate: Simulate, autojump_clock: MockClock) -> None:
    """Giving up is a decision too: no call is made for the job, and the run still says that a person decided."""
    sim = simulate()
    await held(sim)

    standing = api.resolve("one", api.Decision.ABANDON, sim.setup)
    outcome = await sim.run(sim.clips("one"), key=None)

    assert standing.state is State.LOST
    assert (outcome.exit_code, outcome.submitted, sim.made) == (1, 0, 1)


async def test_a_task_of_another_job_cannot_be_adopted(simulate: Simulate, autojump_clock: MockClock) -> None:
    """Two jobs never share a paid task."""
    sim = simulate(faults=[{"on": "create", "prompt": "prompt of one", "do": {"lose_reply": True}}])
    await sim.run(sim.clips("one", "two"), transport=Twist(sim.account, rewrite=mute))
    (known,) = (task.id for task in sim.account.tasks.values() if task.prompt == "prompt of two")

    with pytest.raises(SettingsError, match="already belongs to another job"):
        api.resolve("one", api.Decision.ADOPT, sim.setup, task_id=known)

    assert api.status(sim.setup, ["one"])[0].state is State.HELD
