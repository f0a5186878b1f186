"""What an attempt reads in a store of one's own is noted with it, so that nothing of it is ever cleaned."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from wanrun import MediaUrl, SourceKind, hookimpl
from wanrun.registry import load_catalog

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock

    from simulation import Simulation
    from wanrun import Identity, MediaRef, Staging
    from wanrun.catalog import Catalog

    Simulate = Callable[..., Simulation]

STREET = Path(__file__).parents[2] / "specs/media/street.mp4"
KEY = f"sha256:{sha256(STREET.read_bytes()).hexdigest()}"
HOUR = 3600
FIRST = "jobs:\n  - {id: first, prompt: one, media: [{video: street.mp4}]}\n"
SECOND = "  - {id: second, prompt: two, media: [{video: {job: first}}]}\n"


class Shed:
    """A store of one's own, which names its files by their keys."""

    @hookimpl
    def wanrun_sources(self) -> dict[str, SourceKind]:
        """Offer it for `[staging.shed]`."""
        options = {"type": "object", "additionalProperties": False}
        return {"shed": SourceKind(options=options, build=lambda: self, staging=options)}

    def locate(self, ref: MediaRef) -> Path | None:
        """Nothing is named by it in a spec."""
        raise NotImplementedError

    def identify(self, ref: MediaRef) -> Identity:
        """As `locate`."""
        raise NotImplementedError

    async def prepare(self, ref: MediaRef, ctx: object) -> MediaUrl:
        """As `locate`."""
        raise NotImplementedError

    async def stage(self, file: Staging, ctx: object) -> MediaUrl:
        """Say where it is."""
        return MediaUrl(f"https://example.com/{file.key.removeprefix('sha256:')}.mp4")


def shed(sim: Simulation) -> Catalog:
    sim.settings("[providers.default]\npatience_seconds = 30\n[staging.shed]\n")
    (sim.folder / "street.mp4").write_bytes(STREET.read_bytes())
    return load_catalog(plugins=[Shed()])


async def test_a_local_file_is_noted_while_its_job_is_not_over(simulate: Simulate, autojump_clock: MockClock) -> None:
    """In flight and unsure alike; once it is done, nothing refers to it."""
    sim = simulate()
    catalog, spec = shed(sim), sim.spec(FIRST)
    sim.faults({"on": "query", "do": {"status": 503}})

    await sim.run(spec, catalog=catalog)
    with sim.ledger() as ledger:
        flying = ledger.referred_to()
    sim.faults()
    await sim.run(spec, catalog=catalog)

    assert flying == {"batch/first": frozenset({KEY})}
    with sim.ledger() as ledger:
        assert ledger.referred_to() == {}


async def test_the_copy_of_another_job_s_result_is_noted(simulate: Simulate, autojump_clock: MockClock) -> None:
    """It is in none of the spec's files."""
    sim = simulate()
    catalog = shed(sim)
    await sim.run(sim.spec(FIRST), catalog=catalog)
    await trio.sleep(23 * HOUR)  # its link is of no use any more
    sim.faults({"on": "create", "do": {"reset": "after"}}, {"on": "list", "do": {"status": 503}})

    await sim.run(sim.spec(FIRST + SECOND), catalog=catalog)

    with sim.ledger() as ledger:
        (result,) = [entry.result for entry in ledger.entries() if entry.result is not None]
        assert ledger.referred_to() == {"batch/second": frozenset({f"sha256:{result.artifact_sha256}"})}


async def test_what_needs_no_store_refers_to_nothing_in_it(simulate: Simulate, autojump_clock: MockClock) -> None:
    """A link of the spec's own; which is not the same as not knowing."""
    sim = simulate()

    await sim.leave_in_flight(sim.clips("one"))

    with sim.ledger() as ledger:
        assert ledger.referred_to() == {"batch/one": frozenset()}
