"""Failures by family: what stops one job, what stops the run, what is waited out, and what the exit code says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from media_files import png
from simulation import Simulation, states

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock

    Simulate = Callable[..., Simulation]


async def test_a_failed_job_leaves_its_siblings_alone(simulate: Simulate, autojump_clock: MockClock) -> None:
    """Moderation fails one task; the others are done, and the exit code asks for a person."""
    fail = {"fail": {"code": "DataInspectionFailed", "message": "Input data may contain inappropriate content."}}
    sim = simulate(faults=[{"on": "create", "prompt": "prompt of two", "do": fail}])
    spec = sim.clips("one", "two", "three")

    outcome = await sim.run(spec)

    assert outcome.exit_code == 1
    assert states(outcome) == {"one": "done", "two": "failed", "three": "done"}
    assert "inappropriate content" in outcome.jobs[1].why


async def test_a_failed_job_is_submitted_again_only_when_asked(simulate: Simulate, autojump_clock: MockClock) -> None:
    """A plain second run leaves a failed job alone; --retry-failed makes one more task for it and for no other."""
    sim = simulate(faults=[{"on": "create", "nth": 1, "do": {"fail": {"code": "InvalidParameter", "message": "no"}}}])
    spec = sim.clips("one", "two")
    await sim.run(spec)

    plain = await sim.run(spec)
    retried = await sim.run(spec, retry_failed=True)

    assert (plain.exit_code, plain.submitted) == (1, 0)
    assert (retried.exit_code, retried.submitted, sim.made) == (0, 1, 3)


async def test_a_task_that_failed_by_a_fault_of_the_service_is_made_anew(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """Such a task is not billed, so the job gets another one by itself."""
    fault = {"fail": {"code": "InternalError", "message": "Internal server error."}}
    sim = simulate(faults=[{"on": "create", "nth": 1, "do": fault}])

    outcome = await sim.run(sim.clips("one"))

    assert (outcome.exit_code, sim.made, sim.billed()) == (0, 2, {"prompt of one": 1})


async def test_a_job_is_not_made_anew_for_ever(simulate: Simulate, autojump_clock: MockClock) -> None:
    """A service that always fails is given up after two more tasks, and a second run does not start over."""
    sim = simulate(faults=[{"on": "create", "do": {"fail": {"code": "InternalError", "message": "again"}}}])
    spec = sim.clips("one")

    outcome = await sim.run(spec)
    again = await sim.run(spec)

    assert (outcome.exit_code, again.exit_code, sim.made) == (1, 1, 3)


async def test_throttled_creates_wait_as_long_as_the_service_asks(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """A 429 is surely no task: it is waited out, nothing is held, and nobody is submitted meanwhile."""
    throttle = {"status": 429, "code": "Throttling.RateQuota", "message": "slow", "retry_after": 7}
    sim = simulate(faults=[{"on": "create", "nth": [1, 2], "do": throttle}])

    outcome = await sim.run(sim.clips("one", "two"))

    assert (outcome.exit_code, sim.made) == (0, 2)
    assert min(task.created_at for task in sim.account.tasks.values()) - sim.account.started_at >= 14


@pytest.mark.parametrize("effect", [{"status": 503}, {"reset": "before"}, {"status": 429}], ids=str)
async def test_a_query_that_fails_is_asked_again(
    simulate: Simulate, autojump_clock: MockClock, effect: dict[str, object]
) -> None:
    """Queries cost nothing, so they are simply repeated."""
    sim = simulate(faults=[{"on": ["query", "list"], "every": 2, "do": effect}])

    outcome = await sim.run(sim.clips("one", "two", "three"))

    assert outcome.exit_code == 0


async def test_a_refused_key_stops_the_run_and_holds_nothing(simulate: Simulate, autojump_clock: MockClock) -> None:
    """With a wrong key nothing is submitted, and a run with the right one starts clean."""
    sim = simulate(refused_keys=["sk-wrong"])
    spec = sim.clips("one", "two")

    refused = await sim.run(spec, key="sk-wrong")
    outcome = await sim.run(spec)

    assert refused.exit_code == 4
    assert set(states(refused).values()) == {"new"}
    assert "sk-wrong" not in repr(refused)
    assert outcome.exit_code == 0


async def test_arrears_stop_submitting_but_what_was_paid_for_is_fetched(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """A billing refusal ends submitting; the tasks in flight are still brought home."""
    arrears = {"status": 400, "code": "Arrearage", "message": "Access denied, please pay."}
    sim = simulate(faults=[{"on": "create", "nth": [3, 4, 5, 6], "do": arrears}])

    outcome = await sim.run(sim.clips("one", "two", "three", "four", "five", "six"))

    assert outcome.exit_code == 4
    assert sorted(states(outcome).values()) == ["done", "done", "new", "new", "new", "new"]


async def test_an_unreachable_service_is_given_up_after_patience_and_nothing_is_lost(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """The run ends with exit code 3; the next one goes on as if nothing had been."""
    sim = simulate(faults=[{"on": "any", "between": [0, 100], "do": {"reset": "connect"}}])
    spec = sim.clips("one")

    gone = await sim.run(spec)
    sim.account.faults = sim.new_account().faults
    outcome = await sim.run(spec)

    assert gone.exit_code == 3
    assert "cannot be reached" in gone.reasons[0]
    assert outcome.exit_code == 0


async def test_creates_that_never_get_through_leave_the_job_new(simulate: Simulate, autojump_clock: MockClock) -> None:
    """Throttled past patience: the job stays as it was, and running again is what to do."""
    sim = simulate(faults=[{"on": "create", "do": {"status": 429, "code": "Throttling.RateQuota"}}])

    outcome = await sim.run(sim.clips("one", "two"))

    assert outcome.exit_code == 3
    assert set(states(outcome).values()) == {"new"}


async def test_a_young_task_that_the_service_does_not_know_is_held(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """UNKNOWN may hide a paid task, so nothing is paid again without a person."""
    sim = simulate(faults=[{"on": "create", "do": {"unknown_after_seconds": 0}}])

    outcome = await sim.run(sim.clips("one"))

    assert outcome.exit_code == 1
    assert states(outcome) == {"one": "held"}
    assert sim.made == 1


async def test_a_job_that_cannot_be_prepared_fails_alone(simulate: Simulate, autojump_clock: MockClock) -> None:
    """A file that changes after the plan fails its job, not the run."""
    sim = simulate()
    picture = sim.folder / "picture.png"
    picture.write_bytes(png())
    spec = sim.spec(
        "jobs:\n"
        "  - {id: one, prompt: a, media: [{video: https://example.com/1.mp4}, {reference_image: picture.png}]}\n"
        "  - {id: two, prompt: b, media: [{video: https://example.com/2.mp4}]}\n"
    )

    outcome = await sim.run(spec, planned=lambda _plan, _batch: picture.write_bytes(picture.read_bytes() + b"more"))

    assert outcome.exit_code == 1
    assert states(outcome) == {"one": "failed", "two": "done"}


async def test_a_create_refused_because_the_media_was_out_of_reach_is_tried_once_more(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """A host that hiccups is no reason to fail a job; one that is gone is."""
    out_of_reach = {
        "status": 400,
        "code": "InvalidParameter.DataInspection",
        "message": "Unable to download the media resource during the data inspection process.",
    }
    once = [{"on": "create", "nth": 1, "do": out_of_reach}]
    sim = simulate(faults=once)

    hiccup = await sim.run(sim.clips("one"))
    sim.account.faults = sim.new_account(faults=[{"on": "create", "do": out_of_reach}]).faults
    gone = await sim.run(sim.clips("two", name="other.yaml"))

    assert (hiccup.exit_code, sim.made) == (0, 1)
    assert (gone.exit_code, states(gone)) == (1, {"two": "failed"})
    assert sim.account.statement()["calls"]["create"]["400"] == 3
