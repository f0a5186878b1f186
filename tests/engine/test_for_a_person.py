"""What only a person can settle: it follows its job to a new name, is told at a run's end, and keeps its cost."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest
import trio
from twist import Asked, Twist

from simulation import Simulation, states
from wanrun import api
from wanrun.emulator.calls import Kind
from wanrun.ledger import AttemptState
from wanrun.selection import Selection

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock

    Simulate = Callable[..., Simulation]

pytestmark = pytest.mark.slow

HOUR = 3600.0
LINE = "jobs: [{{id: {0}, prompt: {1}, media: [{{video: https://example.com/x.mp4}}]}}]"


def forgetful(sim: Simulation) -> Twist:
    """Return a service that knows no task, though it made it."""

    def rewrite(asked: Asked, body: dict[str, Any]) -> None:
        if asked.kind is Kind.QUERY:
            body["output"] = {"task_id": body["output"]["task_id"], "task_status": "UNKNOWN"}
        if asked.kind is Kind.LIST:
            body.update(data=[], total=0, total_page=0)

    return Twist(sim.account, rewrite=rewrite)


def made_by_hand(sim: Simulation, prompt: str) -> str:
    """Make a task that no run has made."""
    media = [{"type": "video", "url": "https://example.com/theirs.mp4"}]
    body = {"model": "wan2.7-videoedit", "input": {"prompt": prompt, "media": media}, "parameters": {}}
    return sim.account.create(body, request_id=sim.account.new_id()).id


@pytest.mark.parametrize(("id_", "prompt"), [("new", "same"), ("old", "another")])
async def test_a_task_that_the_service_did_not_know_is_looked_for_again_though_the_spec_has_changed(
    simulate: Simulate, autojump_clock: MockClock, id_: str, prompt: str
) -> None:
    """A renamed job takes it over, and of one that has changed its result is fetched and kept."""
    sim = simulate()
    held = await sim.run(sim.spec(LINE.format("old", "same")), transport=forgetful(sim))

    outcome = await sim.run(sim.spec(LINE.format(id_, prompt)))

    assert (held.exit_code, states(held)) == (1, {"old": "held"})
    assert (outcome.exit_code, states(outcome)) == (0, {id_: "done"})
    assert sim.made == (1 if id_ == "new" else 2)
    with sim.ledger() as ledger:
        assert {entry.attempt and entry.attempt.state for entry in ledger.entries()} == {AttemptState.FETCHED}


@pytest.mark.parametrize("state", [AttemptState.HELD, AttemptState.LOST, AttemptState.ABANDONED])
@pytest.mark.parametrize("options", [{}, {"retry_failed": True}, {"selection": Selection(again=("*",))}])
async def test_a_new_name_is_no_decision_to_pay_again(
    simulate: Simulate, autojump_clock: MockClock, state: AttemptState, options: dict[str, Any]
) -> None:
    """What is held or lost is so under its new name, too, until `wanrun resolve JOB --resubmit`."""
    sim = simulate()
    await sim.run(sim.spec(LINE.format("old", "same")))
    with sim.ledger() as ledger:
        ledger.ended(1, state, "no more")

    outcome = await sim.run(sim.spec(LINE.format("new", "same")), **options)

    assert (outcome.exit_code, outcome.submitted) == (1, 0)
    assert states(outcome) == {"new": "held" if state is AttemptState.HELD else "lost"}
    api.resolve("new", api.Decision.RESUBMIT, sim.setup)
    assert (await sim.run(sim.folder / "batch.yaml")).submitted == 1


async def test_a_result_goes_before_what_is_lost_when_one_of_two_takes_is_renamed(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """Whichever was entered first, the one that is done is taken over."""
    line = "  - {{id: {0}, prompt: same, media: [{{video: https://example.com/x.mp4}}]}}\n"
    sim = simulate()
    await sim.run(sim.spec("jobs:\n" + line.format("one") + line.format("two")))
    with sim.ledger() as ledger:
        ledger.ended(1, AttemptState.LOST, "no more")

    outcome = await sim.run(sim.spec("jobs:\n" + line.format("three")))

    assert (outcome.exit_code, states(outcome), sim.made) == (0, {"three": "done"}, 2)


async def test_an_earlier_version_that_is_held_at_the_end_is_told(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """The job itself is done; the exit code says that a person is needed, and for what."""
    sim = simulate()
    await sim.run(sim.spec(LINE.format("one", "same")), no_wait=True)

    def unknown(asked: Asked, body: dict[str, Any]) -> None:
        if asked.kind is Kind.QUERY and asked.task and asked.task.prompt == "same":
            body["output"] = {"task_id": body["output"]["task_id"], "task_status": "UNKNOWN"}
        if asked.kind is Kind.LIST:
            body.update(data=[], total=0, total_page=0)

    outcome = await sim.run(sim.spec(LINE.format("one", "changed")), transport=Twist(sim.account, rewrite=unknown))
    settled = await sim.run(sim.folder / "batch.yaml")

    assert (outcome.exit_code, states(outcome)) == (1, {"one": "done"})
    assert "batch/one: an earlier version is held: the service no longer knows task" in outcome.reasons[0]
    assert (settled.exit_code, settled.reasons) == (0, ())


async def test_a_task_adopted_in_place_of_a_lost_one_forgets_no_cost(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """Both were billed, and both count against a cap."""
    sim = simulate(faults=[{"on": "download", "do": {"status": 503}}])
    sim.settings('[providers.default]\npatience_seconds = 30\n[budget]\nmax_cost = "30 CNY"\n')
    spec = sim.clips("one")
    await sim.run(spec)
    await trio.sleep(30 * HOUR)
    sim.faults()
    lost = await sim.run(spec)
    task = made_by_hand(sim, "prompt of one")

    api.resolve("one", api.Decision.ADOPT, sim.setup, task_id=task)
    reserved = api.spending(sim.setup).spent["CNY"].total
    outcome = await sim.run(spec)

    assert (lost.exit_code, outcome.exit_code, states(outcome)) == (7, 0, {"one": "done"})
    assert reserved.millionths > 26_000_000  # the cost of one, and what the other may cost
    assert str(api.spending(sim.setup).spent["CNY"].cost.amount) == sim.account.statement()["cost"]["CNY"]


async def test_the_lost_task_itself_may_be_adopted_again(simulate: Simulate, autojump_clock: MockClock) -> None:
    """A person who has seen it after all says so; it is looked for once more and counted once."""
    sim = simulate()
    spec = sim.clips("one")
    await sim.run(spec, no_wait=True)
    with sim.ledger() as ledger:
        ledger.ended(1, AttemptState.LOST, "no more")

    api.resolve("one", api.Decision.ADOPT, sim.setup, task_id=next(iter(sim.account.tasks)))

    assert (await sim.run(spec)).exit_code == 0
    with sim.ledger() as ledger:
        assert len(ledger.entries()[0].attempts) == 1


async def test_a_task_adopted_a_day_later_is_young(simulate: Simulate, autojump_clock: MockClock) -> None:
    """The service may not know it for a moment, which makes it no loss."""
    sim = simulate()
    spec = sim.clips("one")
    await sim.run(spec, no_wait=True)
    with sim.ledger() as ledger:
        ledger.unsure(1, "no answer", request_id=None)
        ledger.held(1, "two may be its", {"candidates": []})
    await trio.sleep(30 * HOUR)
    task = made_by_hand(sim, "prompt of one")
    api.resolve("one", api.Decision.ADOPT, sim.setup, task_id=task)

    first = await sim.run(spec, transport=forgetful(sim))
    second = await sim.run(spec)

    assert (first.exit_code, states(first)) == (1, {"one": "held"})
    assert (second.exit_code, states(second)) == (0, {"one": "done"})


@pytest.mark.parametrize(("hours", "code"), [(1, 0), (48, 1)])
async def test_a_file_gone_from_the_artifact_store_makes_no_job_lost(
    simulate: Simulate, autojump_clock: MockClock, hours: float, code: int
) -> None:
    """For a day it is fetched anew; after that the new sink has to do without, and the old one has it still."""
    body = (
        "sinks: {{disk: {{folder: {{path: out}}}}, two: {{folder: {{path: out2}}}}}}\n"
        "jobs: [{{id: one, prompt: p, media: [{{video: https://example.com/x.mp4}}], sinks: [{0}]}}]\n"
    )
    sim = simulate()
    await sim.run(sim.spec(body.format("disk")))
    shutil.rmtree(sim.folder / ".wanrun" / "artifacts")
    await trio.sleep(hours * HOUR)

    outcome = await sim.run(sim.spec(body.format("disk, two")))
    before = await sim.run(sim.spec(body.format("disk")))

    assert (outcome.exit_code, states(outcome)) == (code, {"one": "to deliver" if code else "done"})
    assert ("is gone" in outcome.jobs[0].why) is bool(code)
    assert (before.exit_code, states(before), sim.made) == (0, {"one": "done"}, 1)
