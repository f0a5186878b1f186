"""No job is paid for twice, whatever is run again, renamed or changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from simulation import HEAD, Simulation, states
from wanrun import api
from wanrun.errors import LedgerError, SettingsError
from wanrun.types import Action, State

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock

    Simulate = Callable[..., Simulation]


async def test_every_job_gets_one_task_and_its_video(simulate: Simulate, autojump_clock: MockClock) -> None:
    """A batch ends with one paid task and one delivered file for each job, and exit code 0."""
    sim = simulate()

    outcome = await sim.run(sim.clips("one", "two", "three"))

    assert outcome.exit_code == 0
    assert states(outcome) == {"one": "done", "two": "done", "three": "done"}
    assert sim.billed() == {"prompt of one": 1, "prompt of two": 1, "prompt of three": 1}
    for name in ("one", "two", "three"):
        assert (sim.folder / "out" / f"{name}.mp4").read_bytes()[4:8] == b"ftyp"


async def test_a_second_run_creates_nothing_and_needs_no_key(simulate: Simulate, autojump_clock: MockClock) -> None:
    """What is done stays done: the same specs again make no call at all."""
    sim = simulate()
    spec = sim.clips("one", "two")
    await sim.run(spec)
    calls = sim.account.statement()["calls"]

    outcome = await sim.run(spec, key=None)

    assert (outcome.exit_code, outcome.submitted) == (0, 0)
    assert sim.account.statement()["calls"] == calls


async def test_a_changed_prompt_pays_for_that_job_only(simulate: Simulate, autojump_clock: MockClock) -> None:
    """Changing one job is one more task; its siblings are left alone."""
    sim = simulate()
    await sim.run(sim.clips("one", "two"))
    spec = sim.spec(
        "jobs:\n"
        "  - {id: one, prompt: another prompt, media: [{video: https://example.com/one.mp4}]}\n"
        "  - {id: two, prompt: prompt of two, media: [{video: https://example.com/two.mp4}]}\n"
    )
    planned = api.plan([spec], sim.setup)

    outcome = await sim.run(spec)

    assert [(job.state, job.action) for job in planned.jobs] == [
        (State.CHANGED, Action.SUBMIT),
        (State.DONE, Action.NOTHING),
    ]
    assert (outcome.exit_code, outcome.submitted, sim.made) == (0, 1, 3)


async def test_a_renamed_job_pays_nothing_and_is_delivered_to_its_new_place(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """An entry follows its fingerprint to another address of a spec that was loaded."""
    sim = simulate()
    await sim.run(sim.clips("old-name"))
    spec = sim.spec(
        "jobs: [{id: new-name, prompt: prompt of old-name, media: [{video: https://example.com/old-name.mp4}]}]"
    )
    planned = api.plan([spec], sim.setup)

    outcome = await sim.run(spec)
    again = await sim.run(spec)

    assert planned.jobs[0].state is State.MOVED
    assert (outcome.exit_code, outcome.submitted, again.submitted, sim.made) == (0, 0, 0, 1)
    assert (sim.folder / "out" / "new-name.mp4").exists()
    assert api.plan([spec], sim.setup).jobs[0].state is State.DONE


async def test_a_job_of_a_spec_that_was_not_loaded_is_never_taken_over(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """Equal jobs of two specs are two takes, each with its own task."""
    sim = simulate()
    first = sim.clips("take", name="first.yaml")
    await sim.run(first)

    second = sim.spec("sinks: {other: {folder: other}}\n" + first.read_text().removeprefix(HEAD), "second.yaml")
    outcome = await sim.run(second)

    assert (outcome.exit_code, outcome.submitted, sim.made) == (0, 1, 2)


async def test_two_equal_jobs_of_one_spec_are_two_takes(simulate: Simulate, autojump_clock: MockClock) -> None:
    """A second take of the same words is paid for, because two jobs ask for it."""
    sim = simulate()

    outcome = await sim.run(sim.clips("take-1", "take-2", prompt="the same"))

    assert (outcome.exit_code, sim.made) == (0, 2)


async def test_a_sink_added_later_is_served_without_paying_again(simulate: Simulate, autojump_clock: MockClock) -> None:
    """The artifact is kept, so another sink only costs a copy."""
    sim = simulate()
    job = "jobs: [{id: one, prompt: p, media: [{video: https://example.com/one.mp4}]}]\n"
    await sim.run(sim.spec(job))

    outcome = await sim.run(
        sim.spec("sinks: {first: {folder: {path: out}}, second: {folder: {path: copies}}}\n" + job), key=None
    )

    assert (outcome.exit_code, outcome.submitted, sim.made) == (0, 0, 1)
    assert (sim.folder / "copies" / "one.mp4").exists()


async def test_renaming_a_sink_sends_nothing(simulate: Simulate, autojump_clock: MockClock) -> None:
    """A delivery is known by where it goes, not by what the spec calls it."""
    sim = simulate()
    job = "jobs: [{id: one, prompt: p, media: [{video: https://example.com/one.mp4}]}]\n"
    await sim.run(sim.spec("sinks: {disk: {folder: {path: out}}}\n" + job))
    sim.events.clear()

    await sim.run(sim.spec("sinks: {shelf: {folder: {path: out}}}\n" + job))

    assert sim.named("delivered") == []


async def test_going_back_to_an_earlier_prompt_brings_its_video_back_unpaid(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """A delivery lapses when another artifact takes its place, and is made again when the job returns."""
    sim = simulate(ready=None)
    first = sim.clips("one")
    text = first.read_text()
    await sim.run(first)
    before = (sim.folder / "out" / "one.mp4.json").read_text()
    await sim.run(sim.clips("one", prompt="another"))

    first.write_text(text)
    outcome = await sim.run(first)

    assert (outcome.exit_code, outcome.submitted, sim.made) == (0, 0, 2)
    assert (sim.folder / "out" / "one.mp4.json").read_text() == before


async def test_a_ledger_refuses_another_account(simulate: Simulate, autojump_clock: MockClock) -> None:
    """Two services never share a ledger: the second is recognised before anything is created there."""
    sim = simulate()
    await sim.run(sim.clips("one"))
    other = sim.new_account(seed=2)

    with pytest.raises(LedgerError, match="belongs to the emulator account"):
        await sim.run(sim.clips("one", "two"), account=other)

    assert other.tasks == {}


async def test_creates_with_one_prompt_are_never_in_the_air_together(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """Of a lost reply only the prompt could tell whose it was, so the next one waits for it."""
    sim = simulate(faults=[{"on": "create", "do": {"latency_seconds": 2}}])
    in_air: list[int] = []
    send = sim.account.strike

    def strike(call: object) -> object:
        effect = send(call)  # type: ignore[arg-type]
        if "video-synthesis" in getattr(call, "path", ""):
            with sim.ledger() as ledger:
                rows = ledger._read("SELECT count(*) AS n FROM attempts WHERE state = 'intended'")
            in_air.append(rows[0]["n"])
        return effect

    sim.account.strike = strike  # type: ignore[method-assign, assignment]
    await sim.run(sim.clips(*(f"take-{n}" for n in range(6)), prompt="the same words"))

    assert in_air == [1] * 6


async def test_an_edit_of_a_job_in_flight_keeps_the_old_result_and_delivers_the_new(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """What was paid for is fetched although nobody asks for it any more; only the new video is delivered."""
    sim = simulate()
    spec = sim.clips("one")
    sim.account.faults = sim.new_account(faults=[{"on": "query", "do": {"status": 503}}]).faults
    left = await sim.run(spec)
    sim.account.faults = sim.new_account().faults

    outcome = await sim.run(sim.clips("one", prompt="changed"))

    assert left.exit_code == 3
    assert (outcome.exit_code, outcome.submitted, sim.made) == (0, 1, 2)
    assert len(sim.named("delivered")) == 1
    with sim.ledger() as ledger:
        assert [entry.attempt.state for entry in ledger.entries() if entry.attempt] == ["fetched", "fetched"]


async def test_only_a_held_or_lost_job_is_resolved_by_hand(simulate: Simulate, autojump_clock: MockClock) -> None:
    """Resolving a job that is done would risk a second payment, so it is refused."""
    sim = simulate()
    await sim.run(sim.clips("one"))

    with pytest.raises(SettingsError, match="batch/one is done"):
        api.resolve("one", api.Decision.RESUBMIT, sim.setup)
