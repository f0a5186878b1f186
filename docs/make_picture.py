"""Makes `docs/run.svg`, the picture in README, from a real run of the quickstart at a terminal of its own.

The run's screen is recorded while it lasts and drawn as it stood in the middle, with the end below it. Needs the dev
group and nothing else; the files of the run are thrown away.
"""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

HERE = Path(__file__).resolve().parent
COLUMNS, ROWS = 96, 24
COMMAND = "wanrun specs/quickstart.yaml --emulator"
MIDDLE_SECONDS = 3.0  #: after the first task was submitted

FONT_FACES = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)  # rich would fetch fonts; any monospace one will do


def main() -> None:
    """Run, record, draw."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(HERE.parent / "specs", folder / "specs", ignore=shutil.ignore_patterns("out"))
        (folder / ".wanrun").mkdir()
        middle, end = _record(folder)
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w", encoding="utf-8"), force_terminal=True)  # noqa: PTH123, SIM115
    console.print(Text.assemble(("$ ", "dim"), COMMAND))
    console.print(Text.from_ansi(middle))
    console.print(Text("..."), style="dim")
    console.print(Text.from_ansi(end))
    picture = FONT_FACES.sub("", console.export_svg(title="wanrun", unique_id="wanrun"))
    (HERE / "run.svg").write_text(picture, encoding="utf-8")


def _record(folder: Path) -> tuple[str, str]:
    """Return the live part of the screen in the middle of the run, and what stands on it at the end."""
    leader, follower = pty.openpty()
    environ = {**os.environ, "COLUMNS": str(COLUMNS), "LINES": str(ROWS), "TERM": "xterm-256color"}
    command = [str(Path(sys.executable).with_name("wanrun")), *COMMAND.split()[1:]]
    process = subprocess.Popen(command, cwd=folder, env=environ, stdout=follower, stderr=follower)  # noqa: S603
    os.close(follower)
    recorded, middle, seen_at = b"", "", None
    while chunk := _read(leader):
        recorded += chunk
        if b"running" in chunk and seen_at is None:
            seen_at = time.monotonic()
        if not middle and seen_at is not None and time.monotonic() - seen_at > MIDDLE_SECONDS:
            middle = _last_frame(recorded)
    process.wait()
    return middle, _end(recorded)


def _read(leader: int) -> bytes:
    select.select([leader], [], [], 60)
    try:
        return os.read(leader, 65536)
    except OSError:  # the other side is closed
        return b""


def _last_frame(recorded: bytes) -> str:
    """Return the lines of the live display that were drawn last: from the bar to the end."""
    text = recorded.decode("utf-8", "replace").replace("\r", "")
    frame = text[text.rindex("jobs ") :]
    return re.sub(r"\x1b\[[0-9;?]*[A-LN-Za-ln-z]", "", frame).rstrip()


def _end(recorded: bytes) -> str:
    """Return what is printed when the display has gone: where the videos are, and the sum."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", recorded.decode("utf-8", "replace")).replace("\r", "")
    lines = text.splitlines()
    places = [number for number, line in enumerate(lines) if line.strip().endswith(".mp4") and " " not in line.strip()]
    return "\n".join(lines[places[0] :])


if __name__ == "__main__":
    main()
