"""Write `docs/performance.md` from the result files; measures nothing, so the same files give the same page anywhere.

python -m benchmarks.render           # write the page
python -m benchmarks.render --check   # exit code 1 when the page is not what the files give
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.figures import Found, added, further_job_ms, looks, medians, over_python, requests, table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROOT = Path(__file__).resolve().parents[1]
AIMED_JOBS = 10_000  #: that are to be planned in three seconds
RESULTS, PAGE = ROOT / "benchmarks" / "results", ROOT / "docs" / "performance.md"


def main() -> int:
    """Write the page, or compare it."""
    text = page(RESULTS)
    if sys.argv[1:] == ["--check"]:
        same = PAGE.exists() and PAGE.read_text(encoding="utf-8") == text
        print("" if same else f"{PAGE} is not what {RESULTS} gives; run python -m benchmarks.render")
        return 0 if same else 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


def page(results: Path) -> str:
    """Return the page that shows the result files of a folder."""
    found = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(results.glob("*.json"))}
    parts = [_head(found), _aims(found)]
    for name, part in PARTS.items():
        parts.append(part(found[name]))
    return "\n\n".join([*parts, _how(found)]) + "\n"


# The parts of the page


def _head(found: dict[str, Found]) -> str:
    machine = found["unlimited"]["machine"]
    return f"""\
# Performance

What wanrun costs and what it gets out of an account, beside the official SDK (dashscope {machine["dashscope"]}) and
against the emulator in a process of its own, without edits (`--edit none`). wanrun keeps its ledger, downloads every
result and delivers it to a folder; the SDK's programs only create tasks and wait for them. Every figure of a program
is of the whole process, from its start to its end.

This page is written by `python -m benchmarks.render` from `benchmarks/results/`; change neither by hand."""


def _aims(found: dict[str, Found]) -> str:
    wanrun = medians(found["unlimited"]["rounds"])[0]
    one, many = found["unlimited"]["one"][0], found["unlimited"]["many"][0]
    pace, start, upload, deliver = (found[name] for name in ("pace", "starting", "uploading", "delivering"))
    ours, seconds = found["limited"]["wanrun"], start["seconds"]
    rows: list[tuple[str, str, str, bool]] = [
        _aim(f"{wanrun['jobs']:.0f} jobs of 5 s, 50 at once: wall", 21, wanrun["wall_seconds"], "s", 1),
        _aim("CPU for one further job", 8, further_job_ms(wanrun, one), "ms", 1),
        _aim("peak memory", 80, wanrun["peak_mib"], "MiB", 0),
        _aim(f"memory that {many['jobs']} jobs add", 10, many["peak_mib"] - wanrun["peak_mib"], "MiB", 1),
        _aim("connections", 10, wanrun["connections"], "", 0),
        _aim("throttled answers at the account's rates", 0, ours["throttled"], "", 0),
        _aim("jobs not ended there", 0, ours["jobs"] - ours["ended"], "", 0),
        _aim("queries and lists a job, tasks of a minute", 2, looks(pace["minute_tasks"]), "", 2),
        _aim("places idle while jobs wait", 1, pace["uneven_tasks"]["idle_share"] * 100, "%", 2),
        _aim("`wanrun --help` over bare Python", 150, over_python(seconds, "help") * 1000, "ms", 0),
        _aim(f"`validate` of {start['matrix_jobs']:,} jobs", 2, median(seconds["validate"]), "s", 2),
        *(_plan_aims(found["planning"])),
        _aim(f"memory that a {upload['upload_mb']} MB upload adds", 8, added(upload, "wanrun"), "MiB", 1),
        _aim(
            f"memory that delivering {deliver['deliver_mb']} MB adds, at most", 32, _delivering_adds(deliver), "MiB", 1
        ),
    ]
    return "## Aims\n\n" + table(
        ["", "at most", "measured", ""], [(*cells, "" if met else "missed") for *cells, met in rows]
    )


def _delivering_adds(found: Found) -> float:
    return max(took["wanrun"]["large_mib"] - took["wanrun"]["small_mib"] for took in found["sinks"].values())


def _plan_aims(found: Found) -> list[tuple[str, str, str, bool]]:
    known = next(each for each in found["sizes"] if each["jobs"] == AIMED_JOBS)
    seconds, peak = median(known["plan"]["seconds"]), known["plan"]["peak_mib"]
    return [
        _aim(f"`plan` of {AIMED_JOBS:,} jobs that the ledger knows", 3, seconds, "s", 2),
        _aim("its peak memory", 200, peak, "MiB", 0),
    ]


def _aim(what: str, most: float, measured: float, unit: str, digits: int) -> tuple[str, str, str, bool]:
    return what, f"{most} {unit}".strip(), f"{measured:.{digits}f} {unit}".strip(), measured <= most


def _unlimited(found: Found) -> str:
    rows, starts = medians(found["rounds"]), {one["contender"]: one for one in found["one"]}
    ideal = rows[0]["jobs"] / found["at_once"] * found["task_seconds"]
    small = {row["contender"]: row for row in rows}
    usual = table(
        ["", "wall s", "CPU ms a job", "CPU ms a further job", "peak MiB", "requests a job", "connections"],
        [
            (
                row["contender"],
                f"{row['wall_seconds']:.1f}",
                f"{row['cpu_ms_per_job']:.1f}",
                f"{further_job_ms(row, starts[row['contender']]):.1f}",
                f"{row['peak_mib']:.0f}",
                f"{requests(row):.1f}",
                f"{row['connections']:.0f}",
            )
            for row in rows
        ],
    )
    large = table(
        ["", "wall s", "CPU ms a job", "peak MiB", "MiB more", "requests a job", "connections"],
        [
            (
                row["contender"],
                f"{row['wall_seconds']:.1f}",
                f"{row['cpu_ms_per_job']:.1f}",
                f"{row['peak_mib']:.0f}",
                f"{row['peak_mib'] - small[row['contender']]['peak_mib']:.1f}",
                f"{requests(row):.1f}",
                row["connections"],
            )
            for row in found["many"]
        ],
    )
    return f"""\
## An account without limits

{rows[0]["jobs"]:.0f} jobs of {found["task_seconds"]:g} s, {found["at_once"]} at once, so {ideal:.1f} s at best.
Medians of {len(found["rounds"])} rounds, one program after the other.
Of the CPU time a good part is start-up; *a further job* is the rest: what the run takes beyond a run of one job,
divided by the jobs beyond one. wanrun's requests are a create, a query and a download for each job, and some lists.

{usual}

{found["many"][0]["jobs"]:,} of them, the programs side by side, each on an account of its own; *more* is over the table
above:

{large}"""


def _limited(found: Found) -> str:
    def row(each: Found, name: str) -> Sequence[object]:
        ended = f"{each['ended']} of {each['jobs']}"
        return name, ended, each["lost"], each["throttled"], f"{requests(each):.1f}", f"{each['wall_seconds']:.0f}"

    jobs, rates = found["wanrun"]["jobs"], found["rates"]
    rows = [row(found["wanrun"], "wanrun")]
    rows += [row(each, each["contender"]) for each in found["plain"]]
    rows += [row(each, f"{each['contender']}, by hand") for each in found["patient"]]
    floor = jobs / rates["creates_per_second"] + found["task_seconds"]
    return f"""\
## The account's rates as they are

{rates["creates_per_second"]} creates and {rates["queries_per_second"]} queries a second, and again {jobs} jobs of \
{found["task_seconds"]:g} s, {found["at_once"]} at once: the rates alone make it {floor:.0f} s.
*By hand* is the SDK with code around it that makes a throttled call again (1.x: after a second; 2.x:
`max_retries=100`). *Lost* is a task that was made, and will be paid for, and that the program no longer knows. One
round; the SDK's programs side by side.

{table(["", "ended", "lost", "throttled", "requests a job", "wall s"], rows)}"""


def _pace(found: Found) -> str:
    even, uneven = found["minute_tasks"], found["uneven_tasks"]
    return f"""\
## In virtual time

wanrun with its default limits, against the account as it is, in memory.

{
        table(
            ["", "jobs ended", "queries and lists a job", "throttled", "idle places", "hours"],
            [
                (
                    name,
                    f"{row['ended']} of {row['jobs']}",
                    f"{looks(row):.2f}",
                    row["throttled"],
                    f"{row['idle_share']:.3%}",
                    f"{row['virtual_seconds'] / 3600:.2f}",
                )
                for name, row in (("tasks of 60 s", even), ("tasks of 60 to 300 s", uneven))
            ],
        )
    }

*Idle* is the share of its five places' time that the account had nothing to do, from the first create until the last
task began."""


def _minutes(found: Found) -> str:
    return "A task of a minute, in real time, costs the SDK so many queries: " + (
        "; ".join(f"{row['contender']}: {looks(row):.1f}" for row in found["minute_tasks"]) + "."
    )


def _starting(found: Found) -> str:
    seconds, jobs = found["seconds"], f"{found['matrix_jobs']:,}"
    names = {
        "python": "`python -c pass`",
        "help": "`wanrun --help`",
        "validate": f"`wanrun validate`, a matrix of {jobs} jobs",
        "plan": f"`wanrun plan`, the same {jobs} jobs",
    }
    rows = [
        (names[name], f"{median(all_):.3f}", f"{over_python(seconds, name):.3f}", len(all_))
        for name, all_ in seconds.items()
    ]
    return "## At the prompt\n\n" + table(["", "s", "s over bare Python", "starts"], rows)


def _planning(found: Found) -> str:
    rows = [
        (
            f"{each['jobs']:,}",
            *(
                cell
                for name in ("validate", "plan")
                for cell in (
                    f"{median(each[name]['seconds']):.2f}",
                    f"{each[name]['cpu_seconds'] / each['jobs'] * 1000:.3f}",
                    f"{each[name]['peak_mib']:.0f}",
                )
            ),
        )
        for each in found["sizes"]
    ]
    heads = ["jobs", "`validate` s", "CPU ms a job", "peak MiB", "`plan` s", "CPU ms a job", "peak MiB"]
    return f"""\
## Before a run

A matrix of jobs, and a ledger in which all of them are done: what `validate` and `plan` take from their start to their
end. Where *CPU ms a job* stays, the time grows as the jobs do; in the first row a good part of it is start-up. Both
are one thread that waits for nothing, so on an idle machine the wall seconds are those of the CPU; this one had a load
of {found["machine"]["load_average"]:g}.

{table(heads, rows)}"""


def _uploading(found: Found) -> str:
    rows = [
        (name, f"{peaks['small_mib']:.1f}", f"{peaks['large_mib']:.1f}", f"{added(found, name):.1f}")
        for name, peaks in found["contenders"].items()
    ]
    return f"""\
## An upload of {found["upload_mb"]} MB

Peak memory in MiB of one job whose video is uploaded: the clip of `specs/media`, and the same padded.

{table(["", "70 kB", f"{found['upload_mb']} MB", "added"], rows)}"""


def _delivering(found: Found) -> str:
    rows = [
        (
            f"`{kind}`, {name}",
            f"{took['wall_seconds']:.1f}",
            f"{took['cpu_seconds']:.1f}",
            f"{took['small_mib']:.1f}",
            f"{took['large_mib']:.1f}",
            f"{took['large_mib'] - took['small_mib']:.1f}",
        )
        for kind, contenders in found["sinks"].items()
        for name, took in contenders.items()
    ]
    large = f"{found['deliver_mb']} MB"
    return f"""\
## A result of {large} on its way to a sink

One program delivers one file: wanrun's sink, which also compares what it reads with the checksum of what was fetched,
and beside it the official SDK as its documentation has it. Object storage and Slack are on loopback, in a process of
their own, and say in the end what has arrived. Seconds and CPU are those of the large file; memory is the peak in MiB,
for the clip of `specs/media` and for the same padded.

{table(["", "wall s", "CPU s", "70 kB", large, "added"], rows)}"""


PARTS: dict[str, Callable[[Found], str]] = {
    "unlimited": _unlimited,
    "limited": lambda found: f"{_limited(found)}\n\n{_minutes(found)}",
    "pace": _pace,
    "starting": _starting,
    "planning": _planning,
    "uploading": _uploading,
    "delivering": _delivering,
}


def _how(found: dict[str, Found]) -> str:
    machine = found["unlimited"]["machine"]
    rows = [
        (name, each["machine"]["measured_at"], each["machine"]["load_average"], each["machine"]["took_seconds"])
        for name, each in found.items()
    ]
    return f"""\
## To repeat it

    make bench

installs the project with its development tools, measures for about a quarter of an hour, and writes the result files
and this page. `python -m benchmarks NAME` measures one part. Nothing leaves the machine. These figures are from a
machine with {machine["processors"]} processors ({machine["processor"]}), {machine["memory_gib"]} GiB, \
{machine["system"]}, Python {machine["python"]}, SQLite {machine["sqlite"]}:

{table(["part", "measured at", "load average before", "took s"], rows)}"""


if __name__ == "__main__":
    sys.exit(main())
