"""A rescue in virtual time: what expires first comes first, a few at once, and what cannot be done is said."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio
from twist import Asked, Twist, mute

from disks import small_files
from simulation import Simulation, run_inline
from wanrun import api
from wanrun.api.calling import Caller
from wanrun.api.rescue_finds import Fate
from wanrun.api.rescue_work import AT_ONCE, Rescuing
from wanrun.api.rescued import RescueFolder
from wanrun.client import Client, endpoint_for
from wanrun.emulator import account_transport
from wanrun.engine.work import Lane
from wanrun.engine.world import World
from wanrun.ledger import Ledger, LedgerLock
from wanrun.project import open_project
from wanrun.types import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import httpx
    from trio.testing import MockClock

    from wanrun.api.rescue_finds import RescueReport

    Simulate = Callable[..., Simulation]

HOUR = 3600.0
MEDIA = [{"type": "video", "url": "https://example.com/a.mp4"}]


async def make(sim: Simulation, *prompts: str, every_seconds: float = 0) -> list[str]:
    """Make tasks as another program would, and let them all end."""
    ids = []
    for prompt in prompts:
        body = {"model": "wan2.7-videoedit", "input": {"prompt": prompt, "media": MEDIA}}
        ids.append(sim.account.create(body, request_id=prompt).id)
        await trio.sleep(every_seconds or 1)
    await trio.sleep(HOUR)
    sim.account.advance()
    return ids


@contextmanager
def held(sim: Simulation) -> Iterator[Ledger | None]:
    """Hold the ledger, if there is one."""
    path = sim.folder / ".wanrun/ledger.db"
    if not path.exists():
        yield None
        return
    with LedgerLock(path), sim.ledger() as ledger:
        yield ledger


async def rescue(
    sim: Simulation, wire: httpx.AsyncBaseTransport | None = None, *, everything: bool = False
) -> RescueReport:
    """Rescue as the command does, on the simulation's clock."""
    project = open_project(sim.setup)
    world = World(now=sim.clock, to_thread=run_inline)
    provider = project.settings.providers["default"]
    client = Client(
        endpoint_for(region="singapore"),
        Secret("sk-test"),
        transport=wire or account_transport(sim.account),
        now=sim.clock,
    )
    folder = RescueFolder(sim.folder / ".wanrun/rescued", private=True)
    async with client:
        callers = {"default": Caller(Lane(provider, client), lambda _: None, world)}
        with held(sim) as ledger, folder:
            return await Rescuing(project, callers, ledger, folder).carry_out()


def fates(report: RescueReport) -> dict[str, Fate]:
    return {task.task: task.fate for task in report.tasks}


async def test_what_expires_first_is_fetched_first(simulate: Simulate, autojump_clock: MockClock) -> None:
    """By when each task was made, since a day later nobody can ask for its link."""
    sim = simulate()
    tasks = await make(sim, *map(str, range(12)), every_seconds=600)
    sim.faults({"on": "download", "do": {"latency_seconds": 5}})

    report = await rescue(sim)

    assert report.exit_code == 0
    order = [task.task for task in report.tasks]
    assert [set(order[at : at + AT_ONCE]) for at in (0, 4, 8)] == [set(tasks[at : at + AT_ONCE]) for at in (0, 4, 8)]


async def test_only_a_few_come_at_once(simulate: Simulate, autojump_clock: MockClock) -> None:
    """Ten downloads of 100 s take three rounds of four."""
    sim = simulate()
    await make(sim, *map(str, range(10)))
    sim.faults({"on": "download", "do": {"latency_seconds": 20}})
    began = trio.current_time()

    report = await rescue(sim)

    assert report.exit_code == 0
    assert 60 <= trio.current_time() - began < 80


async def test_results_of_other_models_are_rescued_too(simulate: Simulate, autojump_clock: MockClock) -> None:
    """Whatever has a video; what has none is said, and is no failure."""
    sim = simulate()
    one, two = await make(sim, "one", "two")
    sim.account.tasks[one].model = "wan9-any"

    def without_video(asked: Asked, body: dict[str, Any]) -> None:
        if asked.task is not None and asked.task.id == two:
            body["output"].pop("video_url", None)

    report = await rescue(sim, Twist(sim.account, rewrite=without_video))

    assert fates(report) == {one: Fate.RESCUED, two: Fate.NO_VIDEO}
    assert report.exit_code == 0
    assert json.loads((report.folder / f"{one}.mp4.json").read_text())["model"] == "wan9-any"


@pytest.mark.parametrize("effect", [{"cut_after_bytes": 9000}, {"corrupt": True}, {"reset": "before"}], ids=str)
async def test_a_bad_download_is_made_good(
    simulate: Simulate, autojump_clock: MockClock, effect: dict[str, Any]
) -> None:
    """What comes out is whole."""
    sim = simulate()
    (task,) = await make(sim, "one")
    sim.faults({"on": "download", "nth": [1, 2], "do": effect})

    report = await rescue(sim)

    assert fates(report) == {task: Fate.RESCUED}
    assert {path.name for path in report.folder.iterdir()} == {f"{task}.mp4", f"{task}.mp4.json"}


async def test_a_full_disk_stops_it_and_loses_nothing(simulate: Simulate, autojump_clock: MockClock) -> None:
    """Exit code 3 says why; with space it goes on."""
    sim = simulate()
    tasks = await make(sim, *map(str, range(6)))

    with small_files():
        full = await rescue(sim)
    left = {path.name for path in full.folder.iterdir()}
    well = await rescue(sim)

    assert (full.exit_code, set(fates(full).values())) == (3, {Fate.LATER})
    assert "mend that, then run again" in full.troubles[0].words
    assert left == set()
    assert fates(well) == dict.fromkeys(tasks, Fate.RESCUED)


async def test_a_run_and_a_rescue_share_partial_downloads(simulate: Simulate, autojump_clock: MockClock) -> None:
    """What a run has of a result is gone on with, and recorded as fetched; the next run only delivers."""
    sim = simulate(faults=[{"on": "download", "do": {"cut_after_bytes": 1_000}}])
    sim.settings("[providers.default]\npatience_seconds = 1\n")
    spec = sim.clips("one")
    first = await sim.run(spec)
    sim.faults()

    report = await rescue(sim)
    second = await sim.run(spec)

    assert (first.exit_code, report.exit_code, second.exit_code) == (3, 0, 0)
    assert [task.fate for task in report.tasks] == [Fate.STORED]
    calls = sim.account.statement()["calls"]
    assert calls["download"]["206"] >= 1
    assert (sim.folder / "out/one.mp4").is_file()
    assert list((sim.folder / ".wanrun/artifacts").glob("*.part")) == []


async def test_a_result_believed_lost_comes_home_if_the_service_has_it(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """A clock that was wrong for a while must not cost a result: the next run delivers it."""
    sim = simulate()
    spec = sim.clips("one")
    await sim.leave_in_flight(spec)
    await trio.sleep(HOUR)
    with sim.ledger() as ledger:
        (entry,) = ledger.entries()
        assert entry.attempt is not None
        ledger.ended(entry.attempt.id, type(entry.attempt.state).LOST, "the clock was wrong")

    report = await rescue(sim)
    outcome = await sim.run(spec)

    assert [task.fate for task in report.tasks] == [Fate.STORED]
    assert (outcome.exit_code, sim.made) == (0, 1)


async def test_a_loss_is_found_once_and_for_all(simulate: Simulate, autojump_clock: MockClock) -> None:
    """Past its day, a result that nobody fetched is lost, and the ledger knows it."""
    sim = simulate()
    spec = sim.clips("one")
    await sim.leave_in_flight(spec)
    await trio.sleep(30 * HOUR)

    report = await rescue(sim)
    again = await rescue(sim)

    assert (report.exit_code, again.exit_code) == (7, 0)
    assert [task.fate for task in report.tasks] == [Fate.LOST]
    outcome = await sim.run(spec)
    assert [job.state.value for job in outcome.jobs] == ["lost"]


async def test_a_task_that_the_service_forgets_too_soon_is_not_given_up(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """UNKNOWN of a young task may pass: exit code 3, and the ledger still waits for it."""
    sim = simulate()
    spec = sim.clips("one")
    await sim.leave_in_flight(spec)
    await trio.sleep(HOUR)
    for task in sim.account.tasks.values():
        task.unknown_at = sim.clock()

    report = await rescue(sim)
    for task in sim.account.tasks.values():
        task.unknown_at = None
    well = await rescue(sim)

    assert (report.exit_code, [task.fate for task in report.tasks]) == (3, [Fate.LATER])
    assert [task.fate for task in well.tasks] == [Fate.STORED]


async def test_what_was_rescued_in_time_is_never_lost(simulate: Simulate, autojump_clock: MockClock) -> None:
    """A held job's task was rescued as a file, and adopted when the service had forgotten it: the file is taken."""
    sim = simulate(faults=[{"on": "create", "nth": 1, "do": {"reset": "after"}}])
    spec = sim.clips("one")
    await sim.run(spec, transport=Twist(sim.account, rewrite=mute))
    await trio.sleep(2 * HOUR)
    await rescue(sim)
    await trio.sleep(28 * HOUR)
    (task,) = sim.account.tasks
    api.resolve("one", api.Decision.ADOPT, sim.setup, task_id=task)
    assert (await sim.run(spec)).exit_code == 7

    report = await rescue(sim)
    outcome = await sim.run(spec)

    assert [found.fate for found in report.tasks] == [Fate.STORED]
    assert (outcome.exit_code, outcome.submitted, sim.made) == (0, 0, 1)
