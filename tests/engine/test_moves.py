"""Renaming pays and sends nothing; what decides a result is a change, and pays once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from twist import Twist, own_results

from media_files import make_video
from simulation import Simulation, states
from wanrun import api
from wanrun.events import EventName
from wanrun.types import Action, State

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trio.testing import MockClock

    Simulate = Callable[..., Simulation]

#: Places that no name of a job or a spec is part of.
TEXT = """\
name: {spec}
sinks: {{{sink}: {{folder: {{path: out, name: fixed.mp4}}}}}}
jobs:
  - {{id: {id}, prompt: {prompt}, media: [{{video: {video}}}], sinks: [{sink}]}}
"""


def spec_of(
    sim: Simulation,
    file: str = "batch.yaml",
    *,
    spec: str = "spring",
    sink: str = "disk",
    id: str = "one",  # as a spec calls it
    prompt: str = "words",
    video: str = "https://example.com/a.mp4",
) -> Path:
    return sim.spec(TEXT.format(spec=spec, sink=sink, id=id, prompt=prompt, video=video), name=file)


@pytest.mark.parametrize(
    ("renamed", "state"),
    [
        pytest.param({"spec": "summer"}, "moved", id="the spec"),
        pytest.param({"id": "uno"}, "moved", id="the id"),
        pytest.param({"spec": "summer", "id": "uno"}, "moved", id="spec and id"),
        pytest.param({"sink": "shelf"}, "done", id="the sink"),
        pytest.param({"spec": "summer", "id": "uno", "sink": "shelf"}, "moved", id="all of them"),
    ],
)
async def test_renaming_pays_and_sends_nothing(
    simulate: Simulate, autojump_clock: MockClock, renamed: dict[str, str], state: str
) -> None:
    """The plan says that there is nothing to do, and a run does nothing: no task, no upload, no delivery."""
    sim = simulate()
    await sim.run(spec_of(sim))
    spec, before = spec_of(sim, **renamed), (sim.folder / "out" / "fixed.mp4").stat()
    sim.events.clear()

    (planned,) = api.plan([spec], sim.setup).jobs
    outcome = await sim.run(spec)

    assert (planned.state, planned.action) == (state, Action.NOTHING)
    assert (outcome.exit_code, outcome.submitted, sim.made) == (0, 0, 1)
    assert sim.named(EventName.DELIVERED) == []
    assert (sim.folder / "out" / "fixed.mp4").stat().st_mtime_ns == before.st_mtime_ns


async def test_a_spec_file_that_is_renamed_pays_and_sends_nothing(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """Where the spec has a name of its own the address stays; where it has none, the job moves."""
    sim = simulate()
    await sim.run(spec_of(sim))
    named = spec_of(sim).rename(sim.folder / "other.yaml")
    sim.events.clear()

    outcome = await sim.run(named)

    assert (outcome.exit_code, outcome.submitted, sim.made) == (0, 0, 1)
    assert sim.named(EventName.DELIVERED) == []


async def test_a_new_id_in_a_place_s_name_sends_from_the_store(simulate: Simulate, autojump_clock: MockClock) -> None:
    """A place that is made of the id is another place: the result goes there, and nothing is paid."""
    sim = simulate()
    await sim.run(sim.clips("one", prompt="words"))
    text = (sim.folder / "batch.yaml").read_text().replace("id: one", "id: uno")
    (sim.folder / "batch.yaml").write_text(text)

    outcome = await sim.run(sim.folder / "batch.yaml")

    assert (outcome.exit_code, outcome.submitted, sim.made) == (0, 0, 1)
    assert (sim.folder / "out" / "uno.mp4").read_bytes() == (sim.folder / "out" / "one.mp4").read_bytes()


async def test_a_changed_job_that_gets_a_new_name_on_its_way_takes_its_own_place(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """The result of its first version is there under the old name of the spec; the second one was in flight."""
    sim = simulate()
    twist = Twist(sim.account, instead=own_results)
    await sim.run(sim.clips("one", prompt="first"), transport=twist)
    place = sim.folder / "out" / "one.mp4"
    before = place.read_bytes()
    spec = sim.clips("one", prompt="second")
    await sim.run(spec, transport=twist, no_wait=True)
    spec.write_text(f"name: renamed\n{spec.read_text()}")

    moved = await sim.run(spec, transport=twist)
    changed = sim.clips("one", prompt="third")
    changed.write_text(f"name: renamed\n{changed.read_text()}")
    third = await sim.run(changed, transport=twist)

    assert (states(moved), moved.exit_code, moved.submitted) == ({"one": "done"}, 0, 0)
    assert (states(third), third.exit_code, sim.made) == ({"one": "done"}, 0, 3)
    assert place.read_bytes() != before


async def test_a_spec_of_the_same_name_elsewhere_keeps_what_was_made_for_it(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """Two files have specs of one name and are run apart: a job renamed in one takes nothing from the other."""
    sim = simulate()
    for folder in ("spring", "autumn"):
        (sim.folder / folder).mkdir()
    await sim.run(spec_of(sim, "spring/batch.yaml", prompt="blossom"))
    await sim.run(spec_of(sim, "autumn/batch.yaml", prompt="leaves"))

    renamed = await sim.run(spec_of(sim, "spring/batch.yaml", prompt="blossom", id="uno"))
    other = await sim.run(spec_of(sim, "autumn/batch.yaml", prompt="leaves"))

    assert (states(renamed), states(other)) == ({"uno": "done"}, {"one": "done"})
    assert (renamed.submitted, other.submitted, sim.made) == (0, 0, 2)


@pytest.mark.parametrize("named", [False, True])
async def test_jobs_that_leave_a_spec_to_which_the_rest_becomes_a_base_move(
    simulate: Simulate, autojump_clock: MockClock, named: bool
) -> None:
    """A file without jobs asks for nothing any more, whether it is named or only extended."""
    sim = simulate()
    jobs = "jobs:\n  - {id: one, prompt: words, media: [{video: 'https://example.com/a.mp4'}]}\n"
    shared = "sinks: {disk: {folder: {path: out, name: fixed.mp4}}}\n"
    base = sim.spec(shared + jobs, name="shots.yaml")
    await sim.run(base)
    base = sim.spec(shared, name="shots.yaml")
    spec = sim.folder / "batch.yaml"
    spec.write_text(f"version: 1\nextends: shots.yaml\n{jobs}")

    outcome = await sim.run(*([base, spec] if named else [spec]))

    assert (states(outcome), outcome.exit_code) == ({"one": "done"}, 0)
    assert (outcome.submitted, sim.made) == (0, 1)


async def test_what_is_in_flight_comes_home_though_its_spec_has_no_jobs_any_more(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """Beside other specs such a file is checked as a base, and its tasks are paid for all the same."""
    sim = simulate()
    await sim.leave_in_flight(sim.clips("one"))
    emptied = sim.spec("sinks: {disk: {folder: out}}\n", name="batch.yaml")

    await sim.run(emptied, sim.clips("two", name="other.yaml"))

    with sim.ledger() as ledger:
        assert {entry.address: str(entry.attempt and entry.attempt.state) for entry in ledger.entries()} == {
            "batch/one": "fetched",
            "other/two": "fetched",
        }


async def test_a_name_that_another_job_has_by_now_keeps_what_was_made_for_it(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """Two jobs change names: each takes what it asked for, and nothing that was made for the other one."""
    sim = simulate()
    line = "  - {{id: {0}, prompt: {1}, media: [{{video: https://example.com/{1}.mp4}}]}}\n"
    named, renamed = (
        "jobs:\n" + line.format(first, "one") + line.format(second, "two")
        for first, second in (("one", "two"), ("two", "one"))
    )
    await sim.run(sim.spec(named))

    swapped = await sim.run(sim.spec(renamed))
    back = await sim.run(sim.spec(named))

    assert (swapped.submitted, back.submitted, sim.made) == (0, 0, 2)


async def test_changed_bytes_of_an_input_are_a_changed_job(simulate: Simulate, autojump_clock: MockClock) -> None:
    """The name is the same and the job is not: it is paid for once more, and the plan says why."""
    sim = simulate()
    make_video(sim.folder / "clip.mp4", seconds=2)
    spec = spec_of(sim, video="clip.mp4")
    await sim.run(spec)
    make_video(sim.folder / "clip.mp4", seconds=3)

    (found,) = api.forecast([spec], sim.setup).jobs
    outcome = await sim.run(spec)

    assert (found.planned.state, found.planned.action) == (State.CHANGED, Action.SUBMIT)
    assert [str(each) for each in found.changes or ()] == ["video: clip.mp4 has other bytes"]
    assert (states(outcome), outcome.submitted, sim.made) == ({"one": "done"}, 1, 2)


async def test_a_file_that_is_moved_is_the_same_input(simulate: Simulate, autojump_clock: MockClock) -> None:
    """Bytes decide, not where they are."""
    sim = simulate()
    make_video(sim.folder / "clip.mp4", seconds=2)
    await sim.run(spec_of(sim, video="clip.mp4"))
    (sim.folder / "clip.mp4").rename(sim.folder / "clip-renamed.mp4")

    outcome = await sim.run(spec_of(sim, video="clip-renamed.mp4"))

    assert (outcome.exit_code, outcome.submitted, sim.made) == (0, 0, 1)


async def test_a_job_that_changes_back_is_done(simulate: Simulate, autojump_clock: MockClock) -> None:
    """What was paid for once is known for good."""
    sim = simulate()
    for prompt in ("words", "other words", "words"):
        outcome = await sim.run(spec_of(sim, prompt=prompt))

    assert (outcome.exit_code, outcome.submitted, sim.made) == (0, 0, 2)


async def test_only_what_has_changed_leaves_what_is_in_flight_alone(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """`--only-changed` submits the new one; the other is brought home by the next run."""
    sim = simulate()
    await sim.leave_in_flight(sim.clips("one"))
    spec = sim.clips("one", "two")

    first = await sim.run(spec, selection=api.Selection(only_changed=True))
    second = await sim.run(spec)

    assert states(first) == {"two": "done"}
    assert (states(second), second.submitted, sim.made) == ({"one": "done", "two": "done"}, 0, 2)


UNFIT = {"on": "create", "nth": 1, "do": {"fail": {"code": "DataInspectionFailed", "message": "no"}}}


async def test_a_job_that_gets_back_the_name_it_had_failed_under_keeps_what_was_paid(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """The result that is there is the better answer, also where what has failed is to be submitted once more."""
    sim = simulate(faults=[UNFIT])
    await sim.run(spec_of(sim, id="one"))
    await sim.run(spec_of(sim, id="uno"))

    (planned,) = api.plan([spec_of(sim, id="one")], sim.setup).jobs
    outcome = await sim.run(spec_of(sim, id="one"), retry_failed=True)

    assert (planned.state, planned.action, planned.why) == (State.MOVED, Action.NOTHING, "from spring/uno")
    assert states(outcome) == {"one": "done"}
    assert (outcome.submitted, sim.made) == (0, 2)


async def test_what_failed_under_a_name_that_another_job_takes_over_is_kept(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """It has the name that the other one had, and has failed when somebody asks for both."""
    sim = simulate(faults=[UNFIT])
    jobs = {
        id: f"{{id: {id}, prompt: words, media: [{{video: 'https://example.com/a.mp4'}}]}}" for id in ("one", "uno")
    }
    for names in (["one"], ["uno"], ["one"]):
        await sim.run(sim.spec("name: spring\njobs: [" + ", ".join(jobs[name] for name in names) + "]"))

    outcome = await sim.run(sim.spec(f"name: spring\njobs: [{jobs['one']}, {jobs['uno']}]"))

    assert states(outcome) == {"one": "done", "uno": "failed"}
    assert sim.made == 2
