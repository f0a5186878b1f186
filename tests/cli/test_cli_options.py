"""The options of `wanrun run` that choose, limit and leave, as a person types them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cli_parts import FAST

if TYPE_CHECKING:
    from cli_parts import Project

pytestmark = pytest.mark.slow

SLOW = ("--emulator", "--edit", "none", "--speed", "1")  #: tasks take minutes


def test_two_first_then_the_rest(project: Project) -> None:
    """`--limit` says what it has left, and that running again goes on."""
    spec = project.spec("one", "two", "three")

    first = project.wanrun(spec, *FAST, "--limit", "2")
    rest = project.wanrun(spec, *FAST)

    assert first.exit_code == 3, first
    assert "1 more to submit, left to another run by --limit 2\n" in first.stdout
    assert first.stdout.endswith("run again to go on\n")
    assert (rest.exit_code, "3 done; 1 task submitted" in rest.stdout) == (0, True), rest


def test_a_plan_shows_what_the_options_choose(project: Project) -> None:
    """`wanrun plan` takes the same options, so that nobody has to try them with money."""
    spec = project.spec("one", "two", "three")
    project.wanrun(spec, *FAST, "--only", "one")

    plan = project.wanrun("plan", spec, "--emulator", "--exclude", "three", "--again", "o*", "--format", "json").json

    assert [(job["job"], job["state"], job["action"], job["why"]) for job in plan["jobs"]] == [
        ("batch/one", "done", "submit", "one more take, as asked"),
        ("batch/two", "new", "submit", ""),
    ]


def test_one_more_take_by_pattern(project: Project) -> None:
    """`--again` pays once more for what matches and for nothing else."""
    spec = project.spec("one", "two")
    project.wanrun(spec, *FAST)

    said = project.wanrun(spec, *FAST, "--again", "batch/t*")

    assert (said.exit_code, "2 done; 1 task submitted" in said.stdout) == (0, True), said


@pytest.mark.parametrize("option", ["--only", "--again"])
def test_a_pattern_that_matches_nothing_is_a_wrong_call(project: Project, option: str) -> None:
    """It is most likely misspelt; exit code 2, and nothing is submitted."""
    said = project.wanrun(project.spec("one"), *FAST, option, "onne")

    assert said.exit_code == 2, said
    assert f'no job of these specs matches {option} "onne"; wanrun plan lists them' in said.stderr


TAGGED = """
version: 1
defaults: {model: wan2.7-videoedit, media: [{video: "https://example.com/a.mp4"}], tags: [spring]}
jobs:
  - {id: one, prompt: one}
  - {id: two, prompt: two, tags: [spring, shop]}
  - {id: three, prompt: three, tags: [autumn]}
  - {id: four, prompt: four, tags: []}
"""


@pytest.mark.parametrize(
    ("options", "chosen"),
    [
        (("--tag", "spring"), ["one", "two"]),
        (("--tag", "shop", "--tag", "autumn"), ["two", "three"]),
        (("--tag", "spring", "--exclude", "two"), ["one"]),
        (("--tag", "spring", "--only", "t*"), ["two"]),
    ],
)
def test_jobs_are_chosen_by_their_tags(project: Project, options: tuple[str, ...], chosen: list[str]) -> None:
    """One of several tags is enough; patterns narrow it down; a job's own tags take the place of the defaults'."""
    spec = project.write("tagged.yaml", TAGGED)

    plan = project.wanrun("plan", spec, "--emulator", *options, "--format", "json").json

    assert [job["job"] for job in plan["jobs"]] == [f"tagged/{name}" for name in chosen]


def test_a_run_takes_the_jobs_with_a_tag(project: Project) -> None:
    """The others stay as they are, and their tags change no fingerprint."""
    spec = project.write("tagged.yaml", TAGGED)

    said = project.wanrun(spec, *FAST, "--tag", "autumn")
    project.write("tagged.yaml", TAGGED.replace("autumn", "winter"))
    again = project.wanrun(spec, *FAST, "--tag", "winter")

    assert (said.exit_code, "1 done; 1 task submitted" in said.stdout) == (0, True), said
    assert (again.exit_code, "1 done; nothing was submitted" in again.stdout) == (0, True), again


def test_a_tag_that_no_job_has_is_a_wrong_call(project: Project) -> None:
    """It is most likely misspelt."""
    said = project.wanrun(project.write("tagged.yaml", TAGGED), *FAST, "--tag", "sprng")
    none = project.wanrun(project.spec("one"), *FAST, "--tag", "spring")

    assert said.exit_code == none.exit_code == 2, said
    assert 'no job of these specs has the tag of --tag "sprng"; known: autumn, shop, spring' in said.stderr
    assert "none of them has tags" in none.stderr


def test_without_waiting_a_run_says_what_flies(project: Project) -> None:
    """`--no-wait` fills the places and leaves; `status` says until when the results can be had."""
    spec = project.spec("one", "two")

    said = project.wanrun(spec, *SLOW, "--no-wait")
    status = project.wanrun("status", "--emulator")

    assert said.exit_code == 3, said
    assert "not waiting (--no-wait): 2 in flight, 0 not submitted\n" in said.stdout
    assert status.stdout.count("gone at 2") == 2, status


def test_the_time_to_wait_is_given_with_its_unit(project: Project) -> None:
    """`2s` is over soon; what is in flight goes on."""
    said = project.wanrun(project.spec("one"), *SLOW, "--max-wait", "2s")

    assert said.exit_code == 3, said
    assert "the time of --max-wait is over; nothing is cancelled" in said.stdout
    assert "1 in flight; 1 task submitted" in said.stdout


@pytest.mark.parametrize("span", ["soon", "-1", "5 parsecs", "1h30m", ""])
def test_what_is_no_span_of_time_is_refused(project: Project, span: str) -> None:
    """The message shows what is one."""
    said = project.wanrun(project.spec("one"), *FAST, "--max-wait", span)

    assert said.exit_code == 2, said
    assert f'"{span}" is no span of time; give 90s, 30m, 2h or a number of seconds' in said.stderr


@pytest.mark.parametrize("span", ["90s", "30m", "2h", "1d", "3600", "1.5h", " 10 m "])
def test_spans_of_time_are_read(project: Project, span: str) -> None:
    """Seconds, minutes, hours and days, or a plain number of seconds."""
    assert project.wanrun(project.spec("one"), *FAST, "--max-wait", span).exit_code == 0


@pytest.mark.parametrize("count", ["0", "-1", "two"])
def test_a_limit_is_a_count(project: Project, count: str) -> None:
    """At least one."""
    assert project.wanrun(project.spec("one"), *FAST, "--limit", count).exit_code == 2
