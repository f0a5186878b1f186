"""Observers hear what is on disk, and none of them can end a run that is being paid for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wanrun import Event, hookimpl
from wanrun.registry import load_catalog

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock

    from simulation import Simulation

    Simulate = Callable[..., Simulation]


class Plugin:
    """Offers one observer that breaks down at the first task and one that listens."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    @hookimpl
    def wanrun_observers(self) -> list[Callable[[Event], None]]:
        """Offer both."""
        return [self.break_down, self.listen]

    def break_down(self, event: Event) -> None:
        """Raise when a task was made."""
        if event.name == "job_submitted":
            raise ZeroDivisionError("no dashboard")

    def listen(self, event: Event) -> None:
        """Note every event."""
        self.heard.append(event.name)


async def test_an_observer_that_breaks_down_costs_nothing(simulate: Simulate, autojump_clock: MockClock) -> None:
    """The task that was just paid for is on disk, the run goes on, and the outcome names the observer."""
    sim = simulate()
    plugin = Plugin()

    outcome = await sim.run(sim.clips("one", "two"), catalog=load_catalog(plugins=[plugin]))

    assert (outcome.exit_code, sim.made) == (0, 2)
    (note,) = outcome.run_notes
    assert note.endswith(
        "its observer failed at job_submitted: ZeroDivisionError: no dashboard; it hears no more of this run"
    )
    assert plugin.heard == [event.name for event in sim.events]


async def test_what_is_heard_is_on_disk(simulate: Simulate, autojump_clock: MockClock) -> None:
    """When an observer hears of an event, the fact behind it can be read from the ledger by another process."""
    sim = simulate()
    known: list[bool] = []

    def look(event: Event) -> None:
        if event.name == "job_submitted":
            with sim.ledger() as ledger:
                rows = ledger._read("SELECT task_id FROM attempts WHERE task_id = :task", task=event.data["task"])
                known.append(len(rows) == 1)

    await sim.run(sim.clips("one", "two"), observe=look)

    assert known == [True, True]
