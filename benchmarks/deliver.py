"""A program: a sink of wanrun's delivers one file, as a run has it do.

Arguments: the kind of sink, its options and the secrets that they name as JSON, and the file with its checksum.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path

import trio

from wanrun.testing.bench import Bench
from wanrun.testing.lent import Lent
from wanrun.types import Artifact


def main(kind: str, options: str, secrets: str, file: str, sha256: str) -> None:
    """Deliver, and say nothing; what fails is raised."""
    path = Path(file)
    bench = Bench(import_module(f"wanrun_plugins.{kind}"), kind, Path.cwd(), json.loads(secrets))
    artifact = Artifact(path, sha256, path.stat().st_size, path.suffix)
    trio.run(bench.catalog().sink(kind).deliver, bench.delivery(json.loads(options), artifact), Lent())


if __name__ == "__main__":
    main(*sys.argv[1:])
