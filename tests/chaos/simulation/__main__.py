"""Plays single seeds and says what was broken: PYTHONPATH=tests python -m chaos.simulation SEED..."""

from __future__ import annotations

import sys

from chaos.simulation.farm import play_seeds


def main() -> int:
    """Play the seeds of the command line; exit code 1 when a promise was broken in one."""
    tally = play_seeds(map(int, sys.argv[1:]))
    print(tally.report() or "nothing was broken")
    print(", ".join(f"{count} {name}" for name, count in tally.counts.items()))
    return 1 if tally.failures else 0


sys.exit(main())
