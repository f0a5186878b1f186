"""When to look at which task: pure arithmetic on a clock that the test moves."""

from __future__ import annotations

from itertools import pairwise

import pytest

from wanrun.engine.schedule import SHORTEST_GAP_SECONDS, Schedule

POLL_SECONDS = 15.0


def schedule(*recent_seconds: float) -> Schedule:
    """Return a schedule that has learned these times."""
    return Schedule(poll_seconds=POLL_SECONDS, recent_seconds=recent_seconds)


def looks(plan: Schedule, *, until: float) -> list[float]:
    """Follow the schedule as the watcher does for one task that runs from 0 on, and return when it looked."""
    plan.add(1, now=0)
    plan.seen(1, now=0, running=True)
    times: list[float] = []
    while (now := plan.next_look()) < until:
        times.append(now)
        plan.seen(1, now=now, running=True)
    return times


def gaps(times: list[float]) -> list[float]:
    """Return the seconds between looks, without the noise of floating point."""
    return [round(after - before, 6) for before, after in pairwise([0.0, *times])]


def test_nothing_known_means_looking_often_at_first_and_seldom_later() -> None:
    """The gap grows with the task's age, from half a second up to what the operator allows."""
    found = gaps(looks(schedule(), until=600))

    assert found[0] == SHORTEST_GAP_SECONDS
    assert found == sorted(found)
    assert found[-1] == POLL_SECONDS
    assert len(found) < 70


def test_the_end_is_seen_within_a_fifth_of_the_age() -> None:
    """However long a task takes, not much time passes between its end and a look."""
    for end in (3.0, 10.0, 40.0, 70.0):
        times = looks(schedule(), until=end * 2)

        assert min(time for time in times if time >= end) - end <= max(SHORTEST_GAP_SECONDS, end * 0.2)


def test_a_learned_time_saves_the_looks_before_it() -> None:
    """A task that usually runs 60 s is looked at by the poll time at most, and closely about its end."""
    times = looks(schedule(60, 60, 61), until=66)

    assert [time for time in times if time < 58] == pytest.approx([15, 30, 45])
    assert len([time for time in times if 58 <= time <= 66]) >= 2


def test_a_short_time_is_learned_too() -> None:
    """With a usual time of 10 s nobody looks before, and the end is seen at once."""
    times = looks(schedule(10), until=12)

    assert times[0] == pytest.approx(10, rel=0.02)  # a moment behind it, since a look just before would be wasted
    assert times[1] - times[0] == pytest.approx(0.05 * 10)


def test_what_waits_in_the_service_s_queue_is_looked_at_seldom() -> None:
    """A queued task cannot end before it has run its time."""
    plan = schedule(10)
    plan.add(1, now=0)
    plan.seen(1, now=5, running=False)

    assert plan.next_look() == pytest.approx(15, rel=0.02)


def test_when_one_ends_the_next_in_the_queue_is_taken_to_run() -> None:
    """First come, first served: the longest waiting one begins, so its end is expected from now on."""
    plan = schedule(20)
    for attempt in (1, 2, 3):
        plan.add(attempt, now=0)
    plan.seen(1, now=1, running=True)

    plan.ended(1, now=21, seconds=20)

    due, ripe = plan.due(41)
    assert set(due) == {2, 3}
    assert ripe == [2]


def test_a_guess_never_puts_a_look_off() -> None:
    """Where the service has no queue, what is taken to begin now has been running since it was made."""
    plan = schedule(10)
    for attempt in (1, 2):
        plan.add(attempt, now=0)
    plan.seen(1, now=0, running=True)

    plan.ended(1, now=9, seconds=10)

    assert plan.next_look() == pytest.approx(10, rel=0.02)


def test_a_look_tells_when_a_task_that_was_guessed_to_run_began() -> None:
    """Its end is expected by the service's clock then, not by the guess."""
    plan = schedule(10)
    for attempt in (1, 2):
        plan.add(attempt, now=0)
    plan.ended(1, now=5, seconds=10)

    plan.seen(2, now=6, running=True, age_seconds=6)

    assert plan.next_look() == pytest.approx(10, rel=0.02)


def test_a_wrong_guess_is_corrected_by_a_look() -> None:
    """A task taken to run and found queued is not ripe any more."""
    plan = schedule(20)
    plan.add(1, now=0)
    plan.seen(1, now=1, running=True)

    plan.seen(1, now=2, running=False)

    assert plan.due(100)[1] == []


def test_only_what_is_expected_to_end_is_ripe() -> None:
    """Without knowledge nothing is; with it, what has run the usual time."""
    unknowing, knowing = schedule(), schedule(30)
    for plan in (unknowing, knowing):
        plan.add(1, now=0)
        plan.seen(1, now=0, running=True)

    assert unknowing.due(31)[1] == []
    assert knowing.due(29)[1] == []
    assert knowing.due(31)[1] == [1]


def test_the_latest_times_count() -> None:
    """The service became faster: after enough tasks the old times are forgotten."""
    plan = schedule(*[100.0] * 20)
    for attempt in range(30):
        plan.add(attempt, now=0)
        plan.ended(attempt, now=0, seconds=10)
    plan.add(99, now=0)
    plan.seen(99, now=0, running=True)

    assert plan.next_look() == pytest.approx(10, rel=0.02)


def test_a_task_that_failed_teaches_nothing() -> None:
    """Tasks that fail at once would make the others be looked at all the time."""
    plan = schedule()
    plan.add(1, now=0)
    plan.ended(1, now=1, seconds=None)
    plan.add(2, now=0)
    plan.seen(2, now=0, running=True)

    assert plan.due(100)[1] == []


def test_looks_that_are_nearly_due_go_along() -> None:
    """One call answers for several, so what would be due in a moment is looked at now."""
    plan = schedule()
    plan.add(1, now=0)
    plan.add(2, now=0.2)

    assert set(plan.due(0.5)[0]) == {1, 2}


def test_a_look_at_an_expected_end_is_never_early() -> None:
    """Just before it the task would be found running, and its end be seen a whole gap later."""
    plan = schedule(10)
    for attempt, began in ((1, 0.0), (2, 0.1)):
        plan.add(attempt, now=began)
        plan.seen(attempt, now=began, running=True)

    assert plan.due(plan.next_look())[0] == [1]


def test_the_more_are_watched_the_closer_are_the_looks() -> None:
    """One call tells of all of them, so their first end is seen sooner at the same cost for each."""
    few, many, very_many = schedule(), schedule(), schedule()
    for plan, count in ((few, 5), (many, 25), (very_many, 500)):
        for attempt in range(count):
            plan.add(attempt, now=0)
        for attempt in range(count):
            plan.seen(attempt, now=30, running=True, age_seconds=30)

    assert few.next_look() - 30 == pytest.approx(6)
    assert many.next_look() - 30 == pytest.approx(1.2)
    assert very_many.next_look() - 30 == pytest.approx(0.6)  # no closer, since its list has many pages


@pytest.mark.parametrize(
    ("recent", "sure"),
    [((), False), ((60.0,), True), ((60.0, 61.0, 62.0), True), ((60.0, 300.0), False)],
    ids=["nothing known", "one", "alike", "uneven"],
)
def test_only_even_times_make_an_end_sure(recent: tuple[float, ...], *, sure: bool) -> None:
    """Where tasks take as they like, what is ripe may well go on, and one look at the list spares its query."""
    assert schedule(*recent).is_sure is sure


def test_adding_a_task_again_changes_nothing() -> None:
    """The watcher adds whatever is in flight before each look."""
    plan = schedule()
    plan.add(1, now=0)
    plan.seen(1, now=10, running=True)
    due_at = plan.next_look()

    plan.add(1, now=10.1)

    assert plan.next_look() == due_at


def test_an_ended_task_is_forgotten() -> None:
    """Nobody looks at it again, and ending it twice does no harm."""
    plan = schedule()
    plan.add(1, now=0)
    plan.add(2, now=0)

    plan.ended(1, now=5, seconds=5)
    plan.ended(1, now=5, seconds=5)

    assert plan.due(1000)[0] == [2]


def test_a_slower_poll_is_the_operator_s_bound() -> None:
    """No gap is longer than `poll_seconds`, whatever was learned."""
    plan = Schedule(poll_seconds=2.0, recent_seconds=[500.0])

    assert set(gaps(looks(plan, until=30))) == {2.0}
