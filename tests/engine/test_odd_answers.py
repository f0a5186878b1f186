"""The service answers oddly: about one task, in lists, in links and times; what is well is done, and all of it ends."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import fastcrc
import httpx
import pytest
import trio
from twist import Asked, Twist, refusal, unknown

from simulation import Simulation, states
from wanrun import api
from wanrun.emulator import ready_clip
from wanrun.emulator.calls import Kind
from wanrun.types import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock

    Simulate = Callable[..., Simulation]

pytestmark = pytest.mark.slow

HOUR = 3600.0
DAY = 24 * HOUR
REFUSALS = [
    pytest.param(400, "InvalidParameter", id="400"),
    pytest.param(403, "AccessDenied", id="403"),
    pytest.param(404, "NotFound", id="404"),
    pytest.param(500, "InternalError", id="500"),
]


def is_about(asked: Asked, name: str, kind: Kind = Kind.QUERY) -> bool:
    """Say whether a call of this kind is about the task of `Simulation.clips`'s job of this id."""
    return asked.kind is kind and asked.task is not None and asked.task.prompt == f"prompt of {name}"


def for_ever(name: str) -> Callable[[Asked, dict[str, Any]], None]:
    """Return what makes a job's task wait in the service's queue for ever."""

    def wait(asked: Asked, body: dict[str, Any]) -> None:
        if is_about(asked, name):
            body["output"] = {"task_id": body["output"]["task_id"], "task_status": "PENDING"}
        elif asked.kind is Kind.LIST:
            body["data"] = []  # it would say otherwise

    return wait


@pytest.mark.parametrize(("status", "code"), REFUSALS)
async def test_one_task_that_cannot_be_asked_for_leaves_its_siblings_alone(
    simulate: Simulate, autojump_clock: MockClock, status: int, code: str
) -> None:
    """The others are brought home in the first run; the odd one is waited for or held, never paid for again."""
    effect = {"status": status, "code": code, "message": "not this one"}
    sim = simulate(faults=[{"on": "query", "prompt": "prompt of one", "do": effect}])
    spec = sim.clips("one", "two", "three")

    first = await sim.run(spec)
    second = await sim.run(spec)

    for outcome in (first, second):
        assert outcome.exit_code != 0
        assert {**states(outcome), "one": ""} == {"one": "", "two": "done", "three": "done"}
        assert states(outcome)["one"] in ("held", "in flight")
    assert sim.made == 3


async def test_an_answer_about_another_task_is_not_believed(simulate: Simulate, autojump_clock: MockClock) -> None:
    """It concerns the task that was asked for only, and that one is brought home when the service is itself again."""
    sim = simulate()
    spec = sim.clips("one", "two")

    def confuse(asked: Asked, body: dict[str, Any]) -> None:
        if is_about(asked, "one"):
            body["output"]["task_id"] = "another"

    confused = await sim.run(spec, transport=Twist(sim.account, rewrite=confuse))
    outcome = await sim.run(spec)

    assert (confused.exit_code, states(confused)) == (3, {"one": "in flight", "two": "done"})
    assert (outcome.exit_code, sim.made) == (0, 2)


@pytest.mark.parametrize(
    "effect",
    [
        pytest.param({"status": 400, "code": "InvalidParameter"}, id="400"),
        pytest.param({"status": 403, "code": "AccessDenied"}, id="403"),
        pytest.param({"status": 500}, id="500"),
        pytest.param({"garbage": True}, id="no JSON"),
        pytest.param({"lag_seconds": DAY}, id="empty"),
    ],
)
async def test_without_the_list_single_queries_do(
    simulate: Simulate, autojump_clock: MockClock, effect: dict[str, Any]
) -> None:
    """The list only saves calls, so a run is complete without it, from its first call on."""
    sim = simulate(faults=[{"on": "list", "do": effect}])

    outcome = await sim.run(sim.clips("one", "two", "three"))

    assert (outcome.exit_code, sim.made) == (0, 3)


async def test_a_list_that_claims_a_billion_pages_is_not_read_to_its_end(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """What a list says of its own length is no reason to read on where there is nothing."""
    sim = simulate()

    def boast(asked: Asked, body: dict[str, Any]) -> None:
        if asked.kind is Kind.LIST:
            assert twist.count(Kind.LIST) < 30, "read on and on"
            body["total_page"] = 10**9

    twist = Twist(sim.account, rewrite=boast)
    outcome = await sim.run(sim.clips("one", "two", "three"), transport=twist)

    assert outcome.exit_code == 0


async def test_a_list_that_is_throttled_holds_the_queries_back_too(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """Its Retry-After is kept up to a minute; after that single queries take over."""
    throttle = {"status": 429, "code": "Throttling.RateQuota", "retry_after": 40}
    sim = simulate(faults=[{"on": "list", "nth": 2, "do": throttle}])
    twist = Twist(sim.account)

    outcome = await sim.run(sim.clips(*"abcdefgh"), transport=twist)

    looks = [asked.at_seconds for asked in twist.calls if asked.kind in (Kind.LIST, Kind.QUERY)]
    throttled_at = [asked.at_seconds for asked in twist.calls if asked.kind is Kind.LIST][1]
    assert outcome.exit_code == 0
    assert min(at for at in looks if at > throttled_at) >= throttled_at + 40


async def test_a_task_id_that_comes_twice_holds_the_second_job(simulate: Simulate, autojump_clock: MockClock) -> None:
    """Two jobs never share a task: the second waits for a person, its siblings are done."""
    sim = simulate()
    ids: list[str] = []

    def repeat(asked: Asked, body: dict[str, Any]) -> None:
        if asked.kind is Kind.CREATE:
            ids.append(body["output"]["task_id"])
            body["output"]["task_id"] = ids[0] if len(ids) == 2 else ids[-1]

    outcome = await sim.run(sim.clips("one", "two", "three"), transport=Twist(sim.account, rewrite=repeat))

    assert (outcome.exit_code, states(outcome)) == (1, {"one": "done", "two": "held", "three": "done"})
    assert "which another job has" in outcome.jobs[1].why


async def test_a_task_that_is_unknown_at_first_is_waited_for(simulate: Simulate, autojump_clock: MockClock) -> None:
    """Where answers lag some seconds behind the creates, nobody is asked to settle anything."""
    sim = simulate()

    def lag(asked: Asked, body: dict[str, Any]) -> None:
        if asked.kind is Kind.QUERY and asked.task and sim.clock() - asked.task.created_at < 30:
            unknown(body)

    outcome = await sim.run(sim.clips("one"), transport=Twist(sim.account, rewrite=lag))

    assert (outcome.exit_code, sim.made) == (0, 1)


async def test_a_run_with_a_foreign_key_or_region_holds_nothing_for_good(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """There the tasks are unknown; a look is free, so the next run with the right ones finds them."""
    sim = simulate()
    spec = sim.clips("one", "two")
    await sim.leave_in_flight(spec)

    def deny(asked: Asked, body: dict[str, Any]) -> None:
        if asked.kind is Kind.QUERY:
            unknown(body)
        elif asked.kind is Kind.LIST:
            body.update(data=[], total=0, total_page=0)

    foreign = await sim.run(spec, transport=Twist(sim.account, rewrite=deny))
    outcome = await sim.run(spec)

    assert (foreign.exit_code, set(states(foreign).values())) == (1, {"held"})
    assert (outcome.exit_code, outcome.submitted, sim.made) == (0, 0, 2)


async def test_a_status_that_nobody_has_heard_of_is_waited_out(simulate: Simulate, autojump_clock: MockClock) -> None:
    """The service may learn new words; only those that we know end a task."""
    sim = simulate()

    def coin(asked: Asked, body: dict[str, Any]) -> None:
        if asked.kind is Kind.QUERY and body["output"]["task_status"] in ("PENDING", "RUNNING"):
            body["output"]["task_status"] = "WOBBLING\u202e\x1b[31m"

    outcome = await sim.run(sim.clips("one"), transport=Twist(sim.account, rewrite=coin))

    assert (outcome.exit_code, sim.made) == (0, 1)


async def test_a_task_that_never_ends_does_not_keep_the_run(simulate: Simulate, autojump_clock: MockClock) -> None:
    """After a day and an hour it is left to a person, who may give it up."""
    sim = simulate()
    sim.settings("[providers.default]\npoll_seconds = 600\n")

    with trio.fail_after(DAY + 2 * HOUR):
        outcome = await sim.run(sim.clips("one"), transport=Twist(sim.account, rewrite=for_ever("one")))

    assert (outcome.exit_code, states(outcome)) == (1, {"one": "held"})
    assert trio.current_time() > DAY
    assert api.resolve("one", api.Decision.ABANDON, sim.setup).state is State.LOST


async def test_an_old_task_that_never_ends_does_not_stop_new_ones(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """It is the only one in flight and nothing comes of it; what is to be submitted is submitted all the same."""
    sim = simulate()
    sim.settings("[providers.default]\npoll_seconds = 600\npatience_seconds = 30\n")
    await sim.leave_in_flight(sim.clips("old"))
    await trio.sleep(26 * HOUR)
    sim.faults({"on": "create", "do": {"latency_seconds": 3}})
    spec = sim.clips("old", "one", "two", "three")

    with trio.fail_after(DAY):
        outcome = await sim.run(spec, transport=Twist(sim.account, rewrite=for_ever("old")))

    assert states(outcome) == {"old": "held", "one": "done", "two": "done", "three": "done"}


@pytest.mark.parametrize(("status", "code"), REFUSALS)
async def test_a_task_that_cannot_be_asked_for_in_its_day_is_for_a_person(
    simulate: Simulate, autojump_clock: MockClock, status: int, code: str
) -> None:
    """Held or lost, so that it can be resolved and no run goes on about it for ever."""
    sim = simulate()
    spec = sim.clips("old")
    await sim.leave_in_flight(spec)
    await trio.sleep(30 * HOUR)
    sim.faults({"on": "query", "do": {"status": status, "code": code}})

    outcome = await sim.run(spec)

    assert outcome.exit_code != 0
    assert states(outcome)["old"] in ("held", "lost")
    assert api.resolve("old", api.Decision.RESUBMIT, sim.setup).state is State.NEW


async def test_a_key_that_is_refused_in_mid_run_lets_creates_in_the_air_land(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """Nothing more is submitted; what was sent is answered, watched and brought home, and nothing is held."""
    sim = simulate(
        faults=[
            {"on": "create", "nth": [1, 2], "do": {"latency_seconds": 20}},
            {"on": "create", "nth": 3, "do": {"status": 401, "code": "InvalidApiKey"}},
        ]
    )

    outcome = await sim.run(sim.clips(*"abcdef"))

    found = list(states(outcome).values())
    assert outcome.exit_code == 4
    assert (found.count("done"), found.count("new")) == (sim.made, 6 - sim.made)
    assert sim.made >= 2


async def test_a_success_without_its_link_is_asked_again(simulate: Simulate, autojump_clock: MockClock) -> None:
    """The first answers lack the link; the result is had all the same, in the same run."""
    sim = simulate()
    withheld: list[str] = []

    def withhold(asked: Asked, body: dict[str, Any]) -> None:
        if asked.kind is Kind.QUERY and "video_url" in body["output"] and len(withheld) < 3:
            withheld.append(body["output"].pop("video_url"))

    outcome = await sim.run(sim.clips("one"), transport=Twist(sim.account, rewrite=withhold))

    assert (outcome.exit_code, len(withheld)) == (0, 3)


@pytest.mark.parametrize(("status", "code"), REFUSALS)
async def test_one_link_that_cannot_be_renewed_leaves_its_siblings_alone(
    simulate: Simulate, autojump_clock: MockClock, status: int, code: str
) -> None:
    """A dead link and a query that is refused: the siblings, which take longer, are done; a later run has the rest."""
    sim = simulate(seconds=lambda task: 5.0 if task.prompt == "prompt of one" else 100.0)
    spec = sim.clips("one", "two", "three")
    dead: list[Asked] = []

    def go_bad(asked: Asked) -> httpx.Response | None:
        if is_about(asked, "one", Kind.DOWNLOAD):
            dead.append(asked)
            return httpx.Response(403)
        return refusal(status, code) if dead and is_about(asked, "one") else None

    first = await sim.run(spec, transport=Twist(sim.account, instead=go_bad))
    second = await sim.run(spec)

    assert (first.exit_code, states(first)) == (3, {"one": "in flight", "two": "done", "three": "done"})
    assert (second.exit_code, sim.made) == (0, 3)


async def test_a_file_that_we_cannot_read_is_kept_if_it_is_the_service_s_own(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """Its checksum proves that the bytes are what was paid for, so they are delivered, whatever they are."""
    sim = simulate()
    strange = b"\x1aE\xdf\xa3 some other container " * 100
    headers = {"etag": '"x"', "x-oss-hash-crc64ecma": str(fastcrc.crc64.xz(strange))}

    def serve(asked: Asked) -> httpx.Response | None:
        return httpx.Response(200, content=strange, headers=headers) if asked.kind is Kind.DOWNLOAD else None

    outcome = await sim.run(sim.clips("one"), transport=Twist(sim.account, instead=serve))

    assert outcome.exit_code == 0
    assert (sim.folder / "out" / "one.mp4").read_bytes() == strange


async def test_usage_and_times_that_make_no_sense_are_left_out(simulate: Simulate, autojump_clock: MockClock) -> None:
    """They only describe the result; it is brought home without them."""
    sim = simulate()
    usages = itertools.cycle([None, [], "x", {"duration": -1}, {"duration": "5", "SR": "x"}, {"duration": 10**400}])

    def garble(asked: Asked, body: dict[str, Any]) -> None:
        if asked.kind is Kind.QUERY and body["output"]["task_status"] == "SUCCEEDED":
            body["usage"] = next(usages)
            body["output"].update(end_time="0001-01-01 00:00:00", scheduled_time="9999-12-31 23:59:59.999")

    outcome = await sim.run(sim.clips(*"abcdef"), transport=Twist(sim.account, rewrite=garble))

    assert (outcome.exit_code, sim.made) == (0, 6)


@pytest.mark.parametrize("kind", [Kind.DOWNLOAD, Kind.POLICY, Kind.UPLOAD], ids=str)
async def test_a_retry_after_of_zero_is_no_invitation_to_hammer(
    simulate: Simulate, autojump_clock: MockClock, kind: Kind
) -> None:
    """Between two tries some time passes, however eager the service is to be asked again."""
    sim = simulate()
    (sim.folder / "clip.mp4").write_bytes(ready_clip().data)
    spec = sim.spec("jobs: [{id: one, prompt: p, media: [{video: clip.mp4}]}]\n")

    def hurry(asked: Asked) -> httpx.Response | None:
        assert twist.count(kind) < 100, "hammered"
        return httpx.Response(429, headers={"Retry-After": "0"}) if asked.kind is kind else None

    twist = Twist(sim.account, instead=hurry)
    outcome = await sim.run(spec, transport=twist)

    tries = [asked.at_seconds for asked in twist.calls if asked.kind is kind]
    assert outcome.exit_code == 3
    assert all(later - earlier >= 0.5 for earlier, later in itertools.pairwise(tries))


@pytest.mark.parametrize(
    ("call", "left"),
    [pytest.param("create", "new", id="create"), pytest.param(["query", "list"], "in flight", id="query")],
)
async def test_a_retry_after_beyond_patience_ends_the_run(
    simulate: Simulate, autojump_clock: MockClock, call: object, left: str
) -> None:
    """Nobody sits and waits for a day: the run says that it is to be run again, and nothing is held."""
    throttle = {"status": 429, "code": "Throttling.RateQuota", "retry_after": 100_000}
    sim = simulate(faults=[{"on": call, "do": throttle}])
    spec = sim.clips("one", "two")

    gave_up = await sim.run(spec)
    ended_at = trio.current_time()
    sim.faults()
    outcome = await sim.run(spec)

    assert (gave_up.exit_code, set(states(gave_up).values())) == (3, {left})
    assert ended_at < 3 * HOUR
    assert (outcome.exit_code, sim.made) == (0, 2)


async def test_uploads_that_fail_leave_the_job_to_another_run(simulate: Simulate, autojump_clock: MockClock) -> None:
    """The run ends after patience with exit code 3, and the next one goes on as if nothing had been."""
    sim = simulate(faults=[{"on": ["policy", "upload"], "do": {"status": 500}}])
    (sim.folder / "clip.mp4").write_bytes(ready_clip().data)
    spec = sim.spec("jobs: [{id: one, prompt: p, media: [{video: clip.mp4}]}]\n")

    failed = await sim.run(spec)
    sim.faults()
    outcome = await sim.run(spec)

    assert (failed.exit_code, states(failed)) == (3, {"one": "new"})
    assert (outcome.exit_code, sim.made) == (0, 1)
