"""Every point of a story: the same story again and again under strace, with its fault one call later each time."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chaos.stories import story
from chaos.strace import Op, counted, ops_of, struck, traced

if TYPE_CHECKING:
    from collections.abc import Collection

    from chaos.strace import Fault

TESTS = Path(__file__).parents[1]


@dataclass
class Played:
    """How one point ended."""

    call: str
    number: int
    acks: list[str] = field(default_factory=list)
    killed: bool = False
    struck: bool = False  #: the fault happened; not so at the last point, which is the untouched run
    whole: bool = False  #: the story went to its end
    error: str | None = None  #: a `WanrunError` in words
    exit_code: int = 0
    bug: str | None = None  #: anything else that was raised


@dataclass
class Series:
    """All points of one story, call and fault."""

    call: str
    fault: str
    points: int = 0  #: that were played
    struck: int = 0
    untouched: bool = False  #: the last one met no fault
    told: int = 0  #: errors that were raised, in words
    problems: list[str] = field(default_factory=list)


def series_of(name: str, fault: Fault, folder: Path, *, step: int = 1, without: Collection[str] = ()) -> list[Series]:
    """Play every `step`th point of a story, and its last, for its calls, and look at what is left each time."""
    where = folder / f"{name}-{fault.name.replace(' ', '-')}"
    where.mkdir()
    story_calls, before = _calls(name, where)
    made = {call: count for call, count in story_calls.items() if call not in without}
    # A child's own calls never come to the number of the program before it, and those of its point exactly to this.
    numbers = {call: before[call] + count + 1 for call, count in made.items()}
    wanted = {call: sorted({*range(1, count + 2, step), count + 1}) for call, count in made.items()}
    points = [Played(call, number) for call, each in wanted.items() for number in each]
    _play(name, fault, numbers, points, where)
    found = {call: Series(call, fault.name) for call in made}
    for played in points:
        _judge(name, where / f"{played.call}-{played.number}", played, found[played.call])
    return list(found.values())


def _calls(name: str, folder: Path) -> tuple[dict[str, int], Counter[str]]:
    """Return how many calls of each kind the story makes when nothing happens, and its program before it."""
    log = folder / "counted.log"
    done = traced(_command(name, folder, ["none:0:0"]), log, calls=story(name).CALLS, **process())
    reports = _reports(done.stdout)
    assert any(report.get("whole") for report in reports), done.stdout + done.stderr
    (child,) = {report["pid"] for report in reports if "pid" in report}
    made = counted(log)
    story_calls = made.pop(child, Counter())
    return {call: story_calls[call] for call in story(name).CALLS if story_calls[call]}, sum(made.values(), Counter())


def recorded(name: str, folder: Path) -> list[Op]:
    """Return what a story does to its files when nothing happens, and what it acknowledges."""
    log = folder / "recorded.log"
    calls = ("openat", "pwrite64", "ftruncate", "fdatasync", "fsync", "writev")
    done = traced(_command(name, folder, ["none:0:0"]), log, calls=calls, in_full=True, **process())
    (child,) = {report["pid"] for report in _reports(done.stdout) if "pid" in report}
    return ops_of(log, child, folder / "none-0")


def _play(name: str, fault: Fault, numbers: dict[str, int], points: list[Played], folder: Path) -> None:
    """Play all points below one strace, and note how each ended."""
    log = folder / "strace.log"
    injected = [fault.at(call, number) for call, number in numbers.items()]
    by_name = {f"{each.call}:{each.number}:{numbers[each.call] - each.number}": each for each in points}
    done = traced(_command(name, folder, list(by_name)), log, calls=numbers, inject=injected, **process())
    hit, ended = struck(log), 0
    for report in _reports(done.stdout):
        each = by_name[report.pop("point")]
        if "pid" in report:
            ended += 1
            each.killed = report["killed"]
            each.struck = each.killed or report["pid"] in hit
        elif "ack" in report:
            each.acks.append(report["ack"])
        else:
            for key, value in report.items():
                setattr(each, key, value)
    assert ended == len(points), f"{done.stdout}\n{done.stderr}"


def _command(name: str, folder: Path, points: list[str]) -> list[str]:
    return [sys.executable, "-m", "chaos.stories", name, str(folder), *points]


def process() -> dict[str, Any]:
    """Return where a story is played, and with which environment: arguments for `subprocess.run`."""
    path = os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {"env": os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}, "cwd": TESTS.parent}


def _reports(printed: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in printed.splitlines()]


def _judge(name: str, folder: Path, played: Played, found: Series) -> None:
    """Look at what a point has left, play the story to its end, and look again."""
    told, mark = story(name), f"{played.call} {played.number}, {found.fault}"
    found.points += 1
    found.struck += played.struck
    found.untouched = not played.struck
    found.told += played.error is not None
    problems = _misreported(played)
    if folder.exists():
        problems += told.problems(folder, played.acks)
    try:
        told.play(folder, lambda _: None)
        problems += told.unfinished(folder)
    except Exception as exc:
        problems.append(f"the next run fails: {exc!r}")
    found.problems += [f"{mark}: {problem}" for problem in problems]
    shutil.rmtree(folder, ignore_errors=True)


def _misreported(played: Played) -> list[str]:
    """Say what is wrong with how an error was told: only a typed error in one line with exit code 3 will do."""
    found = []
    if played.bug:
        found.append(f"raised {played.bug}")
    if played.error is not None and ("\n" in played.error or played.exit_code != 3):
        found.append(f"exit code {played.exit_code}: {played.error}")
    if not (played.killed or played.whole or played.error or played.bug):
        found.append("ended without a word")
    return found
