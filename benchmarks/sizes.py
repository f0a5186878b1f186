"""How much is measured: as published, or just enough to see that the benchmarks work."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """The knobs of all benchmarks."""

    jobs: int = 200
    many_jobs: int = 1_000
    task_seconds: float = 5.0
    rounds: int = 3
    sdks: int = 3  #: of the programs with the SDK, where they are not what is tried
    watched_jobs: int = 5  #: of a minute each, that the SDK is watched waiting for
    real_minutes: bool = True  #: whether those take their time
    virtual_jobs: int = 200  #: in virtual time, for calls
    uneven_jobs: int = 500  #: in virtual time, for idle places
    starts: int = 10
    matrix_jobs: int = 10_000
    planned_jobs: tuple[int, ...] = (1_000, 10_000, 100_000)
    upload_mb: int = 100
    deliver_mb: int = 500


FULL = Size()
TINY = Size(
    jobs=3,
    many_jobs=4,
    task_seconds=0.1,
    rounds=1,
    sdks=1,
    watched_jobs=1,
    real_minutes=False,
    virtual_jobs=5,
    uneven_jobs=10,
    starts=1,
    matrix_jobs=20,
    planned_jobs=(20, 40),
    upload_mb=1,
    deliver_mb=1,
)
