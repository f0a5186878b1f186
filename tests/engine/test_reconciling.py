"""A create without a usable answer is found again, surely made no task, or is held with its evidence: never paid twice.

The real engine, client and ledger against the emulator's account, in virtual time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trio
from twist import Asked, Twist, mute, refusal

from media_files import make_video
from simulation import Simulation, states
from wanrun import api
from wanrun.emulator import Faults, account_transport
from wanrun.emulator.calls import Kind
from wanrun.types import Action, State

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trio.testing import MockClock

    from wanrun.emulator import Account, Task
    from wanrun.events import Event

    Simulate = Callable[..., Simulation]

pytestmark = pytest.mark.slow

HOUR = 3600.0
SETTLE, GAP = 60.0, 30.0  #: seconds, as the settings have them
MADE: dict[str, Any] = {"lose_reply": True}
NOT_MADE: dict[str, Any] = {"reset": "before"}
UNUSABLE = [
    pytest.param({"lose_reply": True}, True, id="no answer in time"),
    pytest.param({"reset": "before"}, False, id="reset before the task was made"),
    pytest.param({"reset": "after"}, True, id="reset after it"),
    pytest.param({"garbage": True}, True, id="200 that cannot be read"),
    pytest.param({"status": 500}, False, id="500"),
    pytest.param({"status": 503, "code": "ModelUnavailable"}, False, id="503"),
]


class Death(BaseException):
    """The process ends here."""


def lose(sim: Simulation, effect: dict[str, Any], *more: dict[str, Any], nth: int = 1) -> None:
    """Let the answer to one create be of no use."""
    sim.faults({"on": "create", "nth": nth, "do": effect}, *more)


def foreign(sim: Simulation, prompt: str, **parameters: Any) -> Task:
    """Let another program on the account make a task now."""
    media = [{"type": "video", "url": "https://example.com/theirs.mp4"}]
    body = {"model": "wan2.7-videoedit", "input": {"prompt": prompt, "media": media}, "parameters": parameters}
    return sim.account.create(body, request_id=sim.account.new_id())


async def at(seconds: float, do: Callable[[], object]) -> None:
    """Do something later in the run."""
    await trio.sleep(seconds)
    do()


def status(sim: Simulation, job: str = "one") -> api.JobStanding:
    """Return how a job stands by the ledger."""
    (standing,) = api.status(sim.setup, [job])
    return standing


# Found, or surely not made


@pytest.mark.parametrize(("effect", "made"), UNUSABLE)
async def test_a_create_without_a_usable_answer_is_paid_for_once(
    simulate: Simulate, autojump_clock: MockClock, effect: dict[str, Any], made: bool
) -> None:
    """If it made a task the job goes on with it, if it surely made none another is made; its siblings are done too."""
    sim = simulate()
    lose(sim, effect)
    spec = sim.clips("one", "two", "three")

    outcome = await sim.run(spec)

    assert (outcome.exit_code, set(states(outcome).values())) == (0, {"done"})
    assert sim.billed() == {f"prompt of {name}": 1 for name in ("one", "two", "three")}
    assert sim.made == 3
    assert len(sim.named("job_unsure")) == 1
    assert len(sim.named("job_adopted")) == made
    assert [event.data["stage"] for event in sim.named("job_retried")] == ([] if made else ["create"])


async def test_a_task_with_the_creates_own_request_id_is_adopted_at_once(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """The list names the request that made a task, so there is nothing to wait for."""
    sim = simulate()

    def drop(asked: Asked, body: dict[str, Any]) -> None:
        if asked.kind is Kind.CREATE:
            body["output"] = {}

    outcome = await sim.run(sim.clips("one"), transport=Twist(sim.account, rewrite=drop))

    unsure, adopted = sim.named("job_unsure") + sim.named("job_adopted")
    assert adopted.at - unsure.at < 5
    assert (outcome.exit_code, sim.made) == (0, 1)


async def test_a_failed_task_of_ones_own_request_is_the_jobs_failure(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """It is recorded as any task that failed, by its family, and nothing was paid."""
    sim = simulate(faults=[{"on": "create", "do": {"fail": {"code": "InvalidParameter", "message": "too dark"}}}])

    def drop(asked: Asked, body: dict[str, Any]) -> None:
        if asked.kind is Kind.CREATE:
            body["output"] = {}
        if asked.kind is Kind.LIST:
            body["data"] = [row for row in body["data"] if row["status"] == "FAILED"]
            body["total"] = len(body["data"])

    outcome = await sim.run(sim.clips("one"), transport=Twist(sim.account, rewrite=drop))

    assert (outcome.exit_code, states(outcome)) == (1, {"one": "failed"})
    assert "too dark" in outcome.jobs[0].why
    assert (sim.made, sim.billed()) == (1, {})


async def test_nothing_is_submitted_again_before_two_looks_after_the_settle_time(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """The second look comes a gap after the first, and the first no sooner than the list must have the task."""
    sim = simulate()
    lose(sim, NOT_MADE)

    await sim.run(sim.clips("one"))

    (unsure,), (retried,) = sim.named("job_unsure"), sim.named("job_retried")
    assert SETTLE + GAP <= retried.at - unsure.at <= SETTLE + 2 * GAP + 5


async def test_settle_time_and_gap_are_settings(simulate: Simulate, autojump_clock: MockClock) -> None:
    """Where the list is known to be quick, nobody waits for long."""
    sim = simulate()
    sim.settings("[providers.default]\nsettle_seconds = 2\nscan_gap_seconds = 1\n")
    lose(sim, NOT_MADE)

    await sim.run(sim.clips("one"))

    (unsure,), (retried,) = sim.named("job_unsure"), sim.named("job_retried")
    assert 3 <= retried.at - unsure.at <= 6


async def test_a_task_that_runs_is_waited_for_as_long_as_it_takes(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """Only when it has ended it shows its prompt; until then it is neither adopted nor taken for nothing."""
    sim = simulate(seconds=2000.0)
    lose(sim, MADE)

    outcome = await sim.run(sim.clips("one"))

    (adopted,) = sim.named("job_adopted")
    (task,) = sim.account.tasks.values()
    assert task.ended_at is not None
    assert task.ended_at <= adopted.at <= task.ended_at + 200 + 5  # a tenth of the time that it took
    assert (outcome.exit_code, sim.made) == (0, 1)


async def test_an_adopted_task_is_fetched_as_soon_as_it_is_adopted(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """It has ended long ago; what is known of how long tasks take does not put the look off."""
    sim = simulate(seconds=600.0)
    await sim.run(sim.clips("zero", name="first.yaml"))
    lose(sim, MADE)

    await sim.run(sim.clips("one"))

    (adopted,) = sim.named("job_adopted")
    assert sim.named("job_fetched")[-1].at - adopted.at < 5


@pytest.mark.parametrize("made", [True, False], ids=["made", "not made"])
async def test_a_create_in_the_air_at_death_is_settled_by_the_next_run(
    simulate: Simulate, autojump_clock: MockClock, made: bool
) -> None:
    """The intention is on disk before the POST leaves, and the list tells what became of it."""
    sim = simulate()
    spec = sim.clips("one", "two")

    def die(asked: Asked, *_: object) -> None:
        if asked.kind is Kind.CREATE:
            raise Death

    deadly = {"rewrite": die} if made else {"instead": die}
    with pytest.raises((Death, BaseExceptionGroup)):
        await sim.run(spec, transport=Twist(sim.account, **deadly))  # type: ignore[arg-type]
    await trio.sleep(HOUR)
    planned = api.plan([spec], sim.setup).jobs[0]

    outcome = await sim.run(spec)

    assert (planned.state, planned.action) == (State.UNSURE, Action.RESUME)
    assert (outcome.exit_code, sim.billed()) == (0, {"prompt of one": 1, "prompt of two": 1})
    assert sim.named("job_unsure")[0].data["message"] == "the run ended before the service's answer was recorded"


# The list


async def test_a_list_that_lags_less_than_the_settle_time_is_waited_for(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """A task that shows up late is adopted all the same."""
    sim = simulate(seconds=5.0)
    lose(sim, {"reset": "after"}, {"on": "list", "do": {"lag_seconds": 50}})

    outcome = await sim.run(sim.clips("one"))

    assert (outcome.exit_code, sim.made) == (0, 1)


async def test_a_list_that_lags_more_than_that_is_found_out_by_what_it_should_have(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """It lacks tasks that the ledger knows, so what else it lacks proves nothing."""
    sim = simulate(seconds=20.0)
    sim.settings("[providers.default]\npatience_seconds = 120\n")
    lose(sim, {"reset": "after"}, {"on": "list", "do": {"lag_seconds": 250}}, nth=4)

    outcome = await sim.run(sim.clips(*(f"job-{n}" for n in range(8))))

    assert outcome.exit_code == 0
    assert set(sim.billed().values()) == {1}
    assert sim.made == 8


async def test_another_accounts_list_proves_nothing(simulate: Simulate, autojump_clock: MockClock) -> None:
    """With a key of another account nothing is submitted again, and the run ends all the same."""
    sim = simulate()
    spec = sim.clips("one", "two")
    lose(sim, MADE, {"on": "list", "do": {"status": 503}})
    left = await sim.run(spec)
    sim.faults()

    def empty(asked: Asked, body: dict[str, Any]) -> None:
        if asked.kind is Kind.LIST:
            body.update(data=[], total=0, total_page=0)

    elsewhere = await sim.run(spec, transport=Twist(sim.account, rewrite=empty))
    outcome = await sim.run(spec)

    assert (left.exit_code, elsewhere.exit_code, elsewhere.submitted) == (3, 3, 0)
    assert "does not have task" in elsewhere.reasons[0]
    assert (outcome.exit_code, sim.made) == (0, 2)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        pytest.param({"status": 503}, "is not found out", id="unavailable"),
        pytest.param({"lose_reply": True}, "is not found out", id="no answer"),
        pytest.param({"garbage": True}, "is not found out", id="garbage"),
        pytest.param({"status": 403, "code": "AccessDenied"}, "wanrun resolve", id="refused"),
        pytest.param({"status": 404, "code": "NotFound"}, "wanrun resolve", id="not there"),
    ],
)
async def test_without_a_list_the_job_stays_unsure(
    simulate: Simulate, autojump_clock: MockClock, fault: dict[str, Any], words: str
) -> None:
    """The run says why and what to do, its other jobs are done, and a later run settles it."""
    sim = simulate()
    spec = sim.clips("one", "two")
    lose(sim, MADE, {"on": "list", "between": [1, 1e9], "do": fault})
    await trio.sleep(0.9)

    outcome = await sim.run(spec)
    sim.faults()
    later = await sim.run(spec)

    assert (outcome.exit_code, sorted(states(outcome).values())) == (3, ["done", "unsure"])
    assert any(words in reason for reason in outcome.reasons)
    assert (later.exit_code, later.submitted, sim.made) == (0, 0, 2)


async def test_every_page_of_the_list_is_read(simulate: Simulate, autojump_clock: MockClock) -> None:
    """The order of the list is not documented, so a task may be on any page."""
    sim = simulate(seconds=1.0, limits=None)
    for _ in range(250):
        foreign(sim, "theirs")
    await trio.sleep(300)
    lose(sim, MADE)

    def shuffle(asked: Asked, body: dict[str, Any]) -> None:
        if asked.kind is Kind.LIST and body["page_size"] == 100:
            number = body["page_no"]
            everything = sorted(sim.account.tasks.values(), key=lambda task: task.created_at)
            pages = [everything[start : start + 100] for start in range(0, len(everything), 100)]
            body["data"] = [listed(task) for task in (pages[number - 1] if number <= len(pages) else [])]

    outcome = await sim.run(sim.clips("one"), transport=Twist(sim.account, rewrite=shuffle))

    assert outcome.exit_code == 0
    assert sim.billed()["prompt of one"] == 1


def listed(task: Task) -> dict[str, Any]:
    """Return a row of the list."""
    return {
        "task_id": task.id,
        "status": task.status.value,
        "model_name": task.model,
        "gmt_create": round(task.created_at * 1000),
        "request_id": task.request_id,
    }


async def test_a_list_that_changes_while_it_is_read_proves_nothing(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """A page may have slipped past: it is read again before a task is believed not to be there."""
    sim = simulate(seconds=1.0)
    for _ in range(150):
        foreign(sim, "theirs")
    await trio.sleep(300)
    lose(sim, {"reset": "after"})
    until = trio.current_time() + 130

    def slip(asked: Asked, body: dict[str, Any]) -> None:
        if asked.kind is Kind.LIST and body["page_size"] == 100 and trio.current_time() < until:
            body["total"] += body["page_no"] - 1
            body["data"] = [row for row in body["data"] if sim.account.tasks[row["task_id"]].prompt == "theirs"]

    outcome = await sim.run(sim.clips("one"), transport=Twist(sim.account, rewrite=slip))

    assert sim.named("job_adopted")[0].at >= sim.named("run_started")[0].at + 125
    assert outcome.exit_code == 0
    assert sim.billed()["prompt of one"] == 1


async def test_a_smaller_page_is_asked_for_where_a_large_one_is_refused(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """The largest page that the service gives is not documented."""
    sim = simulate(seconds=1.0)
    for _ in range(25):
        foreign(sim, "theirs")
    lose(sim, MADE)

    outcome = await sim.run(sim.clips("one"), transport=Twist(sim.account, instead=small_pages_only))

    assert outcome.exit_code == 0
    assert sim.billed()["prompt of one"] == 1


def small_pages_only(asked: Asked) -> httpx.Response | None:
    """Refuse large pages of the list."""
    if asked.kind is Kind.LIST and int(asked.query.get("page_size", 10)) > 10:
        return refusal(400, "InvalidParameter", "page_size should be 1 to 10.")
    return None


async def test_pages_with_fewer_rows_than_asked_for_are_all_read(simulate: Simulate, autojump_clock: MockClock) -> None:
    """The service may give no more than so many, and not say how many pages that makes."""
    sim = simulate(seconds=1.0, limits=None)
    for _ in range(120):
        foreign(sim, "theirs")
    await trio.sleep(300)
    lose(sim, MADE)

    def clamp(asked: Asked, body: dict[str, Any]) -> None:
        if asked.kind is Kind.LIST:
            everything = sorted(sim.account.tasks.values(), key=lambda task: task.created_at)  # ours on the last page
            start = 50 * (int(asked.query["page_no"]) - 1)
            body["data"] = [listed(task) for task in everything[start : start + 50]]
            del body["total_page"]

    outcome = await sim.run(sim.clips("one"), transport=Twist(sim.account, rewrite=clamp))

    assert (outcome.exit_code, len(sim.named("job_adopted"))) == (0, 1)
    assert sim.billed()["prompt of one"] == 1


# Other programs on the account


async def test_a_foreign_task_with_another_prompt_is_never_adopted(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """Nor does it keep the job: its own task is adopted, or a new one made."""
    sim = simulate(faults=[{"on": "create", "nth": [1, 3], "do": NOT_MADE}, {"on": "create", "nth": 2, "do": MADE}])

    async with trio.open_nursery() as nursery:
        for second in range(0, 60, 5):
            nursery.start_soon(at, second, lambda: foreign(sim, "theirs"))
        outcome = await sim.run(sim.clips("one", "two", "three"))

    assert (outcome.exit_code, set(states(outcome).values())) == (0, {"done"})
    assert {prompt: count for prompt, count in sim.billed().items() if prompt != "theirs"} == {
        f"prompt of {name}": 1 for name in ("one", "two", "three")
    }
    with sim.ledger() as ledger:
        assert all(sim.account.tasks[task].prompt != "theirs" for task in ledger.jobs_of_tasks())


@pytest.mark.parametrize("effect", [MADE, NOT_MADE], ids=["made", "not made"])
async def test_a_foreign_program_with_the_same_prompt_gets_the_job_held(
    simulate: Simulate, autojump_clock: MockClock, effect: dict[str, Any]
) -> None:
    """Whose task is whose cannot be told, so nothing is adopted and nothing paid again; the evidence names them."""
    sim = simulate()
    lose(sim, effect)

    async with trio.open_nursery() as nursery:
        for second in (0, 2, 200):
            nursery.start_soon(at, second, lambda: foreign(sim, "prompt of one"))
        outcome = await sim.run(sim.clips("one", "two"))

    assert (outcome.exit_code, states(outcome)) == (1, {"one": "held", "two": "done"})
    evidence = status(sim).evidence
    assert evidence is not None
    named = {each["task"] for each in evidence["candidates"]}  # type: ignore[union-attr, index, call-overload]
    assert len(named) == (3 if effect is MADE else 2)
    again = await sim.run(sim.clips("one", "two"))
    assert (again.exit_code, again.submitted) == (1, 0)


async def test_one_foreign_task_of_that_time_is_not_adopted_if_its_program_made_others(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """An earlier task with the same prompt, which nobody here made, shows that others ask for the same."""
    sim = simulate()
    foreign(sim, "prompt of one")
    await trio.sleep(1000)
    lose(sim, NOT_MADE)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(at, 2, lambda: foreign(sim, "prompt of one"))
        outcome = await sim.run(sim.clips("one"))

    assert states(outcome) == {"one": "held"}
    assert "nobody here made" in outcome.jobs[0].why


async def test_a_foreign_task_made_when_the_create_was_over_is_not_adopted(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """The connection broke at once, so a task of half a minute later is hardly ours, and may be."""
    sim = simulate()
    lose(sim, NOT_MADE)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(at, 30, lambda: foreign(sim, "prompt of one"))
        outcome = await sim.run(sim.clips("one"))

    assert states(outcome) == {"one": "held"}


@pytest.mark.parametrize(
    ("theirs", "text"),
    [
        pytest.param({"resolution": "1080P"}, "parameters: {resolution: 720P}", id="resolution"),
        pytest.param({}, "", id="length"),
    ],
)
async def test_a_foreign_task_with_the_same_prompt_is_told_by_what_it_used(
    simulate: Simulate, autojump_clock: MockClock, theirs: dict[str, Any], text: str
) -> None:
    """Its resolution or the length of its video is another's, so the one that is left is ours."""
    sim = simulate()
    make_video(sim.folder / "clip.mp4", seconds=9)
    lose(sim, MADE)
    spec = sim.spec(f"jobs: [{{id: one, prompt: p, media: [{{video: clip.mp4}}]{', ' + text if text else ''}}}]")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(at, 1, lambda: foreign(sim, "p", **theirs))
        outcome = await sim.run(spec)

    assert (outcome.exit_code, sim.made) == (0, 2)
    (task_id,) = (job.task_id for job in api.status(sim.setup))
    assert sim.account.tasks[task_id or ""].media[0]["url"].startswith("oss://")


async def test_the_length_of_a_video_tells_in_a_run_of_another_spec_too(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """It was noted with the intention, since that run does not know the clip."""
    sim = simulate()
    make_video(sim.folder / "clip.mp4", seconds=9)
    lose(sim, MADE, {"on": "list", "between": [1, 1e9], "do": {"status": 503}})
    await trio.sleep(0.9)
    spec = sim.spec("jobs: [{id: one, prompt: p, media: [{video: clip.mp4}]}]")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(at, 1, lambda: foreign(sim, "p"))
        await sim.run(spec)
    sim.faults()
    await sim.run(sim.clips("two", name="other.yaml", prompt="q"))

    assert sim.named("job_adopted")
    assert [event.job for event in sim.named("job_adopted")] == ["batch/one"]


# Held


async def test_an_attempt_older_than_23_hours_is_held(simulate: Simulate, autojump_clock: MockClock) -> None:
    """The list is about to forget its task, or has, so what it lacks proves nothing."""
    sim = simulate()
    spec = sim.clips("one")
    lose(sim, MADE, {"on": "list", "between": [1, 1e9], "do": {"status": 503}})
    await trio.sleep(0.9)
    await sim.run(spec)
    sim.faults()
    await trio.sleep(25 * HOUR)

    outcome = await sim.run(spec)
    standing = status(sim)

    assert (outcome.exit_code, outcome.submitted, sim.made) == (1, 0, 1)
    assert standing.state is State.HELD
    assert "23 h" in standing.why
    assert standing.evidence is not None
    assert standing.evidence["candidates"] == []


async def test_a_task_that_does_not_show_its_prompt_is_held_with_its_evidence(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """Time alone never decides."""
    sim = simulate()
    lose(sim, MADE)

    outcome = await sim.run(sim.clips("one"), transport=Twist(sim.account, rewrite=mute))

    (task_id,) = sim.account.tasks
    assert states(outcome) == {"one": "held"}
    evidence = status(sim).evidence
    assert evidence is not None
    (candidate,) = evidence["candidates"]  # type: ignore[misc]
    assert (candidate["task"], candidate["finding"]) == (task_id, "unclear")  # type: ignore[index, call-overload]
    api.resolve("one", api.Decision.ADOPT, sim.setup, task_id=task_id)
    assert (await sim.run(sim.clips("one"))).exit_code == 0
    assert sim.made == 1


def counts_seconds(_sim: Simulation, asked: Asked, body: dict[str, Any]) -> None:
    """Count less of a video than it has, such as none of the sound that outlasts it."""
    if asked.kind is Kind.QUERY and body.get("usage"):
        body["usage"]["input_video_duration"] = 4.5


def counts_lines(_sim: Simulation, asked: Asked, body: dict[str, Any]) -> None:
    """Say how many lines the video has, and not what was asked for."""
    if asked.kind is Kind.QUERY and body.get("usage"):
        body["usage"]["SR"] = 704


def counts_units(_sim: Simulation, asked: Asked, body: dict[str, Any]) -> None:
    """Keep so many UTF-16 units of the prompt."""
    prompt = body["output"].get("orig_prompt") if asked.kind is Kind.QUERY else None
    if prompt:
        body["output"]["orig_prompt"] = prompt.encode("utf-16-le")[:9999].decode("utf-16-le", "ignore")


@pytest.mark.parametrize(
    ("counts", "prompt"),
    [
        pytest.param(counts_seconds, "p", id="length"),
        pytest.param(counts_lines, "p", id="resolution"),
        pytest.param(counts_units, "x\U0001f600" * 2500, id="prompt"),
    ],
)
async def test_what_the_service_counts_in_another_way_is_not_paid_for_again(
    simulate: Simulate, autojump_clock: MockClock, counts: Callable[..., None], prompt: str
) -> None:
    """The one task of that time may be the job's though a figure differs; a person looks at it."""
    sim = simulate()
    make_video(sim.folder / "clip.mp4", seconds=6)
    lose(sim, MADE)
    job = f"{{id: one, prompt: {prompt}, parameters: {{resolution: 720P}}, media: [{{video: clip.mp4}}]}}"

    def rewrite(asked: Asked, body: dict[str, Any]) -> None:
        counts(sim, asked, body)

    outcome = await sim.run(sim.spec(f"jobs: [{job}]"), transport=Twist(sim.account, rewrite=rewrite))

    assert (states(outcome), sim.made) == ({"one": "held"}, 1)


async def test_a_task_that_the_list_names_by_its_dated_model_is_found(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """A model's name without a date stands for its latest version."""
    sim = simulate()
    lose(sim, MADE)

    def dated(asked: Asked, body: dict[str, Any]) -> None:
        if asked.kind is Kind.LIST:
            for row in body["data"]:
                row["model_name"] += "-2026-06-12"

    outcome = await sim.run(sim.clips("one"), transport=Twist(sim.account, rewrite=dated))

    assert (outcome.exit_code, sim.made) == (0, 1)


async def test_a_job_without_a_prompt_is_held(simulate: Simulate, autojump_clock: MockClock) -> None:
    """There is nothing to tell its task by."""
    sim = simulate()
    lose(sim, MADE)

    outcome = await sim.run(sim.spec("jobs: [{id: one, media: [{video: https://example.com/one.mp4}]}]"))

    assert states(outcome) == {"one": "held"}


async def test_a_held_job_holds_nothing_back(simulate: Simulate, autojump_clock: MockClock) -> None:
    """Its evidence is frozen, so others with the same words go on; the tasks that it may have are not given away."""
    sim = simulate()
    spec = sim.clips("one", "two", prompt="the same")
    lose(sim, MADE)
    foreign(sim, "the same")

    outcome = await sim.run(spec)

    assert states(outcome) == {"one": "held", "two": "done"}
    assert sim.made == 3


async def test_unsure_attempts_of_an_older_ledger_are_settled_too(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """They noted nothing but the prompt's key; of two with one prompt each may be the other's, so both are held."""
    sim = simulate()
    spec = sim.clips("one", "two", "three", prompt="the same")
    lose(sim, MADE, {"on": "list", "between": [1, 1e9], "do": {"status": 503}})
    await trio.sleep(0.9)
    await sim.run(spec)
    with sim.ledger() as ledger:
        ledger._write("UPDATE attempts SET asked = NULL, skew_seconds = NULL")
        (first,) = ledger.unsure_attempts()
        twin = ledger.intend(first.entry + 1, prompt_key=first.prompt_key)
        ledger._write("UPDATE attempts SET intended_at = :at WHERE id = :id", id=twin, at=first.intended_at)
        ledger.unsure(twin, "no answer", request_id=None)
    sim.faults()

    outcome = await sim.run(spec)

    assert sorted(states(outcome).values()) == ["done", "held", "held"]
    assert sim.made == 2


# Who waits for whom


async def test_creates_with_the_same_prompt_wait_until_it_is_settled_and_others_go_on(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """While one is unsure, another with its words could not be told from it."""
    sim = simulate()
    jobs = [
        ("a", "the same"),
        ("b", "the same"),
        ("c", "words"),
        ("d", "the same"),
        *((f"e{n}", "more") for n in range(9)),
    ]
    line = "  - {{id: {0}, prompt: {1}, media: [{{video: https://example.com/{0}.mp4}}]}}\n"
    lose(sim, MADE)

    outcome = await sim.run(sim.spec("jobs:\n" + "".join(line.format(*job) for job in jobs)))

    assert outcome.exit_code == 0
    assert sim.billed() == {"the same": 3, "words": 1, "more": 9}
    (adopted,) = sim.named("job_adopted")
    submitted = {event.job: event.at for event in sim.named("job_submitted")}
    assert min(submitted["batch/b"], submitted["batch/d"]) >= adopted.at
    assert submitted["batch/c"] < adopted.at - 60
    assert submitted["batch/e8"] < adopted.at


async def test_a_prompt_is_held_back_across_runs_and_specs(simulate: Simulate, autojump_clock: MockClock) -> None:
    """What one spec left unsure, the run of another settles that needs the same words; its own run then fetches it."""
    sim = simulate()
    first = sim.clips("one", prompt="the same", name="first.yaml")
    lose(sim, MADE, {"on": "list", "between": [1, 1e9], "do": {"status": 503}})
    await trio.sleep(0.9)
    await sim.run(first)
    sim.faults()
    sim.events.clear()

    outcome = await sim.run(sim.clips("two", prompt="the same", name="second.yaml"))
    theirs = await sim.run(first)

    assert (outcome.exit_code, outcome.submitted, theirs.exit_code, theirs.submitted, sim.made) == (0, 1, 0, 0, 2)
    (adopted,), (submitted,) = sim.named("job_adopted"), sim.named("job_submitted")
    assert (adopted.job, submitted.job) == ("first/one", "second/two")
    assert adopted.at <= submitted.at


async def test_without_a_list_what_waits_for_the_prompt_is_left_to_another_run(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """It cannot be sent, and the run does not wait for ever."""
    sim = simulate()
    spec = sim.clips("one", "two", "three", prompt="the same")
    lose(sim, MADE, {"on": "list", "between": [1, 1e9], "do": {"status": 403, "code": "AccessDenied"}})
    await trio.sleep(0.9)

    outcome = await sim.run(spec)
    sim.faults()

    assert (outcome.exit_code, states(outcome)) == (3, {"one": "unsure", "two": "new", "three": "new"})
    assert (await sim.run(spec)).exit_code == 0
    assert sim.billed() == {"the same": 3}


async def test_a_job_renamed_while_unsure_is_paid_for_once(simulate: Simulate, autojump_clock: MockClock) -> None:
    """The attempt goes along with the words that it was made for."""
    sim = simulate()
    line = "jobs: [{{id: {0}, prompt: p, media: [{{video: https://example.com/clip.mp4}}]}}]"
    lose(sim, MADE, {"on": "list", "between": [1, 1e9], "do": {"status": 503}})
    await trio.sleep(0.9)
    await sim.run(sim.spec(line.format("old")))
    sim.faults()

    outcome = await sim.run(sim.spec(line.format("new")))

    assert (outcome.exit_code, outcome.submitted, sim.made) == (0, 0, 1)
    assert (sim.folder / "out" / "new.mp4").exists()


async def test_an_unsure_version_that_nobody_asks_for_any_more_is_settled_and_fetched(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """It may have been paid for; only the new version is delivered."""
    sim = simulate()
    lose(sim, MADE, {"on": "list", "between": [1, 1e9], "do": {"status": 503}})
    await trio.sleep(0.9)
    await sim.run(sim.clips("one"))
    sim.faults()

    outcome = await sim.run(sim.clips("one", prompt="changed"))

    assert (outcome.exit_code, outcome.submitted, sim.made) == (0, 1, 2)
    with sim.ledger() as ledger:
        assert [entry.attempt.state for entry in ledger.entries() if entry.attempt] == ["fetched", "fetched"]


async def test_an_unsure_version_that_made_no_task_and_nobody_asks_for_is_left(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """Surely no task, and so nothing to do."""
    sim = simulate()
    lose(sim, NOT_MADE, {"on": "list", "between": [1, 1e9], "do": {"status": 503}})
    await trio.sleep(0.9)
    await sim.run(sim.clips("one"))
    sim.faults()

    outcome = await sim.run(sim.clips("one", prompt="changed"))

    assert (outcome.exit_code, sim.billed()) == (0, {"changed": 1})


async def test_creates_that_never_come_to_anything_do_not_keep_the_run(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """After three of one job the run stops submitting, and says that running again is what to do."""
    sim = simulate(faults=[{"on": "create", "do": {"status": 500}}])

    with trio.fail_after(HOUR):
        outcome = await sim.run(sim.clips("one", "two", "three", "four", prompt="the same"))

    assert (outcome.exit_code, sim.made) == (3, 0)
    assert sim.account.calls["create"].total() == 3
    assert any("gave up on batch/one" in reason for reason in outcome.reasons)


async def test_one_job_whose_creates_break_the_service_does_not_keep_the_others(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """It is left alone after three; as others are taken, it is not the service that is away."""
    sim = simulate(faults=[{"on": "create", "prompt": "one", "do": {"status": 500}}])

    with trio.fail_after(HOUR):
        outcome = await sim.run(sim.clips("one", "two", "three"))

    assert (outcome.exit_code, states(outcome)) == (3, {"one": "new", "two": "done", "three": "done"})


@pytest.mark.slow
async def test_two_hundred_clips_with_one_prompt_run_as_fast_as_with_as_many_prompts(
    simulate: Simulate, autojump_clock: MockClock, tmp_path: Path
) -> None:
    """Creates with one prompt wait for each other's answer and for nothing else."""
    seconds: list[float] = []
    for prompt in ("the same", "prompt of {}"):
        folder = tmp_path / prompt.split()[0]
        folder.mkdir()
        sim = Simulation(folder, seconds=20.0)
        sim.faults({"on": "create", "do": {"latency_seconds": 0.3}})
        started = trio.current_time()
        outcome = await sim.run(sim.clips(*(f"clip-{n}" for n in range(200)), prompt=prompt))
        seconds.append(trio.current_time() - started)
        assert (outcome.exit_code, sim.made) == (0, 200)

    assert seconds[0] <= seconds[1] * 1.02


# Two providers

NAMES = "[providers.default]\npatience_seconds = 30\n[providers.other]\npatience_seconds = 30\n"
CLIP = "  - {{id: {0}, provider: {1}, prompt: p, media: [{{video: https://example.com/{0}.mp4}}]}}\n"


async def test_two_names_of_one_account_do_not_take_each_others_task(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """Both creates were in the air at a death, and one made a task, which a run of the other's spec must not have."""
    sim = simulate()
    sim.settings(NAMES)
    first = sim.spec("jobs:\n" + CLIP.format("a", "default"), "first.yaml")
    second = sim.spec("jobs:\n" + CLIP.format("b", "other"), "second.yaml")
    creates: list[Asked] = []

    def one_only(asked: Asked) -> httpx.Response | None:
        if asked.kind is not Kind.CREATE:
            return None
        creates.append(asked)
        if len(creates) == 1:
            sim.account.create(
                {"model": "wan2.7-videoedit", "input": {"prompt": "p", "media": MEDIA}}, request_id="req-a"
            )
            return refusal(500, "InternalError")
        raise Death

    with pytest.raises((Death, BaseExceptionGroup)):
        await sim.run(first, second, transport=Twist(sim.account, instead=one_only))
    await trio.sleep(300)

    outcomes = [await sim.run(second), await sim.run(first)]

    assert [states(outcome) for outcome in outcomes] == [{"b": "held"}, {"a": "held"}]
    assert sim.made == 1


MEDIA: list[Any] = [{"type": "video", "url": "https://example.com/a.mp4"}]


async def test_a_create_in_the_air_at_another_provider_is_waited_for(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """One that made no task must not get the task of another, whose answer is not here yet."""
    sim = simulate(seconds=5.0)
    short = "settle_seconds = 20\nscan_gap_seconds = 10\n"
    sim.settings(NAMES.replace("[providers.other]", short + "[providers.other]") + short)
    lose(sim, NOT_MADE)
    spec = sim.spec("jobs:\n" + CLIP.format("a", "default") + CLIP.format("b", "other"))

    outcome = await sim.run(spec, transport=SlowAnswer(sim.account))

    made_from = {task_id: task.media[0]["url"] for task_id, task in sim.account.tasks.items()}
    assert (outcome.exit_code, sim.made) == (0, 2)
    assert {job.address: made_from[job.task_id or ""] for job in api.status(sim.setup)} == {
        "batch/a": "https://example.com/a.mp4",
        "batch/b": "https://example.com/b.mp4",
    }


class SlowAnswer(Twist):
    """A create for clip b is carried out at once and answered most of a minute later."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one call."""
        is_slow = self._asked(request).kind is Kind.CREATE and b"b.mp4" in await request.aread()
        response = await super().handle_async_request(request)
        await trio.sleep(55 if is_slow else 0)
        return response


async def test_two_accounts_with_one_prompt_do_not_keep_each_other(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """The other's list does not have the task, so the other has not made it."""
    sim, theirs = simulate(), simulate().new_account(seed=2)
    theirs.faults = Faults({"faults": [{"on": "create", "nth": 1, "do": MADE}]})
    lose(sim, MADE)
    sim.settings(
        NAMES.replace("[providers.other]", "base_url = 'https://a.example.com/api/v1'\n[providers.other]")
        + "base_url = 'https://b.example.com/api/v1'\n"
    )
    spec = sim.spec("jobs:\n" + CLIP.format("a", "default") + CLIP.format("b", "other"))

    outcome = await sim.run(spec, transport=TwoAccounts(sim.account, theirs))

    assert (outcome.exit_code, states(outcome)) == (0, {"a": "done", "b": "done"})
    assert (sim.made, len(theirs.tasks)) == (1, 1)


class TwoAccounts(httpx.AsyncBaseTransport):
    """The second account is that of b.example.com; neither says which emulator it is."""

    def __init__(self, first: Account, second: Account) -> None:
        self._accounts = {account: account_transport(account) for account in (first, second)}
        self._first, self._second = first, second

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Pass a call on."""
        task = request.url.path.rpartition("/")[2].removesuffix(".mp4")
        is_second = request.url.host == "b.example.com" or task in self._second.tasks
        account = self._second if is_second else self._first
        response = await self._accounts[account].handle_async_request(request)
        response.headers.pop("x-wanrun-emulator", None)
        return response


# Clocks


@pytest.mark.parametrize("jump", [-HOUR, HOUR, -30 * HOUR, 30 * HOUR], ids=["-1 h", "+1 h", "-30 h", "+30 h"])
@pytest.mark.parametrize("effect", [MADE, NOT_MADE], ids=["made", "not made"])
@pytest.mark.parametrize("moment", ["job_prepared", "job_unsure", "between the runs"])
async def test_a_clock_that_is_set_changes_nothing(
    simulate: Simulate, autojump_clock: MockClock, jump: float, effect: dict[str, Any], moment: str
) -> None:
    """Before the create, while it is unsure, or between two runs: the service's own time counts."""
    sim = simulate(seconds=20.0)
    spec = sim.clips("one", "two")
    clock, jumped = sim.clock, {"seconds": 0.0}
    sim.clock = lambda: clock() + jumped["seconds"]

    def observe(event: Event) -> None:
        sim.events.append(event)
        if event.name == moment:
            jumped["seconds"] = jump

    blind = {"on": "list", "between": [1, 1e9], "do": {"status": 503}}
    lose(sim, effect, *([blind] if moment == "between the runs" else []))
    await trio.sleep(0.9)
    await sim.run(spec, observe=observe)
    sim.faults()
    jumped["seconds"] = jump
    outcome = await sim.run(spec, observe=observe)

    assert outcome.exit_code == 0
    assert sim.billed() == {"prompt of one": 1, "prompt of two": 1}


@pytest.mark.parametrize("jump", [-HOUR, HOUR], ids=["-1 h", "+1 h"])
async def test_a_clock_that_is_set_after_a_death_does_not_shorten_the_settle_time(
    simulate: Simulate, autojump_clock: MockClock, jump: float
) -> None:
    """What the dead run has noted is by the clock of its time, so it is not taken for a long wait."""
    sim = simulate()
    spec = sim.clips("one")
    clock, jumped = sim.clock, {"seconds": 0.0}
    sim.clock = lambda: clock() + jumped["seconds"]

    def die(asked: Asked, *_: object) -> None:
        if asked.kind is Kind.CREATE:
            raise Death

    with pytest.raises((Death, BaseExceptionGroup)):
        await sim.run(spec, transport=Twist(sim.account, rewrite=die))
    jumped["seconds"] = jump
    sim.faults({"on": "list", "do": {"lag_seconds": SETTLE - 5}})

    outcome = await sim.run(spec)

    assert (outcome.exit_code, sim.billed()) == (0, {"prompt of one": 1})


async def test_a_clock_that_is_wrong_by_hours_finds_its_task(simulate: Simulate, autojump_clock: MockClock) -> None:
    """The `Date` of the service's answers says how far it is off."""
    sim = simulate()
    clock = sim.clock
    sim.clock = lambda: clock() - 5 * HOUR
    lose(sim, MADE)

    outcome = await sim.run(sim.clips("one"))

    assert (outcome.exit_code, sim.made) == (0, 1)


# What a person sees


async def test_status_says_what_an_unsure_job_waits_for(simulate: Simulate, autojump_clock: MockClock) -> None:
    """While a run is under way: which task may be its own and has not ended."""
    sim = simulate(seconds=300.0)
    lose(sim, MADE)
    said: list[api.JobStanding] = []

    async with trio.open_nursery() as nursery:
        nursery.start_soon(sim.run, sim.clips("one"))
        nursery.start_soon(at, 200, lambda: said.append(status(sim)))

    (task_id,) = sim.account.tasks
    assert said[0].state is State.UNSURE
    assert f"waits until task {task_id} has ended" in said[0].why


async def test_an_unsure_job_can_be_settled_by_hand_and_the_risk_is_said(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """Whoever does not want to wait may decide, knowing what it may cost."""
    sim = simulate()
    spec = sim.clips("one")
    lose(sim, MADE, {"on": "list", "between": [1, 1e9], "do": {"status": 403, "code": "AccessDenied"}})
    await trio.sleep(0.9)
    await sim.run(spec)
    sim.faults()
    (task_id,) = sim.account.tasks

    standing = api.resolve("one", api.Decision.ADOPT, sim.setup, task_id=task_id)

    assert standing.state is State.IN_FLIGHT
    assert "another task" in standing.risk
    assert ((await sim.run(spec)).exit_code, sim.made) == (0, 1)
