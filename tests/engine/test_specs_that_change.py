"""Specs are edited, renamed, put back and deleted between runs: what was paid for stays known, and is paid for once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
import trio
from twist import Asked, Twist, mute, own_results, task_of

from media_files import png
from simulation import Simulation, states
from wanrun import api
from wanrun.emulator.calls import Kind
from wanrun.types import State

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trio.testing import MockClock

    from wanrun.events import Event

    Simulate = Callable[..., Simulation]

DAY = 24 * 3600.0
REFUSED_KEY = {"on": "create", "do": {"status": 401, "code": "InvalidApiKey"}}


def takes(sim: Simulation, **words: str) -> Path:
    """Write a spec of jobs that differ in nothing but id and prompt, and so can take each other's results over."""
    line = "  - {{id: {0}, prompt: {1}, media: [{{video: https://example.com/clip.mp4}}]}}\n"
    return sim.spec("jobs:\n" + "".join(line.format(each, prompt) for each, prompt in words.items()))


def delivered_prompt(sim: Simulation, name: str) -> str:
    """Return the prompt of the task whose video lies in a job's place; for runs with `own_results`."""
    return sim.account.tasks[task_of((sim.folder / "out" / f"{name}.mp4").read_bytes())].prompt


async def hold(sim: Simulation) -> Path:
    """Leave job one held, and its task made, and return its spec."""
    sim.faults({"on": "create", "nth": 1, "do": {"lose_reply": True}})
    spec = sim.clips("one")
    outcome = await sim.run(spec, transport=Twist(sim.account, rewrite=mute))
    assert states(outcome) == {"one": "held"}
    sim.faults()
    return spec


async def test_a_job_that_is_renamed_in_flight_is_delivered_under_its_new_name(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """The task goes along with the words that it was made for."""
    sim = simulate()
    await sim.leave_in_flight(takes(sim, old="words"))

    outcome = await sim.run(takes(sim, new="words"))

    assert (outcome.exit_code, outcome.submitted, sim.made) == (0, 0, 1)
    assert [path.name for path in (sim.folder / "out").glob("*.mp4")] == ["new.mp4"]


async def test_a_spec_file_that_is_renamed_in_flight_keeps_its_tasks(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """A spec that is gone no longer owns what was made for it."""
    sim = simulate()
    spec = sim.clips("one", "two")
    await sim.leave_in_flight(spec)

    outcome = await sim.run(spec.rename(spec.with_name("other.yaml")))

    assert (outcome.exit_code, outcome.submitted, sim.made) == (0, 0, 2)


async def test_two_jobs_that_swap_names_pay_nothing(simulate: Simulate, autojump_clock: MockClock) -> None:
    """Each name gets the other's video, which is there already."""
    sim = simulate()
    await sim.run(takes(sim, a="first", b="second"), transport=Twist(sim.account, instead=own_results))

    outcome = await sim.run(takes(sim, b="first", a="second"))

    assert (outcome.exit_code, outcome.submitted, sim.made) == (0, 0, 2)
    assert (delivered_prompt(sim, "a"), delivered_prompt(sim, "b")) == ("second", "first")


async def test_a_job_that_never_got_its_task_takes_over_one_that_was_paid(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """That it once stood in a run which could not submit it is no claim to a task of its own."""
    sim = simulate()
    await sim.run(takes(sim, a="words"))
    sim.faults(REFUSED_KEY)
    refused = await sim.run(takes(sim, a="words", b="words"))
    sim.faults()

    outcome = await sim.run(takes(sim, b="words"))

    assert states(refused) == {"a": "done", "b": "new"}
    assert (outcome.exit_code, sim.made) == (0, 1)


async def test_a_renamed_spec_may_be_edited_later(simulate: Simulate, autojump_clock: MockClock) -> None:
    """The file at the job's place is its own, delivered under another address, so the new video replaces it."""
    sim = simulate()
    twist = Twist(sim.account, instead=own_results)
    spec = sim.clips("one")
    await sim.run(spec, transport=twist)
    spec = spec.rename(spec.with_name("other.yaml"))
    await sim.run(spec, transport=twist)

    outcome = await sim.run(sim.clips("one", prompt="edited", name=spec.name), transport=twist)

    assert (outcome.exit_code, sim.made) == (0, 2)
    assert delivered_prompt(sim, "one") == "edited"


async def test_a_spec_that_is_deleted_leaves_its_results_to_the_next_run(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """They were paid for and die after a day, so a run of any other spec of the project fetches them."""
    sim = simulate()
    spec = sim.clips("one", name="gone.yaml")
    await sim.leave_in_flight(spec)
    spec.unlink()

    await sim.run(sim.clips("two"))

    with sim.ledger() as ledger:
        found = {entry.address: entry.attempt.state for entry in ledger.entries() if entry.attempt}
    assert found == {"gone/one": "fetched", "batch/two": "fetched"}


async def test_a_result_that_nobody_asks_for_any_more_and_is_not_fetched_is_said(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """All jobs are done, but money would be lost if nobody ran again: exit code 3, naming the old task."""
    sim = simulate()
    await sim.leave_in_flight(sim.clips("one"))
    (old,) = sim.account.tasks

    def withhold(asked: Asked) -> httpx.Response | None:
        is_old = asked.kind is Kind.DOWNLOAD and asked.task is not None and asked.task.id == old
        return httpx.Response(503) if is_old else None

    spec = sim.clips("one", prompt="changed")
    unfinished = await sim.run(spec, transport=Twist(sim.account, instead=withhold))
    outcome = await sim.run(spec)

    assert (unfinished.exit_code, states(unfinished)) == (3, {"one": "done"})
    assert any(old in each for each in (*unfinished.reasons, *unfinished.run_notes))
    assert (outcome.exit_code, sim.made) == (0, 2)


async def test_a_result_that_nobody_asks_for_any_more_and_is_lost_is_said(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """It was paid for, so the run that finds it gone ends with 7, whatever became of its own jobs."""
    sim = simulate()
    await sim.leave_in_flight(sim.clips("one"))
    await trio.sleep(DAY + 3600)

    outcome = await sim.run(sim.clips("one", prompt="changed"))

    assert (outcome.exit_code, states(outcome)) == (7, {"one": "done"})
    assert [event.job for event in sim.named("job_lost")] == ["batch/one"]


async def test_a_held_version_comes_back_with_its_words_and_can_be_resolved(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """Held, edited and done, edited back: the job is held again, and that is what status and resolve speak of."""
    sim = simulate()
    spec = await hold(sim)
    text = spec.read_text()
    await sim.run(sim.clips("one", prompt="other words"))
    spec.write_text(text)

    outcome = await sim.run(spec)
    standing = [each.state for each in api.status(sim.setup)]
    resolved = api.resolve("one", api.Decision.RESUBMIT, sim.setup)

    assert states(outcome) == {"one": "held"}
    assert standing == [State.HELD]
    assert resolved.state is State.NEW
    assert (await sim.run(spec)).exit_code == 0


async def test_a_held_version_stays_in_sight_after_an_edit(simulate: Simulate, autojump_clock: MockClock) -> None:
    """Its task may have been paid for, so status lists it beside the new version, and it can still be adopted."""
    sim = simulate()
    await hold(sim)
    (task_id,) = sim.account.tasks

    await sim.run(sim.clips("one", prompt="other words"))

    assert [each.state for each in api.status(sim.setup)] == [State.HELD, State.DONE]
    adopted = api.resolve("one", api.Decision.ADOPT, sim.setup, task_id=task_id)
    assert adopted.state is State.IN_FLIGHT


async def test_status_shows_the_version_that_was_asked_for_last(simulate: Simulate, autojump_clock: MockClock) -> None:
    """Refused for the key, edited and done, edited back and done: the places are those of the first words."""
    sim = simulate(faults=[REFUSED_KEY])
    twist = Twist(sim.account, instead=own_results)
    spec = sim.clips("one")
    text = spec.read_text()
    await sim.run(spec, transport=twist)
    sim.faults()
    await trio.sleep(10)
    await sim.run(sim.clips("one", prompt="other words"), transport=twist)
    await trio.sleep(10)
    spec.write_text(text)

    await sim.run(spec, transport=twist)

    (standing,) = api.status(sim.setup)
    assert (standing.state, standing.places) == (State.DONE, ("out/one.mp4",))
    assert standing.task_id is not None
    assert sim.account.tasks[standing.task_id].prompt == "prompt of one"


async def test_a_changed_job_stays_changed_until_it_is_submitted(simulate: Simulate, autojump_clock: MockClock) -> None:
    """A run that could not submit it does not make it a new one."""
    sim = simulate()
    await sim.run(sim.clips("one"))
    spec = sim.clips("one", prompt="other words")
    sim.faults(REFUSED_KEY)

    await sim.run(spec)

    assert api.plan([spec], sim.setup).jobs[0].state is State.CHANGED


async def test_retrying_goes_on_where_a_run_that_retried_was_stopped(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """Of three failed jobs some get another task before the key is refused; each is paid once in the end."""
    sim = simulate(faults=[{"on": "create", "do": {"fail": {"code": "InvalidParameter", "message": "no"}}}])
    spec = sim.clips("one", "two", "three")
    await sim.run(spec)
    sim.faults({**REFUSED_KEY, "nth": 2})

    stopped = await sim.run(spec, retry_failed=True)
    sim.faults()
    outcome = await sim.run(spec, retry_failed=True)

    assert stopped.exit_code == 4
    assert (outcome.exit_code, set(sim.billed().values())) == (0, {1})


async def test_a_job_that_failed_at_the_service_and_then_here_is_retried_when_asked(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """Its picture changed after the task had failed in passing; put back, --retry-failed has it made, once."""
    sim = simulate(faults=[{"on": "create", "nth": 1, "do": {"fail": {"code": "InternalError", "message": "oops"}}}])
    picture = sim.folder / "coat.png"
    picture.write_bytes(png())
    spec = sim.spec(
        "jobs: [{id: one, prompt: a, media: [{video: https://example.com/1.mp4}, {reference_image: coat.png}]}]\n"
    )

    def repaint(event: Event) -> None:
        if event.name == "job_submitted":
            picture.write_bytes(png() + b"more")

    failed = await sim.run(spec, observe=repaint)
    picture.write_bytes(png())
    outcome = await sim.run(spec, retry_failed=True)

    assert (failed.exit_code, states(failed)) == (1, {"one": "failed"})
    assert (outcome.exit_code, sim.billed()) == (0, {"a": 1})


@pytest.mark.parametrize("spelling", ["batch.yaml", "specs/../batch.yaml", "link.yaml"], ids=["same", "dots", "link"])
async def test_a_spec_that_is_given_twice_is_run_once(
    simulate: Simulate, autojump_clock: MockClock, spelling: str
) -> None:
    """However its path is written."""
    sim = simulate()
    spec = sim.clips("one", "two")
    (sim.folder / "specs").mkdir()
    (sim.folder / "link.yaml").symlink_to(spec)

    outcome = await sim.run(spec, sim.folder / spelling)

    assert (outcome.exit_code, len(outcome.jobs), sim.made) == (0, 2, 2)
