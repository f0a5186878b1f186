"""Whatever a power cut leaves of the ledger's file and its journal, it opens, sound, with all that was acknowledged."""

from __future__ import annotations

import pytest

from chaos import power, strace

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(strace.why_not() is not None, reason=f"no writes can be recorded: {strace.why_not()}"),
]


def test_no_power_cut_takes_what_was_acknowledged() -> None:
    """At every instant between two writes, with nothing, all or some of what was not synced."""
    found = power.cut_everywhere("ledger", power.CI)

    assert found["disks"] > 500
    assert (found["bad"], found["problems"]) == (0, [])


def test_a_ledger_that_does_not_wait_for_the_disk_is_found_out() -> None:
    """The proof would notice: without syncs, facts are lost and files damaged."""
    assert power.cut_everywhere("careless", power.Size(step=5, by_chance=2))["bad"]
