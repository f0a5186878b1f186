"""The account's history: an append-only list of what happened, which is also how an account lasts across runs.

Each line is a JSON object with `is` (account, task, call, upload or warning) and `at` (epoch seconds). A later line of
a task takes the place of an earlier one.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from wanrun.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Line = dict[str, Any]


class History:
    """The lines so far, and which of them were dumped."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self._dumped = 0

    def add(self, what: str, at: float, /, **facts: Any) -> None:
        """Append a line."""
        self.lines.append({"is": what, "at": round(at, 6), **facts})

    def dump(self) -> str:
        """Return the lines that were added since the last dump, each ended by a newline."""
        fresh, self._dumped = self.lines[self._dumped :], len(self.lines)
        return "".join(json.dumps(line, ensure_ascii=True, separators=(",", ":")) + "\n" for line in fresh)

    def load(self, text: Iterable[str]) -> Iterator[Line]:
        """Take over dumped lines and yield each; a torn last line is left away.

        Raises `SettingsError` for a line in the middle that cannot be read.
        """
        torn = 0
        for number, raw in enumerate(text, start=1):
            if torn:
                raise SettingsError(f"line {torn} of the emulator's history is damaged; use another folder")
            line = _parse(raw)
            if line is None:
                torn = number
                continue
            self.lines.append(line)
            yield line
        self._dumped = len(self.lines)


def _parse(raw: str) -> Line | None:
    try:
        line = json.loads(raw) if raw.endswith("\n") else None
    except ValueError:
        return None
    return line if isinstance(line, dict) and "is" in line else None
