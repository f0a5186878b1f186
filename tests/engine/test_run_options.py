"""What `wanrun run` is told to leave, to wait for and to pay for once more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
from twist import Twist, own_results, task_of

from simulation import Simulation, states
from wanrun import api
from wanrun.errors import SettingsError
from wanrun.ledger import AttemptState

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock

    from wanrun.events import Event

    Simulate = Callable[..., Simulation]

pytestmark = pytest.mark.slow

ALL = tuple(f"j{number:02}" for number in range(12))


def choose(**options: Any) -> api.Selection:
    """Return a selection."""
    return api.Selection(**options)


class Death(BaseException):
    """The process ends here."""


def dying_at(name: str) -> Callable[[Event], None]:
    """Return an observer that ends the run at its first event of a name."""

    def observe(event: Event) -> None:
        if event.name == name:
            raise Death

    return observe


# --max-wait


async def test_the_time_to_wait_ends_the_run_and_cancels_nothing(simulate: Simulate, autojump_clock: MockClock) -> None:
    """Two minutes from the start: what is done is done, the rest goes on at the service, and the next run collects."""
    sim = simulate()
    spec = sim.clips(*ALL)

    first = await sim.run(spec, max_wait_seconds=120)
    ended_at = trio.current_time()
    second = await sim.run(spec)

    assert first.exit_code == 3
    assert set(states(first).values()) == {"done", "in flight"}
    assert "the time of --max-wait is over" in first.reasons[0]
    assert 120 <= ended_at <= 181
    assert (second.exit_code, sim.made) == (0, len(ALL))


async def test_the_time_to_wait_is_no_matter_when_all_is_done_before(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """A run that ends in time says nothing of it."""
    sim = simulate()

    outcome = await sim.run(sim.clips("one", "two"), max_wait_seconds=7200)

    assert (outcome.exit_code, outcome.reasons) == (0, ())
    assert trio.current_time() < 600


async def test_a_download_that_is_under_way_gets_a_minute_and_no_more(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """A slow download is cut off 60 s after the time is over; the next run makes it good."""
    sim = simulate(faults=[{"on": "download", "do": {"bytes_per_second": 400}}], seconds=10.0)
    spec = sim.clips("one")

    first = await sim.run(spec, max_wait_seconds=15)
    ended_at = trio.current_time()
    sim.faults()
    second = await sim.run(spec)

    assert (first.exit_code, states(first)) == (3, {"one": "in flight"})
    assert 74 <= ended_at <= 76
    assert (second.exit_code, sim.made) == (0, 1)


async def test_a_short_download_that_is_under_way_is_waited_for(simulate: Simulate, autojump_clock: MockClock) -> None:
    """The result is brought home and delivered though the time is over, and the run ends there."""
    sim = simulate(faults=[{"on": "download", "do": {"latency_seconds": 20}}], seconds=10.0)
    spec = sim.clips("one")

    outcome = await sim.run(spec, max_wait_seconds=20)

    assert (outcome.exit_code, states(outcome)) == (0, {"one": "done"})


async def test_a_create_in_the_air_is_waited_for(simulate: Simulate, autojump_clock: MockClock) -> None:
    """The time is over while a create awaits its reply: its task is recorded, and nothing becomes unsure."""
    sim = simulate(faults=[{"on": "create", "do": {"latency_seconds": 30}}])
    spec = sim.clips("one", prompt="same")

    first = await sim.run(spec, max_wait_seconds=10)
    sim.faults()
    second = await sim.run(spec)

    assert (first.exit_code, states(first)) == (3, {"one": "in flight"})
    assert (second.exit_code, sim.made) == (0, 1)


async def test_a_service_that_cannot_be_reached_does_not_outlast_the_time(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """The first call is not made again for ever: the run leaves with what it has."""
    sim = simulate(faults=[{"on": "any", "do": {"reset": "connect"}}])
    sim.settings("[providers.default]\npatience_seconds = 3600\n")

    outcome = await sim.run(sim.clips("one"), max_wait_seconds=30)

    assert (outcome.exit_code, states(outcome)) == (3, {"one": "new"})
    assert trio.current_time() <= 91


# --no-wait


async def test_without_waiting_the_places_in_flight_are_filled(simulate: Simulate, autojump_clock: MockClock) -> None:
    """As many tasks are made as may be in flight; then the run leaves at once, and says what it has left."""
    sim = simulate()

    outcome = await sim.run(sim.clips(*ALL), no_wait=True)

    assert (outcome.exit_code, sim.made) == (3, 10)
    assert list(states(outcome).values()) == ["in flight"] * 10 + ["new"] * 2
    assert "10 in flight, 2 not submitted" in outcome.reasons[0]
    assert trio.current_time() < 10


async def test_without_waiting_what_has_ended_is_brought_home_first(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """Again and again `--no-wait`, as a timer would: each run collects, and fills the places that have become free."""
    sim = simulate()
    spec = sim.clips(*ALL)
    counts = []

    for _ in range(3):
        outcome = await sim.run(spec, no_wait=True)
        counts.append((int(outcome.exit_code), outcome.submitted, list(states(outcome).values()).count("done")))
        await trio.sleep(90)

    assert counts == [(3, 10, 0), (3, 2, 5), (0, 0, 12)]
    assert sim.made == len(ALL)


async def test_without_waiting_a_fault_of_the_service_is_made_good(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """A task that has failed in passing gets another one in the run that sees it, which leaves that one in flight."""
    fault = {"fail": {"code": "InternalError", "message": "again"}}
    sim = simulate(faults=[{"on": "create", "nth": 1, "do": fault}])
    spec = sim.clips("one")

    first = await sim.run(spec, no_wait=True)
    await trio.sleep(120)
    second = await sim.run(spec, no_wait=True)
    await trio.sleep(120)
    third = await sim.run(spec, no_wait=True)

    assert [int(each.exit_code) for each in (first, second, third)] == [3, 3, 0]
    assert (sim.made, states(third)) == (2, {"one": "done"})


async def test_without_waiting_a_lost_reply_is_found_by_the_next_run(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """The run in which a reply is lost leaves; the next one finds the task before it goes on, and pays for nothing."""
    sim = simulate(faults=[{"on": "create", "nth": 1, "do": {"reset": "after"}}])
    spec = sim.clips("one", "two", prompt="same")
    outcomes = []

    for _ in range(3):
        outcomes.append(await sim.run(spec, no_wait=True))
        await trio.sleep(300)

    assert states(outcomes[0]) == {"one": "unsure", "two": "new"}
    assert outcomes[0].reasons == ("not waiting (--no-wait): 0 in flight, 1 unsure, 1 not submitted",)
    assert [(outcome.submitted, outcome.unsure) for outcome in outcomes] == [(0, 1), (1, 0), (0, 0)]
    assert [int(outcome.exit_code) for outcome in outcomes] == [3, 3, 0]
    assert sim.made == 2


async def test_nothing_in_flight_and_nothing_to_submit_is_all_done(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """`--no-wait` on a batch that is done says so."""
    sim = simulate()
    spec = sim.clips("one")
    await sim.run(spec)

    outcome = await sim.run(spec, no_wait=True)

    assert (outcome.exit_code, outcome.reasons) == (0, ())


# --limit, --only, --exclude


async def test_two_first(simulate: Simulate, autojump_clock: MockClock) -> None:
    """`--limit 2` submits the first two; the others stay new, and the exit code and a sentence say so."""
    sim = simulate()
    spec = sim.clips("one", "two", "three", "four")

    first = await sim.run(spec, selection=choose(limit=2))
    second = await sim.run(spec, selection=choose(limit=2))

    assert (first.exit_code, states(first)) == (3, {"one": "done", "two": "done", "three": "new", "four": "new"})
    assert first.reasons == ("2 more to submit, left to another run by --limit 2",)
    assert (second.exit_code, set(states(second).values()), sim.made) == (0, {"done"}, 4)


async def test_a_limit_does_not_keep_what_is_in_flight_from_coming_home(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """What was submitted before is resumed, however many there are."""
    sim = simulate()
    spec = sim.clips("one", "two", "three", "four")
    await sim.run(spec, selection=choose(limit=3), no_wait=True)

    outcome = await sim.run(spec, selection=choose(limit=1))

    assert (outcome.exit_code, set(states(outcome).values()), sim.made) == (0, {"done"}, 4)


async def test_a_run_may_be_about_some_jobs_only(simulate: Simulate, autojump_clock: MockClock) -> None:
    """`--only` and `--exclude` choose; the exit code is about what was chosen, and the rest is left as it is."""
    sim = simulate()
    spec = sim.clips("shot-1", "shot-2", "test-1")

    outcome = await sim.run(spec, selection=choose(only=("shot-*",), exclude=("batch/*-2",)))

    assert (outcome.exit_code, states(outcome), sim.made) == (0, {"shot-1": "done"}, 1)
    assert [planned.state for planned in api.plan([spec], sim.setup).jobs] == ["done", "new", "new"]


async def test_what_is_left_out_stays_in_flight_and_is_mentioned(simulate: Simulate, autojump_clock: MockClock) -> None:
    """A job that is not chosen is neither fetched nor taken for one that no spec asks for any more."""
    sim = simulate()
    spec = sim.clips("one", "two")
    await sim.leave_in_flight(spec)

    outcome = await sim.run(spec, selection=choose(only=("one",)))

    assert (outcome.exit_code, states(outcome)) == (0, {"one": "done"})
    assert "1 of batch.yaml in flight, not part of this run" in outcome.run_notes[0]
    assert (await sim.run(spec)).exit_code == 0
    assert sim.made == 2


@pytest.mark.parametrize("option", ["only", "again"])
async def test_a_pattern_that_is_no_jobs_is_refused(simulate: Simulate, autojump_clock: MockClock, option: str) -> None:
    """It must be misspelt, and nothing is submitted."""
    sim = simulate()

    with pytest.raises(SettingsError, match=f'no job of these specs matches --{option} "onne"'):
        await sim.run(sim.clips("one"), selection=choose(**{option: ("onne",)}))

    assert sim.made == 0


# --again


async def test_one_more_take_replaces_the_one_before(simulate: Simulate, autojump_clock: MockClock) -> None:
    """`--again` pays for the named job once more and for no other; the new result takes the old one's place."""
    sim = simulate()
    spec = sim.clips("one", "two")
    transport = Twist(sim.account, instead=own_results)
    await sim.run(spec, transport=transport)
    before = task_of((sim.folder / "out" / "one.mp4").read_bytes())

    outcome = await sim.run(spec, transport=transport, selection=choose(again=("one",)))
    after = task_of((sim.folder / "out" / "one.mp4").read_bytes())

    assert (outcome.exit_code, outcome.submitted, sim.made) == (0, 1, 3)
    assert before != after
    assert sim.billed() == {"prompt of one": 2, "prompt of two": 1}
    assert (await sim.run(spec, transport=transport)).submitted == 0


async def test_each_time_it_is_asked_for_again_there_is_one_more_take(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """The same command makes another take each time: that is what it says."""
    sim = simulate()
    spec = sim.clips("one")
    await sim.run(spec)

    for _ in range(3):
        outcome = await sim.run(spec, selection=choose(again=("*",)))
        assert outcome.exit_code == 0

    assert sim.made == 4


@pytest.mark.parametrize("name", ["run_started", "job_prepared", "job_submitted", "job_running", "job_fetched"])
async def test_a_death_makes_no_more_takes_than_asked_for(
    simulate: Simulate, autojump_clock: MockClock, name: str
) -> None:
    """Once intended, the take is an ordinary attempt; before, the first take simply stays."""
    sim = simulate()
    spec = sim.clips("one")
    await sim.run(spec)
    with pytest.raises((Death, BaseExceptionGroup)):
        await sim.run(spec, selection=choose(again=("one",)), observe=dying_at(name))

    outcome = await sim.run(spec)

    assert (outcome.exit_code, states(outcome)) == (0, {"one": "done"})
    assert sim.made == (1 if name == "run_started" else 2)  # that it is prepared is told once it is intended


async def test_a_take_that_was_turned_away_is_not_made_by_a_plain_run(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """Nothing was made, so the result that is there stands, and only another `--again` pays."""
    arrears = {"status": 400, "code": "Arrearage", "message": "Access denied, please pay."}
    sim = simulate()
    spec = sim.clips("one", "two", prompt="same")
    await sim.run(spec)
    sim.faults({"on": "create", "do": arrears})

    stopped = await sim.run(spec, selection=choose(again=("*",)))
    sim.faults()
    plain = await sim.run(spec)

    assert (stopped.exit_code, states(stopped)) == (4, {"one": "done", "two": "done"})
    assert (plain.exit_code, plain.submitted, sim.made) == (0, 0, 2)


async def test_what_is_held_or_lost_is_not_paid_for_again_by_a_pattern(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """That takes `wanrun resolve JOB --resubmit`, job by job."""
    sim = simulate()
    spec = sim.clips("held", "lost")
    await sim.run(spec)
    with sim.ledger() as ledger:
        for entry in ledger.entries():
            state = AttemptState.LOST if entry.address.endswith("lost") else AttemptState.HELD
            assert entry.attempt is not None
            ledger.ended(entry.attempt.id, state, "no more")

    outcome = await sim.run(spec, selection=choose(again=("*",)))

    assert (outcome.exit_code, states(outcome), sim.made) == (1, {"held": "held", "lost": "lost"}, 2)


async def test_a_failed_job_may_be_asked_for_again_by_name(simulate: Simulate, autojump_clock: MockClock) -> None:
    """Where `--retry-failed` takes every failed job, `--again` takes those that match."""
    no = {"fail": {"code": "DataInspectionFailed", "message": "no"}}
    sim = simulate(faults=[{"on": "create", "nth": [1, 2], "do": no}])
    spec = sim.clips("one", "two")
    await sim.run(spec)

    outcome = await sim.run(spec, selection=choose(again=("two",)))

    assert (outcome.exit_code, states(outcome), sim.made) == (1, {"one": "failed", "two": "done"}, 3)


async def test_a_job_that_has_moved_may_be_asked_for_again(simulate: Simulate, autojump_clock: MockClock) -> None:
    """The old entry is taken over, with its place at the sinks, and gets the new take."""
    sim = simulate()
    text = (
        "sinks: {{disk: {{folder: {{path: out, name: clip.mp4}}}}}}\n"
        "jobs: [{{id: {}, prompt: same, media: [{{video: https://example.com/clip.mp4}}]}}]\n"
    )
    await sim.run(sim.spec(text.format("old")))

    outcome = await sim.run(sim.spec(text.format("new")), selection=choose(again=("new",)))

    assert (outcome.exit_code, states(outcome), sim.made) == (0, {"new": "done"}, 2)
    with sim.ledger() as ledger:
        assert len(ledger.entries()) == 1


async def test_no_wait_does_not_wait_for_a_strangers_queue(simulate: Simulate, autojump_clock: MockClock) -> None:
    """What is unsure because its task has not ended yet stays so; the run leaves once no more can be found out."""
    sim = simulate(faults=[{"on": "create", "nth": 1, "do": {"reset": "after"}}], seconds=18_000.0)
    spec = sim.clips("one", "two")
    await sim.run(spec, no_wait=True)
    sim.faults()

    began = trio.current_time()
    outcome = await sim.run(spec, no_wait=True)

    assert trio.current_time() - began < 300
    assert (outcome.exit_code, states(outcome)["one"], sim.made) == (3, "unsure", 2)


async def test_not_waiting_ends_in_time_also_where_nobody_answers(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """With both, the time of --max-wait and its grace bound the first look too."""
    sim = simulate()
    spec = sim.clips("one", "two")
    await sim.run(spec, no_wait=True)
    lost = {"do": {"lose_reply": True}}
    sim.faults({"on": "query", **lost}, {"on": "list", "between": [trio.current_time() + 0.5, 10**9], **lost})

    began = trio.current_time()
    outcome = await sim.run(spec, no_wait=True, max_wait_seconds=5)

    assert outcome.exit_code == 3
    assert trio.current_time() - began < 10
