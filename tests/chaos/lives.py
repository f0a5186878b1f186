"""The lives of a program that is interrupted at random instants and started again until it is done."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from chaos.workshop import Batch, Workshop
    from processes import Child

DONE, NEEDS_A_PERSON, UNFINISHED = 0, 1, 3  #: exit codes
MAX_QUIET_LIVES = 20  #: that end by themselves without being done; more would mean that nothing moves


@dataclass(frozen=True)
class Interruption:
    """A signal, so many seconds after the first line that a program prints."""

    seconds: float
    signal: int


@dataclass(frozen=True)
class Life:
    """How a program ended, and how long that took once it was told to."""

    exit_code: int
    said: str
    told: int | None = None  #: the signal that it got; None when it ended before
    seconds: float = 0.0


def interruptions(seed: int, *, count: int, within_seconds: float, signals: Sequence[int]) -> Iterator[Interruption]:
    """Yield so many, the same ones for the same seed."""
    chances = random.Random(seed)
    for _ in range(count):
        yield Interruption(chances.uniform(0, within_seconds), chances.choice(signals))


def live_through(
    shop: Workshop, start: Callable[[Workshop, Batch], Child], coming: Sequence[Interruption], *, jobs: int
) -> list[Life]:
    """Do batches of so many jobs, one after the other, until every interruption has struck; the last one is done then.

    An interruption that a program outruns is used for its next life.
    """
    lives: list[Life] = []
    left = list(coming)
    while left:
        batch = shop.batch(jobs)
        lives += _until_done(lambda batch=batch: start(shop, batch), left)
    return lives


def _until_done(start: Callable[[], Child], left: list[Interruption]) -> list[Life]:
    """Start a program again and again; interruptions that have struck are taken off the list."""
    lives: list[Life] = []
    quiet = 0
    while quiet < MAX_QUIET_LIVES:
        lives.append(life := _live(start(), left[0] if left else None))
        if life.told is not None:
            del left[0]
        quiet += life.told is None
        if life.exit_code in (DONE, NEEDS_A_PERSON):
            return lives
        if life.told is None and life.exit_code != UNFINISHED:
            raise AssertionError(f"exit code {life.exit_code}: {life.said}")
    raise AssertionError(f"it is never done: {lives[-1].said}")


def _live(child: Child, coming: Interruption | None) -> Life:
    first = child.line(err=True)
    try:
        child.process.wait(coming.seconds if coming else None)
    except subprocess.TimeoutExpired:
        assert coming is not None
        child.signal(coming.signal)
        life = _end(child, first, told=coming.signal)
        outran = coming.signal == signal.SIGKILL and life.exit_code != -signal.SIGKILL
        return replace(life, told=None) if outran else life
    return _end(child, first, told=None)


def _end(child: Child, first: str, *, told: int | None) -> Life:
    began = time.monotonic()
    said = child.end()
    return Life(said.exit_code, first + said.all, told, time.monotonic() - began)
