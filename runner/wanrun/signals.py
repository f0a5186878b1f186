"""Signals, and the end of a process that was told to stop: within seconds, whatever a thread or a slow disk does.

The first signal stops the run; the second, or a run that does not end in time, leaves at once. That is no harm: the
ledger is whole at every instant, and what is not recorded shows as unsure to the next run.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Self

import trio

from wanrun.engine.stop import REPLY_SECONDS
from wanrun.errors import ExitCode
from wanrun.streams import silence

if TYPE_CHECKING:
    from types import FrameType

    from wanrun.engine.stop import Stop

LEAVE_SECONDS = REPLY_SECONDS + 1  #: after which a process that was told to stop is over

#: Windows has no SIGHUP.
_WORDS = {
    number: (ExitCode(128 + number), word)
    for name, word in (("SIGINT", "interrupted"), ("SIGTERM", "terminated"), ("SIGHUP", "hung up"))
    if (number := getattr(signal, name, None)) is not None
}


class Signals:
    """Ends a run, and with it the process, when a signal asks for it; to be entered inside trio, in the main thread.

    A thread of its own counts the seconds, so that a blocked event loop does not hold up the end either.
    """

    def __init__(self, stop: Stop) -> None:
        self._stop = stop
        self._heard_one = self._over = False
        self._codes: SimpleQueue[int | None] = SimpleQueue()  # made to be filled by a signal's handler
        self._before: dict[int, object] = {}
        self._terminals = [stream for stream in (sys.stdout, sys.stderr) if stream is not None and stream.isatty()]

    def __enter__(self) -> Self:
        self._token = trio.lowlevel.current_trio_token()
        Thread(target=_end_in_time, args=(self._codes,), name="wanrun end in time", daemon=True).start()
        self._stop.hurry = self._hurry
        for number in _WORDS:
            if number == getattr(signal, "SIGHUP", None) and signal.getsignal(number) is signal.SIG_IGN:
                continue  # started with nohup
            self._before[number] = signal.signal(number, self._heard)
        return self

    def __exit__(self, *exc_info: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)  # type: ignore[arg-type]  # what `signal` itself returned
        self._over = True
        self._codes.put(None)

    def _heard(self, number: int, _frame: FrameType | None) -> None:
        code, word = _WORDS[number]
        if self._heard_one:
            os._exit(code)
        self._heard_one = True
        self._hurry(code)
        if code is ExitCode.HUNG_UP:
            for stream in self._terminals:  # what was to be said would fail, and end the run as a bug
                silence(stream)
        self._token.run_sync_soon(self._stop_run, f"{word}; the state is saved, run again to go on", code)

    def _stop_run(self, words: str, code: ExitCode) -> None:
        if not self._over:  # trio may call when the run has just ended by itself, and its ledger is closed
            self._stop.now(words, code)

    def _hurry(self, code: ExitCode) -> None:
        """Have the process end with this code in `LEAVE_SECONDS`, if the run does not end before."""
        self._codes.put(int(code))


def _end_in_time(codes: SimpleQueue[int | None]) -> None:
    """Leave when the time from the first exit code on is over, with the latest one; None says that all is well."""
    told = codes.get()
    leave_at = time.monotonic() + LEAVE_SECONDS
    while told is not None:
        code = told
        try:
            told = codes.get(timeout=max(0.0, leave_at - time.monotonic()))
        except Empty:
            os._exit(code)
