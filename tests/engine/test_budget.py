"""No run spends beyond a cap, whatever dies, fails or stays unsure; what flies is brought home all the same.

A linked video of unknown length reserves 20.1 s at 1.100886 CNY, which is 22.13 CNY; here it is 2 s long, and its task
costs 4.40 CNY.
"""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
import trio

from media_files import make_video
from simulation import HEAD, Simulation, states
from wanrun import api
from wanrun.errors import ExitCode, SettingsError, SpecError

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock

    from wanrun.events import Event
    from wanrun.outcome import Outcome

    Simulate = Callable[..., Simulation]

LOST_REPLY = {"on": "create", "nth": 1, "do": {"reset": "after"}}
TOML = '[providers.default]\npatience_seconds = 30\nsettle_seconds = 600\n[budget]\nmax_cost = "{} CNY"\n'
MOST, COST = Decimal("22.127809"), Decimal("4.403544")  #: of one job on a link: reserved, and billed in the end


class Death(BaseException):
    """The process ends here."""


def capped(sim: Simulation, amount: object) -> Simulation:
    """Let all runs of a simulation together spend no more than this."""
    sim.settings(TOML.format(amount))
    return sim


def cost(sim: Simulation) -> Decimal:
    """Return what the account was billed, by its own statement."""
    return Decimal(str(sim.account.statement()["cost"].get("CNY", 0)))  # type: ignore[union-attr,arg-type]


def spent(sim: Simulation) -> tuple[Decimal, Decimal]:
    """Return what the ledger counts as spent, and as reserved."""
    found = api.spending(sim.setup).spent.get("CNY")
    return (found.cost.amount, found.reserved.amount) if found else (Decimal(0), Decimal(0))


def of_state(outcome: Outcome, state: str) -> list[str]:
    """Return the ids of the jobs in one state."""
    return [name for name, found in states(outcome).items() if found == state]


async def test_at_the_cap_nothing_more_is_submitted_and_what_flies_comes_home(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """Exit code 5; the jobs that fit are delivered, in the order of the spec, and the reason says it all."""
    sim = capped(simulate(), 25)

    outcome = await sim.run(sim.clips("one", "two", "three", "four"))

    assert outcome.exit_code is ExitCode.STOPPED_BY_BUDGET
    assert states(outcome) == {"one": "done", "two": "new", "three": "new", "four": "new"}
    assert outcome.reasons == (
        "budget.max_cost in wanrun.toml is 25.00 CNY: 4.40 CNY spent and 0.00 CNY reserved leave no room for "
        "batch/two, which may cost 22.13 CNY; 3 jobs are left. Raise it",
    )
    assert (sim.made, cost(sim), spent(sim)) == (1, COST, (COST, 0))


async def test_to_wait_is_advised_while_that_may_help(simulate: Simulate, autojump_clock: MockClock) -> None:
    """What is in flight may turn out so cheap that the next job fits."""
    sim = capped(simulate(), 30)

    outcome = await sim.run(sim.clips("one", "two"), no_wait=True)

    assert outcome.reasons[0].endswith("1 job is left. Raise it, or run again once what is reserved has settled")


async def test_a_job_above_a_whole_cap_is_named(simulate: Simulate, autojump_clock: MockClock) -> None:
    """To run again would never help it."""
    sim = simulate()

    outcome = await sim.run(sim.clips("one"), max_cost="20 CNY")

    assert outcome.reasons == (
        "--max-cost is 20.00 CNY: batch/one may cost 22.13 CNY, more than that in all; 1 job is left. Raise it",
    )


async def test_a_job_waits_for_what_flies_to_turn_out_cheaper(simulate: Simulate, autojump_clock: MockClock) -> None:
    """A cap is used up as far as reservations allow, two at a time and then one; never is more set aside than that."""
    sim = capped(simulate(), 50)
    spec = sim.clips(*"abcdefghijkl")

    first, again = await sim.run(spec), await sim.run(spec)

    assert (first.exit_code, again.exit_code) == (5, 5)
    assert (first.submitted, again.submitted, cost(sim)) == (7, 0, 7 * COST)
    assert sim.account.statement()["peak_running"] == 2


async def test_a_run_that_does_not_wait_does_not_wait_for_room(simulate: Simulate, autojump_clock: MockClock) -> None:
    """With --no-wait, what does not fit beside what is in flight is left to the next run."""
    sim = capped(simulate(), 50)

    outcome = await sim.run(sim.clips(*"abcd"), no_wait=True)

    assert (outcome.exit_code, sim.made) == (5, 2)


async def test_a_cap_that_fits_exactly_is_used_up(simulate: Simulate, autojump_clock: MockClock) -> None:
    """Amounts are decimal: the last millionth counts, and no rounding takes it away."""
    sim = capped(simulate(), 2 * MOST)

    outcome = await sim.run(sim.clips("one", "two"))

    assert (outcome.exit_code, sim.made) == (0, 2)


async def test_nothing_at_all_may_be_allowed(simulate: Simulate, autojump_clock: MockClock) -> None:
    """With a cap of 0 CNY runs only bring home what is paid for."""
    sim = simulate()
    spec = sim.clips("one", "two")
    await sim.leave_in_flight(sim.clips("one"))
    capped(sim, 0)

    outcome = await sim.run(sim.clips("one", "two"))

    assert spec.exists()
    assert states(outcome) == {"one": "done", "two": "new"}
    assert (outcome.exit_code, sim.made) == (5, 1)


async def test_the_first_job_that_does_not_fit_ends_it(simulate: Simulate, autojump_clock: MockClock) -> None:
    """A smaller one behind it is not put in front: what a budget buys is predictable from the spec alone."""
    sim = capped(simulate(), 20)
    line = "  - {{id: {0}, prompt: p {0}, media: [{{video: https://example.com/{0}.mp4}}], parameters: {1}}}\n"
    small = "{resolution: 720P, duration: 2}"
    jobs = [("small", small), ("large", "{}"), ("small-too", small)]

    outcome = await sim.run(sim.spec("jobs:\n" + "".join(line.format(*job) for job in jobs)))

    assert states(outcome) == {"small": "done", "large": "new", "small-too": "new"}


async def test_the_cap_holds_over_all_specs(simulate: Simulate, autojump_clock: MockClock) -> None:
    """What one spec has spent the other cannot spend any more."""
    sim = capped(simulate(), 30)

    first = await sim.run(sim.clips("one", "two", name="first.yaml"))
    second = await sim.run(sim.clips("three", "four", name="second.yaml"))
    third = await sim.run(sim.clips("five", name="third.yaml"))

    assert (first.exit_code, second.exit_code, third.exit_code) == (0, 5, 5)
    assert (sim.made, cost(sim)) == (2, 2 * COST)


async def test_a_spec_limits_itself_and_no_other(simulate: Simulate, autojump_clock: MockClock) -> None:
    """Its jobs stop at its own cap; those of the spec beside it are submitted all the same."""
    sim = capped(simulate(), 1000)
    text = "budget: {max_cost: 25 CNY}\n" + sim.clips("one", "two", "three").read_text().removeprefix(HEAD)
    lean = sim.spec(text, "lean.yaml")

    outcome = await sim.run(lean, sim.clips("four", "five", name="other.yaml"))
    again = await sim.run(lean)

    assert states(outcome) == {"one": "done", "two": "new", "three": "new", "four": "done", "five": "done"}
    assert outcome.exit_code is ExitCode.STOPPED_BY_BUDGET
    (reason,) = outcome.reasons
    assert "lean.yaml is 25.00 CNY" in reason
    assert "lean/two, which may cost 22.13 CNY; 2 jobs are left" in reason
    assert (again.exit_code, again.submitted) == (5, 0)


async def test_a_spec_cannot_raise_the_operators_cap(simulate: Simulate, autojump_clock: MockClock) -> None:
    """The lower of the two holds, without a word about it."""
    sim = capped(simulate(), 25)
    text = "budget: {max_cost: 500 CNY}\n" + sim.clips("one", "two").read_text().removeprefix(HEAD)

    outcome = await sim.run(sim.spec(text))

    assert (outcome.exit_code, sim.made) == (5, 1)
    assert outcome.reasons[0].startswith("budget.max_cost in wanrun.toml is 25.00 CNY")


async def test_an_invocation_can_be_given_less(simulate: Simulate, autojump_clock: MockClock) -> None:
    """--max-cost counts what this run submits and nothing that was spent before."""
    sim = simulate()
    spec = sim.clips("one", "two", "three")

    first = await sim.run(spec, max_cost="25 CNY")
    second = await sim.run(spec, max_cost="25 CNY")

    assert (first.exit_code, first.submitted, second.submitted) == (5, 1, 1)
    assert first.reasons[0].startswith("--max-cost is 25.00 CNY: 4.40 CNY spent and 0.00 CNY reserved")
    assert first.reasons[0].endswith("2 jobs are left. Run again to go on")


async def test_an_unsure_create_counts_as_spent(simulate: Simulate, autojump_clock: MockClock) -> None:
    """Its task may exist and be billed, so its money is not given to another job, in this run or a later one."""
    sim = capped(simulate(faults=[LOST_REPLY]), 40)
    with pytest.raises((Death, BaseExceptionGroup)):
        await sim.run(sim.clips("one"), observe=dies_at("job_held", "job_unsure"))
    sim.faults({"on": "list", "do": {"status": 403, "code": "AccessDenied"}})

    outcome = await sim.run(sim.clips("two", name="other.yaml"))

    assert (outcome.exit_code, outcome.submitted) == (5, 0)
    assert spent(sim) == (0, MOST)


def dies_at(*names: str) -> Callable[[Event], None]:
    """Return an observer that ends the run at the first event of these names."""

    def observe(event: Event) -> None:
        if event.name in names:
            raise Death

    return observe


async def test_a_create_in_the_air_at_death_counts_as_spent(simulate: Simulate, autojump_clock: MockClock) -> None:
    """The reservation is on disk with the intention, so no death forgets it."""
    sim = capped(simulate(faults=[{"on": "create", "do": {"latency_seconds": 20}}]), 50)
    with trio.move_on_after(10):
        await sim.run(sim.clips("one", "two"))

    reserved = spent(sim)

    assert reserved == (0, 2 * MOST)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"fail": {"code": "DataInspectionFailed", "message": "no"}}, id="the task failed"),
        pytest.param({"status": 400, "code": "DataInspectionFailed"}, id="the create was refused"),
    ],
)
async def test_what_failed_costs_nothing(simulate: Simulate, autojump_clock: MockClock, fault: dict[str, Any]) -> None:
    """The service does not bill it, so its reservation is free again, also in the same run."""
    sim = capped(simulate(faults=[{"on": "create", "nth": 1, "do": fault}]), 25)
    await sim.run(sim.clips("one"))

    outcome = await sim.run(sim.clips("two", name="other.yaml"))

    assert (outcome.exit_code, spent(sim)) == (0, (COST, 0))


async def test_throttling_reserves_once(simulate: Simulate, autojump_clock: MockClock) -> None:
    """A create that is tried again holds its money once, however often it was refused for a while."""
    throttle = {"status": 429, "code": "Throttling.RateQuota", "retry_after": 1}
    sim = capped(simulate(faults=[{"on": "create", "times": 4, "do": throttle}]), 25)

    outcome = await sim.run(sim.clips("one"))

    assert (outcome.exit_code, spent(sim)) == (0, (COST, 0))


async def test_money_of_a_create_that_surely_failed_is_free_for_the_others(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """Nobody waits for ever: who waits for room hears of it, and the one that failed tries again behind them."""
    throttled = {"latency_seconds": 2, "status": 429, "code": "Throttling.RateQuota"}
    sim = capped(simulate(faults=[{"on": "create", "nth": 1, "do": throttled}]), 35)

    with trio.fail_after(3600):
        outcome = await sim.run(sim.clips("one", "two", "three"))

    assert states(outcome) == dict.fromkeys(("one", "two", "three"), "done")


async def test_what_is_in_flight_counts_for_the_next_run(simulate: Simulate, autojump_clock: MockClock) -> None:
    """A run that left tasks behind has reserved for them; the next one settles them first or keeps off."""
    sim = capped(simulate(), 50)
    await sim.leave_in_flight(sim.clips("one", "two"))
    reserved = spent(sim)
    sim.faults({"on": "query", "do": {"status": 503}})

    outcome = await sim.run(sim.clips("three", name="other.yaml"))

    assert reserved == (0, 2 * MOST)
    assert (outcome.exit_code, outcome.submitted) == (5, 0)


async def test_a_known_length_reserves_what_it_may_cost(simulate: Simulate, autojump_clock: MockClock) -> None:
    """A local file is looked at, so that a budget pays for more jobs of which more is known."""
    sim = capped(simulate(), 19)
    make_video(sim.folder / "clip.mp4", seconds=2)
    text = "".join(f"  - {{id: j{n}, prompt: p{n}, media: [{{video: clip.mp4}}]}}\n" for n in range(6))

    outcome = await sim.run(sim.spec("jobs:\n" + text))

    assert len(of_state(outcome, "done")) == 4  # of at most 4.51 CNY each
    assert outcome.exit_code is ExitCode.STOPPED_BY_BUDGET


async def test_what_an_earlier_wanrun_submitted_counts(simulate: Simulate, autojump_clock: MockClock) -> None:
    """Its ledger knows usage and no amounts: a finished task counts by it, an unsettled one as the longest there is."""
    sim = simulate()
    await sim.run(sim.clips("one", name="done.yaml"))
    await sim.leave_in_flight(sim.clips("two", name="flying.yaml"))
    with sim.ledger() as ledger:
        ledger._write("UPDATE attempts SET reserved = NULL, cost = NULL, currency = NULL")

    looked_at = spent(sim)
    capped(sim, 30)
    sim.faults({"on": "query", "do": {"status": 503}})
    outcome = await sim.run(sim.clips("three", name="new.yaml"))

    assert looked_at == (COST, Decimal("22.1278086"))  # to the last digit, since nothing is written
    assert (outcome.exit_code, outcome.submitted) == (5, 0)


async def test_the_run_says_what_it_cost(simulate: Simulate, autojump_clock: MockClock) -> None:
    """By this run and in all, as the account's own statement has it."""
    sim = simulate()
    await sim.run(sim.clips("one"))

    outcome = await sim.run(sim.clips("one", "two", "three"))

    assert outcome.spent_by_run["CNY"].cost.amount == 2 * COST
    assert outcome.spent["CNY"].total.amount == 3 * COST == cost(sim)


@pytest.mark.parametrize(
    ("settings", "options", "words"),
    [
        ('max_cost = "5 USD"', {}, "budget.max_cost is in USD, but wan2.7-videoedit is billed in CNY"),
        ('confirm_above = "5 USD"', {}, "budget.confirm_above is in USD, but wan2.7-videoedit is billed in CNY"),
        ("", {"max_cost": "5 USD"}, "--max-cost is in USD, but wan2.7-videoedit is billed in CNY; give an amount in"),
        ("", {"max_cost": "5"}, '--max-cost is "5"; give an amount with its currency, such as "200 CNY"'),
    ],
)
async def test_another_currency_is_refused_at_the_start(
    simulate: Simulate, autojump_clock: MockClock, settings: str, options: dict[str, Any], words: str
) -> None:
    """Nothing is converted, and nothing is submitted."""
    sim = simulate()
    sim.settings(f"[budget]\n{settings}\n")

    with pytest.raises(SettingsError) as caught:
        await sim.run(sim.clips("one"), **options)

    assert words in str(caught.value)
    assert sim.made == 0


async def test_a_specs_amount_in_another_currency_is_a_problem_at_its_place(
    simulate: Simulate, autojump_clock: MockClock
) -> None:
    """Said at validate, with line and column."""
    sim = simulate()
    spec = sim.spec("budget: {max_cost: 50 EUR}\n" + sim.clips("one").read_text().removeprefix(HEAD))

    with pytest.raises(SpecError) as caught:
        api.load([spec], sim.setup)

    assert str(caught.value) == (
        f"{spec}:3:20: budget.max_cost is in EUR, but wan2.7-videoedit is billed in CNY; "
        "give an amount in that currency"
    )


async def test_much_is_not_spent_without_being_agreed_to(simulate: Simulate, autojump_clock: MockClock) -> None:
    """Asked once, with jobs and amount; without anybody to ask, or with a no, nothing is submitted."""
    sim = simulate()
    sim.settings('[budget]\nconfirm_above = "40 CNY"\n')
    spec, asked = sim.clips("one", "two"), []

    def answer(yes: bool) -> Callable[[api.Question], Any]:
        async def confirm(question: api.Question) -> bool:
            await trio.lowlevel.checkpoint()
            asked.append(str(question))
            return yes

        return confirm

    with pytest.raises(SettingsError, match=r"2 jobs to submit may cost up to 44.26 CNY, which is above confirm_above"):
        await sim.run(spec)
    with pytest.raises(SettingsError, match="not confirmed; nothing was submitted"):
        await sim.run(spec, confirm=answer(False))
    assert sim.made == 0
    outcome = await sim.run(spec, confirm=answer(True))
    small = await sim.run(sim.clips("three", name="small.yaml"))
    within = await sim.run(sim.clips(*"uvwxyz", name="large.yaml"), max_cost="30 CNY")

    assert asked == ["2 jobs to submit may cost up to 44.26 CNY"] * 2
    assert (outcome.exit_code, small.exit_code, within.exit_code) == (0, 0, 5)


async def test_the_question_says_that_not_all_may_be_submitted(simulate: Simulate, autojump_clock: MockClock) -> None:
    """All that the jobs may cost, and what the budget leaves of it."""
    sim = simulate()
    sim.settings('[budget]\nconfirm_above = "40 CNY"\nmax_cost = "50 CNY"\n')

    with pytest.raises(SettingsError, match=r"3 jobs to submit may cost up to 66.38 CNY; the budget leaves 50.00 CNY"):
        await sim.run(sim.clips(*"abc"))


FAULTS: list[tuple[object, dict[str, Any]]] = [
    ("create", {"reset": "after"}),
    ("create", {"reset": "before"}),
    ("create", {"status": 429, "code": "Throttling.RateQuota", "retry_after": 3}),
    ("create", {"fail": {"code": "InternalError", "message": "oops"}}),
    ("create", {"latency_seconds": 4}),
    (["query", "list"], {"status": 503}),
    ("download", {"status": 503}),
]


def at_most(sim: Simulation) -> Decimal:
    """Return what the account has billed or may still bill for the tasks that it has."""
    made = [task for task in sim.account.tasks.values() if task.status.value in ("PENDING", "RUNNING")]
    return cost(sim) + len(made) * COST


@pytest.mark.parametrize("seed", [*range(3), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(3, 25))])
async def test_no_life_is_ever_over_its_cap(simulate: Simulate, autojump_clock: MockClock, seed: int) -> None:
    """Runs die, replies are lost, specs take turns: what the account bills stays below, by its own statement."""
    chance = Random(seed)
    cap = Decimal(chance.randrange(10, 140))
    faults = [{"on": on, "probability": 0.2, "do": do} for on, do in FAULTS if chance.random() < 0.4]
    sim = capped(simulate(faults=faults, seed=seed, seconds=chance.choice([5.0, 60.0])), cap)
    specs = [sim.clips(*(f"{name}-{n}" for n in range(8)), name=f"{name}.yaml") for name in ("a", "b")]
    for _ in range(10):
        with trio.move_on_after(chance.choice([0.5, 3, 20, 10**6])):
            try:
                await sim.run(chance.choice(specs), observe=dying_after(sim, chance.choice([4, 20, 10**6])))
            except* Death:
                pass
        assert at_most(sim) <= cap
        await trio.sleep(chance.choice([0, 100]))
    sim.faults()

    outcome = await sim.run(*specs)

    counted = outcome.spent["CNY"].total.amount if outcome.spent else Decimal(0)
    assert cost(sim) <= counted <= cap
    assert outcome.exit_code != 0 or set(states(outcome).values()) == {"done"}


def dying_after(sim: Simulation, events: int) -> Callable[[Event], None]:
    """Return an observer that ends a run after so many events."""
    seen: list[Event] = []

    def observe(event: Event) -> None:
        seen.append(event)
        if len(seen) >= events:
            raise Death

    return observe


async def test_a_full_account_holds_no_other_up(simulate: Simulate, autojump_clock: MockClock) -> None:
    """With room for all under the cap, jobs of another provider do not stand behind those that wait for a place."""
    sim = simulate()
    one_place = "[providers.default.limits]\ntasks_in_flight = 1\n[providers.other]\n"
    sim.settings(f'{one_place}[budget]\nmax_cost = "2000 CNY"\n')
    line = "  - {{id: {0}{1}, provider: {0}, prompt: {0} {1}, media: [{{video: https://example.com/a.mp4}}]}}\n"
    jobs = [line.format(name, n) for name in ("default", "other") for n in range(3)]

    await sim.run(sim.spec("jobs:\n" + "".join(jobs)))

    began = sim.events[0].at
    submitted = {str(event.job): event.at - began for event in sim.named("job_submitted")}
    assert all(submitted[f"batch/other{n}"] < 10 for n in range(3))
