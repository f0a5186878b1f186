"""After a lost ledger: a task that is still to be had is given to the job that it was made for, and not paid again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from simulation import Simulation, states
from wanrun import api
from wanrun.errors import SettingsError
from wanrun.types import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock

    Simulate = Callable[..., Simulation]


async def test_a_task_of_a_lost_ledger_is_adopted_and_brought_home(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """The job is new to the new ledger; with its task it is in flight, and the next run pays only for the other."""
    sim = simulate()
    spec = sim.clips("one", "two")
    await sim.leave_in_flight(spec)
    tasks = {task.prompt: task.id for task in sim.account.tasks.values()}
    (sim.folder / ".wanrun" / "ledger.db").unlink()

    standing = api.adopt("one", tasks["prompt of one"], [spec], sim.setup)
    outcome = await sim.run(spec)

    assert standing.state is State.IN_FLIGHT
    assert states(outcome) == {"one": "done", "two": "done"}
    assert (outcome.submitted, sim.billed()) == (1, {"prompt of one": 1, "prompt of two": 2})


async def test_only_a_new_job_takes_a_task_and_no_task_is_given_twice(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """What the ledger knows already is for `resolve`, and two jobs never share a task."""
    sim = simulate()
    spec = sim.clips("one", "two")
    await sim.leave_in_flight(sim.clips("one"))
    (task,) = sim.account.tasks
    sim.clips("one", "two")

    with pytest.raises(SettingsError, match="batch/one is in flight by the ledger, not new"):
        api.adopt("one", "another-task", [spec], sim.setup)
    with pytest.raises(SettingsError, match="already belongs to another job"):
        api.adopt("two", task, [spec], sim.setup)
    with pytest.raises(SettingsError, match='no job "three" in these specs'):
        api.adopt("three", task, [spec], sim.setup)
    with pytest.raises(SettingsError, match="no task id"):
        api.adopt("two", "a/b", [spec], sim.setup)
    assert [job.state for job in api.status(sim.setup)] == [State.IN_FLIGHT]
