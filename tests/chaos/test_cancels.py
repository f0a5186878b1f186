"""Cancelled at random instants, neither calls nor runs leave anything behind, and no place of the pool is lost."""

from __future__ import annotations

import pytest

from chaos import cancels

pytestmark = pytest.mark.slow


def test_thousands_of_cancels_leave_nothing_behind() -> None:
    """No child, no open file, no lost connection, no second payment, and the run that is let through ends well."""
    found = cancels.measure(cancels.CI)
    calls, runs = found["wanrun"], found["runs"]

    assert isinstance(calls, dict)
    assert isinstance(runs, dict)
    assert calls["cancelled"] > cancels.CI.calls / 10, found
    assert runs["cancelled"] > cancels.CI.runs / 10, found
    assert not {name: calls[name] for name in ("places_lost", "files_left_open", "children_left") if calls[name]}, found
    assert not {name: runs[name] for name in NOTHING if runs[name]}, (cancels.CI, found)


NOTHING = ("not_done", "paid_twice", "files_left_open", "children_left")
