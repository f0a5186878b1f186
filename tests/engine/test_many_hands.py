"""Others have a hand in it: readers of the ledger, who tidies the store, plugins, a second provider, odd file names."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trio
from twist import Asked, Twist

from simulation import Simulation, states
from wanrun import Delivery, Identity, MediaRef, MediaUrl, Receipt, SinkKind, SourceKind, api, hookimpl
from wanrun.emulator import ready_clip
from wanrun.emulator.calls import Kind
from wanrun.errors import LedgerBusy, LedgerError, SettingsError, SpecError
from wanrun.ledger import Ledger, LedgerLock, database
from wanrun.registry import load_catalog
from wanrun.types import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock

    from wanrun.events import Event

    Simulate = Callable[..., Simulation]

pytestmark = pytest.mark.slow

ONE = "jobs:\n  - {id: one, prompt: p, media: [{video: https://example.com/one.mp4}]}\n"
TWO_SINKS = "sinks: {first: {folder: {path: out}}, second: {folder: {path: copies}}}\n"


# The ledger


class Reader:
    """Another program that begins to read the ledger when a task was made, and does not stop."""

    def __init__(self, sim: Simulation) -> None:
        self._path = sim.folder / ".wanrun" / "ledger.db"
        self._connection: sqlite3.Connection | None = None

    def hear(self, asked: Asked, _body: dict[str, Any]) -> None:
        """Begin with the first create that is answered: before its task is recorded."""
        if asked.kind is Kind.CREATE and self._connection is None:
            self._connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
            self._connection.execute("BEGIN")
            self._connection.execute("SELECT * FROM meta").fetchall()

    def leave(self) -> None:
        """Stop reading."""
        assert self._connection is not None
        self._connection.close()


def hurry(monkeypatch: pytest.MonkeyPatch, *, busy_milliseconds: int) -> None:
    """Let SQLite wait for a reader much shorter than the 5 s that it gets, and each try with it."""
    assert "busy_timeout = 5000;" in database.PRAGMAS
    monkeypatch.setattr(database, "PRAGMAS", database.PRAGMAS.replace("5000", str(busy_milliseconds)))


async def test_a_reader_that_leaves_in_time_costs_nothing(
    simulate: Simulate, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is costly to lose is written as soon as the reader gets out of the way."""
    hurry(monkeypatch, busy_milliseconds=100)
    sim = simulate()
    reader = Reader(sim)
    leaving = threading.Timer(0.25, reader.leave)  # the event loop waits in SQLite, so virtual time stands still

    def hear(asked: Asked, body: dict[str, Any]) -> None:
        reader.hear(asked, body)
        if asked.kind is Kind.CREATE:
            leaving.start()

    outcome = await sim.run(sim.clips("one"), transport=Twist(sim.account, rewrite=hear))

    assert (outcome.exit_code, sim.made) == (0, 1)


async def test_a_reader_that_stays_costs_no_task_id(
    simulate: Simulate, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run has to end, but says which task could not be recorded, so that it is adopted and not paid again."""
    hurry(monkeypatch, busy_milliseconds=10)
    sim = simulate()
    spec = sim.clips("one")
    reader = Reader(sim)

    with pytest.raises(LedgerError) as caught:
        await sim.run(spec, transport=Twist(sim.account, rewrite=reader.hear))
    reader.leave()
    (task_id,) = sim.account.tasks
    api.resolve("one", api.Decision.ADOPT, sim.setup, task_id=task_id)
    outcome = await sim.run(spec)

    assert caught.value.exit_code == 3
    assert f"wanrun resolve batch/one --adopt {task_id}" in str(caught.value)
    assert (outcome.exit_code, sim.made) == (0, 1)


async def test_status_does_not_call_a_create_in_the_air_held(simulate: Simulate, autojump_clock: MockClock) -> None:
    """Whoever looks meanwhile is not asked to settle what settles itself."""
    sim = simulate(faults=[{"on": "create", "do": {"latency_seconds": 5}}])
    said: list[State] = []

    async def look() -> None:
        await trio.sleep(2)
        said.extend(each.state for each in api.status(sim.setup))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(sim.run, sim.clips("one"))
        nursery.start_soon(look)

    assert said == [State.UNSURE]


def test_two_openers_of_a_new_ledger_do_not_disturb_each_other(tmp_path: Path) -> None:
    """Whoever comes second finds the tables made, or waits until they are."""
    problems: list[Exception] = []

    def open_and_read(path: Path, gate: threading.Barrier) -> None:
        gate.wait()
        try:
            with Ledger.open(path, now=time.time) as ledger:
                ledger.entries()
        except Exception as exc:
            problems.append(exc)

    for number in range(30):
        path, gate = tmp_path / f"{number}.db", threading.Barrier(2)
        threads = [threading.Thread(target=open_and_read, args=(path, gate)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert problems == []


def test_a_ledger_may_be_called_like_a_lock(tmp_path: Path) -> None:
    """Locking it does not write over it."""
    path = tmp_path / "my.lock"
    with LedgerLock(path), Ledger.open(path, now=time.time) as ledger:
        ledger.belong_to("service")

    with LedgerLock(path), Ledger.open(path, now=time.time) as ledger:
        assert ledger.account == "service"


def test_a_ledger_under_two_names_has_one_lock(tmp_path: Path) -> None:
    """A symbolic link is no way to run twice on one ledger."""
    (tmp_path / "a").mkdir()
    path, link = tmp_path / "a" / "ledger.db", tmp_path / "link.db"
    link.symlink_to(path)

    with LedgerLock(path), pytest.raises(LedgerBusy), LedgerLock(link):
        pass


# The artifact store


async def test_a_damaged_artifact_is_fetched_again(simulate: Simulate, autojump_clock: MockClock) -> None:
    """A file that lost its end, on a disk that lost power, say, is not what another sink gets."""
    sim = simulate()
    await sim.run(sim.spec(ONE))
    (artifact,) = (sim.folder / ".wanrun" / "artifacts").glob("*.mp4")
    artifact.write_bytes(artifact.read_bytes()[:1000])

    outcome = await sim.run(sim.spec(TWO_SINKS + ONE))

    assert (outcome.exit_code, outcome.submitted, sim.made) == (0, 0, 1)
    assert (sim.folder / "copies" / "one.mp4").read_bytes() == ready_clip().data


@pytest.mark.parametrize("name", ["job_submitted", "job_fetched"])
async def test_a_store_that_is_deleted_in_mid_run_is_made_again(
    simulate: Simulate, autojump_clock: MockClock, name: str
) -> None:
    """Before the download or after it: this run or the next brings the result home, and nothing is paid again."""
    sim = simulate()
    spec = sim.clips("one", "two")

    def tidy(event: Event) -> None:
        if event.name == name:
            shutil.rmtree(sim.folder / ".wanrun" / "artifacts", ignore_errors=True)

    first = await sim.run(spec, observe=tidy)
    second = await sim.run(spec)

    assert first.exit_code in (0, 3)
    assert (second.exit_code, sim.made) == (0, 2)


# The service, the clock and the person


async def test_a_provider_that_is_down_leaves_the_other_alone(simulate: Simulate, autojump_clock: MockClock) -> None:
    """The jobs of the one are done, those of the other wait for another run, and the reason is said."""
    sim = simulate()
    sim.settings(
        "[providers.default]\npatience_seconds = 30\nbase_url = 'https://down.example.com/api/v1'\n"
        "[providers.other]\nbase_url = 'https://up.example.com/api/v1'\n"
    )
    spec = sim.spec(ONE + "  - {id: two, provider: other, prompt: q, media: [{video: https://example.com/2.mp4}]}\n")

    def refuse(asked: Asked) -> None:
        if asked.host == "down.example.com":
            raise httpx.ConnectError("refused")

    outcome = await sim.run(spec, transport=Twist(sim.account, instead=refuse))

    assert (outcome.exit_code, states(outcome)) == (3, {"one": "new", "two": "done"})
    assert any("cannot be reached" in reason for reason in outcome.reasons)


async def test_what_is_here_is_delivered_while_the_service_is_down(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """A copy to another sink needs no service, even in a run that would submit something too."""
    sim = simulate()
    await sim.run(sim.spec(ONE))
    spec = sim.spec(TWO_SINKS + ONE + "  - {id: two, prompt: q, media: [{video: https://example.com/2.mp4}]}\n")
    sim.faults({"on": "any", "do": {"reset": "connect"}})

    outcome = await sim.run(spec)

    assert (outcome.exit_code, states(outcome)) == (3, {"one": "done", "two": "new"})
    assert (sim.folder / "copies" / "one.mp4").exists()


@pytest.mark.parametrize("days", [3, -5], ids=["ahead", "back"])
async def test_a_clock_that_is_set_in_mid_run_costs_nothing(
    simulate: Simulate, autojump_clock: MockClock, days: int
) -> None:
    """Whatever this machine's calendar says, the task of a minute ago is a minute old."""
    sim = simulate()
    spec = sim.clips("one")
    clock, jumped_seconds = sim.clock, 0.0

    def jump(event: Event) -> None:
        nonlocal jumped_seconds
        if event.name == "job_submitted":
            jumped_seconds = days * 24 * 3600.0

    sim.clock = lambda: clock() + jumped_seconds
    outcome = await sim.run(spec, observe=jump)

    assert (outcome.exit_code, sim.made) == (0, 1)


@pytest.mark.parametrize(("latency_seconds", "unsure"), [(4, False), (8, True)], ids=["answered", "not answered"])
async def test_a_create_in_the_air_at_ctrl_c_gets_five_seconds(
    simulate: Simulate, autojump_clock: MockClock, latency_seconds: float, unsure: bool
) -> None:
    """The run ends no later; an answer within them is recorded, else the next run finds that no task was made."""
    sim = simulate(faults=[{"on": "create", "do": {"latency_seconds": latency_seconds}}])
    spec = sim.clips("one")
    exit_codes: list[int] = []

    async def run() -> None:
        exit_codes.append((await sim.run(spec, signals=True)).exit_code)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        await trio.sleep(1)
        interrupted_at = trio.current_time()
        signal.raise_signal(signal.SIGINT)
    took_seconds = trio.current_time() - interrupted_at
    outcome = await sim.run(spec)

    assert exit_codes == [130]
    assert took_seconds <= 5.1
    assert bool(sim.named("job_unsure")) is unsure
    assert (outcome.exit_code, outcome.submitted, sim.made) == (0, int(unsure), 1)


# Plugins


class Wobbly:
    """A plugin whose source breaks down at one link, and whose sink tells things that cannot be recorded."""

    def __init__(self, details: dict[str, Any] | None = None) -> None:
        self._details = details or {}

    @hookimpl
    def wanrun_sources(self) -> dict[str, SourceKind]:
        """Offer this object as a source."""
        url = {"type": "string", "description": "A link."}
        options = {"type": "object", "properties": {"url": url}, "additionalProperties": False}
        return {"wobbly": SourceKind(options=options, build=lambda: self, short="url")}

    @hookimpl
    def wanrun_sinks(self) -> dict[str, SinkKind]:
        """And as a sink."""
        return {"chatty": SinkKind(options={"type": "object", "additionalProperties": False}, build=lambda: self)}

    def locate(self, ref: MediaRef) -> None:
        """There is no file."""

    def identify(self, ref: MediaRef) -> Identity:
        """A link is what it says."""
        return Identity(f"url:{ref.options['url']}")

    async def prepare(self, ref: MediaRef, ctx: object) -> MediaUrl:
        """Break down at `one`."""
        return MediaUrl({"https://example.com/two.mp4": "https://example.com/2.mp4"}[str(ref.options["url"])])

    def place(self, sink: object, job: Any) -> str:
        """Any place will do."""
        return f"there/{job.id}"

    async def deliver(self, delivery: Delivery, ctx: object) -> Receipt:
        """Keep nothing, and say so at length."""
        place = self.place(delivery.sink, delivery.job)
        return Receipt(place, delivery.artifact.bytes, delivery.artifact.sha256, self._details)


async def test_a_source_that_breaks_down_fails_its_job_only(simulate: Simulate, autojump_clock: MockClock) -> None:
    """Its plugin is named; the sibling is done."""
    sim = simulate()
    line = "  - {{id: {0}, prompt: p, media: [{{video: {{wobbly: 'https://example.com/{0}.mp4'}}}}]}}\n"
    spec = sim.spec("jobs:\n" + line.format("one") + line.format("two"))

    outcome = await sim.run(spec, catalog=load_catalog(plugins=[Wobbly()]))

    assert (outcome.exit_code, states(outcome)) == (1, {"one": "failed", "two": "done"})
    assert "Wobbly" in outcome.jobs[0].why


@pytest.mark.parametrize("details", [{"path": Path("/x")}, {"parts": {1, 2}}], ids=["a path", "a set"])
async def test_a_receipt_that_cannot_be_recorded_fails_its_delivery_only(
    simulate: Simulate, autojump_clock: MockClock, details: dict[str, Any]
) -> None:
    """The other sink is served, the artifact is kept, and a mended plugin is served by the next run for nothing."""
    sim = simulate()
    spec = sim.spec("sinks: {disk: {folder: {path: out}}, odd: {chatty: {}}}\n" + ONE)

    odd = await sim.run(spec, catalog=load_catalog(plugins=[Wobbly(details)]))
    mended = await sim.run(spec, catalog=load_catalog(plugins=[Wobbly()]), key=None)

    assert (odd.exit_code, states(odd)) == (3, {"one": "to deliver"})
    assert (sim.folder / "out" / "one.mp4").exists()
    assert (mended.exit_code, sim.made) == (0, 1)


@pytest.mark.parametrize("details", [{"path": "\udcff"}, {"size": float("nan")}], ids=["no text", "no number"])
async def test_a_receipt_may_hold_what_json_has_no_word_for(
    simulate: Simulate, autojump_clock: MockClock, details: dict[str, Any]
) -> None:
    """It is kept as well as can be; the job is done and stays done."""
    sim = simulate()
    spec = sim.spec("sinks: {odd: {chatty: {}}}\n" + ONE)
    catalog = load_catalog(plugins=[Wobbly(details)])

    outcome = await sim.run(spec, catalog=catalog)
    again = await sim.run(spec, catalog=catalog, key=None)

    assert (outcome.exit_code, again.exit_code, sim.made) == (0, 0, 1)


# Names that are no text


def no_text(folder: Path, name: bytes) -> Path:
    """Return a path whose last part is no UTF-8."""
    return Path(os.fsdecode(os.fsencode(folder) + b"/" + name))


@pytest.mark.parametrize("is_project", [True, False], ids=["project", "spec's folder"])
async def test_a_folder_whose_name_is_no_text_is_refused_before_anything(
    tmp_path: Path, autojump_clock: MockClock, is_project: bool
) -> None:
    """The ledger could not name it, which would be found out when the money is spent."""
    odd = no_text(tmp_path, b"caf\xe9")
    odd.mkdir()
    sim = Simulation(odd if is_project else tmp_path)
    spec = sim.clips("one")
    if not is_project:
        spec = spec.rename(odd / "batch.yaml")

    with pytest.raises(SettingsError, match="is not UTF-8; rename it"):
        await sim.run(spec)

    assert sim.made == 0


async def test_a_file_whose_name_is_no_text_is_refused_where_it_would_name_a_job(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """A pattern may find such a file; the message says what to use instead of its name."""
    sim = simulate()
    (sim.folder / "clips").mkdir()
    no_text(sim.folder / "clips", b"b\xff.mp4").write_bytes(ready_clip().data)
    spec = sim.spec(
        "jobs:\n"
        "  - id: j-${{ matrix.clip.stem }}\n"
        "    matrix: {clip: {glob: 'clips/*.mp4'}}\n"
        "    prompt: p\n"
        "    media: [{video: '${{ matrix.clip }}'}]\n"
    )

    with pytest.raises(SpecError, match=r"take the \.slug"):
        await sim.run(spec)
