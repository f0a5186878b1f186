"""Told to stop at random instants, real runs end soon with the signal's code, and the next one goes on."""

from __future__ import annotations

import pytest

from chaos import signals

pytestmark = pytest.mark.slow


def test_a_dozen_signals_end_a_run_in_time_and_lose_nothing() -> None:
    """Whether within five seconds is measured; the machine may be busy, so the bound here is twice that."""
    found = signals.measure(signals.CI)

    assert found["signals"] == signals.CI.signals, found
    assert found["other_exit_codes"] == [], found
    assert found["longest_seconds"] < 10, found
    assert {name: found[name] for name in NOTHING} == dict.fromkeys(NOTHING, 0), (signals.CI, found)


NOTHING = (
    "tracebacks",
    "paid_twice",
    "never_paid",
    "lost",
    "partial_files_seen",
    "left_behind",
    "batches_for_a_person",
    "ledger_damage",
    "tasks_unknown_to_the_ledger",
    "results_of_another_job",
)
