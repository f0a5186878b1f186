"""What every sink that takes files has to hold, as tests to inherit."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from wanrun.errors import SinkConflict, SinkError
from wanrun.guards import given
from wanrun.testing.artifacts import make_artifact, make_large_artifact
from wanrun.testing.bench import values_of
from wanrun.testing.cancelling import LEFTOVERS, awaits, cancel_at, finish
from wanrun.testing.child import DeliveringChild
from wanrun.testing.kinds import KindConformance
from wanrun.testing.lent import Lent
from wanrun.testing.offline import offline
from wanrun.types import Sandbox

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from wanrun.hookspecs import Sink, SinkKind
    from wanrun.testing.bench import Bench, Options
    from wanrun.types import Artifact, Delivery, Problem, Receipt

    Stored = Callable[[str], bytes | None]

MEBIBYTE = 1024 * 1024
CONTENT = bytes(range(251)) * 6_000  #: of most artifacts here: 1.5 MB, more than anybody moves in one piece
AT_ONCE = 8  #: deliveries
KILLS = (0.2, 0.5, 0.8)  #: when, as parts of the time that a delivery takes


class SinkConformance(KindConformance):
    """Inherit this, say `plugin` and `kind`, and override the fixtures `options` and `stored`.

    Each test has a folder and a new sink of its own; what `options` lead to must be empty when a test begins.
    """

    #: Whether a place holds one file. False is for a sink whose place takes any number of them, such as the channel of
    #: a chat: there nothing is in another's way, and `stored` reads the file that came last.
    keeps_one_file = True
    #: What delivering `large_blocks` MiB may take, in bytes of memory; a sink that streams takes far less.
    memory_bytes = 32 * MEBIBYTE
    large_blocks = 64

    @pytest.fixture
    def stored(self) -> Stored:
        """Return a function that reads what is at a place now, as anybody may see it: its bytes, or None."""
        raise NotImplementedError("override the fixture `stored`: it returns a function from a place to its bytes")

    @pytest.fixture
    def artifact(self, tmp_path: Path) -> Artifact:
        """Return what is delivered."""
        return make_artifact(tmp_path / "store", CONTENT)

    @pytest.fixture
    def other_artifact(self, tmp_path: Path) -> Artifact:
        """Return other bytes."""
        return make_artifact(tmp_path / "store", CONTENT[::-1])

    # What a spec says of it

    def test_its_place_is_named_without_network_and_secrets(self, bench: Bench, options: Options) -> None:
        """`validate` and `plan` ask for it, where there is neither."""
        with offline("place()"):
            job = bench.job(options)
            place = new_sink(bench).place(job.sinks[0], job)

        opened = bench.opened(job.sinks[0])
        assert new_sink(bench).place(opened, job) == place, "the place depends on the value of a secret"

    def test_its_place_is_the_same_each_time_and_another_for_another_job(self, bench: Bench, options: Options) -> None:
        """A new run finds what an earlier one delivered, and no two results are in each other's way.

        Where two jobs have one place with these options, give the option that names it `${{ job.id }}`.
        """
        places = [_place(bench, options, job_id) for job_id in ("first", "first", "second")]

        assert places[0] == places[1], f"place() names another place each time: {places[0]}, then {places[1]}"
        assert places[0] != places[2], f"two jobs have one place, {places[0]}: use job.id, or ask for it in the options"

    # One delivery

    def test_the_artifact_is_at_its_place_and_the_receipt_says_so(
        self, bench: Bench, options: Options, artifact: Artifact, stored: Stored
    ) -> None:
        """Every byte of it, and the receipt is about these."""
        place = _place(bench, options)
        assert stored(place) is None, f"something is at {place} before anything is delivered"

        receipt = deliver(bench, bench.delivery(options, artifact))

        assert stored(place) == CONTENT, f"what is at {place} is not what was delivered"
        _check_receipt(receipt, artifact)

    def test_delivering_twice_is_delivering_once(
        self, bench: Bench, options: Options, artifact: Artifact, stored: Stored
    ) -> None:
        """A run that died before it could note the receipt delivers again, with a sink that is new."""
        sink = new_sink(bench)
        receipts = [
            deliver(bench, bench.delivery(options, artifact), sink),
            deliver(bench, bench.delivery(options, artifact), sink),
            deliver(bench, bench.delivery(options, artifact)),
        ]

        facts = {(receipt.place, receipt.bytes, receipt.sha256) for receipt in receipts}
        assert len(facts) == 1, f"the receipts differ: {receipts}"
        assert stored(_place(bench, options)) == CONTENT, "after delivering again something else is there"

    def test_deliveries_at_once_are_not_in_each_other_s_way(
        self, bench: Bench, options: Options, stored: Stored, tmp_path: Path
    ) -> None:
        """A run has several on the way, all to one sink."""
        contents = {f"at-once-{number}": CONTENT + bytes([number]) for number in range(AT_ONCE)}
        deliveries = {
            job_id: bench.delivery(options, make_artifact(tmp_path / "store", content), job_id)
            for job_id, content in contents.items()
        }

        receipts = _all_at_once(new_sink(bench), deliveries)

        for job_id, content in contents.items():
            _check_receipt(receipts[job_id], deliveries[job_id].artifact)
            assert stored(_place(bench, options, job_id)) == content, f"what {job_id} delivered is not at its place"

    def test_other_bytes_at_the_place_are_a_conflict(
        self, bench: Bench, options: Options, artifact: Artifact, other_artifact: Artifact, stored: Stored
    ) -> None:
        """They may be somebody's, and they stay. Only where a place keeps any number of files there is no conflict."""
        deliver(bench, bench.delivery(options, artifact))

        failure = failed(bench, bench.delivery(options, other_artifact))

        if not self.keeps_one_file:
            assert failure is None, f"keeps_one_file is False, and a second file at the place fails: {failure!r}"
            assert stored(_place(bench, options)) == CONTENT[::-1], "what was delivered last is not at the place"
            return
        assert stored(_place(bench, options)) == CONTENT, "what was at the place is written over"
        assert isinstance(failure, SinkConflict), f"other bytes at the place are no SinkConflict: {failure!r}"

    def test_what_may_be_replaced_is_replaced(
        self, bench: Bench, options: Options, artifact: Artifact, other_artifact: Artifact, stored: Stored
    ) -> None:
        """A further take of a job goes where the one before it went."""
        deliver(bench, bench.delivery(options, artifact))

        receipt = deliver(bench, bench.delivery(options, other_artifact, may_replace=[artifact]))

        assert stored(_place(bench, options)) == CONTENT[::-1], "what may_replace names is not replaced"
        _check_receipt(receipt, other_artifact)

    def test_with_an_emulator_it_stays_in_its_sandbox(
        self, bench: Bench, options: Options, artifact: Artifact, stored: Stored, tmp_path: Path
    ) -> None:
        """A kind that says it is `local` writes below `sink.sandbox` when there is one; any other is not asked to."""
        if not self.kind_of(bench).local:
            return
        delivery = bench.delivery(options, artifact)
        root = tmp_path / "sandbox"
        sink = replace(delivery.sink, sandbox=Sandbox(root, root / "specs"))

        before = files_below(tmp_path)
        place = new_sink(bench).place(sink, delivery.job)
        deliver(bench, replace(delivery, sink=sink))

        outside = {path for path in files_below(tmp_path) - before if not path.is_relative_to(root)}
        assert not outside, f"with a sandbox at {root}, this is written outside: {sorted(map(str, outside))}"
        assert Path(place).is_relative_to(root), f"with a sandbox at {root}, its place is {place}"
        assert stored(place) == CONTENT, f"what is at {place} is not what was delivered"

    # What goes wrong

    @pytest.mark.parametrize("damage", ["gone", "other bytes"])
    def test_a_damaged_artifact_gets_no_receipt(
        self, bench: Bench, options: Options, artifact: Artifact, damage: str
    ) -> None:
        """A receipt ends all care for a result, so it is given for these very bytes or not at all."""
        delivery = bench.delivery(options, artifact)
        if damage == "gone":
            artifact.path.unlink()
        else:
            artifact.path.write_bytes(CONTENT[:-1] + b"!")

        failure = failed(bench, delivery)

        assert isinstance(failure, SinkError), (
            f"a damaged artifact ({damage}) is no SinkError, but {failure!r}: compare the sha256 of what is read with "
            "that of the artifact"
        )

    @pytest.mark.filterwarnings(*LEFTOVERS)
    def test_cancelled_at_any_await_it_leaves_nothing_partial(
        self, bench: Bench, options: Options, artifact: Artifact, stored: Stored
    ) -> None:
        """A run can end at any await: what is at the place is whole or not there, and the next run delivers it."""
        for step in awaits():
            job_id = f"cancelled-{step}"
            delivery, place = bench.delivery(options, artifact, job_id), _place(bench, options, job_id)
            ended = cancel_at(step, _call(new_sink(bench), delivery))
            where = f"cancelled at await {step}"
            assert not ended.swallowed, f"{where}, deliver() goes on and ends with {ended.value or ended.error!r}"
            assert ended.error is None, f"{where}, deliver() raises {ended.error!r}"
            there = stored(place)
            assert there in (None, CONTENT), f"{where}, {len(there or b'')} of {len(CONTENT)} bytes are at {place}"
            if ended.value is not None:
                assert there == CONTENT, f"{where}, deliver() gives a receipt for what is not there"
                _check_receipt(ended.value, artifact)
            _check_receipt(deliver(bench, delivery), artifact)
            assert stored(place) == CONTENT, f"{where}, the next run does not deliver it"
            if not ended.reached:
                break

    def test_killed_at_any_time_it_leaves_nothing_partial(
        self, bench: Bench, options: Options, stored: Stored, tmp_path: Path
    ) -> None:
        """As with a lost power supply, nothing of the sink's own runs any more; the next run delivers it."""
        artifact = make_large_artifact(tmp_path / "store", self.large_blocks // 2)
        seconds = _seconds_of_a_delivery(bench, options, artifact)
        for number, part in enumerate(KILLS):
            job_id = f"killed-{number}"
            child = DeliveringChild(bench, options, [(job_id, artifact)])
            try:
                child.heard()
                time.sleep(seconds * part)
            finally:
                child.kill()
            place = _place(bench, options, job_id)
            there = stored(place)
            whole = artifact.path.read_bytes()
            assert there in (None, whole), (
                f"killed on the way, {len(there or b'')} of {len(whole)} bytes are at {place}"
            )
            _check_receipt(deliver(bench, bench.delivery(options, artifact, job_id)), artifact)
            assert stored(place) == whole, "after it was killed the next run does not deliver it"

    def test_a_large_artifact_takes_little_memory(
        self, bench: Bench, options: Options, artifact: Artifact, tmp_path: Path
    ) -> None:
        """What a process takes at most grows by less than `memory_bytes` while it delivers `large_blocks` MiB.

        It is measured in a process of its own, from a small delivery on, so that what is loaded once is not counted:
        there the system's own figure holds for everything, whatever library has the memory.
        """
        large = make_large_artifact(tmp_path / "store", self.large_blocks)
        child = DeliveringChild(bench, options, [("small", artifact), ("large", large)])
        try:
            *_, told = [child.heard() for _ in range(4)]
        finally:
            child.kill()

        assert (told["bytes"], told["sha256"]) == (large.bytes, large.sha256), "its receipt is about other bytes"
        assert told["grown"] < self.memory_bytes, (
            f"delivering {large.bytes / MEBIBYTE:.0f} MiB takes {told['grown'] / MEBIBYTE:.0f} MiB of memory; "
            f"read it in pieces (at most {self.memory_bytes / MEBIBYTE:.0f} MiB)"
        )

    def test_secrets_are_not_shown(
        self, bench: Bench, options: Options, artifact: Artifact, other_artifact: Artifact
    ) -> None:
        """Not in a place, a receipt, an error or the sink's own `repr`; these are printed, recorded and sent on."""
        sink, delivery = new_sink(bench), bench.delivery(options, artifact)
        texts = {"its place": sink.place(delivery.sink, delivery.job)}
        receipt = deliver(bench, delivery, sink)
        texts |= {"its receipt": repr(receipt), "its link": receipt.link.url if receipt.link else ""}
        texts["its repr"] = repr(getattr(sink, "_made", sink))
        texts["a conflict"] = _text(failed(bench, bench.delivery(options, other_artifact), sink))
        gone = replace(artifact, path=artifact.path.with_name("gone"))
        texts["an error"] = _text(failed(bench, bench.delivery(options, gone, "second"), sink))

        for value in values_of(delivery.sink.options):
            for what, text in texts.items():
                assert value not in text, f"{what} shows a secret: {text.replace(value, '<the secret>')}"

    # For the checks of options

    def kind_of(self, bench: Bench) -> SinkKind:
        """Return what the plugin offers."""
        return bench.catalog().sinks[self.kind]

    def problems_of(self, bench: Bench, options: Options) -> tuple[str, Sequence[Problem]]:
        """Return a spec with these options, and what wanrun has against it."""
        return bench.sink_problems(options)


def new_sink(bench: Bench) -> Sink:
    """Return the sink as a new run builds it."""
    return bench.catalog().sink(bench.kind)


def deliver(bench: Bench, delivery: Delivery, sink: Sink | None = None) -> Receipt:
    """Deliver, with a new sink unless one is given."""
    return finish(_call(sink or new_sink(bench), delivery))


def failed(bench: Bench, delivery: Delivery, sink: Sink | None = None) -> Exception | None:
    """Deliver, and return what is raised; None when nothing is."""
    try:
        deliver(bench, delivery, sink)
    except Exception as exc:
        return exc
    return None


def files_below(folder: Path) -> set[Path]:
    """Return all files below a folder."""
    return {path for path in folder.rglob("*") if path.is_file()}


def _call(sink: Sink, delivery: Delivery) -> Callable[[], Awaitable[Receipt]]:
    return lambda: given(sink.deliver(delivery, Lent()))


def _all_at_once(sink: Sink, deliveries: Mapping[str, Delivery]) -> dict[str, Receipt]:
    """Deliver as a run does, each in a thread with an event loop of its own."""
    with ThreadPoolExecutor(len(deliveries)) as threads:
        receipts = threads.map(lambda delivery: finish(_call(sink, delivery)), deliveries.values())
        return dict(zip(deliveries, receipts, strict=True))


def _place(bench: Bench, options: Options, job_id: str = "first") -> str:
    job = bench.job(options, job_id)
    return new_sink(bench).place(job.sinks[0], job)


def _check_receipt(receipt: Receipt, artifact: Artifact) -> None:
    assert receipt.place, "the receipt names no place"
    assert receipt.bytes == artifact.bytes, f"the receipt speaks of {receipt.bytes} bytes; it is {artifact.bytes}"
    assert receipt.sha256 == artifact.sha256, "the sha256 of the receipt is not that of the artifact"


def _text(failure: Exception | None) -> str:
    return f"{failure} {failure!r}"


def _seconds_of_a_delivery(bench: Bench, options: Options, artifact: Artifact) -> float:
    child = DeliveringChild(bench, options, [("whole", artifact)])
    try:
        child.heard()
        started = time.monotonic()
        child.heard()
        return time.monotonic() - started
    finally:
        child.kill()
