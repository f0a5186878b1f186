"""People are told what has happened: once, in few messages, and never at the cost of a job or of the run."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
import trio

from chat import Chat, title_of
from simulation import HEAD, Simulation, states
from wanrun import Notice, Secret, SinkError
from wanrun.registry import load_catalog
from wanrun.rehearsal import rehearsed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trio.testing import MockClock

    from wanrun.events import Event
    from wanrun.outcome import Outcome

    Simulate = Callable[..., Simulation]
    MakeRoom = Callable[..., "Room"]

ALL = (
    "run_started, run_stopping, budget_reached, run_finished, job_done, job_failed, job_held, job_lost, "
    "delivery_failed, result_expiring"
)
REFUSE_BAD = {"on": "create", "prompt": "of bad", "do": {"status": 400, "code": "InvalidParameter", "message": "no"}}
ARREARS = {"on": "create", "do": {"status": 400, "code": "Arrearage", "message": "Access denied, account in arrears."}}


class Death(BaseException):
    """The process ends here."""


class Room:
    """A simulation with a chat in it."""

    def __init__(self, sim: Simulation) -> None:
        self.sim, self.chat = sim, Chat()

    def spec(self, *ids: str, events: str, name: str = "batch.yaml", to: str = "room: a", more: str = "") -> Path:
        """Write a spec of jobs on linked videos whose sink `team` is told of these events."""
        jobs = self.sim.clips(*ids, name=name).read_text().removeprefix(HEAD)
        notify = f"notify: [{{to: team, events: [{events}]}}]\n"
        return self.sim.spec(f"sinks: {{team: {{chat: {{{to}}}}}{more}}}\n{notify}{jobs}", name)

    async def run(self, *specs: Path, **options: Any) -> Outcome:
        """Run specs with the plugin installed."""
        return await self.sim.run(*specs, catalog=load_catalog(plugins=[self.chat]), **options)

    def names(self) -> list[list[str]]:
        """Return what each message was about."""
        return [[name.value for name in notice.names] for notice in self.chat.told]


@pytest.fixture
def room(simulate: Simulate) -> Callable[..., Room]:
    """Return a maker of rooms."""
    return lambda **options: Room(simulate(**options))


# What is told


async def test_a_run_ends_with_one_message_that_says_it_all(room: MakeRoom, autojump_clock: MockClock) -> None:
    """How the jobs stand, what failed and why, where the results are, what it cost: as data and in words."""
    here = room(faults=[REFUSE_BAD])
    spec = here.spec("one", "two", "bad", events="run_finished, job_failed, job_done")

    outcome = await here.run(spec)

    (told,) = here.chat.told
    assert outcome.exit_code == 1
    assert [name.value for name in told.names] == ["run_finished", "job_done", "job_failed"]
    assert (told.title, told.counts, told.exit_code) == (
        "emulator: batch: 2 done, 1 failed",
        {"done": 2, "failed": 1},
        1,
    )
    assert (told.run, told.specs, told.sink.options["room"]) == (outcome.run, ("batch",), "a")
    assert {job.address: (job.name, job.message, len(job.places)) for job in told.jobs} == {
        "batch/bad": ("job_failed", "failed: create: no (InvalidParameter)", 0),
        "batch/one": ("job_done", "", 1),
        "batch/two": ("job_done", "", 1),
    }
    assert told.cost == {"CNY": Decimal("8.807088")}
    out = here.sim.folder / "out"
    assert told.text.splitlines() == [
        "batch/bad: failed: create: no (InvalidParameter)",
        f"batch/one: done, {out}/one.mp4",
        f"batch/two: done, {out}/two.mp4",
        "at the service this would be: 8.81 CNY",
        f"run {outcome.run}",
    ]


async def test_only_what_was_asked_for_is_told(room: MakeRoom, autojump_clock: MockClock) -> None:
    """Who wants to hear of failures hears nothing of a run without any."""
    here = room(faults=[REFUSE_BAD])

    await here.run(here.spec("one", events="job_failed, job_held"))
    await here.run(here.spec("one", "bad", "two", events="job_failed, job_held"))

    assert here.chat.titles == ["batch: 1 failed"]


async def test_a_run_that_finds_everything_done_says_nothing(room: MakeRoom, autojump_clock: MockClock) -> None:
    """The first run is told, the others have changed nothing; a further job is news again."""
    here = room()
    for ids in (["one"], ["one"], ["one"], ["one", "two"]):
        await here.run(here.spec(*ids, events=ALL))

    assert here.names() == [["run_started"], ["run_finished", "job_done"]] * 2
    assert here.chat.titles[1::2] == ["batch: 1 done", "batch: 2 done"]


async def test_an_earlier_failure_is_not_told_again(room: MakeRoom, autojump_clock: MockClock) -> None:
    """It is counted where the jobs are counted, and listed once; a new failure of the same job is news."""
    here = room(faults=[REFUSE_BAD])
    await here.run(here.spec("bad", events="run_finished, job_failed"))
    await here.run(here.spec("bad", "one", events="run_finished, job_failed"))
    await here.run(here.spec("bad", "one", events="run_finished, job_failed"), retry_failed=True)

    assert here.chat.titles == ["batch: 1 failed", "batch: 1 done, 1 failed", "batch: 1 done, 1 failed"]
    assert [[job.address for job in notice.jobs] for notice in here.chat.told] == [["batch/bad"], [], ["batch/bad"]]


async def test_a_delivery_that_fails_in_every_run_is_told_once(room: MakeRoom, autojump_clock: MockClock) -> None:
    """The same sink and the same result: a cron job does not nag; a new result that fails again is news."""
    here = room()
    (here.sim.folder / "blocked").write_text("no folder")
    more = ", disk: {folder: out}, nas: {folder: {path: blocked/x}}"
    spec = here.spec("one", events="delivery_failed", more=more)
    for _ in range(3):
        await here.run(spec)
    spec.write_text(spec.read_text().replace("prompt of one", "other prompt"))
    await here.run(spec)

    assert here.names() == [["delivery_failed"], ["delivery_failed"]]
    assert "not delivered to nas" in here.chat.told[0].jobs[0].message


async def test_what_is_held_is_told_once(room: MakeRoom, autojump_clock: MockClock) -> None:
    """Every run looks at such a task once more and holds it again; that is no news."""
    here = room(faults=[{"on": "create", "do": {"unknown_after_seconds": 30}}])
    spec = here.spec("one", events="job_held, run_finished")
    for _ in range(3):
        await here.run(spec)

    assert here.chat.titles == ["batch: 1 held"]
    assert here.names() == [["run_finished", "job_held"]]


async def test_an_expiring_result_is_told_of_while_the_run_goes_on_and_once(
    room: MakeRoom, autojump_clock: MockClock
) -> None:
    """It has hours left, so it does not wait for the end; the runs after that do not repeat it."""
    here = room()
    spec = here.spec("one", events="result_expiring, job_lost")
    here.sim.faults({"on": "query", "do": {"status": 503}})
    await here.run(spec)
    await trio.sleep(21 * 3600)
    for _ in range(2):
        await here.run(spec, max_wait_seconds=900)
        await trio.sleep(600)
    await trio.sleep(4 * 3600)
    here.sim.faults()
    await here.run(spec)

    assert here.names() == [["result_expiring"], ["job_lost"]]


# Why a run stops


async def test_a_budget_that_is_reached_is_told_by_name(room: MakeRoom, autojump_clock: MockClock) -> None:
    """With the reason; the next run, which can do nothing, does not say so again."""
    here = room()
    here.sim.settings('[budget]\nmax_cost = "25 CNY"\n')
    spec = here.spec("one", "two", "three", events="budget_reached")
    for _ in range(2):
        await here.run(spec)

    (told,) = here.chat.told
    assert told.title == "emulator: batch: 2 new, 1 done; stopped by a budget"
    assert told.reasons[0].startswith("budget.max_cost in wanrun.toml is 25.00 CNY")
    assert told.text.startswith("stopped: budget.max_cost in wanrun.toml is 25.00 CNY")


async def test_arrears_are_told_though_nothing_was_changed_and_once(room: MakeRoom, autojump_clock: MockClock) -> None:
    """Runs by a timer meet them again and again; when they were paid in between, they are news again."""
    here = room(faults=[ARREARS])
    spec = here.spec("one", events="run_finished")
    for _ in range(3):
        await here.run(spec)
    here.sim.faults()
    await here.run(spec)
    here.sim.faults(ARREARS)
    await here.run(here.spec("one", "two", events="run_finished"))

    assert here.chat.titles == [
        "batch: 1 new; stopped by the service",
        "batch: 1 done",
        "batch: 1 new, 1 done; stopped by the service",
    ]


async def test_a_run_that_leaves_in_time_says_that_it_is_not_finished(
    room: MakeRoom, autojump_clock: MockClock
) -> None:
    """And why; one that has changed nothing says nothing."""
    here = room()
    spec = here.spec("one", events="run_finished, run_stopping")
    for _ in range(2):
        await here.run(spec, max_wait_seconds=20)
    await here.run(spec)

    assert here.chat.titles == ["batch: 1 in flight; not finished", "batch: 1 done"]
    assert here.names() == [["run_stopping", "run_finished"], ["run_finished"]]


# When it is told


MANY = tuple(f"j{number:03}" for number in range(200))


@pytest.mark.slow
async def test_a_long_run_tells_of_trouble_soon_and_in_few_messages(room: MakeRoom, autojump_clock: MockClock) -> None:
    """Two minutes after the first failure, with all that failed meanwhile; then at most every half hour."""
    here = room(
        faults=[{"on": "create", "every": 4, "do": {"fail": {"code": "DataInspectionFailed", "message": "no"}}}]
    )
    here.sim.settings("[providers.default.limits]\ntasks_in_flight = 6\n")

    outcome = await here.run(here.spec(*MANY, events="job_failed, run_finished"))

    ended_at, times = trio.current_time(), here.chat.times
    assert list(states(outcome).values()).count("failed") == 50
    assert ended_at > 2400
    assert len(here.chat.told) == 3
    assert 120 < times[0] < 300
    assert 1800 <= times[1] - times[0] < 1830
    assert here.chat.titles[0].endswith(" failed, and the run goes on")
    assert here.chat.titles[-1] == "batch: 150 done, 50 failed"
    told = [job.address for notice in here.chat.told for job in notice.jobs]
    assert sorted(told) == sorted(f"batch/{name}" for name, state in states(outcome).items() if state == "failed")


@pytest.mark.slow
async def test_500_failures_are_one_message_that_can_be_read(room: MakeRoom, autojump_clock: MockClock) -> None:
    """Its text names ten, its data all of them."""
    here = room(faults=[{"on": "create", "do": {"status": 400, "code": "InvalidParameter", "message": "no"}}])
    here.sim.settings("[providers.default.limits]\ncreates_per_second = 5\n")
    ids = [f"j{number:03}" for number in range(500)]

    await here.run(here.spec(*ids, events="job_failed, run_finished"))

    (told,) = here.chat.told
    assert (told.title, len(told.jobs)) == ("emulator: batch: 500 failed", 500)
    assert len(told.text.splitlines()) == 12
    assert "... and 490 more failed: wanrun status" in told.text


async def test_that_a_run_has_begun_is_told_when_it_has_done_something(
    room: MakeRoom, autojump_clock: MockClock
) -> None:
    """At once, and not by a run that reaches nobody."""
    here = room(faults=[{"on": "any", "do": {"reset": "connect"}}])
    spec = here.spec("one", "two", events="run_started")
    await here.run(spec)
    here.sim.faults()
    began = trio.current_time()

    await here.run(spec)

    assert here.chat.titles == ["batch: a run has begun: 2 new"]
    assert here.chat.times[0] - began < 5


@pytest.mark.slow
async def test_done_jobs_of_a_long_run_come_in_digests(room: MakeRoom, autojump_clock: MockClock) -> None:
    """Nobody wants two hundred messages of good news, nor none for an hour."""
    here = room()
    here.sim.settings("[providers.default.limits]\ntasks_in_flight = 6\n")

    await here.run(here.spec(*MANY, events="job_done"))

    assert 2 <= len(here.chat.told) <= 3
    assert sum(len(notice.jobs) for notice in here.chat.told) == 200


# To whom


async def test_two_specs_that_name_one_destination_share_a_message(room: MakeRoom, autojump_clock: MockClock) -> None:
    """By kind and options, whatever the sink is called; another room gets its own, about its own spec."""
    here = room(faults=[REFUSE_BAD])
    first = here.spec("one", events="run_finished", name="first.yaml")
    second = here.spec("two", "bad", events="run_finished, job_failed", name="second.yaml")
    second.write_text(second.read_text().replace("team", "people"))
    third = here.spec("three", events="run_finished", name="third.yaml", to="room: b")

    await here.run(first, second, third)

    told = {notice.sink.options["room"]: notice for notice in here.chat.told}
    assert {name: title_of(notice) for name, notice in told.items()} == {
        "a": "first, second: 2 done, 1 failed",
        "b": "third: 1 done",
    }
    assert (told["a"].cost, told["b"].cost) == ({"CNY": Decimal("8.807088")}, {"CNY": Decimal("4.403544")})


async def test_a_spec_hears_only_of_its_own_jobs_and_of_what_it_asks_for(
    room: MakeRoom, autojump_clock: MockClock
) -> None:
    """Of two specs with one destination only one wants to hear of failures."""
    here = room(faults=[REFUSE_BAD])
    first = here.spec("bad", events="run_finished", name="first.yaml")
    second = here.spec("two", events="run_finished, job_failed", name="second.yaml")

    await here.run(first, second)

    assert here.names() == [["run_finished"]]


async def test_who_is_named_later_does_not_hear_of_the_past(room: MakeRoom, autojump_clock: MockClock) -> None:
    """A destination hears from the run on that first names it."""
    here = room(faults=[REFUSE_BAD])
    await here.run(here.sim.clips("one", "bad"))

    await here.run(here.spec("one", "bad", events=ALL))
    await here.run(here.spec("one", "bad", "two", events="job_done, job_failed"))

    assert [[job.address for job in notice.jobs] for notice in here.chat.told] == [["batch/two"]]


# Failures of its own


async def fail(notice: Notice) -> None:
    """Say that it cannot be done."""
    raise SinkError("the chat answered 503")


async def break_down(notice: Notice) -> None:
    """Have a bug."""
    raise ZeroDivisionError("no chat")


async def hang(notice: Notice) -> None:
    """Never return."""
    await trio.sleep_forever()


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (fail, "the chat answered 503"),
        (break_down, 'its sink "chat" failed in notify: ZeroDivisionError: no chat'),
        (hang, "did not return from notify in 10 s"),
    ],
    ids=["raises", "breaks", "hangs"],
)
async def test_a_notifier_that_fails_harms_nothing_but_its_message(
    room: MakeRoom, autojump_clock: MockClock, act: Any, words: str
) -> None:
    """The run is as good and nearly as fast; its outcome has a note, and another destination is told."""
    here = room()
    there = here.spec("two", events=ALL, name="other.yaml", to="room: b")

    async def act_in_a(notice: Notice) -> None:
        if notice.sink.options["room"] == "a":
            await act(notice)

    here.chat.act = act_in_a
    outcome = await here.run(here.spec("one", events="run_finished, job_done"), there)

    (note,) = outcome.run_notes
    (event,) = here.sim.named("notify_failed")
    assert (outcome.exit_code, set(states(outcome).values())) == (0, {"done"})
    assert note.startswith("the sink team was not told of run_finished, job_done: ")
    assert note.endswith(words)
    assert event.data["message"] in note
    assert [title_of(notice) for notice in here.chat.told if notice.sink.options["room"] == "b"][-1] == "other: 1 done"
    assert here.sim.events[-1].name == "run_finished"
    assert trio.current_time() < 120


async def test_what_could_not_be_told_is_told_by_the_next_run(room: MakeRoom, autojump_clock: MockClock) -> None:
    """Though that one finds everything done; the one after says nothing."""
    here = room()
    spec = here.spec("one", events="run_finished, job_done")
    here.chat.act = fail
    await here.run(spec)
    here.chat.act = None

    outcomes = [await here.run(spec), await here.run(spec)]

    assert here.chat.titles == ["batch: 1 done"] * 2
    assert [outcome.run_notes for outcome in outcomes] == [(), ()]


async def test_a_secret_that_is_not_there_is_a_note(room: MakeRoom, autojump_clock: MockClock) -> None:
    """A run is not refused because nobody can be told of it."""
    here = room()

    outcome = await here.run(here.spec("one", events="run_finished", to='room: a, token: "${{ secret.CHAT }}"'))

    assert outcome.exit_code == 0
    assert outcome.run_notes == (
        "the sink team was not told of run_finished: there is no secret CHAT: "
        "the environment variable CHAT is missing or empty",
    )


async def test_secrets_are_opened_for_the_call_and_shown_nowhere(room: MakeRoom, autojump_clock: MockClock) -> None:
    """A notifier that raises with its secret does not get it into an event, a note or the ledger."""
    here = room()
    here.sim.environ = {"CHAT": "canary-canary"}
    given: list[str] = []

    async def leak(notice: Notice) -> None:
        token = notice.sink.options["token"]
        assert isinstance(token, Secret)
        given.append(token.reveal())
        raise SinkError(f"https://chat.example.com/{token.reveal()} is away")

    here.chat.act = leak
    outcome = await here.run(here.spec("one", events="run_finished", to='room: a, token: "${{ secret.CHAT }}"'))

    assert given == ["canary-canary"]
    assert "canary" not in repr(here.sim.events) + repr(outcome.run_notes)
    assert b"canary" not in (here.sim.folder / ".wanrun" / "ledger.db").read_bytes()


# Deaths


async def test_a_run_that_dies_before_it_tells_leaves_it_to_the_next(room: MakeRoom, autojump_clock: MockClock) -> None:
    """A job has failed, everything else is done, and the process is gone: the next run, with nothing to do, tells."""
    here = room(faults=[REFUSE_BAD])
    spec = here.spec("bad", events="run_finished, job_failed")

    def die(event: Event) -> None:
        if event.name == "job_failed":
            raise Death

    with pytest.RaisesGroup(Death, flatten_subgroups=True):
        await here.run(spec, observe=die)
    assert here.chat.told == []
    for _ in range(2):
        await here.run(spec)

    assert here.chat.titles == ["batch: 1 failed"]
    assert here.names() == [["run_finished", "job_failed"]]


async def test_a_run_that_dies_while_it_tells_is_told_once_more_and_no_more(
    room: MakeRoom, autojump_clock: MockClock
) -> None:
    """The message is out, and that it is was not recorded."""
    here = room()
    spec = here.spec("one", events="run_finished, job_done")

    async def die(notice: Notice) -> None:
        raise Death

    here.chat.act = die
    with pytest.RaisesGroup(Death, flatten_subgroups=True):
        await here.run(spec)
    here.chat.act = None
    for _ in range(3):
        await here.run(spec)

    assert here.chat.titles == ["batch: 1 done"] * 2


async def test_another_run_s_death_is_told_by_whoever_runs_the_spec(room: MakeRoom, autojump_clock: MockClock) -> None:
    """A run of another spec with the same destination does not pass over what this one has to say."""
    here = room(faults=[REFUSE_BAD])
    spec = here.spec("bad", events="job_failed")
    other = here.spec("one", events="job_done", name="other.yaml")

    def die(event: Event) -> None:
        if event.name == "job_failed":
            raise Death

    with pytest.RaisesGroup(Death, flatten_subgroups=True):
        await here.run(spec, observe=die)
    await here.run(other)
    await here.run(spec)

    assert here.chat.titles == ["other: 1 done", "batch: 1 failed"]


async def test_a_message_under_way_when_the_run_ends_is_not_sent_twice(
    room: MakeRoom, autojump_clock: MockClock
) -> None:
    """The end waits for it, as far as its deadline goes."""
    here = room()

    async def take_long(notice: Notice) -> None:
        await trio.sleep(9)

    here.chat.act = take_long
    here.sim.account = here.sim.new_account(seconds=1.0)
    outcome = await here.run(here.spec("one", events="run_started"))

    assert (outcome.run_notes, here.names()) == ((), [["run_started"]])


# The emulator's rehearsal


async def test_a_rehearsal_says_what_would_have_been_told(room: MakeRoom, autojump_clock: MockClock) -> None:
    """With `--emulator` it is not called, no secret is opened, and the outcome says what it would have heard."""
    here = room()
    spec = here.spec("one", events="run_finished", to='room: a, token: "${{ secret.CHAT }}"')
    catalog = rehearsed(load_catalog(plugins=[here.chat]))

    outcome = await here.sim.run(spec, catalog=catalog)

    assert here.chat.told == []
    assert outcome.run_notes == ("rehearsal: the sink team would have been told: emulator: batch: 1 done",)
    (event,) = here.sim.named("notified")
    assert event.data["rehearsed"] is True
