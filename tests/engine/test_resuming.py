"""A run may die at any instant; the next one goes on where it stopped, and nothing is paid for twice."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
import trio
from twist import Twist, own_results

from media_files import make_video, png
from simulation import Simulation, states
from wanrun import api
from wanrun.errors import LedgerBusy
from wanrun.ledger import Ledger, LedgerLock
from wanrun.models import ServiceLimits

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock

    from wanrun.events import Event

    Simulate = Callable[..., Simulation]

pytestmark = pytest.mark.slow

JOBS = ("one", "two", "three")


class Death(BaseException):
    """The process ends here; nothing that it would have written afterwards is written."""


def dying_at(number: int) -> Callable[[Event], None]:
    """Return an observer that ends the run at its event of this number."""
    seen: list[Event] = []

    def observe(event: Event) -> None:
        seen.append(event)
        if len(seen) == number:
            raise Death

    return observe


@pytest.mark.parametrize("number", range(1, 19))
async def test_a_run_that_dies_at_an_event_is_completed_by_the_next(
    simulate: Simulate, autojump_clock: MockClock, number: int
) -> None:
    """Whichever event is the last, the next run ends with every job done."""
    sim = simulate()
    spec = sim.clips(*JOBS)
    with pytest.raises((Death, BaseExceptionGroup)):
        await sim.run(spec, observe=dying_at(number))

    outcome = await sim.run(spec)

    assert (outcome.exit_code, set(states(outcome).values())) == (0, {"done"})
    assert all(count == 1 for count in sim.billed().values())
    assert sim.made == len(JOBS)


async def test_a_create_that_was_in_the_air_at_death_is_not_sent_again_at_once(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """The intention is on disk before the POST leaves, so a death in between shows, and the account is asked first."""
    sim = simulate()
    spec = sim.clips("one")
    strike = sim.account.strike

    def die(call: object) -> object:
        effect = strike(call)  # type: ignore[arg-type]
        if "video-synthesis" in call.path:  # type: ignore[attr-defined]
            raise Death
        return effect

    sim.account.strike = die  # type: ignore[method-assign, assignment]
    with pytest.raises((Death, BaseExceptionGroup)):
        await sim.run(spec)
    sim.account.strike = strike  # type: ignore[method-assign]
    planned = api.plan([spec], sim.setup)
    began = trio.current_time()
    outcome = await sim.run(spec)

    assert planned.jobs[0].state == "unsure"
    assert (outcome.exit_code, outcome.submitted, sim.made) == (0, 1, 1)
    (retried,) = sim.named("job_retried")
    assert retried.data["stage"] == "create"
    assert trio.current_time() - began > 90  # the settle time and a second look


async def test_no_create_leaves_before_its_intention_is_on_disk(simulate: Simulate, autojump_clock: MockClock) -> None:
    """Another process sees each of them, though several may have come to disk with one commit."""
    roomy = {"creates_per_second": 1_000.0, "queries_per_second": 1_000.0}
    sim = simulate(limits=ServiceLimits(running_at_once=50, queued=500, **roomy))  # type: ignore[arg-type]
    wanted = {"tasks_in_flight": 50, **roomy}
    sim.settings("[providers.default.limits]\n" + "".join(f"{name} = {value}\n" for name, value in wanted.items()))
    strike, unseen = sim.account.strike, []

    def look(call: object) -> object:
        if "video-synthesis" in call.path:  # type: ignore[attr-defined]
            prompt = json.loads(call.body)["input"]["prompt"]  # type: ignore[attr-defined]
            with closing(sqlite3.connect(sim.folder / ".wanrun/ledger.db")) as file:
                asked = "SELECT json_extract(asked, '$.job.prompt') FROM attempts WHERE state = 'intended'"
                unseen.extend({prompt} - {known for (known,) in file.execute(asked)})
        return strike(call)  # type: ignore[arg-type]

    sim.account.strike = look  # type: ignore[method-assign, assignment]
    outcome = await sim.run(sim.clips(*(f"j{number}" for number in range(20))))

    assert (outcome.submitted, sim.made, unseen) == (20, 20, [])


async def test_a_file_that_many_jobs_use_is_uploaded_once(simulate: Simulate, autojump_clock: MockClock) -> None:
    """One upload serves every job of this run and the next that names the same bytes, whatever the file is called."""
    sim = simulate()
    make_video(sim.folder / "clip.mp4", seconds=2)
    (sim.folder / "coat.png").write_bytes(png())
    (sim.folder / "copy.mp4").write_bytes((sim.folder / "clip.mp4").read_bytes())
    text = "jobs:\n" + "".join(
        f"  - {{id: j{n}, prompt: p{n}, media: [{{video: {name}}}, {{reference_image: coat.png}}]}}\n"
        for n, name in enumerate(["clip.mp4", "clip.mp4", "copy.mp4"])
    )

    first = await sim.run(sim.spec(text))
    second = await sim.run(sim.spec(text + "  - {id: more, prompt: q, media: [{video: clip.mp4}]}\n"))

    calls = sim.account.statement()["calls"]
    assert (first.exit_code, second.exit_code, sim.made) == (0, 0, 4)
    assert (calls["policy"], calls["upload"]) == ({"200": 1}, {"200": 1})
    media = next(iter(sim.account.tasks.values())).media
    assert [item["type"] for item in media] == ["video", "reference_image"]
    assert media[0]["url"].startswith("oss://dashscope-instant/")
    assert media[1]["url"].startswith("data:image/png;base64,")


async def test_a_ledger_in_use_is_refused_at_once(simulate: Simulate, autojump_clock: MockClock) -> None:
    """A second run on one ledger is told who holds it; reading its state meanwhile works."""
    sim = simulate()
    spec = sim.clips("one")

    with LedgerLock(sim.folder / ".wanrun" / "ledger.db"):
        with pytest.raises(LedgerBusy, match=r"in use by another run \(pid \d+, since [\d: -]+\); wait"):
            await sim.run(spec)
        assert api.status(sim.setup) == []

    assert (await sim.run(spec)).exit_code == 0


async def test_a_sink_that_fails_is_served_by_the_next_run(simulate: Simulate, autojump_clock: MockClock) -> None:
    """One sink without a receipt leaves the others alone, and only it is served later, for nothing."""
    sim = simulate()
    spec = sim.spec(
        "sinks: {good: {folder: {path: out}}, bad: {folder: {path: blocked}}}\n"
        "jobs: [{id: one, prompt: p, media: [{video: https://example.com/one.mp4}]}]\n"
    )
    (sim.folder / "blocked").write_text("a file where a folder should be")

    first = await sim.run(spec)
    (sim.folder / "blocked").unlink()
    second = await sim.run(spec, key=None)

    assert (first.exit_code, states(first)) == (3, {"one": "to deliver"})
    assert (sim.folder / "out" / "one.mp4").exists()
    assert (second.exit_code, second.submitted, sim.made) == (0, 0, 1)
    assert [event.data["sink"] for event in sim.named("delivered")] == ["good", "bad"]


async def test_another_file_at_the_place_is_a_conflict_for_a_person(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """Bytes that wanrun did not put there are never overwritten, when they appear while the task runs."""
    sim = simulate()
    (sim.folder / "out").mkdir()

    def put(event: Event) -> None:
        if event.name == "job_submitted":
            (sim.folder / "out" / "one.mp4").write_text("somebody's own file")

    outcome = await sim.run(sim.clips("one"), observe=put)

    assert (outcome.exit_code, states(outcome)) == (1, {"one": "to deliver"})
    assert (sim.folder / "out" / "one.mp4").read_text() == "somebody's own file"


async def test_where_a_result_cannot_go_nothing_is_paid_for_it(simulate: Simulate, autojump_clock: MockClock) -> None:
    """A file that is there before is said before the create; once it is away, the job is tried anew."""
    sim = simulate()
    place = sim.folder / "out" / "one.mp4"
    place.parent.mkdir()
    place.write_text("somebody's own file")

    outcome = await sim.run(sim.clips("one", "two"))
    place.unlink()
    again = await sim.run(sim.clips("one", "two"), retry_failed=True)

    assert (outcome.exit_code, states(outcome)) == (1, {"one": "failed", "two": "done"})
    assert "where there is another file" in outcome.jobs[0].why
    assert (again.exit_code, states(again), sim.made) == (0, {"one": "done", "two": "done"}, 2)


async def test_what_a_lost_ledger_has_delivered_is_not_paid_again(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """The files are there, their sidecars name the tasks, and only the ledger is not: that is said, not paid."""
    sim = simulate()
    spec = sim.clips("one", "two")
    await sim.run(spec)
    (sim.folder / ".wanrun" / "ledger.db").unlink()

    outcome = await sim.run(spec)

    assert (outcome.exit_code, outcome.submitted, sim.made) == (1, 0, 2)
    assert all("wanrun ledger rebuild" in job.why for job in outcome.jobs)


async def test_an_artifact_that_is_gone_is_fetched_again_while_it_can_be(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """Somebody tidied the artifact store; a sink that is added within the day is served all the same."""
    sim = simulate()
    job = "jobs: [{id: one, prompt: p, media: [{video: https://example.com/one.mp4}]}]\n"
    await sim.run(sim.spec(job))
    for path in (sim.folder / ".wanrun" / "artifacts").iterdir():
        path.unlink()

    outcome = await sim.run(sim.spec("sinks: {first: {folder: out}, second: {folder: copies}}\n" + job))

    assert (outcome.exit_code, outcome.submitted, sim.made) == (0, 0, 1)
    assert (sim.folder / "copies" / "one.mp4").exists()


async def test_an_artifact_that_nobody_has_any_more_is_for_a_person(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """A job was renamed on a machine without it: running again moves nothing, nor does the exit code say so."""
    sim = simulate()
    await sim.run(sim.clips("one", prompt="p"))
    for path in (sim.folder / ".wanrun" / "artifacts").iterdir():
        path.rename(sim.folder / path.name)
    await trio.sleep(25 * 3600)
    renamed = sim.spec("jobs: [{id: other, prompt: p, media: [{video: https://example.com/one.mp4}]}]\n")

    outcomes = [await sim.run(renamed), await sim.run(renamed)]
    for path in sim.folder.glob("*.mp4"):
        path.rename(sim.folder / ".wanrun" / "artifacts" / path.name)
    mended = await sim.run(renamed)

    for outcome in outcomes:
        assert (states(outcome), outcome.exit_code) == ({"other": "to deliver"}, 1)
        assert "put the file back" in outcome.jobs[0].why
    assert {event.data["conflict"] for event in sim.named("delivery_failed")} == {False}
    assert (states(mended), mended.exit_code, sim.made) == ({"other": "done"}, 0, 1)


async def test_a_death_before_the_receipt_leaves_no_job_done_with_another_ones_video(
    simulate: Simulate, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The video in a job's place was replaced, the run died, and the job asks for the first one again: it gets it."""
    sim = simulate()
    twist = Twist(sim.account, instead=own_results)
    first = sim.clips("one")
    text = first.read_text()
    await sim.run(first, transport=twist)
    place = sim.folder / "out" / "one.mp4"
    wanted = place.read_bytes()
    with monkeypatch.context() as dying:
        dying.setattr(Ledger, "delivered", _die)
        with pytest.RaisesGroup(Death, flatten_subgroups=True):
            await sim.run(sim.clips("one", prompt="another"), transport=twist)
    assert place.read_bytes() != wanted

    first.write_text(text)
    outcome = await sim.run(first, transport=twist)

    assert (outcome.exit_code, sim.made) == (0, 2)
    assert place.read_bytes() == wanted


async def test_what_a_dead_run_left_in_a_place_without_a_receipt_is_no_conflict(
    simulate: Simulate, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is this job's own video, of a version that nobody asks for any more."""
    sim = simulate()
    twist = Twist(sim.account, instead=own_results)
    with monkeypatch.context() as dying:
        dying.setattr(Ledger, "delivered", _die)
        with pytest.RaisesGroup(Death, flatten_subgroups=True):
            await sim.run(sim.clips("one"), transport=twist)
    left = (sim.folder / "out" / "one.mp4").read_bytes()

    outcome = await sim.run(sim.clips("one", prompt="another"), transport=twist)

    assert (outcome.exit_code, sim.made) == (0, 2)
    assert (sim.folder / "out" / "one.mp4").read_bytes() != left


async def test_what_a_dead_run_left_for_a_job_that_moved_on_is_told_by_its_name(
    simulate: Simulate, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The place is another job's now, so a person decides; and nothing is paid before."""
    sim = simulate()
    with monkeypatch.context() as dying:
        dying.setattr(Ledger, "delivered", _die)
        with pytest.RaisesGroup(Death, flatten_subgroups=True):
            await sim.run(sim.clips("one", prompt="words"))
    job = "{{id: {0}, prompt: {1}, media: [{{video: https://example.com/one.mp4}}]}}"
    for name in ("two", "three"):
        await sim.run(sim.spec(f"jobs: [{job.format(name, 'words')}]"))

    outcome = await sim.run(sim.spec(f"jobs: [{job.format('three', 'words')}, {job.format('one', 'others')}]"))

    (one,) = [each for each in outcome.jobs if each.address == "batch/one"]
    assert (one.state, sim.made) == ("failed", 1)
    assert "made for batch/three; move it away" in one.why


def _die(*_args: object) -> None:
    raise Death
