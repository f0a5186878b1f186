"""Standard output and the like when nobody takes what is written any more."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TextIO


def silence(stream: TextIO) -> None:
    """Let a stream that has just failed swallow all that is and will be written to it.

    `wanrun ... | head` is no error, and a full disk under a log must not end a run that is paying for things. Python
    would fail again at exit over what the stream still holds.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
