"""A result that was paid for is brought home whole, however bad the way, and a loss is stated."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

import pytest
import trio

from simulation import Simulation, states
from wanrun.emulator.ready import ready_clip

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock

    Simulate = Callable[..., Simulation]

DAY = 24 * 3600.0


@pytest.mark.parametrize(
    "effect",
    [
        pytest.param({"cut_after_bytes": 10_000}, id="cut short"),
        pytest.param({"corrupt": True}, id="a wrong byte"),
        pytest.param({"status": 503}, id="503"),
        pytest.param({"reset": "before"}, id="reset"),
        pytest.param({"status": 403, "code": "AccessDenied"}, id="a link that is refused"),
    ],
)
async def test_a_bad_download_is_made_good(
    simulate: Simulate, autojump_clock: MockClock, effect: dict[str, Any]
) -> None:
    """The first two downloads go wrong; the file that is delivered is the right one, and it was paid for once."""
    sim = simulate(faults=[{"on": "download", "nth": [1, 2], "do": effect}])

    outcome = await sim.run(sim.clips("one"))

    assert (outcome.exit_code, sim.made) == (0, 1)
    assert (sim.folder / "out" / "one.mp4").read_bytes() == ready_clip().data
    assert list((sim.folder / ".wanrun" / "artifacts").glob("*.part")) == []


async def test_a_download_goes_on_where_it_was_cut(simulate: Simulate, autojump_clock: MockClock) -> None:
    """After a break only the missing bytes are asked for."""
    sim = simulate(faults=[{"on": "download", "nth": 1, "do": {"cut_after_bytes": 20_000}}])
    await sim.run(sim.clips("one"))

    statuses = sim.account.statement()["calls"]["download"]

    assert statuses == {"200": 1, "206": 1}


async def test_a_download_goes_on_in_the_next_run(simulate: Simulate, autojump_clock: MockClock) -> None:
    """A run that ends in the middle of a download leaves what the next one goes on with."""
    sim = simulate(faults=[{"on": "download", "do": {"cut_after_bytes": 1_000}}])
    sim.settings("[providers.default]\npatience_seconds = 1\n")
    spec = sim.clips("one")

    first = await sim.run(spec)
    sim.account.faults = sim.new_account().faults
    second = await sim.run(spec)

    assert (first.exit_code, states(first)) == (3, {"one": "in flight"})
    assert (second.exit_code, sim.made) == (0, 1)
    assert sim.account.statement()["calls"]["download"]["206"] >= 1


async def test_a_result_past_its_day_is_stated_as_lost(simulate: Simulate, autojump_clock: MockClock) -> None:
    """Exit code 7 in the run that finds it, 1 afterwards; never a silent second payment."""
    sim = simulate(faults=[{"on": "download", "do": {"status": 503}}])
    spec = sim.clips("one")
    left = await sim.run(spec)

    await trio.sleep(2 * DAY)
    found = await sim.run(spec)
    afterwards = await sim.run(spec)

    assert left.exit_code == 3
    assert (found.exit_code, states(found)) == (7, {"one": "lost"})
    assert (afterwards.exit_code, sim.made) == (1, 1)


async def test_a_task_older_than_a_day_is_lost(simulate: Simulate, autojump_clock: MockClock) -> None:
    """A task that a dead run left behind is no longer known after 24 hours: paid, perhaps, and gone."""
    sim = simulate(faults=[{"on": ["query", "list"], "between": [1, 3600], "do": {"status": 503}}])
    spec = sim.clips("one")
    left = await sim.run(spec)

    await trio.sleep(2 * DAY)
    found = await sim.run(spec)

    assert (left.exit_code, states(left)) == (3, {"one": "in flight"})
    assert (found.exit_code, states(found)) == (7, {"one": "lost"})


async def test_a_disk_without_room_is_said_and_the_next_run_goes_on(
    simulate: Simulate, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task stays in flight in the ledger; the run says what to do and ends with 3."""
    sim = simulate()
    spec = sim.clips("one")

    def write_nothing(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full_disk:
        full_disk.setattr(os, "write", write_nothing)
        full = await sim.run(spec)
    outcome = await sim.run(spec)

    assert (full.exit_code, states(full)) == (3, {"one": "in flight"})
    assert "No space left on device; free space, then run again" in full.reasons[0]
    assert (outcome.exit_code, sim.made) == (0, 1)
