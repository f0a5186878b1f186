"""What a person is asked before much is submitted, and in which words."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from wanrun import api
from wanrun.consent import MANY_JOBS, Question, question_about
from wanrun.money import Money
from wanrun.project import open_project
from wanrun.types import Action

if TYPE_CHECKING:
    from pathlib import Path

SPEC = """\
version: 1
defaults: {model: wan2.7-videoedit}
jobs: [{id: one, prompt: clay, media: [{video: https://example.com/one.mp4}]}]
"""
CNY, USD = Money.parse("30 CNY"), Money.parse("4 USD")


@pytest.mark.parametrize(
    ("question", "words"),
    [
        (Question(jobs=1, wanted=(CNY,), most=(CNY,)), "1 job to submit may cost up to 30.00 CNY"),
        (
            Question(jobs=2, wanted=(CNY, USD), most=(CNY, USD)),
            "2 jobs to submit may cost up to 30.00 CNY and 4.00 USD",
        ),
        (Question(jobs=9, wanted=(), most=(), unpriced=9), "9 jobs to submit, and what they cost is not known"),
        (
            Question(jobs=9, wanted=(USD,), most=(USD,), unpriced=3),
            "9 jobs to submit may cost up to 4.00 USD, and what 3 of them cost is not known",
        ),
        (
            Question(jobs=2, wanted=(CNY,), most=(Money.parse("2 CNY"),)),
            "2 jobs to submit may cost up to 30.00 CNY; the budget leaves 2.00 CNY, so not all may be submitted",
        ),
    ],
    ids=["one job", "two currencies", "no price", "not every price", "less room"],
)
def test_a_question_says_what_it_is_about(question: Question, words: str) -> None:
    """Jobs and money, whatever is known of it."""
    assert str(question) == words


def test_a_question_says_why_it_is_asked() -> None:
    """For the money, for the number, or for both."""
    costly = Question(jobs=2, wanted=(CNY,), most=(CNY,), above=USD)
    many = Question(jobs=10_001, wanted=(CNY,), most=(CNY,))
    both = Question(jobs=10_001, wanted=(CNY,), most=(CNY,), above=Money.parse("1 CNY"))

    assert costly.why == ", which is above confirm_above = 4.00 USD"
    assert many.why == "; a run that submits more than 10000 jobs asks first"
    assert both.why == ", which is above confirm_above = 1.00 CNY; a run that submits more than 10000 jobs asks first"
    assert [key for _, key in both.occasions()] == ["confirm_above = 1.00 CNY", "more than 10000 jobs to submit"]


@pytest.mark.parametrize(
    ("submit", "rest", "emulator", "asked"),
    [(MANY_JOBS, 5, False, False), (MANY_JOBS + 1, 0, False, True), (MANY_JOBS + 1, 0, True, False)],
    ids=["just not many", "many", "many at the emulator"],
)
def test_a_person_is_asked_when_very_many_jobs_are_submitted(
    tmp_path: Path, submit: int, rest: int, emulator: bool, asked: bool
) -> None:
    """Only what is submitted counts, and nothing at the emulator, which costs nothing."""
    (tmp_path / "batch.yaml").write_text(SPEC)
    setup = api.Setup(folder=tmp_path, environ={}, emulator=api.EmulatorOptions() if emulator else None)
    (planned,) = api.plan([tmp_path / "batch.yaml"], setup).jobs
    done = replace(planned, action=Action.NOTHING)

    question = question_about([*[planned] * submit, *[done] * rest], open_project(setup), lambda wanted: wanted)

    assert (question is not None) == asked
