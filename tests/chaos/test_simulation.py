"""Seeded histories in virtual time: no seed breaks a promise, a seed replays exactly, and planted bugs are found."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from chaos import simulation
from chaos.simulation.farm import folder, play_many, play_seed, play_seeds
from chaos.simulation.planted import BUGS
from chaos.simulation.play import play

pytestmark = pytest.mark.slow

SEEDS = int(os.environ.get("WANRUN_SEEDS", simulation.CI.seeds))
CHUNKS = 50  #: tests that the seeds are spread over, so that all processors have some at any time
SEEDS_FOR_A_BUG = 200
REPLAYED = (3, 11, 42)

DIGESTS = """
import sys
from pathlib import Path
from chaos.simulation.farm import folder
from chaos.simulation.play import play
for seed in map(int, sys.argv[1:]):
    with folder() as place:
        print(play(seed, Path(place)).digest())
"""


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_no_history_breaks_a_promise(chunk: int) -> None:
    """Whatever fails and however often runs die: nothing is paid twice, lost, mixed up, torn, too fast or too dear."""
    tally = play_seeds(range(chunk, SEEDS, CHUNKS))

    assert not tally.failures, tally.report()


def test_a_seed_plays_the_same_history_again() -> None:
    """In this process and in others with other hashes, so that a failing seed can be looked at."""
    here = digests()
    assert digests() == here

    for hashes in ("1", "2"):
        env = os.environ | {"PYTHONHASHSEED": hashes, "PYTHONPATH": str(Path(__file__).parents[1])}
        command = [sys.executable, "-c", DIGESTS, *map(str, REPLAYED)]
        told = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout
        assert told.split() == here


def test_another_seed_plays_another_history() -> None:
    """The digest covers what happened."""
    assert len(set(digests())) == len(REPLAYED)


def digests() -> list[str]:
    """Play some seeds, and return what their histories come to."""
    found = []
    for seed in REPLAYED:
        with folder() as place:
            found.append(play(seed, Path(place)).digest())
    return found


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found_soon(bug: str) -> None:
    """The judge is no formality: what it is there for, it sees."""
    with BUGS[bug]():
        found = next((seed for seed in range(SEEDS_FOR_A_BUG) if play_seed(seed).failures), None)

    assert found is not None, f"{SEEDS_FOR_A_BUG} histories with the bug '{bug}' pass"


def test_what_is_stopped_in_time_goes_on_another_time() -> None:
    """Together they are what one run is; with other code it starts anew."""
    size = simulation.Size(seeds=4, seed=900)
    whole = simulation.measure(size)
    first = simulation.measure(simulation.Size(seeds=2, seed=900)) | {"size": {"seed": 900}}

    rest = simulation.measure(size, first)
    anew = simulation.measure(simulation.Size(seeds=1, seed=900), first | {"code": "another"})

    assert rest | {"took_seconds": 0} == whole | {"took_seconds": 0}
    assert (rest["seeds"], anew["seeds"]) == (4, 1)


def test_what_was_broken_is_played_again_once_it_is_mended() -> None:
    """A mistake of the judge does not ask for all the seeds that it does not concern."""
    found = {"seeds": 2, "histories_broken": 1, "broken": {"900": ["something"]}}

    mended = simulation.again(found)

    assert (mended["histories_broken"], mended["broken"], list(mended["mended"])) == (0, {}, ["900"])
    assert mended["mended"]["900"] == {"was": ["something"], "code": simulation.code()}


def test_time_that_is_over_leaves_the_last_seeds_and_no_others() -> None:
    """So that they are all that is left to play."""
    tally = play_many(range(900, 920), processes=1, minutes=0, chunk=1)

    played = tally.counts["seeds"]
    assert 1 <= played < 20
    assert tally.counts == play_seeds(range(900, 900 + played)).counts
