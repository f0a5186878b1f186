"""Measure: all benchmarks, or those named. Writes one result file each, and then the page that shows them.

python -m benchmarks                 # everything, about a quarter of an hour
python -m benchmarks starting pace   # some
python -m benchmarks --tiny --results DIR  # just enough to see that they work; writes no page
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from importlib import import_module
from pathlib import Path

from benchmarks import machine, render, sizes

NAMES = ("starting", "planning", "uploading", "delivering", "pace", "unlimited", "limited")


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(NAMES)}; all by default")
    parser.add_argument("--tiny", action="store_true", help="just enough to see that they work")
    parser.add_argument("--results", type=Path, help="where to write; with --tiny this has to be given")
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(NAMES):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    if asked.tiny and not asked.results:
        parser.error("--tiny measures nothing worth keeping; say where with --results")
    results = asked.results or render.RESULTS
    for name in asked.names or NAMES:
        measure(name, sizes.TINY if asked.tiny else sizes.FULL, results)
    if results == render.RESULTS:
        render.PAGE.write_text(render.page(results), encoding="utf-8")


def measure(name: str, size: sizes.Size, results: Path) -> None:
    """Run one benchmark in a folder of its own and write its result file."""
    where, began = machine.facts(), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        found = import_module(f"benchmarks.{name}").measure(size, Path(folder) / name)
    took = round(time.monotonic() - began)
    results.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"machine": where | {"took_seconds": took}, **found}, indent=1)
    (results / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    print(f"{name}: measured in {took} s", flush=True)


main()
