"""What `wanrun.testing` is worth: sinks that are wrong in one thing each fail just the tests that are about it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
SECONDS = 110  #: more than it ever takes

CANCELLED = "cancelled_at_any_await_it_leaves_nothing_partial"
AT_ONCE = "deliveries_at_once_are_not_in_each_other_s_way"
CONFLICT = "other_bytes_at_the_place_are_a_conflict"
PLACED = "the_artifact_is_at_its_place_and_the_receipt_says_so"
PLACE_ALONE = "its_place_is_named_without_network_and_secrets"
PLACE_STABLE = "its_place_is_the_same_each_time_and_another_for_another_job"
TWICE = "delivering_twice_is_delivering_once"

#: what has to fail of each; where a fault shows in one test alone, that is the one
FAILURES = {
    "Overwriting": {CONFLICT},
    "Partial": {CANCELLED, "killed_at_any_time_it_leaves_nothing_partial"},
    "Once": {TWICE, CANCELLED},
    "Stubborn": {CANCELLED},
    "Leaking": {"secrets_are_not_shown"},
    "LeakingError": {"secrets_are_not_shown"},
    "Hoarding": {"a_large_artifact_takes_little_memory"},
    "Lying": {PLACED, TWICE, AT_ONCE, CONFLICT, "what_may_be_replaced_is_replaced", CANCELLED},
    "Trusting": {"a_damaged_artifact_gets_no_receipt[other bytes]"},
    "Wandering": {
        PLACE_ALONE,
        PLACE_STABLE,
        PLACED,
        TWICE,
        AT_ONCE,
        CONFLICT,
        "what_may_be_replaced_is_replaced",
        CANCELLED,
    },
    "Crowded": {PLACE_STABLE, AT_ONCE},
    "Sharing": {AT_ONCE},
    "Heavy": {"nothing_heavy_is_imported_before_it_is_used"},
    "Calling": {PLACE_ALONE},
    "Lenient": {"a_misspelt_option_is_refused_where_it_stands"},
    "OneOfMany": {CONFLICT},
}


#: who is tried in one process: those that start others by themselves
GROUPS = (("Partial",), ("Hoarding",), ("Heavy", "Good"), ("Wandering", "Crowded", "Sharing", "Lying"))
THE_REST = tuple(name for name in FAILURES if name not in {each for group in GROUPS for each in group})


@pytest.mark.parametrize("names", [*GROUPS, THE_REST], ids=", ".join)
def test_each_broken_sink_fails_the_tests_of_its_fault_and_no_others(names: tuple[str, ...]) -> None:
    """And one that is as it should be passes them all."""
    words = [sys.executable, "-m", "pytest", "-q", "-rA", "--tb=line", "-p", "no:cacheprovider"]
    words += [f"broken_sinks.py::Test{name}" for name in names]

    done = subprocess.run(words, cwd=HERE, capture_output=True, text=True, timeout=SECONDS, check=False)

    failed: dict[str, set[str]] = {}
    for name, test in re.findall(r"^FAILED \S+?::Test(\w+)::test_(.+?)(?: - .*)?$", done.stdout, re.MULTILINE):
        failed.setdefault(name, set()).add(test)
    passed = set(re.findall(r"^PASSED \S+?::Test(\w+)::", done.stdout, re.MULTILINE))
    assert failed == {name: FAILURES[name] for name in names if name in FAILURES}, done.stdout + done.stderr
    assert passed == set(names)
