"""An account of its own for one contender: the emulator in another process, and what it says of its client."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
SERVICE = ROOT / "benchmarks" / "service.py"
KEY = "sk-benchmark"

#: Limits that no contender meets.
ROOMY = {"creates_per_second": 10_000, "running_at_once": 1_000, "queued": 10_000, "queries_per_second": 10_000}

_LOOPBACK = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Account:
    """A served account."""

    url: str  #: the base URL of its API

    def statement(self) -> dict[str, Any]:
        """Return the account statement as it is now."""
        with _LOOPBACK.open(self.url.removesuffix("/api/v1") + "/emulator/statement", timeout=30) as reply:
            return dict(json.load(reply))


@contextmanager
def account(folder: Path, **settings: Any) -> Iterator[Account]:
    """Serve an account that is kept in a folder; the settings are those of the emulator's `Account`, limits as JSON."""
    command = [sys.executable, str(SERVICE), str(folder), json.dumps(settings)]
    with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            url = server.stdout.readline().strip()
            if not url:
                raise RuntimeError("the emulator did not start")
            yield Account(url)
        finally:
            server.terminate()


def environment(**added: str) -> dict[str, str]:
    """Return an environment without the developer's own settings of either contender, and without a proxy."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("DASHSCOPE_", "PYTHON"))}
    return ours | {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "PYTHONUTF8": "1"} | added
