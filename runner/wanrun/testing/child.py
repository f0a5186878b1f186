"""Delivers in a process of its own, which can be measured and killed: `python -m wanrun.testing.child`.

A description comes in on standard input, and a line of JSON goes out for each artifact: when it is about to be
delivered, and when it has been.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wanrun.guards import given
from wanrun.testing.bench import Bench
from wanrun.testing.cancelling import finish
from wanrun.testing.lent import Lent
from wanrun.types import Artifact

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wanrun.testing.bench import Options

DEADLINE_SECONDS = 120.0
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class DeliveringChild:
    """A process that delivers artifacts one after the other, each for a job of its own."""

    def __init__(self, bench: Bench, options: Options, artifacts: Sequence[tuple[str, Artifact]]) -> None:
        asked = {
            "path": sys.path,
            "plugin": bench.plugin.__name__,
            "kind": bench.kind,
            "folder": str(bench.folder),
            "secrets": dict(bench.secrets),
            "options": dict(options),
            "artifacts": [
                {"job": job, "path": str(each.path), "sha256": each.sha256, "bytes": each.bytes, "suffix": each.suffix}
                for job, each in artifacts
            ],
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "wanrun.testing.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            text=True,
        )
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(asked))
            self._process.stdin.close()

    def heard(self) -> dict[str, Any]:
        """Return the next thing that it says; raises AssertionError when it has ended instead."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            assert self._process.stderr is not None
            raise AssertionError(f"the process that delivers has failed:\n{self._process.stderr.read()}")
        told: dict[str, Any] = json.loads(line)
        return told

    def kill(self) -> bool:
        """Kill it as nothing can be handled; says whether it still lived."""
        lived = self._process.poll() is None
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGKILL)
        self.close()
        return lived

    def close(self) -> None:
        """Wait for its end, which a process that hangs does not decide."""
        try:
            self._process.wait(timeout=DEADLINE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()


def main() -> None:
    """Deliver what standard input asks for."""
    asked = json.load(sys.stdin)
    sys.path[:] = asked["path"]
    bench = Bench(import_module(asked["plugin"]), asked["kind"], Path(asked["folder"]), asked["secrets"])
    sink = bench.catalog().sink(bench.kind)
    for each in asked["artifacts"]:
        artifact = Artifact(Path(each["path"]), each["sha256"], each["bytes"], each["suffix"])
        delivery = bench.delivery(asked["options"], artifact, each["job"])
        before = _peak_bytes(reset=True)
        _say(job=each["job"])
        receipt = finish(lambda: given(sink.deliver(delivery, Lent())))  # noqa: B023  # called at once
        grown = _peak_bytes() - before
        _say(job=each["job"], grown=grown, place=receipt.place, bytes=receipt.bytes, sha256=receipt.sha256)


def _say(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


def _peak_bytes(*, reset: bool = False) -> int:
    """Return the most memory that this process has had since the last reset, where the system knows such a thing.

    Not `ru_maxrss` where that can be had: on Linux it starts with what the parent had.
    """
    if _STATUS.exists():
        if reset:
            with suppress(OSError):
                _CLEAR.write_text("5")
        kilobytes = next(line.split()[1] for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM"))
        return int(kilobytes) * 1024
    import resource  # which Windows has not

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main()
