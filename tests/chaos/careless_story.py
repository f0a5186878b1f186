"""Story: the same as `ledger`, by a ledger that does not wait for the disk, and would lose facts in a power cut."""

from __future__ import annotations

from typing import TYPE_CHECKING
from unittest.mock import patch

from chaos import ledger_story
from chaos.ledger_story import CALLS, problems, unfinished
from wanrun.ledger.sql import PRAGMAS

if TYPE_CHECKING:
    from pathlib import Path

    from chaos.stories import Ack

__all__ = ["CALLS", "play", "problems", "unfinished"]


def play(folder: Path, ack: Ack) -> None:
    """Play it with SQLite's syncs turned off."""
    with patch("wanrun.ledger.database.PRAGMAS", PRAGMAS.replace("synchronous = EXTRA", "synchronous = OFF")):
        ledger_story.play(folder, ack)
