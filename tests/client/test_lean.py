"""What the client loads of httpx, in a process that has nothing loaded yet."""

from __future__ import annotations

import subprocess
import sys


def test_no_command_line_comes_along_and_who_wants_it_still_has_it() -> None:
    """rich and pygments are for screens; a program of somebody else's in this process may import what it likes."""
    code = """
import sys
import wanrun.client
print(sorted({"rich", "pygments"} & set(sys.modules)))
import httpx._main
print(callable(httpx._main.main))
"""

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines() == ["[]", "True"]
