"""Figures from what was measured: medians, calls a job, costs beyond start-up; and how a table is written."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Found = dict[str, Any]


def medians(rounds: Sequence[Sequence[Found]]) -> list[Found]:
    """Return one row for each contender: the medians of its rounds."""
    return [_median(list(each)) for each in zip(*rounds, strict=True)]


def _median(same: list[Found]) -> Found:
    row = {key: median(each[key] for each in same) for key, value in same[0].items() if isinstance(value, (int, float))}
    row["calls"] = {kind: median(each["calls"].get(kind, 0) for each in same) for kind in same[0]["calls"]}
    return row | {"contender": same[0]["contender"]}


def requests(row: Found) -> float:
    """Return how many requests of any kind a job took."""
    return float(sum(row["calls"].values()) / row["jobs"])


def looks(row: Found) -> float:
    """Return how many calls a job took to learn of its end: queries of one task and lists of many."""
    return float((row["calls"].get("query", 0) + row["calls"].get("list", 0)) / row["jobs"])


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table; all columns but the first are figures."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def further_job_ms(row: Found, one: Found) -> float:
    """Return what a job costs beyond the first, whose run is nearly all start-up, in milliseconds of CPU."""
    total = row["cpu_ms_per_job"] * row["jobs"] - one["cpu_ms_per_job"] * one["jobs"]
    return float(total / max(1, row["jobs"] - one["jobs"]))


def over_python(seconds: dict[str, list[float]], name: str) -> float:
    """Return the median seconds of a command beyond those of a Python that does nothing."""
    return median(seconds[name]) - median(seconds["python"])


def added(found: Found, contender: str) -> float:
    """Return how much more memory a contender takes for a large upload than for a small one, in MiB."""
    peaks = found["contenders"][contender]
    return float(peaks["large_mib"] - peaks["small_mib"])
