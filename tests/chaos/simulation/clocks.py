"""The two clocks of a simulation: the service's, which is right, and this machine's wall clock, which somebody sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

STARTS_AT = 1_793_584_800.0  #: epoch seconds of the service's clock when a history begins
HOUR = 3600.0
DAY = 24 * HOUR
STEPS = (-HOUR, 0.0, 0.0, 5.0, HOUR)  #: seconds that the wall clock is found to be ahead
STEP_EVERY_SECONDS = 100.0


class Clocks:
    """Both clocks run with trio's, which jumps to whatever happens next."""

    def __init__(self) -> None:
        """Start them; inside `trio.run`."""
        self._began = trio.current_time()
        self.ahead_seconds = 0.0  #: of the wall clock

    def service(self) -> float:
        """Return epoch seconds by the service's clock."""
        return STARTS_AT + trio.current_time() - self._began

    def wall(self) -> float:
        """Return epoch seconds by the clock of the machine that the program runs on."""
        return self.service() + self.ahead_seconds

    async def be_set(self, chance: random.Random) -> None:
        """Set the wall clock now and every now and then, until cancelled."""
        while True:
            self.ahead_seconds = chance.choice(STEPS)
            await trio.sleep(chance.expovariate(1 / STEP_EVERY_SECONDS))


async def at_any_time(chance: random.Random, every_seconds: float, times: int, happen: Callable[[], None]) -> None:
    """Let something happen so often, so many seconds apart on average, or until cancelled."""
    for _ in range(times):
        await trio.sleep(chance.expovariate(1 / every_seconds))
        happen()
