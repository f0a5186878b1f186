"""Write `docs/reliability.md` from the result files; runs nothing, so the same files give the same page anywhere.

PYTHONPATH=tests python -m chaos.render           # write the page
PYTHONPATH=tests python -m chaos.render --check   # exit code 1 when the page is not what the files give
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.figures import table

from chaos import parts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chaos.parts import Found

ROOT = Path(__file__).resolve().parents[2]
RESULTS, PAGE = Path(__file__).with_name("results"), ROOT / "docs" / "reliability.md"


def main() -> int:
    """Write the page, or compare it."""
    text = page(RESULTS)
    if sys.argv[1:] == ["--check"]:
        same = PAGE.exists() and PAGE.read_text(encoding="utf-8") == text
        print("" if same else f"{PAGE} is not what {RESULTS} gives; run PYTHONPATH=tests python -m chaos.render")
        return 0 if same else 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


def page(results: Path) -> str:
    """Return the page that shows the result files of a folder; a part without one is said to be not measured."""
    found = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(results.glob("*.json"))}
    shown = [_part(name, found.get(name)) for name in parts.NAMES]
    return "\n\n".join([HEAD, *shown, LIMITS, _how(found)]) + "\n"


def _part(name: str, found: Found | None) -> str:
    part = parts.part(name)
    figures = [table(each.head, each.rows) for each in part.tables(found)] if found else ["Not measured yet."]
    return "\n\n".join([f"## {part.TITLE}", part.HOW.strip(), *figures])


def _how(found: dict[str, Found]) -> str:
    rows = [(name, *_where(found.get(name))) for name in parts.NAMES]
    return f"""\
## To repeat it

    make chaos

installs the project with its development tools, runs all parts at full size, and writes the result files and this page.
`PYTHONPATH=tests python -m chaos PART --seed N` runs one with other random choices. The tests run every part at a
smaller size (`python -m pytest tests/chaos`). Nothing leaves the machine.

{table(["part", "measured at", "Python", "SQLite", "processors", "seed", "took s"], rows)}"""


def _where(found: Found | None) -> tuple[object, ...]:
    if found is None:
        return "not measured yet", *[""] * 5
    machine = found["machine"] | {"seed": found["size"].get("seed", "")}
    return tuple(machine[key] for key in ("measured_at", "python", "sqlite", "processors", "seed", "took_seconds"))


def _listed(promises: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f"- {promise}: {where}." for promise, where in promises)


#: What is promised, in a user's words, and where that is tried: parts of this page, or tests.
PROMISES = [
    (
        "A job is paid for once, whatever happens to the process, the network or the answers",
        "simulation, kills, network",
    ),
    ("What was paid for and can be had is fetched; what cannot is said to be lost", "simulation, kills, network"),
    ("A process that dies at any instant forgets nothing it had acknowledged", "kills, syscalls, power, simulation"),
    ("No file in an output folder is ever half written", "kills, signals, syscalls, network, simulation"),
    ("A full or failing disk never looks like success", "syscalls"),
    ("A signal ends a run within seconds, and the next run goes on", "signals"),
    ("A cancelled run leaves nothing open, and no connection is lost", "cancels"),
    ("Spending stays within the budget, counting what is in flight and what is in doubt", "simulation"),
    ("A clock that is set, and a list that lags, change nothing of this", "simulation"),
    (
        "Another program's task on the same account is not taken for one's own where anything tells them apart",
        "simulation",
    ),
    ("The ledger keeps every fact, and counts every amount, in any order of facts and crashes", "`tests/ledger`"),
    (
        "Ledgers of earlier releases open, and nothing in them is paid for again; newer ones are refused",
        "`tests/ledger`",
    ),
    ("No spec and no answer, whatever its bytes, makes wanrun fall over", "`tests/spec`, `tests/client`"),
]

HEAD = f"""\
# Reliability

A create call costs money, has no idempotency key, and its result is gone after a day. What wanrun promises about that,
where on this page or in the tests each promise is tried, and what came of the last full run:

{_listed(PROMISES)}

The service of all these is the emulator, and it is the judge: its own statement says what was made and billed, and its
result links what was fetched. What wanrun says of itself is not asked. A figure of a broken promise stays on this page
until another run has none.

This page is written by `python -m chaos` from `tests/chaos/results/`; change neither by hand."""

LIMITS = """\
## What is not proven

- That the real service behaves as the emulator does. Above all: how long its list call may lag behind a create.
  `settle_seconds` and `scan_gap_seconds` in `wanrun.toml` are generous guesses; if a task appeared only after them, a
  job whose reply was lost would be paid for twice.
- A disk that lies. That data survives a power cut rests on `fsync`; what a disk may hold in between is put together
  from recorded writes, and no real machine was cut off.
- Network file systems under the ledger, where locks and `fsync` may mean less.
- Windows, and macOS, where nothing of this has been run.
- That a task is one's own which nothing tells apart: if another program makes its one task with the very same prompt
  in the minute of a create whose answer was lost and that made none, that task is adopted, and its video kept.
- That random choices hit every instant. They are repeatable, not complete; only the system calls are gone through one
  by one."""


if __name__ == "__main__":
    sys.exit(main())
