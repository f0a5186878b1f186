"""Random lives in virtual time: runs that die, services that fail, specs that change, and never a video paid twice.

A seed decides everything, so a failing one is replayed by its test's name. What came of it is judged by what the
account has billed and what lies in the folders; the ledger is not asked. `WANRUN_SEEDS=500` tries more of them.
"""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import trio
from twist import Twist, own_results, task_of

from simulation import Simulation, states
from wanrun.emulator import ready_clip

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from trio.testing import MockClock

    from wanrun.emulator import Task
    from wanrun.events import Event
    from wanrun.outcome import Outcome

    Simulate = Callable[..., Simulation]

pytestmark = pytest.mark.slow
SEEDS = range(int(os.environ.get("WANRUN_SEEDS", "30")))
HOUR = 3600.0
FOR_EVER = 10.0**7

FAULTS: list[tuple[object, dict[str, Any]]] = [
    ("create", {"lose_reply": True}),
    ("create", {"reset": "after"}),
    ("create", {"reset": "before"}),
    ("create", {"reset": "connect"}),
    ("create", {"status": 429, "code": "Throttling.RateQuota", "retry_after": 3}),
    ("create", {"garbage": True}),
    ("create", {"fail": {"code": "InternalError", "message": "oops"}}),
    ("create", {"latency_seconds": 4}),
    (["query", "list"], {"status": 503}),
    (["query", "list"], {"lose_reply": True}),
    (["query", "list"], {"garbage": True}),
    ("list", {"lag_seconds": 30}),
    ("list", {"status": 403, "code": "AccessDenied"}),
    ("download", {"cut_after_bytes": 1000}),
    ("download", {"corrupt": True}),
    ("download", {"status": 503}),
    ("download", {"bytes_per_second": 9000}),
]


class Death(BaseException):
    """The process ends here."""


class Chance(random.Random):
    """The dice of one test."""

    def says(self, probability: float) -> bool:
        """Say yes as often as that."""
        return self.random() < probability

    def faults(self) -> list[dict[str, Any]]:
        """Draw a fault script."""
        drawn = [fault for fault in FAULTS if self.says(0.4)]
        return [{"on": on, "probability": self.choice([0.05, 0.2]), "do": do} for on, do in drawn]


def dying(sim: Simulation, after_events: float) -> Callable[[Event], None]:
    """Return an observer that ends a run after so many events."""
    seen: list[Event] = []

    def observe(event: Event) -> None:
        seen.append(event)
        sim.events.append(event)
        if len(seen) >= after_events:
            raise Death

    return observe


async def live(sim: Simulation, spec: Path, chance: Chance, **options: Any) -> None:
    """Run until the end, or until a random moment or event at which the process dies."""
    events = chance.choice([5, 30, 100, FOR_EVER, FOR_EVER, FOR_EVER])
    with trio.move_on_after(chance.choice([0.3, 1, 3, 10, 60, 300, FOR_EVER, FOR_EVER])):
        try:
            await sim.run(spec, observe=dying(sim, events), **options)
        except* Death:
            pass


async def completed(sim: Simulation, spec: Path, **options: Any) -> Outcome:
    """Run with a service that is well, at most twice: what a person would do in the end."""
    sim.faults()
    outcome = await sim.run(spec, **options)
    return await sim.run(spec, **options) if outcome.exit_code == 3 else outcome


def billed(sim: Simulation) -> list[Task]:
    """Return the tasks that cost money."""
    return [task for task in sim.account.tasks.values() if task.billed_seconds]


def sidecar_task(video: Path) -> str:
    """Return the id of the task that made a delivered video, as the file beside it says."""
    return str(json.loads(video.with_name(f"{video.name}.json").read_text())["task_id"])


@pytest.mark.parametrize("seed", SEEDS)
async def test_no_life_pays_twice_or_loses_what_it_paid_for(
    simulate: Simulate, autojump_clock: MockClock, seed: int
) -> None:
    """However often runs die and calls fail: each job is done, or held where its reply is missing, and billed once."""
    chance = Chance(seed)
    sim = simulate(faults=chance.faults(), seed=seed, seconds=chance.choice([5.0, 60.0, 200.0]))
    ids = [f"job-{n}" for n in range(chance.choice([1, 4, 15]))]
    same_words = chance.says(0.2)
    spec = sim.clips(*ids, prompt="the same" if same_words else "prompt of {}")
    for _ in range(chance.randrange(1, 8)):
        await live(sim, spec, chance, retry_failed=chance.says(0.2))
        await trio.sleep(chance.choice([0, 0, 1, 600, HOUR]))

    found = states(await completed(sim, spec))

    assert set(found) == set(ids)
    assert set(found.values()) <= {"done", "held", "failed"}
    videos = {name: sim.folder / "out" / f"{name}.mp4" for name, state in found.items() if state == "done"}
    assert all(video.read_bytes() == ready_clip().data for video in videos.values())
    kept = {name: sim.account.tasks[sidecar_task(video)] for name, video in videos.items()}
    assert len({task.id for task in kept.values()}) == len(kept)
    held = list(found.values()).count("held")
    assert len(billed(sim)) <= len(kept) + held
    if not same_words:
        assert all(task.prompt == f"prompt of {name}" for name, task in kept.items())
        assert all(count == 1 for count in sim.billed().values())
    creates = sim.account.calls["create"].total()
    again = await sim.run(spec)
    assert (again.submitted, sim.account.calls["create"].total()) == (0, creates)


def evolved(jobs: Mapping[str, str], chance: Chance) -> dict[str, str]:
    """Return what somebody makes of a spec: words by job id, swapped or drawn anew."""
    if jobs and chance.says(0.4):
        return dict(zip(chance.sample(list(jobs), len(jobs)), jobs.values(), strict=True))
    return {name: chance.choice("XYZ") for name in chance.sample("abcde", chance.randrange(1, 5))}


def written(sim: Simulation, jobs: Mapping[str, str], file: str) -> Path:
    """Write the jobs as the only spec of the project."""
    for other in sim.folder.glob("*.yaml"):
        other.unlink()
    line = "  - {{id: {0}, prompt: words {1}, media: [{{video: https://example.com/{1}.mp4}}]}}\n"
    return sim.spec("name: batch\njobs:\n" + "".join(line.format(*job) for job in jobs.items()), file)


@pytest.mark.parametrize("seed", SEEDS)
async def test_no_change_of_specs_pays_twice_or_mixes_videos_up(
    simulate: Simulate, autojump_clock: MockClock, seed: int
) -> None:
    """Jobs are renamed, swapped, edited and put back while runs die and the artifact store is tidied.

    In the end each job has a video of its own words, and no words were paid for more often than one spec asked for
    them at once. No call fails here, and a dying run still hears the replies in the air, so nothing is held.
    """
    chance = Chance(seed)
    sim = simulate(seconds=20.0, queue_seconds=0.1)
    twist = Twist(sim.account, instead=own_results)
    jobs: dict[str, str] = {}
    asked_at_once: Counter[str] = Counter()
    for _ in range(chance.randrange(3, 9)):
        jobs = evolved(jobs, chance)
        asked_at_once |= Counter(jobs.values())
        spec = written(sim, jobs, chance.choice(["batch.yaml"] * 5 + ["other.yaml"]))
        await live(sim, spec, chance, transport=twist)
        if chance.says(0.2):
            for artifact in (sim.folder / ".wanrun" / "artifacts").glob("*.mp4"):
                artifact.unlink()
        await trio.sleep(chance.choice([0, 100]))

    outcome = await completed(sim, spec, transport=twist)

    assert states(outcome) == dict.fromkeys(jobs, "done")
    videos = {name: sim.folder / "out" / f"{name}.mp4" for name in jobs}
    made_by = {name: task_of(video.read_bytes()) for name, video in videos.items()}
    assert {name: sim.account.tasks[task].prompt for name, task in made_by.items()} == {
        name: f"words {words}" for name, words in jobs.items()
    }
    assert {name: sidecar_task(video) for name, video in videos.items()} == made_by
    assert len(set(made_by.values())) == len(made_by)
    assert Counter(task.prompt.removeprefix("words ") for task in billed(sim)) <= asked_at_once
