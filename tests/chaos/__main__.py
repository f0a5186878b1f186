"""Run the proofs at full size: all, or those named. Writes a result file for each, then the page that shows them.

PYTHONPATH=tests python -m chaos                    # everything
PYTHONPATH=tests python -m chaos kills --seed 7     # one, with other delays
PYTHONPATH=tests python -m chaos simulation --minutes 30  # as far as it gets; with the same code, on from there
PYTHONPATH=tests python -m chaos simulation --again  # only what was found broken, after it was mended
PYTHONPATH=tests python -m chaos --ci --results DIR # as small as in CI; writes no page
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.machine import facts

from chaos import parts, render


def main() -> None:
    """Run what the command line asks for."""
    asked = _asked()
    results = asked.results or render.RESULTS
    for name in asked.names or parts.NAMES:
        part = parts.part(name)
        if asked.again:
            play_again(name, results)
            continue
        run(name, parts.sized(part.CI if asked.ci else part.FULL, seed=asked.seed, minutes=asked.minutes), results)
    if results == render.RESULTS:
        render.PAGE.write_text(render.page(results), encoding="utf-8")


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="PART", help=f"{', '.join(parts.NAMES)}; all by default")
    parser.add_argument("--seed", type=int, help="other random choices than the published ones")
    parser.add_argument("--minutes", type=float, help="as far as it gets in that time, where a part can stop early")
    parser.add_argument("--again", action="store_true", help="only what the result says is broken, where a part can")
    parser.add_argument("--ci", action="store_true", help="as small as in CI")
    parser.add_argument("--results", type=Path, help="where to write; with --ci this has to be given")
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(parts.NAMES):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    if asked.again and any(not hasattr(parts.part(name), "again") for name in asked.names or parts.NAMES):
        parser.error("--again is for parts that can do a part of their work again; name one: simulation")
    if asked.ci and not asked.results:
        parser.error("--ci measures nothing worth keeping; say where with --results")
    return asked


def run(name: str, size: Any, results: Path) -> None:
    """Run one part and write its result file."""
    where, began = facts(), time.monotonic()
    print(f"{name}: {size}", flush=True)
    part, file = parts.part(name), results / f"{name}.json"
    if getattr(part, "GOES_ON", False) and file.exists():
        found = part.measure(size, json.loads(file.read_text(encoding="utf-8")))  # type: ignore[call-arg]  # it takes it
    else:
        found = part.measure(size)
    took = found.get("took_seconds", round(time.monotonic() - began))  # of all that it stands for
    text = json.dumps({"machine": where | {"took_seconds": took}, "size": asdict(size), **found}, indent=1)
    results.mkdir(parents=True, exist_ok=True)
    file.write_text(text + "\n", encoding="utf-8")
    print(f"{name}: done in {took} s", flush=True)


def play_again(name: str, results: Path) -> None:
    """Do again what was found broken, and write the result file anew; when and where it was measured stays."""
    file = results / f"{name}.json"
    found = parts.part(name).again(json.loads(file.read_text(encoding="utf-8")))  # type: ignore[attr-defined]  # has it
    file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


main()
