"""Whose task it is: every case of the comparison and of what follows from it, as plain tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from wanrun.client import Task, TaskRow, TaskStatus
from wanrun.engine.evidence import (
    Candidate,
    Circumstances,
    Evidence,
    Finding,
    Step,
    asked_of,
    candidates,
    compare,
    decide,
    sought,
    weighed,
    witnesses,
)
from wanrun.fingerprint import prompt_key
from wanrun.ledger import UnsureAttempt
from wanrun.types import Job, Position, Usage

MODEL = "wan2.7-videoedit"
HERE = Position(Path("/spring.yaml"), 1, 1)
JOB = Job(
    "spring", "one", HERE.path, HERE, MODEL, "default", "Turn it\n into clay", None, (), {"resolution": "720P"}, ()
)
UNSURE = UnsureAttempt(
    id=1,
    entry=1,
    address="spring/one",
    provider="default",
    model=MODEL,
    prompt_key=prompt_key(JOB),
    intended_at=1000.0,
    answered_at=1060.0,
    skew_seconds=0.0,
    request_id=None,
    asked=asked_of(JOB),
)
LATER = 90_000.0  #: when the create was surely over
TARGET = sought(UNSURE, skew_seconds=None, settle_seconds=60, over_at=LATER, input_seconds=5.0)
ROW = TaskRow(
    task_id="t-1",
    status=TaskStatus.SUCCEEDED,
    raw_status="SUCCEEDED",
    request_id="req-1",
    model=MODEL,
    created_at=1001.0,
    api_key_id="7",
)
TASK = Task(
    task_id="t-1",
    status=TaskStatus.SUCCEEDED,
    raw_status="SUCCEEDED",
    request_id="req-9",
    orig_prompt="Turn it into clay",
    usage=Usage(10.0, 5.02, 5.0, 720),
)


def row(task_id: str = "t-1", status: TaskStatus = TaskStatus.SUCCEEDED, **changes: object) -> TaskRow:
    """Return a row of the list."""
    return replace(ROW, task_id=task_id, status=status, raw_status=status.value, **changes)  # type: ignore[arg-type]


# The window


@pytest.mark.parametrize(
    ("created_at", "within"),
    [(994.9, False), (995.0, True), (1001.0, True), (1125.0, True), (1125.1, False), (None, True)],
)
def test_the_window_reaches_from_the_intention_past_the_settle_time(created_at: float | None, within: bool) -> None:
    """A task without a time may be ours too."""
    assert bool(candidates([row(created_at=created_at)], set(), TARGET)) is within


def test_the_window_is_in_the_services_time() -> None:
    """A clock of ours that is an hour behind moves it by that hour; the skew of the create's own time counts."""
    late = sought(replace(UNSURE, skew_seconds=3600.0), skew_seconds=5.0, settle_seconds=60, over_at=LATER)

    assert (late.from_at, late.until_at, late.intended_at) == (4595.0, 4725.0, 4600.0)


def test_an_attempt_that_knows_no_skew_may_have_made_a_task_of_any_time() -> None:
    """The present skew only says which one is likely: the clock may have been set since. Without it that is wide."""
    known = sought(replace(UNSURE, skew_seconds=None), skew_seconds=100.0, settle_seconds=60, over_at=LATER)
    wide = sought(replace(UNSURE, skew_seconds=None), skew_seconds=None, settle_seconds=60, over_at=LATER)
    early = compare(row(created_at=1050.0), TASK, known)

    assert (known.likely_from, wide.likely_from) == (1095.0, 400.0)
    assert max(known.from_at, wide.from_at) < -24 * 3600
    assert min(known.until_at, wide.until_at) > 24 * 3600
    assert (early.finding, early.why) == (Finding.UNCLEAR, "the same prompt, but made before the create")


def test_what_was_made_after_a_useless_answer_is_hardly_ours() -> None:
    """A create that was only waited for in vain may have been carried out a little later."""
    broken = sought(
        replace(UNSURE, asked={"broken_after_seconds": 0.5}), skew_seconds=None, settle_seconds=60, over_at=LATER
    )
    given_up = sought(UNSURE, skew_seconds=None, settle_seconds=60, over_at=LATER)

    assert (broken.likely_until, given_up.likely_until) == (1005.5, 1065.0)
    assert broken.until_at == given_up.until_at


def test_the_window_does_not_outlast_the_create() -> None:
    """Whatever our clock said when the attempt was found, nothing of it was in the air any more."""
    found = sought(replace(UNSURE, answered_at=200_000.0), skew_seconds=None, settle_seconds=60, over_at=LATER)
    unknown = sought(replace(UNSURE, skew_seconds=None), skew_seconds=None, settle_seconds=60, over_at=LATER)

    assert (found.until_at, unknown.until_at) == (90_065.0, 90_065.0)


def test_a_clock_that_was_set_back_does_not_close_the_window() -> None:
    """However early the answer seems to have been given up, the create was in the air for a while."""
    back = sought(replace(UNSURE, answered_at=-9000.0), skew_seconds=None, settle_seconds=60, over_at=LATER)

    assert back.until_at == 1000 + 60 + 60 + 5
    assert back.likely_until == 1065


@pytest.mark.parametrize(
    ("other", "is_one"),
    [
        pytest.param(row(), True, id="a success"),
        pytest.param(row(status=TaskStatus.PENDING), True, id="waits"),
        pytest.param(row(status=TaskStatus.UNKNOWN), True, id="unknown"),
        pytest.param(row(status=TaskStatus.FAILED), False, id="failed, so not billed"),
        pytest.param(row(status=TaskStatus.CANCELED), False, id="cancelled, so not billed"),
        pytest.param(row(model="wan2.7-t2v"), False, id="another model"),
        pytest.param(row(model=None), True, id="no model named"),
        pytest.param(row(model="Wan2.7-VideoEdit-2026-06-12"), True, id="a dated version of the model"),
        pytest.param(row(model="wan2.7"), True, id="the model without its kind"),
        pytest.param(row("known"), False, id="known to the ledger"),
    ],
)
def test_which_tasks_may_be_ours(other: TaskRow, is_one: bool) -> None:
    """What costs nothing, or is somebody's for sure, is no candidate."""
    assert bool(candidates([other], {"known"}, TARGET)) is is_one


def test_a_failed_task_of_our_own_request_is_ours() -> None:
    """Its failure is then the job's, by its family."""
    target = replace(TARGET, request_id="req-1")
    (found,) = candidates([row(status=TaskStatus.FAILED, created_at=5.0)], set(), target)

    assert compare(found, None, target).finding is Finding.OURS


def test_witnesses_are_successes_of_other_times_that_nobody_here_made() -> None:
    """The nearest in time come first."""
    rows = [row("far", created_at=90_000.0), row("known", created_at=5.0), row("near", created_at=900.0), row("in")]
    rows += [row("open", TaskStatus.RUNNING, created_at=5.0)]

    assert [each.task_id for each in witnesses(rows, {"known"}, TARGET)] == ["near", "far"]


# The comparison


@pytest.mark.parametrize(
    ("task", "finding"),
    [
        pytest.param(TASK, Finding.ALIKE, id="prompt, length and resolution"),
        pytest.param(replace(TASK, usage=None), Finding.ALIKE, id="no usage to compare"),
        pytest.param(replace(TASK, orig_prompt="Turn it into lego"), Finding.OTHER, id="another prompt"),
        pytest.param(replace(TASK, orig_prompt=None), Finding.UNCLEAR, id="no prompt shown"),
        pytest.param(replace(TASK, usage=Usage(10, 5.0, 5.0, 1080)), Finding.UNCLEAR, id="another resolution"),
        pytest.param(replace(TASK, usage=Usage(10, 8.0, 5.0, 720)), Finding.UNCLEAR, id="another length"),
        pytest.param(replace(TASK, status=TaskStatus.UNKNOWN), Finding.UNCLEAR, id="unknown by now"),
        pytest.param(replace(TASK, status=TaskStatus.FAILED), Finding.OTHER, id="failed by now"),
        pytest.param(replace(TASK, status=TaskStatus.RUNNING), Finding.OPEN, id="runs after all"),
        pytest.param(None, Finding.UNCLEAR, id="cannot be asked for"),
    ],
)
def test_a_task_that_has_succeeded_is_compared(task: Task | None, finding: Finding) -> None:
    """Words first, however their spaces are written, then what was used."""
    assert compare(ROW, task, TARGET).finding is finding


def test_a_figure_breaks_a_tie_and_proves_nothing_by_itself() -> None:
    """The service may count lengths and lines as we do not, so what differs is another's only beside a better one."""
    longer = compare(row("longer"), replace(TASK, usage=Usage(10, 8.0, 5.0, 720)), TARGET)
    alike, ours = found(Finding.ALIKE)[0], found(Finding.OURS)[0]
    other, opened = found(Finding.OTHER)[0], found(Finding.OPEN)[0]

    assert [each.finding for each in weighed([longer, alike])] == [Finding.OTHER, Finding.ALIKE]
    assert [each.finding for each in weighed([ours, longer])] == [Finding.OURS, Finding.OTHER]
    assert weighed([longer, other, opened]) == [longer, other, opened]
    assert longer.why == "the same prompt, but a video of 8 s and not 5.0 s"


def test_a_length_that_was_noted_is_compared_whoever_reconciles() -> None:
    """A run of another spec does not know the clip."""
    noted = replace(UNSURE, asked=asked_of(JOB, input_seconds=9.0))
    target = sought(noted, skew_seconds=None, settle_seconds=60, over_at=LATER)

    assert target.input_seconds == 9.0
    assert compare(ROW, TASK, target).differs


def test_a_task_under_way_echoes_nothing_yet() -> None:
    """It is waited for."""
    assert compare(row(status=TaskStatus.RUNNING), None, TARGET).finding is Finding.OPEN


@pytest.mark.parametrize(
    ("changed_row", "target", "own_keys"),
    [
        pytest.param(ROW, replace(TARGET, request_id="req-2"), set(), id="made by another request"),
        pytest.param(ROW, TARGET, {"8"}, id="made with another API key"),
        pytest.param(row(created_at=1100.0), TARGET, set(), id="made when the create was over"),
        pytest.param(ROW, replace(TARGET, words="", prompt_key="-"), set(), id="neither has a prompt"),
    ],
)
def test_what_speaks_against_a_task_keeps_it_from_being_adopted(
    changed_row: TaskRow, target: object, own_keys: set[str]
) -> None:
    """It may be ours all the same, so a person looks at it."""
    task = replace(TASK, orig_prompt=None) if getattr(target, "words", None) == "" else TASK

    assert compare(changed_row, task, target, own_keys=own_keys).finding is Finding.UNCLEAR  # type: ignore[arg-type]


def test_an_attempt_of_an_older_ledger_is_compared_by_its_prompt_key() -> None:
    """It noted nothing else."""
    old = sought(replace(UNSURE, asked=None), skew_seconds=None, settle_seconds=60, over_at=LATER)

    assert compare(ROW, replace(TASK, orig_prompt=JOB.prompt), old).finding is Finding.ALIKE
    assert compare(ROW, replace(TASK, orig_prompt="x"), old).finding is Finding.OTHER


def test_a_prompt_is_compared_as_far_as_the_service_keeps_it() -> None:
    """Of a longer one it echoes the first 5000 characters."""
    job = replace(JOB, prompt="x" * 6000)
    target = sought(replace(UNSURE, asked=asked_of(job)), skew_seconds=None, settle_seconds=60, over_at=LATER)

    assert compare(ROW, replace(TASK, orig_prompt="x" * 5000), target).finding is Finding.ALIKE


@pytest.mark.parametrize(
    ("echo", "finding"),
    [
        pytest.param("ab " * 1000, Finding.ALIKE, id="all of it"),
        pytest.param("ab " * 900, Finding.UNCLEAR, id="the start of it"),
        pytest.param("ab " * 100, Finding.OTHER, id="too short to tell"),
        pytest.param("ab " * 1001, Finding.OTHER, id="longer"),
        pytest.param("cd " * 900, Finding.OTHER, id="another start"),
    ],
)
def test_a_long_prompt_may_have_been_cut_elsewhere(echo: str, finding: Finding) -> None:
    """The service may count its characters in other units than we do."""
    job = replace(JOB, prompt="ab  " * 1000)
    target = sought(
        replace(UNSURE, asked=asked_of(job), prompt_key="-"), skew_seconds=None, settle_seconds=60, over_at=LATER
    )

    assert compare(ROW, replace(TASK, orig_prompt=echo), target).finding is finding


# What follows


def found(*findings: Finding) -> list[Candidate]:
    """Return candidates with these findings."""
    return [Candidate(row(f"t-{n}"), finding, "why") for n, finding in enumerate(findings)]


SETTLED = Circumstances(age_seconds=100, settled=True)
OLD = 23.5 * 3600


@pytest.mark.parametrize(
    ("findings", "now", "step"),
    [
        pytest.param([Finding.OURS], Circumstances(age_seconds=1, settled=False), Step.ADOPT, id="request id, at once"),
        pytest.param([Finding.OURS, Finding.ALIKE], SETTLED, Step.ADOPT, id="request id beats likeness"),
        pytest.param([Finding.OURS, Finding.OURS], SETTLED, Step.HOLD, id="a request id twice"),
        pytest.param([Finding.ALIKE], Circumstances(age_seconds=1, settled=False), Step.WAIT, id="alike, too early"),
        pytest.param([Finding.ALIKE], SETTLED, Step.ADOPT, id="one alike"),
        pytest.param([Finding.ALIKE, Finding.OTHER], SETTLED, Step.ADOPT, id="one alike beside another's"),
        pytest.param([Finding.ALIKE, Finding.ALIKE], SETTLED, Step.HOLD, id="two alike"),
        pytest.param([Finding.ALIKE, Finding.UNCLEAR], SETTLED, Step.ADOPT, id="one alike, one that shows nothing"),
        pytest.param([Finding.ALIKE, Finding.OPEN], SETTLED, Step.WAIT, id="one alike, one has not ended"),
        pytest.param([Finding.ALIKE], replace(SETTLED, rival="who"), Step.HOLD, id="alike, and somebody asks the same"),
        pytest.param([Finding.ALIKE], replace(SETTLED, awaited="who"), Step.WAIT, id="alike, and more will be known"),
        pytest.param([Finding.OPEN], replace(SETTLED, empty_scans=9), Step.WAIT, id="one that has not ended"),
        pytest.param([Finding.OPEN], replace(SETTLED, age_seconds=OLD), Step.HOLD, id="never ends"),
        pytest.param([], replace(SETTLED, empty_scans=1), Step.WAIT, id="not there, once"),
        pytest.param([], replace(SETTLED, empty_scans=2), Step.WITHDRAW, id="not there, twice"),
        pytest.param([Finding.OTHER], replace(SETTLED, empty_scans=2), Step.WITHDRAW, id="only another's, twice"),
        pytest.param([Finding.UNCLEAR], replace(SETTLED, unclear_scans=1), Step.WAIT, id="unclear, once"),
        pytest.param([Finding.UNCLEAR], replace(SETTLED, unclear_scans=2), Step.HOLD, id="unclear, twice"),
        pytest.param([], Circumstances(age_seconds=OLD, settled=False), Step.HOLD, id="old, and the list no use"),
        pytest.param([], replace(SETTLED, age_seconds=OLD, empty_scans=2), Step.HOLD, id="old and not there"),
        pytest.param([Finding.ALIKE], replace(SETTLED, age_seconds=OLD), Step.ADOPT, id="old, and found"),
        pytest.param([], Circumstances(age_seconds=30, settled=False, empty_scans=2), Step.WAIT, id="not settled"),
    ],
)
def test_what_follows(findings: list[Finding], now: Circumstances, step: Step) -> None:
    """Nothing is submitted again unless surely no task was made, and no task adopted that may be another's."""
    assert decide(found(*findings), now).step is step


def test_a_task_with_the_prompt_that_something_speaks_against_keeps_another_from_being_adopted() -> None:
    """Somebody else asks for the same, so either may be theirs."""
    late = Candidate(row("late"), Finding.UNCLEAR, "why", asks_the_same=True)

    assert decide([*found(Finding.ALIKE), late], SETTLED).step is Step.HOLD


def test_a_task_that_the_service_denies_keeps_another_from_being_adopted() -> None:
    """The one that it lists and tells nothing of may be ours, and the one that looks alike a stranger's."""
    denied = compare(ROW, replace(TASK, status=TaskStatus.UNKNOWN), TARGET)
    decision = decide([*found(Finding.ALIKE), denied], SETTLED)

    assert decision.step is Step.HOLD
    assert f"but so may task {ROW.task_id}, which the service lists and tells nothing of" in decision.why


def test_a_task_made_long_after_the_create_keeps_none_from_being_adopted() -> None:
    """A run that died leaves a create open until the next one begins, which may be hours; its create died with it."""
    found_later = replace(UNSURE, answered_at=UNSURE.intended_at + 3600)
    target = sought(found_later, skew_seconds=None, settle_seconds=60, over_at=LATER)
    made_by_then = row("t-2", created_at=UNSURE.intended_at + 3600)
    denied = compare(made_by_then, replace(TASK, status=TaskStatus.UNKNOWN), target)
    at_the_end = compare(row("t-3", created_at=1064.0), replace(TASK, status=TaskStatus.UNKNOWN), target)

    assert candidates([made_by_then], (), target) == [made_by_then]
    assert decide([*found(Finding.ALIKE), denied], SETTLED).step is Step.ADOPT
    assert decide([*found(Finding.ALIKE), at_the_end], SETTLED).step is Step.HOLD


def test_the_evidence_is_bounded_and_leads_with_what_is_likely() -> None:
    """A busy account does not fill the ledger, and a person reads the candidates that matter first."""
    many = [*found(*[Finding.OTHER] * 70), Candidate(row("it"), Finding.ALIKE, "the same prompt")]
    evidence = Evidence(TARGET, [{"at": 1.0, "whole": True, "tasks": 71}] * 50).to_json("why", many)

    assert evidence["candidates"][0] == {  # type: ignore[index, call-overload]
        "task": "it",
        "created_at": 1001.0,
        "status": "SUCCEEDED",
        "finding": "alike",
        "why": "the same prompt",
    }
    assert (len(evidence["candidates"]), evidence["more"], len(evidence["scans"])) == (50, 21, 4)  # type: ignore[arg-type]
