"""Who keeps one message up to date hears how the jobs stand while a run goes on, and is lent a memory for it."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
import trio

from chat import Chat
from simulation import HEAD, Simulation
from wanrun import Notice, NotifyContext, SinkError
from wanrun.registry import load_catalog

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trio.testing import MockClock

    from wanrun.outcome import Outcome

    Simulate = Callable[..., Simulation]

PROGRESS_SECONDS = 20
IDS = tuple(f"j{number:02}" for number in range(12))


class Board(Chat):
    """A chat that keeps what it is told, and remembers how often it was."""

    def __init__(self) -> None:
        super().__init__()
        self.memories: list[str | None] = []

    async def notify(self, notice: Notice, ctx: NotifyContext) -> None:
        """Keep a notice and the memory, and have the number of the notice remembered."""
        self.memories.append(ctx.remembered)
        ctx.remember(f"{int(ctx.remembered or 0) + 1}")
        await super().notify(notice, ctx)


class Room:
    """A simulation with a board in it, which some specs tell."""

    def __init__(self, sim: Simulation) -> None:
        self.sim, self.board = sim, Board()

    def spec(self, *ids: str, events: str, name: str = "batch.yaml") -> Path:
        """Write a spec of jobs on linked videos whose sink `team` is told of these events."""
        jobs = self.sim.clips(*ids, name=name).read_text().removeprefix(HEAD)
        head = f"sinks: {{team: {{chat: {{room: a}}}}}}\nnotify: [{{to: team, events: [{events}]}}]\n"
        return self.sim.spec(head + jobs, name)

    async def run(self, *specs: Path, **options: Any) -> Outcome:
        """Run specs with the plugin installed."""
        return await self.sim.run(*specs, catalog=load_catalog(plugins=[self.board]), **options)

    def told(self) -> list[tuple[list[str], dict[str, int]]]:
        """Return what each message was about, and how the jobs stood."""
        return [([*map(str, notice.names)], dict(notice.counts)) for notice in self.board.told]


@pytest.fixture
async def room(simulate: Simulate, autojump_clock: MockClock) -> Room:
    """Return a room whose account takes a minute for a task."""
    return Room(simulate())


async def test_progress_is_shown_from_the_start_to_the_end(room: Room, autojump_clock: MockClock) -> None:
    """The first at once, each only if something has changed, and the last says how it ended."""
    await room.run(room.spec(*IDS, events="run_progress"))

    told = room.told()
    times = room.board.times
    assert {tuple(names) for names, _ in told} == {("run_progress",)}
    assert all(sum(counts.values()) == len(IDS) for _, counts in told)
    assert told[-1][1] == {"done": len(IDS)}
    assert [notice.exit_code for notice in room.board.told] == [None] * (len(told) - 1) + [0]
    assert all(told[index] != told[index + 1] for index in range(len(told) - 2))
    assert times[0] < 5
    assert len(times) >= 4
    assert all(later - sooner > PROGRESS_SECONDS - 0.001 for sooner, later in pairwise(times[:-1]))
    done = [counts.get("done", 0) for _, counts in told]
    assert done == sorted(done)
    assert room.board.titles[0].endswith(", and the run goes on")
    assert room.board.titles[-1] == f"batch: {len(IDS)} done"


async def test_jobs_that_were_done_before_are_counted_and_chosen_ones_only(
    room: Room, autojump_clock: MockClock
) -> None:
    """A second run with more jobs counts all of them; a run that changes nothing shows nothing."""
    await room.run(room.spec("a", events="run_progress"))
    seen = len(room.told())
    await room.run(room.spec("a", events="run_progress"))
    assert len(room.told()) == seen

    await room.run(room.spec("a", "b", events="run_progress"))

    assert all(counts.get("done", 0) >= 1 and sum(counts.values()) == 2 for _, counts in room.told()[seen:])


async def test_that_a_run_has_begun_shows_how_the_jobs_stand(room: Room, autojump_clock: MockClock) -> None:
    """Who hears of both gets one message at the start, and the next no sooner than it has to."""
    await room.run(room.spec(*IDS, events="run_started, run_progress, run_finished"))

    (first, counts), *others = room.told()
    assert first == ["run_started"]
    assert sum(counts.values()) == len(IDS)
    assert room.board.times[1] - room.board.times[0] >= PROGRESS_SECONDS
    assert [names for names, _ in others] == [["run_progress"]] * (len(others) - 1) + [["run_progress", "run_finished"]]


async def test_trouble_keeps_its_own_pace(room: Room, autojump_clock: MockClock) -> None:
    """A failure is counted within seconds and told in words when it is due, once."""
    room.sim.faults({"on": "create", "prompt": "of j00", "do": {"status": 400, "code": "InvalidParameter"}})
    await room.run(room.spec(*IDS, events="run_progress, job_failed"))

    failed = [index for index, (_, counts) in enumerate(room.told()) if counts.get("failed")]
    words = [index for index, notice in enumerate(room.board.told) if notice.jobs]
    assert failed[0] < words[0]
    assert len(words) == 1
    assert [job.address for job in room.board.told[words[0]].jobs] == ["batch/j00"]


async def test_what_a_notifier_remembers_is_there_for_the_next_notice_and_the_next_run(
    room: Room, autojump_clock: MockClock
) -> None:
    """Also when the call fails afterwards; another destination has a memory of its own."""

    async def fail(notice: Notice) -> None:
        raise SinkError("no")

    room.board.act = fail
    await room.run(room.spec("a", events="run_started, run_finished"))
    room.board.act = None
    await room.run(room.spec("a", "b", events="run_started, run_finished"))
    other = room.spec("c", events="run_finished", name="other.yaml")
    other.write_text(other.read_text().replace("room: a", "room: b"))
    await room.run(other)

    assert room.board.memories == [None, "1", "2", "3", None]


async def test_a_progress_that_cannot_be_shown_is_one_event_and_harms_nothing(
    room: Room, autojump_clock: MockClock
) -> None:
    """Of failures in a row the first is noted; the end is told all the same."""

    async def fail(notice: Notice) -> None:
        if notice.exit_code is None:
            raise SinkError("no")

    room.board.act = fail
    outcome = await room.run(room.spec(*IDS, events="run_progress"))

    assert len(room.told()) > 3
    assert len(room.sim.named("notify_failed")) == 1
    assert (outcome.exit_code, outcome.run_notes) == (0, ())


async def test_two_messages_to_one_destination_never_overlap(room: Room, autojump_clock: MockClock) -> None:
    """Each sees what the one before has remembered."""
    under_way: list[Notice] = []

    async def take_long(notice: Notice) -> None:
        assert not under_way
        under_way.append(notice)
        await trio.sleep(8)
        under_way.clear()

    room.board.act = take_long
    room.sim.faults({"on": "create", "every": 3, "do": {"status": 400, "code": "InvalidParameter"}})
    await room.run(room.spec(*IDS, events="run_started, run_progress, run_finished, job_failed"))

    assert [int(memory or 0) for memory in room.board.memories] == list(range(len(room.board.memories)))


async def test_a_notifier_that_remembers_a_novel_is_refused(room: Room, autojump_clock: MockClock) -> None:
    """The ledger is no place for it; that is said like any failure of its own."""

    class Novelist(Board):
        async def notify(self, notice: Notice, ctx: NotifyContext) -> None:
            ctx.remember("x" * 5000)

    room.board = Novelist()
    outcome = await room.run(room.spec("a", events="run_finished"))

    assert outcome.run_notes == (
        "the sink team was not told of run_finished: it wants 5000 characters to be remembered; 4000 are kept at most",
    )
