"""A plugin that hangs harms its own job or delivery only: it is named, given up in time, and tried again by policy."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio.testing import MockClock

from simulation import Simulation, states
from wanrun import Delivery, Identity, MediaRef, MediaUrl, Receipt, SinkError, SinkKind, SourceKind, hookimpl
from wanrun.engine.apart import run_apart
from wanrun.engine.world import World
from wanrun.errors import PluginError
from wanrun.registry import load_catalog

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from wanrun.catalog import Catalog

    Simulate = Callable[..., Simulation]
    Hang = Callable[[Any], Awaitable[None]]

OPTIONS: Any = {
    "type": "object",
    "properties": {"path": {"type": "string", "description": "A file or link."}},
    "additionalProperties": False,
}
SINKS = "sinks: {odd: {slow: {}}, disk: {folder: {path: out}}}\n"
JOB = "  - {{id: {0}, prompt: {0}, media: [{{video: https://example.com/{0}.mp4}}]}}\n"
JOB_ON_SLOW = "sinks: {{odd: {{slow: {{}}}}}}\njobs:\n" + JOB
SLOW_JOB = "  - {{id: {0}, prompt: {0}, media: [{{video: {{slow: {0}}}}}]}}\n"


async def wait_for_ever(ctx: Any) -> None:
    """Await what never comes."""
    await trio.sleep_forever()


async def block_a_thread(ctx: Any) -> None:
    """Wait for a thread that takes long."""
    await ctx.to_thread(time.sleep, 30)


async def block_the_loop(ctx: Any) -> None:
    """Let nothing else run."""
    time.sleep(30)  # noqa: ASYNC251  # what a plugin must not do


async def be_stubborn(ctx: Any) -> None:
    """Hear nothing of being cancelled."""
    with trio.CancelScope(shield=True):
        await trio.sleep(30)


class Slow:
    """A plugin whose source and sink hang, each call as it is told to; without that they answer at once."""

    def __init__(self, hang: Hang | None, *, seconds: float) -> None:
        self.hang, self.seconds = hang, seconds
        self.calls: list[float] = []

    def catalog(self) -> Catalog:
        """Return what is installed, and this plugin."""
        return load_catalog(plugins=[self])

    @hookimpl
    def wanrun_sources(self) -> dict[str, SourceKind]:
        """Offer this object as a source."""
        return {"slow": SourceKind(options=OPTIONS, build=lambda: self, short="path", seconds=self.seconds)}

    @hookimpl
    def wanrun_sinks(self) -> dict[str, SinkKind]:
        """And as a sink."""
        return {"slow": SinkKind(options=OPTIONS, build=lambda: self, seconds=self.seconds)}

    def locate(self, ref: MediaRef) -> Path | None:
        """There is no file."""
        return None

    def identify(self, ref: MediaRef) -> Identity:
        """It is what it is called."""
        return Identity(f"slow:{ref.options['path']}")

    async def prepare(self, ref: MediaRef, ctx: Any) -> MediaUrl:
        """Hang, then give a link."""
        await self._hang(ctx)
        return MediaUrl("https://example.com/clip.mp4")

    def place(self, sink: object, job: Any) -> str:
        """Any place will do."""
        return f"there/{job.id}"

    async def deliver(self, delivery: Delivery, ctx: Any) -> Receipt:
        """Hang, then keep nothing."""
        await self._hang(ctx)
        place = self.place(delivery.sink, delivery.job)
        return Receipt(place, delivery.artifact.bytes, delivery.artifact.sha256)

    async def _hang(self, ctx: Any) -> None:
        self.calls.append(trio.current_time())
        if self.hang is not None:
            await self.hang(ctx)


class Plain(Slow):
    """The same, written as plain functions, or as what only looks like one."""

    def prepare(self, ref: MediaRef, ctx: Any) -> Any:
        """Block, then give a link."""
        self.calls.append(time.monotonic())
        if self.hang is not None:
            time.sleep(30)
        return MediaUrl("https://example.com/clip.mp4")

    def deliver(self, delivery: Delivery, ctx: Any) -> Any:
        """Block, then keep nothing; or give something that is still to be awaited."""
        self.calls.append(time.monotonic())
        if self.hang is wait_for_ever:
            return wait_for_ever(ctx)
        if self.hang is interrupt:
            raise KeyboardInterrupt
        if self.hang is not None:
            time.sleep(30)
        return Receipt(self.place(delivery.sink, delivery.job), delivery.artifact.bytes, delivery.artifact.sha256)


class SlowForOne(Slow):
    """A sink that takes long under one name, and no time under others."""

    def place(self, sink: Any, job: Any) -> str:
        """Each sink has places of its own."""
        return f"{sink.name}/{job.id}"

    async def deliver(self, delivery: Delivery, ctx: Any) -> Receipt:
        """Take long where it is called odd."""
        self.hang = wait_long if delivery.sink.name == "odd" else None
        return await Slow.deliver(self, delivery, ctx)


async def wait_long(ctx: Any) -> None:
    """Take nearly two minutes."""
    await trio.sleep(100)


# In virtual time


async def test_a_sink_that_hangs_harms_its_own_deliveries_only(simulate: Simulate, autojump_clock: MockClock) -> None:
    """The other sink is served at once, by every job; the one that hangs is tried again, in this run and the next."""
    sim, slow = simulate(), Slow(wait_for_ever, seconds=600)
    spec = sim.spec(SINKS + "jobs:\n" + "".join(JOB.format(f"j{number}") for number in range(6)))
    delivered: list[float] = []

    def observe(event: Any) -> None:
        if event.name == "delivered":
            delivered.append(trio.current_time())

    hung = await sim.run(spec, catalog=slow.catalog(), observe=observe)
    calls, slow.hang = len(slow.calls), None
    mended = await sim.run(spec, catalog=slow.catalog(), key=None)

    assert (hung.exit_code, set(states(hung).values())) == (3, {"to deliver"})
    assert len(delivered) == 6
    assert max(delivered) < 600
    assert calls < 8  # then it has a rest, and the run is over
    assert trio.current_time() < 1500
    words = 'plugin Slow (given by the program): its sink "slow" is not called for now: 3 calls of deliver'
    assert sum(words in job.why for job in hung.jobs) > 2
    assert (mended.exit_code, sim.made) == (0, 6)


async def test_a_sink_that_gives_way_is_tried_again(simulate: Simulate, autojump_clock: MockClock) -> None:
    """As after any failure of a sink: twice, then its delivery is left to the next run."""
    sim = simulate()

    async def hang_twice(ctx: Any) -> None:
        if len(slow.calls) % 3:
            await trio.sleep_forever()

    slow = Slow(hang_twice, seconds=600)
    returned = await sim.run(sim.spec(JOB_ON_SLOW.format("one")), catalog=slow.catalog())
    slow.hang = wait_for_ever
    hung = await sim.run(sim.spec(JOB_ON_SLOW.format("two")), catalog=slow.catalog())

    assert (returned.exit_code, hung.exit_code, len(slow.calls)) == (0, 3, 6)
    assert (
        'plugin Slow (given by the program): its sink "slow" did not return from deliver in 600 s' in hung.jobs[0].why
    )


@pytest.mark.parametrize("other", ["folder: {path: else}", "slow: {path: other}"], ids=["other kind", "same kind"])
async def test_a_sink_that_is_slow_holds_up_no_other(simulate: Simulate, autojump_clock: MockClock, other: str) -> None:
    """However many jobs there are, and also one of its own kind; each job is done once, when both have its result."""
    sim = simulate()
    lines = "jobs:\n" + "".join(JOB.format(f"j{number}") for number in range(40))
    await sim.run(sim.spec(lines))
    began, slow, delivered, done = trio.current_time(), SlowForOne(None, seconds=600), list[float](), list[str]()

    def observe(event: Any) -> None:
        if event.name == "delivered" and event.data["sink"] == "other":
            delivered.append(trio.current_time() - began)
        if event.name == "job_done":
            done.append(event.job)

    outcome = await sim.run(
        sim.spec(f"sinks: {{odd: {{slow: {{}}}}, other: {{{other}}}}}\n{lines}"),
        catalog=slow.catalog(),
        observe=observe,
    )

    assert (outcome.exit_code, len(delivered), len(done), len(set(done))) == (0, 40, 40, 40)
    assert max(delivered) < 100
    assert trio.current_time() - began > 900


async def test_what_does_not_hang_any_more_is_called_again(simulate: Simulate, autojump_clock: MockClock) -> None:
    """A run may last for days; what its sink has missed the next run delivers."""
    sim = simulate(seconds=400.0)

    async def hang_at_first(ctx: Any) -> None:
        if trio.current_time() < 900:
            await trio.sleep_forever()

    slow = Slow(hang_at_first, seconds=200)
    spec = sim.spec("sinks: {odd: {slow: {}}}\njobs:\n" + "".join(JOB.format(f"j{number}") for number in range(15)))
    outcome = await sim.run(spec, catalog=slow.catalog())

    assert (outcome.exit_code, states(outcome)) == (3, {f"j{n}": "to deliver" if n < 10 else "done" for n in range(15)})


async def test_who_fails_late_hangs(simulate: Simulate, autojump_clock: MockClock) -> None:
    """A server that never answers holds the run for no hours, also where the plugin says so once it is cancelled."""
    sim = simulate()

    async def say_so(ctx: Any) -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise SinkError("no answer")

    slow = Slow(say_so, seconds=600)
    spec = sim.spec(SINKS + "jobs:\n" + "".join(JOB.format(f"j{number}") for number in range(8)))
    outcome = await sim.run(spec, catalog=slow.catalog())

    assert (outcome.exit_code, set(states(outcome).values())) == (3, {"to deliver"})
    assert len(slow.calls) < 8
    assert trio.current_time() < 1500


async def test_a_source_that_hangs_fails_its_own_job_only(simulate: Simulate, autojump_clock: MockClock) -> None:
    """Nothing is paid for it; the others are done meanwhile, also those behind it."""
    sim, slow = simulate(), Slow(wait_for_ever, seconds=600)
    hanging = [f"h{number}" for number in range(20)]
    spec = sim.spec("jobs:\n" + "".join(map(SLOW_JOB.format, hanging)) + JOB.format("one") + JOB.format("two"))
    done: list[float] = []

    def observe(event: Any) -> None:
        if event.name == "job_done":
            done.append(trio.current_time())

    outcome = await sim.run(spec, catalog=slow.catalog(), observe=observe)

    assert outcome.exit_code == 1
    assert states(outcome) == dict.fromkeys(hanging, "failed") | {"one": "done", "two": "done"}
    assert max(done) < 200
    assert 'its source "slow" did not return from prepare in 600 s' in outcome.jobs[0].why
    assert sim.made == 2


@pytest.mark.parametrize("lasting", [None, wait_for_ever], ids=["returns", "hangs"])
async def test_what_the_core_takes_for_an_upload_is_not_the_source_s_time(
    simulate: Simulate, autojump_clock: MockClock, lasting: Hang | None
) -> None:
    """A service that does not take the file for minutes is no fault of a plugin that has ten seconds."""
    sim = simulate(faults=[{"on": "policy", "nth": 1, "do": {"latency_seconds": 20}}])
    clip = sim.folder / "clip.mp4"
    clip.write_bytes(b"any bytes")

    async def hand_over(ctx: Any) -> None:
        await ctx.upload(clip, key="made-here", mime="video/mp4")
        if lasting is not None:
            await lasting(ctx)

    slow = Slow(hand_over, seconds=10)
    outcome = await sim.run(sim.spec("jobs:\n" + SLOW_JOB.format("one")), catalog=slow.catalog())

    assert states(outcome) == {"one": "done" if lasting is None else "failed"}
    assert lasting is None or 29 < trio.current_time() - slow.calls[0] < 35


# In threads


async def impatiently(
    function: Callable[[], Awaitable[Any]], /, spare_seconds: float, *, is_plain: bool = False
) -> Any:
    """Run it apart, and leave it alone soon."""
    return await run_apart(function, 0.05, is_plain=is_plain)


async def to_deliver(simulate: Simulate, jobs: int) -> tuple[Simulation, Path]:
    """Return a spec whose results are here, and lack only what goes to the sink that is slow."""
    lines = "jobs:\n" + "".join(JOB.format(f"j{number}") for number in range(jobs))

    async def make() -> None:
        sim = simulate()
        await sim.run(sim.spec(SINKS.replace("odd: {slow: {}}, ", "") + lines))

    await trio.to_thread.run_sync(partial(trio.run, make, clock=MockClock(autojump_threshold=0)))
    sim = simulate()
    return sim, sim.spec(SINKS + lines)


@pytest.mark.parametrize(
    ("make", "hang"), [(Slow, block_a_thread), (Slow, block_the_loop), (Slow, be_stubborn), (Plain, block_the_loop)]
)
async def test_a_sink_that_never_ends_is_called_once(simulate: Simulate, make: type[Slow], hang: Hang) -> None:
    """It may still be under way, so that trying again is for the next run, which finds it mended."""
    sim, spec = await to_deliver(simulate, 1)
    slow = make(hang, seconds=0.1)

    hung = await sim.run(spec, catalog=slow.catalog(), world=World(apart=impatiently))
    calls, slow.hang, slow.seconds = len(slow.calls), None, 60
    mended = await sim.run(spec, catalog=slow.catalog(), world=World(apart=impatiently))

    assert (hung.exit_code, calls, mended.exit_code) == (3, 1, 0)
    assert 'its sink "slow" did not return from deliver in 0.1 s' in hung.jobs[0].why


async def test_a_sink_that_never_ends_is_not_called_for_ever(simulate: Simulate) -> None:
    """Each such call costs its time, and here a thread, so the rest of the deliveries fail at once, and say why."""
    sim, spec = await to_deliver(simulate, 8)
    slow = Slow(block_the_loop, seconds=0.1)

    outcome = await sim.run(spec, catalog=slow.catalog(), world=World(apart=impatiently))

    assert outcome.exit_code == 3
    assert len(slow.calls) <= 3 + 3  # four at once, of which the last are called when two have not come back
    words = "is not called for now: 3 calls of deliver in a row did not return in 0.1 s"
    assert sum(words in job.why for job in outcome.jobs) == 8 - len(slow.calls)


async def end_the_loop(ctx: Any) -> None:
    """Have the loop end with an error."""

    async def fail() -> None:
        raise ZeroDivisionError

    trio.lowlevel.spawn_system_task(fail)
    await trio.sleep_forever()


async def interrupt(ctx: Any) -> None:
    """Raise what only a person at a keyboard may."""
    raise KeyboardInterrupt


async def interrupt_in_a_nursery(ctx: Any) -> None:
    """And that in a group."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(interrupt, ctx)


async def leave_a_scope_open(ctx: Any) -> None:
    """Enter what is never left."""
    trio.CancelScope().__enter__()


async def leave_a_nursery_open(ctx: Any) -> None:
    """And with a child in it."""
    nursery = await trio.open_nursery().__aenter__()
    nursery.start_soon(trio.sleep_forever)


@pytest.mark.parametrize(
    ("make", "breaking", "words"),
    [
        (Slow, end_the_loop, "ended its event loop in deliver"),
        (Slow, interrupt, "ended its event loop in deliver"),
        (Plain, interrupt, "ended its event loop in deliver"),
        (Slow, interrupt_in_a_nursery, "ended its event loop in deliver"),
        (Slow, leave_a_scope_open, "failed in deliver: RuntimeError: Cancel scope stack corrupted"),
        (Slow, leave_a_nursery_open, ""),
    ],
)
async def test_a_sink_that_breaks_its_own_loop_is_told_of(
    simulate: Simulate, capfd: pytest.CaptureFixture[str], make: type[Slow], breaking: Hang, words: str
) -> None:
    """Its delivery cannot come to anything any more; nothing is printed, and the next one has a sound loop."""
    sim, spec = await to_deliver(simulate, 1)
    slow = make(breaking, seconds=60)

    outcome = await sim.run(spec, catalog=slow.catalog(), world=World(apart=impatiently))
    slow.hang = None
    mended = await sim.run(spec, catalog=slow.catalog(), world=World(apart=impatiently))

    assert (outcome.exit_code, len(slow.calls), mended.exit_code) == (3, 2, 0)
    assert f'its sink "slow" {words}' in outcome.jobs[0].why
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("make", "hang"), [(Slow, block_a_thread), (Slow, block_the_loop), (Slow, be_stubborn), (Plain, block_the_loop)]
)
async def test_a_source_that_never_ends_costs_nothing(simulate: Simulate, make: type[Slow], hang: Hang) -> None:
    """Its job has no task."""
    sim, slow = simulate(), make(hang, seconds=0.1)
    spec = sim.spec("jobs:\n" + SLOW_JOB.format("one"))

    outcome = await sim.run(spec, catalog=slow.catalog(), world=World(apart=impatiently))

    assert (outcome.exit_code, states(outcome), sim.made) == (1, {"one": "failed"}, 0)
    assert 'its source "slow" did not return from prepare in 0.1 s' in outcome.jobs[0].why


async def test_a_plain_function_gives_no_promises(simulate: Simulate) -> None:
    """There is no loop in which something could be awaited, and the message says how to get one."""
    sim, spec = await to_deliver(simulate, 1)
    odd = Plain(wait_for_ever, seconds=60)

    outcome = await sim.run(spec, catalog=odd.catalog(), world=World(apart=impatiently))

    assert (outcome.exit_code, len(odd.calls)) == (3, 1)
    assert 'its sink "slow" gave something to be awaited for deliver; write it as async def' in outcome.jobs[0].why


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan"), "600"])
def test_a_time_that_is_none_is_refused(seconds: Any) -> None:
    """The plugin is named, before anything is called."""
    with pytest.raises(PluginError, match=r'its so?\w+ "slow" has seconds=.*; give what one call may take'):
        Slow(None, seconds=seconds).catalog()
