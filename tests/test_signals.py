"""A signal that comes just when a run has ended by itself; all else about signals is tried on real processes."""

from __future__ import annotations

import signal

import trio
from trio.testing import wait_all_tasks_blocked

from wanrun.engine.stop import Reason, Stop
from wanrun.signals import Signals


async def test_a_signal_at_the_very_end_of_a_run_comes_too_late() -> None:
    """The ledger is closed by then, and nothing is left to stop."""
    stop, heard = Stop(), list[Reason]()
    stop.heard = heard.append

    with Signals(stop):
        signal.raise_signal(signal.SIGINT)
    await wait_all_tasks_blocked()

    assert heard == []


async def test_a_signal_during_a_run_stops_it() -> None:
    """With its words and the exit code that a shell would give."""
    stop, heard = Stop(), list[Reason]()
    stop.heard = heard.append

    with Signals(stop):
        signal.raise_signal(signal.SIGTERM)
        with trio.fail_after(5):
            await wait_all_tasks_blocked()

    assert [(reason.exit_code, reason.words.partition(";")[0]) for reason in heard] == [(143, "terminated")]
