"""Another task after one that failed by a fault of the service: a bounded number of times, whatever happens between."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from simulation import Simulation, states

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock

    from wanrun.events import Event

    Simulate = Callable[..., Simulation]

pytestmark = pytest.mark.slow

FAULT: dict[str, Any] = {"on": "create", "do": {"fail": {"code": "InternalError", "message": "again"}}}
PASSING: dict[str, Any] = {"on": "create", "do": {"fail": {"code": "InternalError.Algo", "message": "once"}}}
MEDIA = "media: [{video: https://example.com/one.mp4}]"


class Death(BaseException):
    """The process ends here."""


@pytest.mark.parametrize(
    ("text", "made"),
    [
        pytest.param(f"jobs: [{{id: one, prompt: p, {MEDIA}}}]", 3, id="two if nothing is said"),
        pytest.param(
            f"retries: {{service_fault: 0}}\njobs: [{{id: one, prompt: p, {MEDIA}}}]", 1, id="none for the whole spec"
        ),
        pytest.param(
            f"retries: {{service_fault: 4}}\njobs: [{{id: one, prompt: p, {MEDIA}}}]", 5, id="four for the whole spec"
        ),
        pytest.param(
            f"retries: {{service_fault: 4}}\njobs: [{{id: one, prompt: p, {MEDIA}, retries: {{service_fault: 1}}}}]",
            2,
            id="a job outranks the spec",
        ),
    ],
)
async def test_the_spec_says_how_often(simulate: Simulate, autojump_clock: MockClock, text: str, made: int) -> None:
    """`retries: {service_fault: N}` is how many more tasks there may be."""
    sim = simulate(faults=[FAULT])

    outcome = await sim.run(sim.spec(text + "\n"))

    assert (outcome.exit_code, states(outcome), sim.made) == (1, {"one": "failed"}, made)


async def test_defaults_stand_between_the_spec_and_the_job(simulate: Simulate, autojump_clock: MockClock) -> None:
    """Spec, then `defaults`, then the job: the nearest word counts."""
    sim = simulate(faults=[FAULT])
    path = sim.folder / "batch.yaml"
    path.write_text(
        "version: 1\nretries: {service_fault: 3}\n"
        "defaults: {model: wan2.7-videoedit, retries: {service_fault: 1}}\n"
        f"jobs: [{{id: one, prompt: p, {MEDIA}}}]\n"
    )

    await sim.run(path)

    assert sim.made == 2


@pytest.mark.parametrize(("allowed", "made"), [(0, 1), (2, 2), (10, 2)])
async def test_what_may_pass_at_a_second_try_gets_one(
    simulate: Simulate, autojump_clock: MockClock, allowed: int, made: int
) -> None:
    """An inference that failed is tried once more, unless the spec wants no other task at all."""
    sim = simulate(faults=[PASSING])

    await sim.run(sim.spec(f"retries: {{service_fault: {allowed}}}\njobs: [{{id: one, prompt: p, {MEDIA}}}]\n"))

    assert sim.made == made


async def test_a_death_at_any_event_does_not_begin_a_new_count(simulate: Simulate, autojump_clock: MockClock) -> None:
    """Killed again and again, the job still gets two more tasks and no more."""
    sim = simulate(faults=[FAULT])
    spec = sim.clips("one")

    for name in ("job_submitted", "job_retried", "job_submitted", "job_running", "job_retried", "job_submitted"):

        def die(event: Event, last: str = name) -> None:
            if event.name == last:
                raise Death

        with pytest.raises((Death, BaseExceptionGroup)):
            await sim.run(spec, observe=die)
    outcome = await sim.run(spec)

    assert (outcome.exit_code, states(outcome), sim.made) == (1, {"one": "failed"}, 3)


async def test_another_run_does_not_begin_a_new_count(simulate: Simulate, autojump_clock: MockClock) -> None:
    """A timer that runs wanrun again and again cannot make a job that always fails cost attempts for ever."""
    sim = simulate(faults=[FAULT])
    spec = sim.clips("one")

    for _ in range(5):
        await sim.run(spec)

    assert sim.made == 3


async def test_a_job_that_moves_takes_its_count_along(simulate: Simulate, autojump_clock: MockClock) -> None:
    """Renamed while its last task was in flight: what failed before counts under the new address."""
    sim = simulate(faults=[FAULT])
    text = "jobs: [{{id: {}, prompt: p, media: [{{video: https://example.com/a.mp4}}]}}]\n"

    def die(event: Event) -> None:
        if event.name == "job_submitted" and sim.made == 3:
            raise Death

    with pytest.raises((Death, BaseExceptionGroup)):
        await sim.run(sim.spec(text.format("old")), observe=die)
    outcome = await sim.run(sim.spec(text.format("new")))

    assert (outcome.exit_code, states(outcome), sim.made) == (1, {"new": "failed"}, 3)


async def test_a_job_that_has_changed_has_a_count_of_its_own(simulate: Simulate, autojump_clock: MockClock) -> None:
    """Another prompt is another job: it may be what the fault was about."""
    sim = simulate(faults=[FAULT])

    for prompt in ("p", "q"):
        await sim.run(sim.spec(f"jobs: [{{id: one, prompt: {prompt}, {MEDIA}}}]\n"))

    assert sim.made == 6
