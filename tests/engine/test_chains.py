"""Jobs made from other jobs' results: in their turn, from the right bytes, paid for once whatever dies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
from twist import Twist, own_results

from media_files import make_video
from simulation import Simulation, states
from wanrun import api
from wanrun.emulator.calls import Kind
from wanrun.emulator.ready import Clip
from wanrun.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trio.testing import MockClock

    from wanrun.emulator import Task
    from wanrun.events import Event
    from wanrun.outcome import Outcome

    Simulate = Callable[..., Simulation]

pytestmark = pytest.mark.slow

HOUR = 3600
CHAIN = {"first": "", "second": "first", "third": "second"}
FAILS = {"on": "create", "do": {"fail": {"code": "DataInspectionFailed", "message": "Not that."}}}


class Death(BaseException):
    """The process ends here."""


def dying_at(name: str, job: str = "") -> Callable[[Event], None]:
    """Return an observer that ends the run at its first event of a name, of one job if that is given."""

    def observe(event: Event) -> None:
        if event.name == name and (not job or event.job == f"batch/{job}"):
            raise Death

    return observe


def chain(sim: Simulation, jobs: dict[str, str], *, name: str = "batch.yaml", prompt: str = "prompt of {}") -> Path:
    """Write a spec of jobs, each with the job that it chains from; an empty one stands for a link."""
    lines = [
        f"  - {{id: {job}, prompt: {prompt.format(job)}, media: [{{video: "
        + (f"{{job: {upstream}}}" if upstream else f"https://example.com/{job}.mp4")
        + "}]}\n"
        for job, upstream in jobs.items()
    ]
    return sim.spec("jobs:\n" + "".join(lines), name)


def task_of(sim: Simulation, job: str) -> Task:
    """Return the one task that was made for a job, by its prompt."""
    (task,) = [task for task in sim.account.tasks.values() if task.prompt == f"prompt of {job}"]
    return task


def input_of(sim: Simulation, job: str) -> str:
    """Return the URL of the one video that the service was given for a job."""
    (item,) = task_of(sim, job).media
    return str(item["url"])


def made_from(sim: Simulation, job: str) -> str:
    """Return whose result a job was made from, which it was given as a link."""
    tasks = {task.id: task.prompt for task in sim.account.tasks.values()}
    (found,) = [prompt for task, prompt in tasks.items() if f"/{task}.mp4?" in input_of(sim, job)]
    return found.removeprefix("prompt of ")


def why(outcome: Outcome, job: str) -> str:
    """Return the clause about one job."""
    (found,) = [each.why for each in outcome.jobs if each.address == f"batch/{job}"]
    return found


def plan(sim: Simulation, *specs: Path, **options: Any) -> dict[str, tuple[str, str, str]]:
    """Return state, action and clause of each job, as `wanrun plan` shows them."""
    planned = api.plan(specs, sim.setup, **options)
    return {each.job.id: (each.state.value, each.action.value, each.why) for each in planned.jobs}


def clear_store(sim: Simulation) -> list[Path]:
    """Take all files out of the artifact store, and return where they are now."""
    attic = sim.folder / "attic"
    attic.mkdir()
    return [path.rename(attic / path.name) for path in (sim.folder / ".wanrun" / "artifacts").iterdir()]


# In their turn


async def test_each_is_made_from_the_one_before_it(simulate: Simulate, autojump_clock: MockClock) -> None:
    """A job is submitted once what it chains from is in the artifact store, and is given its link."""
    sim = simulate()

    outcome = await sim.run(chain(sim, {"third": "second", "second": "first", "first": ""}))

    assert outcome.exit_code == 0
    assert [task.prompt for task in sim.account.tasks.values()] == [f"prompt of {job}" for job in CHAIN]
    assert (made_from(sim, "second"), made_from(sim, "third")) == ("first", "second")
    told = [(event.name, event.job) for event in sim.events]
    for upstream, job in (("first", "second"), ("second", "third")):
        assert told.index(("job_fetched", f"batch/{upstream}")) < told.index(("job_submitted", f"batch/{job}"))
    assert sim.account.calls["upload"] == {}


async def test_what_does_not_wait_is_not_held_up(simulate: Simulate, autojump_clock: MockClock) -> None:
    """While one chain waits, everything else goes on; a fan is made side by side."""
    sim = simulate()

    outcome = await sim.run(chain(sim, {"second": "first", "also": "first", "other": "", "first": ""}))

    assert outcome.exit_code == 0
    assert {made_from(sim, job) for job in ("second", "also")} == {"first"}
    assert trio.current_time() < 200  # two rounds of 60 s
    assert task_of(sim, "other").created_at < task_of(sim, "second").created_at


async def test_a_result_of_an_earlier_run_counts_at_once(simulate: Simulate, autojump_clock: MockClock) -> None:
    """A fresh link is asked for by one query; nothing else is asked about what is done."""
    sim = simulate()
    await sim.run(chain(sim, {"first": ""}))
    await trio.sleep(20 * HOUR)
    spec = chain(sim, CHAIN)

    before = plan(sim, spec)
    outcome = await sim.run(spec)

    assert before["first"] == ("done", "nothing", "")
    assert before["second"] == ("new", "submit", "")
    assert before["third"] == ("new", "submit", "after batch/second")
    assert outcome.exit_code == 0
    assert (made_from(sim, "second"), sim.made) == ("first", 3)


async def test_of_a_link_that_dies_soon_the_file_is_uploaded(simulate: Simulate, autojump_clock: MockClock) -> None:
    """Two hours are too little for a task that may queue; two jobs share one upload, by its content."""
    sim = simulate()
    await sim.run(chain(sim, {"first": ""}))
    await trio.sleep(22.5 * HOUR)

    outcome = await sim.run(chain(sim, {"first": "", "second": "first", "also": "first"}))

    assert outcome.exit_code == 0
    assert input_of(sim, "second") == input_of(sim, "also")
    assert input_of(sim, "second").startswith("oss://")
    assert sim.account.calls["upload"] == {200: 1}


async def test_without_an_answer_about_the_link_the_file_is_uploaded(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """A link saves an upload, and is worth no waiting."""
    sim = simulate()
    await sim.run(chain(sim, {"first": ""}))
    sim.faults({"on": "query", "nth": 1, "do": {"status": 503}})

    outcome = await sim.run(chain(sim, {"first": "", "second": "first"}))

    assert outcome.exit_code == 0
    assert input_of(sim, "second").startswith("oss://")


# The same and the changed


async def test_what_changes_above_changes_below(simulate: Simulate, autojump_clock: MockClock) -> None:
    """A new prompt at the head of a chain is a new job for all of it; nothing else is made anew."""
    sim = simulate()
    spec = chain(sim, CHAIN | {"other": ""})
    await sim.run(spec)
    spec.write_text(spec.read_text().replace("prompt of first", "prompt of it"))

    planned = plan(sim, spec)
    outcome = await sim.run(spec)

    assert planned["second"] == ("changed", "submit", "after batch/first")
    assert [planned[job][0] for job in ("first", "third", "other")] == ["changed", "changed", "done"]
    assert outcome.exit_code == 0
    assert sim.billed() == {
        "prompt of first": 1,
        "prompt of it": 1,
        "prompt of second": 2,
        "prompt of third": 2,
        "prompt of other": 1,
    }


async def test_a_new_name_of_any_link_pays_nothing(simulate: Simulate, autojump_clock: MockClock) -> None:
    """Ids are no part of what decides a result: not one's own, nor those above."""
    sim = simulate()
    await sim.run(chain(sim, CHAIN))
    spec = sim.folder / "batch.yaml"
    spec.write_text(spec.read_text().replace("id: first", "id: head").replace("job: first", "job: head"))

    outcome = await sim.run(spec)

    assert states(outcome) == {"head": "done", "second": "done", "third": "done"}
    assert sim.made == 3


async def test_a_job_of_another_spec_gives_its_result(simulate: Simulate, autojump_clock: MockClock) -> None:
    """Named by its address, in whatever order the specs are given; alone, the spec is refused."""
    sim = simulate()
    first = chain(sim, {"first": ""}, name="one.yaml")
    second = chain(sim, {"second": "one/first"})

    outcome = await sim.run(second, first)

    assert outcome.exit_code == 0
    assert made_from(sim, "second") == "first"
    with pytest.raises(SpecError, match='no spec of this command is called "one"; name its file, too'):
        await sim.run(second)


async def test_one_more_take_is_waited_for(simulate: Simulate, autojump_clock: MockClock) -> None:
    """What is submitted beside it is made from the new take; what is done stays as it is."""
    sim = simulate()
    await sim.run(chain(sim, {"first": "", "done": "first"}))
    old = task_of(sim, "first").id

    outcome = await sim.run(
        chain(sim, {"first": "", "done": "first", "second": "first"}), selection=api.Selection(again=("first",))
    )

    assert (outcome.exit_code, sim.made) == (0, 4)
    assert f"/{old}.mp4" in input_of(sim, "done")
    assert f"/{old}.mp4" not in input_of(sim, "second")


async def test_a_take_that_comes_to_nothing_leaves_the_one_before_it(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """The result that stands is the one that is handed on."""
    sim = simulate()
    await sim.run(chain(sim, {"first": ""}))
    old = task_of(sim, "first").id
    sim.faults({**FAILS, "nth": 1})

    outcome = await sim.run(chain(sim, {"first": "", "second": "first"}), selection=api.Selection(again=("first",)))

    assert states(outcome) == {"first": "done", "second": "done"}
    assert f"/{old}.mp4" in input_of(sim, "second")


# Blocked


async def test_below_a_job_that_fails_nothing_is_submitted(simulate: Simulate, autojump_clock: MockClock) -> None:
    """All below it is blocked, each with the one reason; a later run says so again; with --retry-failed it goes on."""
    sim = simulate(faults=[{**FAILS, "nth": 1}])
    spec = chain(sim, CHAIN | {"other": ""})

    first = await sim.run(spec)
    planned = plan(sim, spec)
    second = await sim.run(spec)
    third = await sim.run(spec, retry_failed=True)

    reason = "batch/first, which it chains from, is failed: Not that. (DataInspectionFailed)"
    for outcome in (first, second):
        assert states(outcome) == {"first": "failed", "second": "blocked", "third": "blocked", "other": "done"}
        assert outcome.exit_code == 1
        assert (why(outcome, "second"), why(outcome, "third")) == (reason, reason)
    assert (planned["second"], planned["third"]) == (("blocked", "nothing", reason), ("blocked", "nothing", reason))
    assert [event.job for event in sim.named("job_blocked")] == ["batch/second", "batch/third"]
    assert set(states(third).values()) == {"done"}
    assert sum(sim.billed().values()) == 4


async def test_below_a_job_that_is_held_nothing_is_submitted(simulate: Simulate, autojump_clock: MockClock) -> None:
    """It goes on once a person has said what became of it."""
    sim = simulate(faults=[{"on": "create", "nth": 1, "do": {"unknown_after_seconds": 30}}])
    spec = chain(sim, {"first": "", "second": "first"})

    first = await sim.run(spec)
    api.resolve("first", api.Decision.RESUBMIT, sim.setup)
    second = await sim.run(spec)

    assert states(first) == {"first": "held", "second": "blocked"}
    assert why(first, "second").startswith("batch/first, which it chains from, is held: the service no longer knows")
    assert states(second) == {"first": "done", "second": "done"}


async def test_a_result_that_is_lost_blocks_what_is_below(simulate: Simulate, autojump_clock: MockClock) -> None:
    """The run that finds it lost says so by its exit code; the next one that a person must look."""
    sim = simulate(faults=[{"on": "download", "do": {"status": 503}}])
    spec = chain(sim, {"first": "", "second": "first"})
    waiting = await sim.run(spec)
    sim.faults()
    await trio.sleep(30 * HOUR)

    found, later = await sim.run(spec), await sim.run(spec)

    assert (states(waiting), waiting.exit_code) == ({"first": "in flight", "second": "new"}, 3)
    assert why(waiting, "second") == "after batch/first"
    assert states(found) == states(later) == {"first": "lost", "second": "blocked"}
    assert (found.exit_code, later.exit_code) == (7, 1)


async def test_a_file_that_has_gone_from_the_store_is_said(simulate: Simulate, autojump_clock: MockClock) -> None:
    """Where it was delivered to is said too, and with the file put back the next run goes on."""
    sim = simulate()
    await sim.run(chain(sim, {"first": ""}))
    files = clear_store(sim)
    spec = chain(sim, {"first": "", "second": "first"})
    await trio.sleep(23 * HOUR)

    planned, first = plan(sim, spec)["second"], await sim.run(spec)
    for path in files:
        path.rename(sim.folder / ".wanrun" / "artifacts" / path.name)
    second = await sim.run(spec)

    (path,) = files
    words = (
        f"the result of batch/first is no longer at {sim.folder}/.wanrun/artifacts/{path.name}; "
        "copy out/first.mp4 there, or pay for another take: --again batch/first"
    )
    assert planned == ("blocked", "nothing", words)
    assert (states(first), first.exit_code, why(first, "second")) == ({"first": "done", "second": "blocked"}, 1, words)
    assert states(second) == {"first": "done", "second": "done"}


async def test_a_link_is_enough_while_it_lives(simulate: Simulate, autojump_clock: MockClock) -> None:
    """Without the file the service is asked until it answers."""
    sim = simulate()
    await sim.run(chain(sim, {"first": ""}))
    clear_store(sim)
    sim.faults({"on": "query", "nth": 1, "do": {"status": 503}})

    outcome = await sim.run(chain(sim, {"first": "", "second": "first"}))

    assert outcome.exit_code == 0
    assert made_from(sim, "second") == "first"


@pytest.mark.parametrize("options", [{}, {"no_wait": True}])
async def test_the_link_of_another_provider_is_asked_for_there(
    simulate: Simulate, autojump_clock: MockClock, options: dict[str, Any]
) -> None:
    """Also when no other job of the run needs that one."""
    sim = simulate()
    sim.settings("[providers.default]\npatience_seconds = 30\n[providers.second]\nregion = 'beijing'\n")
    spec = chain(sim, {"first": ""})
    spec.write_text(spec.read_text().replace("id: first,", "id: first, provider: second,"))
    await sim.run(spec)
    clear_store(sim)
    spec.write_text(spec.read_text() + "  - {id: second, prompt: prompt of second, media: [{video: {job: first}}]}\n")

    await sim.run(spec, **options)
    outcome = await sim.run(spec)

    assert states(outcome) == {"first": "done", "second": "done"}
    assert (made_from(sim, "second"), sim.made) == ("first", 2)


@pytest.mark.parametrize("needs", ["a link for another job", "the file for a new place"])
async def test_a_result_is_asked_for_where_it_was_made_though_a_further_take_went_elsewhere(
    simulate: Simulate, autojump_clock: MockClock, needs: str
) -> None:
    """The take came to nothing at the other provider, which knows nothing of the result that stands."""
    sim = simulate()
    sim.settings("[providers.default]\npatience_seconds = 30\n[providers.second]\nregion = 'beijing'\n")
    spec = chain(sim, {"first": ""})
    text = spec.read_text()
    spec.write_text(text.replace("id: first,", "id: first, provider: second,"))
    await sim.run(spec)
    task = task_of(sim, "first").id
    spec.write_text(text)
    sim.faults({"on": "create", "do": {"fail": {"code": "DataInspectionFailed", "message": "no"}}})
    await sim.run(spec, selection=api.Selection(again=("first",)))
    sim.faults()
    clear_store(sim)
    if needs == "a link for another job":
        spec = chain(sim, {"first": "", "second": "first"})
    else:
        spec.write_text(text.replace("jobs:", "sinks: {shelf: {folder: shelf}}\njobs:"))
    transport = Twist(sim.account)

    outcome = await sim.run(spec, transport=transport)

    hosts = {call.host for call in transport.calls if call.kind is Kind.QUERY and call.task and call.task.id == task}
    assert set(states(outcome).values()) == {"done"}
    assert hosts == {"dashscope.aliyuncs.com"}


async def test_a_file_that_was_changed_is_not_sent_for_another(simulate: Simulate, autojump_clock: MockClock) -> None:
    """What is uploaded is what the ledger knows the result to be, or nothing is submitted."""
    sim = simulate()
    await sim.run(chain(sim, {"first": ""}))
    (path,) = (sim.folder / ".wanrun" / "artifacts").iterdir()
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    await trio.sleep(23 * HOUR)

    outcome = await sim.run(chain(sim, {"first": "", "second": "first"}))

    assert states(outcome)["second"] == "failed"
    assert why(outcome, "second") == (
        f"nothing was paid: the result of batch/first is no longer at {path}; "
        "copy out/first.mp4 there, or pay for another take: --again batch/first"
    )
    assert sim.made == 1


async def test_a_result_too_short_for_the_model_is_not_submitted(
    simulate: Simulate, autojump_clock: MockClock, tmp_path: Path
) -> None:
    """The file itself is looked at, before anything is paid for; what is not made from it goes on."""
    short = make_video(tmp_path / "short.mp4", seconds=1)
    sim = simulate(ready=Clip(short.read_bytes(), 1.0))

    outcome = await sim.run(chain(sim, CHAIN | {"other": ""}))

    assert states(outcome) == {"first": "done", "second": "failed", "third": "blocked", "other": "done"}
    assert why(outcome, "second") == (
        "nothing was paid: the result of batch/first is 1.0 s long; wan2.7-videoedit takes 2 to 10 s"
    )
    assert (outcome.exit_code, sim.made) == (1, 2)


# Chosen and left


async def test_what_a_chosen_job_needs_is_not_paid_for_unasked(simulate: Simulate, autojump_clock: MockClock) -> None:
    """--only names what may be submitted, and no more; it says what else to choose. Done is done, chosen or not."""
    sim = simulate()
    spec = chain(sim, CHAIN)
    only = api.Selection(only=("second",))

    planned, first = plan(sim, spec, selection=only), await sim.run(spec, selection=only)
    both = await sim.run(spec, selection=api.Selection(exclude=("third",)))
    last = await sim.run(spec, selection=api.Selection(only=("third",)))

    words = "batch/first has no result yet, and this run leaves it alone; choose it, too"
    assert planned == {"second": ("blocked", "nothing", words)}
    assert (states(first), first.exit_code, why(first, "second")) == ({"second": "blocked"}, 1, words)
    assert (both.exit_code, both.submitted) == (0, 2)
    assert (last.exit_code, last.submitted) == (0, 1)


async def test_the_first_jobs_are_those_that_others_need(simulate: Simulate, autojump_clock: MockClock) -> None:
    """--limit counts along the chains, whatever the order in the file, so that each run gets somewhere."""
    sim = simulate()
    spec = chain(sim, {"third": "second", "second": "first", "first": ""})

    outcomes = [await sim.run(spec, selection=api.Selection(limit=1)) for _ in CHAIN]

    assert [outcome.exit_code for outcome in outcomes] == [3, 3, 0]
    assert [outcome.submitted for outcome in outcomes] == [1, 1, 1]
    assert states(outcomes[0]) == {"first": "done", "second": "new", "third": "new"}


async def test_runs_that_do_not_wait_get_to_the_end(simulate: Simulate, autojump_clock: MockClock) -> None:
    """--no-wait leaves at once, and submits what has its input by then; three runs make three links."""
    sim = simulate()
    spec = chain(sim, CHAIN)

    outcomes = []
    while not outcomes or outcomes[-1].exit_code:
        outcomes.append(await sim.run(spec, no_wait=True))
        await trio.sleep(200)

    assert [outcome.exit_code for outcome in outcomes[:-1]] == [3] * (len(outcomes) - 1)
    assert len(outcomes) <= 7
    assert sim.billed() == {f"prompt of {job}": 1 for job in CHAIN}


async def test_a_run_whose_time_is_over_leaves_the_rest(simulate: Simulate, autojump_clock: MockClock) -> None:
    """--max-wait ends in the middle of a chain; the next run goes on with it."""
    sim = simulate()
    spec = chain(sim, CHAIN)

    first = await sim.run(spec, max_wait_seconds=90)
    second = await sim.run(spec)

    assert (states(first), first.exit_code) == ({"first": "done", "second": "in flight", "third": "new"}, 3)
    assert (second.exit_code, sim.made) == (0, 3)


# Money


async def test_what_it_may_cost_follows_from_what_it_is_made_of(simulate: Simulate, autojump_clock: MockClock) -> None:
    """At most as long as the job before it can make it; of a result that is there, its own length is known."""
    sim = simulate()
    spec = sim.spec(
        "jobs:\n"
        "  - {id: first, prompt: a, media: [{video: https://example.com/a.mp4}], parameters: {duration: 4}}\n"
        "  - {id: second, prompt: b, media: [{video: {job: first}}]}\n"
        "  - {id: third, prompt: c, media: [{video: {job: second}}], parameters: {duration: 3}}\n"
        "  - {id: long, prompt: d, media: [{video: https://example.com/d.mp4}]}\n"
        "  - {id: last, prompt: e, media: [{video: {job: long}}]}\n"
    )

    before = {each.job.id: each.cost for each in api.plan([spec], sim.setup).jobs}
    await sim.run(spec, selection=api.Selection(only=("first",)))
    after = {each.job.id: each.cost for each in api.plan([spec], sim.setup).jobs}

    rate = 1.100886
    seconds = {job: float(cost.amount) / rate for job, cost in before.items() if cost is not None}
    assert seconds == pytest.approx({"first": 14.1, "second": 8.1, "third": 7.1, "long": 20.1, "last": 20.1}, abs=0.01)
    assert after["second"] is not None
    assert float(after["second"].amount) / rate == pytest.approx(4.1, abs=0.01)  # of 2 s, as the account made it


async def test_a_cap_counts_chained_jobs(simulate: Simulate, autojump_clock: MockClock) -> None:
    """What fits is made; what does not is left, with what chains from it, and the next run goes on under more."""
    sim = simulate()
    spec = chain(sim, CHAIN)

    first = await sim.run(spec, max_cost="8 CNY")
    second = await sim.run(spec, max_cost="30 CNY")
    third = await sim.run(spec, max_cost="5 CNY")

    assert (states(first), first.exit_code) == ({"first": "new", "second": "new", "third": "new"}, 5)
    assert (states(second), second.exit_code, sim.made) == (dict.fromkeys(CHAIN, "done"), 0, 3)
    assert third.exit_code == 0


# Whatever dies


@pytest.mark.parametrize("job", CHAIN)
@pytest.mark.parametrize(
    "name", ["job_prepared", "job_submitted", "job_running", "job_fetched", "delivered", "job_done"]
)
async def test_a_run_that_dies_anywhere_is_gone_on_with(
    simulate: Simulate, autojump_clock: MockClock, name: str, job: str
) -> None:
    """Nothing of a chain is in memory alone: each link is paid for once, and made from the one before it."""
    sim = simulate()
    spec = chain(sim, CHAIN)

    with pytest.RaisesGroup(Death, flatten_subgroups=True, allow_unwrapped=True):
        await sim.run(spec, observe=dying_at(name, job))
    outcome = await sim.run(spec)

    assert set(states(outcome).values()) == {"done"}
    assert sim.billed() == {f"prompt of {each}": 1 for each in CHAIN}
    assert (made_from(sim, "second"), made_from(sim, "third")) == ("first", "second")


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize(
    "do", [{"lose_reply": True}, {"reset": "before"}, {"status": 503}], ids=lambda do: next(iter(do))
)
async def test_a_create_without_an_answer_is_settled_and_the_chain_goes_on(
    simulate: Simulate, autojump_clock: MockClock, do: dict[str, Any], number: int
) -> None:
    """Below an unsure job others wait; none is paid for twice."""
    sim = simulate(faults=[{"on": "create", "nth": number, "do": do}])
    spec = chain(sim, CHAIN)

    outcome = await sim.run(spec)
    while outcome.exit_code == 3:
        await trio.sleep(100)
        outcome = await sim.run(spec)

    assert outcome.exit_code == 0
    assert sim.billed() == {f"prompt of {each}": 1 for each in CHAIN}


async def test_a_task_that_failed_by_the_service_is_made_anew_from_the_same(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """A retry within the chain waits for nobody."""
    fault = {"fail": {"code": "InternalError", "message": "oops"}}
    sim = simulate(faults=[{"on": "create", "nth": number, "do": fault} for number in (1, 3)])

    outcome = await sim.run(chain(sim, {"first": "", "second": "first"}))

    assert set(states(outcome).values()) == {"done"}
    assert sim.billed() == {"prompt of first": 1, "prompt of second": 1}


async def test_a_link_that_the_service_cannot_read_is_not_tried_again(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """After a failure that may pass, the file itself is sent."""
    words = "Failed to download http://127.0.0.1/results/1.mp4"
    fault = {"fail": {"code": "InvalidParameter", "message": words}}
    sim = simulate(faults=[{"on": "create", "nth": 2, "do": fault}])

    outcome = await sim.run(chain(sim, {"first": "", "second": "first"}))

    tasks = [task for task in sim.account.tasks.values() if task.prompt == "prompt of second"]
    assert outcome.exit_code == 0
    assert [str(task.media[0]["url"]).partition(":")[0] for task in tasks] == ["http", "oss"]


async def test_each_is_made_from_the_very_bytes(simulate: Simulate, autojump_clock: MockClock) -> None:
    """Of results that differ, the one that is uploaded is that of the job above."""
    sim = simulate()
    spec = chain(sim, {"first": "", "other": ""})
    await sim.run(spec, transport=Twist(sim.account, instead=own_results))
    await trio.sleep(23 * HOUR)

    await sim.run(chain(sim, {"first": "", "other": "", "second": "first", "also": "other"}))

    for job, upstream in (("second", "first"), ("also", "other")):
        stored = sim.account.store.read(input_of(sim, job).removeprefix("oss://"), 0, 10**9)
        assert stored.endswith(task_of(sim, upstream).id.encode())


async def test_a_matrix_of_chains(simulate: Simulate, autojump_clock: MockClock) -> None:
    """Twenty counterparts, more than fit in flight, each from its own."""
    sim = simulate()
    matrix = "matrix: {n: [" + ", ".join(map(str, range(10, 30))) + "]}"
    spec = sim.spec(
        "jobs:\n"
        f'  - {{id: "${{{{ matrix.n }}}}-b", {matrix}, prompt: "prompt of ${{{{ matrix.n }}}}-b",'
        ' media: [{video: {job: "${{ matrix.n }}-a"}}]}\n'
        f'  - {{id: "${{{{ matrix.n }}}}-a", {matrix}, prompt: "prompt of ${{{{ matrix.n }}}}-a",'
        ' media: [{video: "https://example.com/${{ matrix.n }}.mp4"}]}\n'
    )

    outcome = await sim.run(spec)

    assert (outcome.exit_code, sim.made) == (0, 40)
    assert {made_from(sim, f"{n}-b") for n in range(10, 30)} == {f"{n}-a" for n in range(10, 30)}
