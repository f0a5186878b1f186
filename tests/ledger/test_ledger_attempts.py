"""Attempts: each way into each state, and that no entry ever has two that may be paid."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_parts import ARTIFACT, USAGE, WAYS, Book, enter, in_flight, intend, job

from wanrun.errors import LedgerError
from wanrun.ledger import AttemptState, Ledger

#: After these a new attempt costs nothing twice: surely no task, a task that is not billed, or a person's word.
FREE = {AttemptState.WITHDRAWN, AttemptState.REFUSED, AttemptState.FAILED, AttemptState.DISMISSED}


def test_every_state_has_a_way_into_it() -> None:
    """Whoever adds a state says here how an attempt gets there."""
    assert set(WAYS) == set(AttemptState)


@pytest.mark.parametrize("state", AttemptState)
def test_a_state_is_on_disk_when_the_call_returns(book: Book, state: AttemptState) -> None:
    """Another process reads it at once, without the first one closing anything."""
    with book.open() as writer:
        attempt = WAYS[state](writer, enter(writer))

        with book.open() as reader:
            assert reader.attempt(attempt).state is state
            (entry,) = reader.entries()
            assert entry.attempt == reader.attempt(attempt)


@pytest.mark.parametrize("state", AttemptState)
def test_an_entry_never_has_two_attempts_that_may_be_paid(book: Book, state: AttemptState) -> None:
    """A second intention is refused, naming the ledger, unless the first one surely costs nothing."""
    with book.open() as ledger:
        entry = enter(ledger)
        first = WAYS[state](ledger, entry)

        if state in FREE:
            assert (intend(ledger, entry) == first) is (state is AttemptState.WITHDRAWN)
        else:
            with pytest.raises(LedgerError, match=rf"ledger\.db: entry 1 already has an attempt that is {state}"):
                intend(ledger, entry)
            assert ledger.attempt(first).state is state


@settings(max_examples=30, deadline=None)
@given(steps=st.lists(st.sampled_from(sorted(AttemptState)), max_size=8))
def test_no_order_of_events_opens_a_second_attempt(steps: list[AttemptState]) -> None:
    """Whatever happens to attempts, one after the other, at most one of an entry may be paid."""
    with Ledger.in_memory(now=lambda: 0.0) as ledger:
        entry = enter(ledger)
        for number, state in enumerate(steps):
            try:
                attempt = intend(ledger, entry)
            except LedgerError:
                break
            ledger.accepted(attempt, task_id=f"task-{number}", request_id=None)
            ledger.ended(attempt, state, "by chance")
            bound = sum(len(ledger.attempts_in(each, {entry})) for each in set(AttemptState) - FREE)
            assert bound == (state not in FREE)


def test_a_try_in_vain_counts_as_the_same_attempt(book: Book) -> None:
    """Throttled three times: one attempt, three tries, and the time of the last one."""
    with book.open() as ledger:
        entry = enter(ledger)
        for _ in range(3):
            book.at += 10
            attempt = intend(ledger, entry)
            ledger.withdrawn(attempt, "throttled")

        row = ledger.attempt(attempt)

    assert (row.tries, row.intended_at, row.message) == (3, book.at, "throttled")


def test_creates_that_a_dead_run_left_are_unsure(book: Book) -> None:
    """The next run turns every intention without an answer into an unsure attempt, and says which."""
    with book.open() as ledger:
        cut, fine = intend(ledger, enter(ledger)), in_flight(ledger, enter(ledger, "two"))

    with book.open() as ledger:
        found = ledger.interrupted()
        again = ledger.interrupted()

        assert [attempt.id for attempt in found] == [cut]
        assert ledger.attempt(cut).state is AttemptState.UNSURE
        assert "before the service's answer was recorded" in (ledger.attempt(cut).message or "")
        assert ledger.attempt(fine).state is AttemptState.IN_FLIGHT
        assert again == []


def test_two_attempts_never_share_a_task(book: Book) -> None:
    """Nor can one be adopted for another job; the refused attempt stays as it was."""
    with book.open() as ledger:
        in_flight(ledger, enter(ledger), task="task-1")
        other = intend(ledger, enter(ledger, "two"))

        with pytest.raises(LedgerError):
            ledger.accepted(other, task_id="task-1", request_id=None)

        assert ledger.attempt(other).state is AttemptState.INTENDED


def test_the_facts_of_a_task_are_kept(book: Book) -> None:
    """Times by the service's clock, usage, the version of the result, and the artifact."""
    with book.open() as ledger:
        attempt = in_flight(ledger, enter(ledger))
        ledger.seen(attempt, status="RUNNING", started_at=10.0)
        ledger.seen(attempt, status="RUNNING", started_at=None)
        ledger.succeeded(attempt, usage=USAGE, started_at=None, ended_at=70.0)
        ledger.downloading(attempt, '"etag"')
        ledger.fetched(attempt, ARTIFACT)

        row = ledger.attempt(attempt)

    assert (row.task_id, row.request_id, row.task_status) == ("task-1", "req-1", "SUCCEEDED")
    assert (row.started_at, row.ended_at, row.usage, row.etag) == (10.0, 70.0, USAGE, '"etag"')
    assert row.artifact(ARTIFACT.path.parent).path.name == f"{ARTIFACT.sha256}.mp4"


def test_the_latest_attempt_speaks_for_its_entry(book: Book) -> None:
    """A failed one is history once another is in flight."""
    with book.open() as ledger:
        entry = enter(ledger)
        WAYS[AttemptState.FAILED](ledger, entry)
        second = in_flight(ledger, entry, task="task-2")

        assert ledger.entry(entry).attempt == ledger.attempt(second)
        assert [each.attempt for each in ledger.entries()] == [ledger.attempt(second)]


def test_faults_of_the_service_are_counted(book: Book) -> None:
    """Only failures after which the job gets another task count."""
    with book.open() as ledger:
        entry = enter(ledger)
        for number, again in enumerate((True, True, False)):
            attempt = in_flight(ledger, entry, task=f"task-{number}")
            ledger.failed(attempt, status="FAILED", code="InternalError", message="oops", again=again)

        assert ledger.service_faults(entry) == 2


def test_an_artifact_that_was_tidied_away_is_fetched_anew(book: Book) -> None:
    """The task is known and paid; nothing of an older download is gone on with."""
    with book.open() as ledger:
        attempt = WAYS[AttemptState.FETCHED](ledger, enter(ledger))
        ledger.downloading(attempt, '"etag"')

        ledger.unfetched(attempt)

        row = ledger.attempt(attempt)
        assert (row.state, row.task_id, row.etag) == (AttemptState.SUCCEEDED, "task-1", None)


def test_known_tasks_are_known(book: Book) -> None:
    """Whether some job of this ledger has a task."""
    with book.open() as ledger:
        in_flight(ledger, enter(ledger))

        assert ledger.knows_task("task-1")
        assert not ledger.knows_task("task-2")


def test_an_attempt_that_is_not_there_is_a_key_error(book: Book) -> None:
    """It would be our own mistake."""
    with book.open() as ledger, pytest.raises(KeyError):
        ledger.attempt(7)


def test_a_failed_task_is_not_looked_for_where_its_job_is_tried_again(book: Book) -> None:
    """Whoever moves a job to another provider must not make that one's list look as if it lacked a task."""
    whole = {"from_at": 0.0, "until_at": 2 * book.at, "skew_seconds": 0.0}
    with book.open() as ledger:
        entry = enter(ledger)
        attempt = in_flight(ledger, entry)
        ledger.seen(attempt, status="RUNNING", started_at=None)
        assert ledger.shown_between(provider="default", **whole) == ["task-1"]

        ledger.failed(attempt, status="FAILED", code="InternalError", message="oops", again=True)
        ledger.enter(replace(job("one"), provider="lab"), fingerprint="1:aa", spec_path="spring.yaml")

        assert ledger.shown_between(provider="lab", **whole) == []


def test_an_attempt_stays_with_its_provider_when_its_job_goes_to_another(book: Book) -> None:
    """A job that is done once more elsewhere leaves its first task, its time and its price where they were."""
    whole = {"from_at": 0.0, "until_at": 2 * book.at, "skew_seconds": 0.0}
    with book.open() as ledger:
        entry = enter(ledger)
        first = in_flight(ledger, entry)
        ledger.succeeded(first, usage=None, started_at=0.0, ended_at=50.0)
        ledger.fetched(first, ARTIFACT)
        ledger.enter(replace(job("one"), provider="lab"), fingerprint="1:aa", spec_path="spring.yaml")
        second = ledger.intend(entry, prompt_key="key", replaces=first)
        asked: list[tuple[str, ...]] = []
        ledger.unpriced(lambda *which: asked.append(which))  # type: ignore[func-returns-value]

        (doubtful,) = ledger.in_doubt_with("key", AttemptState.INTENDED)
        assert (doubtful.id, doubtful.provider, doubtful.answered_at) == (second, "lab", doubtful.intended_at)
        assert ledger.in_doubt_with("other", AttemptState.INTENDED) == []
        assert ledger.shown_between(provider="default", **whole) == ["task-1"]
        assert ledger.shown_between(provider="lab", **whole) == []
        assert ledger.recent_seconds(provider="default", model="wan2.7-videoedit") == [50.0]
        assert ledger.recent_seconds(provider="lab", model="wan2.7-videoedit") == []
        assert [provider for provider, _ in asked] == ["default", "lab"]


def test_an_intention_that_was_withdrawn_may_go_to_another_provider(book: Book) -> None:
    """It surely made no task, so the same attempt is the other's now."""
    with book.open() as ledger:
        entry = enter(ledger)
        ledger.withdrawn(intend(ledger, entry), "throttled")
        ledger.enter(replace(job("one"), provider="lab"), fingerprint="1:aa", spec_path="spring.yaml")
        ledger.unsure(intend(ledger, entry), "no answer", request_id=None)

        assert [each.provider for each in ledger.unsure_attempts()] == ["lab"]


def test_how_long_tasks_took_is_remembered(book: Book) -> None:
    """The latest first, of one provider and model, as far as both times are known."""
    with book.open() as ledger:
        for number, times in enumerate([(0.0, 50.0), (0.0, 60.0), (None, 70.0), (80.0, 10.0)]):
            attempt = in_flight(ledger, enter(ledger, f"job-{number}"), task=f"task-{number}")
            ledger.succeeded(attempt, usage=None, started_at=times[0], ended_at=times[1])

        assert ledger.recent_seconds(provider="default", model="wan2.7-videoedit") == [60.0, 50.0]
        assert ledger.recent_seconds(provider="default", model="wan2.7-videoedit", count=1) == [60.0]
        assert ledger.recent_seconds(provider="lab", model="wan2.7-videoedit") == []
