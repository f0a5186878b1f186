"""A further take of a job that is done, and what stands when nothing comes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from media_files import make_video
from simulation import Simulation, states
from wanrun import api

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trio.testing import MockClock

    from wanrun.outcome import Outcome

    Simulate = Callable[..., Simulation]

pytestmark = pytest.mark.slow

ARREARS = {"on": "create", "do": {"status": 400, "code": "Arrearage", "message": "please pay"}}
UNFIT = {"on": "create", "do": {"fail": {"code": "DataInspectionFailed", "message": "no"}}}
CLIP = "jobs:\n  - {{id: {0}, prompt: p, media: [{{video: https://example.com/x.mp4}}]}}\n"


async def again(sim: Simulation, spec: Path, job: str = "one", **options: bool) -> Outcome:
    """Ask for one more take."""
    return await sim.run(spec, selection=api.Selection(again=(job,)), **options)


async def test_a_take_left_in_flight_keeps_no_run_that_does_not_wait(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """The result of the take before is not that of the one in flight; the run ends at once."""
    sim = simulate(seconds=600.0)
    spec = sim.clips("one")
    await sim.run(spec)
    await again(sim, spec, no_wait=True)

    with trio.fail_after(3600):
        flying = await sim.run(spec, no_wait=True)
        cut = await sim.run(spec, max_wait_seconds=5)
        done = await sim.run(spec)

    assert (flying.exit_code, states(flying)) == (3, {"one": "in flight"})
    assert (cut.exit_code, states(cut)) == (3, {"one": "in flight"})
    assert (done.exit_code, sim.made) == (0, 2)


async def test_a_take_that_is_refused_twice_keeps_no_run(simulate: Simulate, autojump_clock: MockClock) -> None:
    """Submitting stops while the account is in arrears, each time it is asked for, and a plain run pays nothing."""
    sim = simulate()
    spec = sim.clips("one")
    await sim.run(spec)
    sim.faults(ARREARS)

    with trio.fail_after(3600):
        stopped = [await again(sim, spec) for _ in range(2)]
        plain = await sim.run(spec)
    sim.faults()
    paid = await sim.run(spec, retry_failed=True)
    asked = await again(sim, spec)

    assert [(each.exit_code, states(each)) for each in stopped] == [(4, {"one": "done"})] * 2
    assert [(each.exit_code, each.submitted) for each in (plain, paid, asked)] == [(0, 0), (0, 0), (0, 1)]
    assert sim.made == 2


@pytest.mark.parametrize("failure", [ARREARS, UNFIT])
async def test_a_renamed_job_keeps_its_result_though_a_further_take_came_to_nothing(
    simulate: Simulate, autojump_clock: MockClock, failure: dict[str, object]
) -> None:
    """The good take moves along."""
    sim = simulate()
    spec = sim.spec(CLIP.format("one"))
    await sim.run(spec)
    sim.faults(failure)
    await again(sim, spec)
    sim.faults()

    outcome = await sim.run(sim.spec(CLIP.format("two")))

    assert (outcome.exit_code, states(outcome), sum(sim.billed().values())) == (0, {"two": "done"}, 1)


async def test_a_job_with_a_result_gives_way_to_no_other_take(simulate: Simulate, autojump_clock: MockClock) -> None:
    """Two jobs of one fingerprint; the one with the refused take stays, the other leaves the spec."""
    sim = simulate()
    text = "  - {{id: {0}, prompt: p, media: [{{video: https://example.com/x.mp4}}]}}\n"
    spec = sim.spec("jobs:\n" + text.format("one") + text.format("two"))
    await sim.run(spec)
    sim.faults(ARREARS)
    await again(sim, spec)
    sim.faults()

    outcome = await sim.run(sim.spec("jobs:\n" + text.format("one")))

    assert (outcome.exit_code, states(outcome), sim.made) == (0, {"one": "done"}, 2)


async def test_a_job_that_failed_before_gives_no_way(simulate: Simulate, autojump_clock: MockClock) -> None:
    """An attempt that failed is kept, so the entry stays where it is even if the next one was turned away."""
    sim = simulate()
    text = "  - {{id: {0}, prompt: p, media: [{{video: https://example.com/x.mp4}}]}}\n"
    sim.faults(UNFIT)
    spec = sim.spec("jobs:\n" + text.format("one"))
    await sim.run(spec)
    sim.faults(ARREARS)
    await again(sim, spec)
    sim.faults()
    await sim.run(sim.spec("jobs:\n" + text.format("two"), "two.yaml"))
    (sim.folder / "two.yaml").unlink()

    outcome = await sim.run(spec)

    assert outcome.exit_code == 0


async def test_a_take_that_failed_hides_no_result(simulate: Simulate, autojump_clock: MockClock) -> None:
    """The run that was to make it says so; after that the good take is delivered wherever it is asked for."""
    body = (
        "sinks: {{disk: {{folder: {{path: out}}}}, two: {{folder: {{path: out2}}}}}}\n"
        "jobs: [{{id: one, prompt: p, media: [{{video: https://example.com/x.mp4}}], sinks: [{0}]}}]\n"
    )
    sim = simulate()
    spec = sim.spec(body.format("disk"))
    await sim.run(spec)
    sim.faults(UNFIT)
    failed = await again(sim, spec)
    sim.faults()

    more = await sim.run(sim.spec(body.format("disk, two")))
    retried = await sim.run(spec, retry_failed=True)
    asked = await again(sim, spec)

    assert (failed.exit_code, states(failed)) == (1, {"one": "done"})
    assert failed.jobs[0].why == "a further take came to nothing: no (DataInspectionFailed)"
    assert (more.exit_code, (sim.folder / "out2" / "one.mp4").is_file()) == (0, True)
    assert (retried.exit_code, retried.submitted, sum(sim.billed().values())) == (0, 0, 2)
    assert (asked.exit_code, asked.submitted, asked.jobs[0].why) == (0, 1, "")


async def test_a_take_that_failed_in_passing_in_another_run_is_made_anew(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """The run that goes on with it may have to ask twice, and still makes what was wanted once more."""
    failing = {"on": "create", "do": {"fail": {"code": "InternalError", "message": "oops"}}}
    throttled = {"on": "create", "nth": 1, "do": {"status": 429, "code": "Throttling"}}
    sim = simulate()
    spec = sim.clips("one")
    await sim.run(spec)
    sim.faults(failing)
    await again(sim, spec, no_wait=True)
    sim.faults(throttled)

    outcome = await sim.run(spec)

    assert (outcome.exit_code, states(outcome), outcome.jobs[0].why) == (0, {"one": "done"}, "")
    assert sum(sim.billed().values()) == 2


async def test_a_take_that_failed_in_passing_is_still_due(simulate: Simulate, autojump_clock: MockClock) -> None:
    """It was asked for and tries are left, so the next run makes it, even if it is throttled on the way."""
    throttled = {"on": "create", "nth": 1, "do": {"status": 429, "code": "Throttling"}}
    sim = simulate()
    spec = sim.clips("one")
    await sim.run(spec)
    with sim.ledger() as ledger:
        good = ledger.entries()[0].attempts[-1]
        take = ledger.intend(good.entry, prompt_key="k", replaces=good.id)
        ledger.refused(take, code="InternalError", message="later", request_id=None, again=True)
    sim.faults(throttled)

    outcome = await sim.run(spec)

    assert (outcome.exit_code, outcome.submitted, sim.made) == (0, 1, 2)


async def test_a_take_that_cannot_be_prepared_hides_no_result(simulate: Simulate, autojump_clock: MockClock) -> None:
    """The job is done, and says what became of the other take."""
    sim = simulate()
    make_video(sim.folder / "clip.mp4", seconds=2)
    spec = sim.spec("jobs: [{id: one, prompt: p, media: [{video: clip.mp4}]}]")
    await sim.run(spec)
    with sim.ledger() as ledger:
        ledger._write("DELETE FROM uploads")
    sim.faults({"on": "policy", "do": {"status": 400, "code": "InvalidParameter"}})

    failed = await again(sim, spec)
    sim.faults()
    plain = await sim.run(spec)

    assert (failed.exit_code, states(failed)) == (1, {"one": "done"})
    assert (plain.exit_code, states(plain), sim.made) == (0, {"one": "done"}, 1)
    assert "a further take came to nothing" in plain.jobs[0].why
    assert (await again(sim, spec)).jobs[0].why == ""
