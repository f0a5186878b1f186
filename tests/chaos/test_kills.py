"""Killed at random instants, real runs pay for each job once, lose nothing and show no partial file."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chaos import kills

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("seed", [1, 2], ids="seed {}".format)
def test_thirty_kills_pay_nothing_twice_and_lose_nothing(seed: int) -> None:
    """By the emulator's own account statement and the files in the sink's folder; nobody helps."""
    size = replace(kills.CI, seed=seed)

    found = kills.measure(size)["wanrun"]

    assert isinstance(found, dict)
    assert found["kills"] == size.kills, found
    assert found["looks_at_the_folder"], found
    assert {name: found[name] for name in NOTHING} == dict.fromkeys(NOTHING, 0), (size, found)


NOTHING = (
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
