"""`validate`, `plan`, `status` and `resolve`: looking, and settling by hand."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from cli_parts import FAST, HEAD, NO_LIST

if TYPE_CHECKING:
    from cli_parts import Project, Said

pytestmark = pytest.mark.slow


def test_validate_counts_the_jobs(project: Project) -> None:
    """A good spec is one line, and nothing is written."""
    project.spec("one", "two")
    project.spec("three", name="more.yaml")

    said = project.wanrun("validate", "batch.yaml", "more.yaml")

    assert (said.exit_code, said.stdout, said.stderr) == (0, "3 jobs in 2 specs; no problems\n", "")
    assert [path.name for path in project.folder.iterdir() if path.name.startswith(".")] == []


def test_a_pattern_is_filled_in_where_no_shell_has_done_it(project: Project) -> None:
    """In the order of names; a file that is called so is itself, and what matches nothing is said."""
    for folder in ("specs", "[s]"):
        (project.folder / folder).mkdir()
    for name in ("specs/b.yaml", "specs/a.yaml", "[s]/c.yaml"):
        project.spec(name[-6], name=name)

    assert "2 jobs in 2 specs" in project.wanrun("validate", "specs/*.yaml").stdout
    assert "1 job in 1 spec" in project.wanrun("validate", "[s]/c.yaml").stdout
    assert project.wanrun("run", "specs/*.yaml", *FAST).exit_code == 0
    assert "no file matches this pattern" in project.wanrun("plan", "specs/*.json").stderr


def test_validate_names_every_problem_at_its_place(project: Project) -> None:
    """All at once, in file order, with the count at the end and exit code 2."""
    project.write("bad.yaml", HEAD + "jobs:\n  - {id: a b, prompt: x, media: [{vido: https://example.com/a.mp4}]}\n")

    said = project.wanrun("validate", "bad.yaml")

    assert (said.exit_code, said.stdout) == (2, "")
    *problems, last = said.stderr.splitlines()
    assert len(problems) >= 2
    assert all(line.startswith("bad.yaml:6:") for line in problems)
    assert last == f"{len(problems)} problems in bad.yaml; nothing was submitted"


def test_plan_shows_each_job_and_writes_nothing(project: Project) -> None:
    """State and action in columns, the sum below; there is no ledger afterwards."""
    said = project.wanrun("plan", project.spec("one", "two-two"))

    assert said.exit_code == 0, said
    one, two, empty, total, *_ = said.stdout.splitlines()
    assert one == "batch/one      new  submit  at most 22.13 CNY for 20.1 s"
    assert two == "batch/two-two  new  submit  at most 22.13 CNY for 20.1 s"
    assert (empty, total) == ("", "2 jobs: 2 submit; at most 44.26 CNY to submit")
    assert not (project.folder / ".wanrun").exists()


def test_plan_knows_what_is_done_and_what_changed(project: Project) -> None:
    """After a run only the job with another prompt is to be submitted."""
    project.wanrun(project.spec("one", "two"), *FAST)
    text = (project.folder / "batch.yaml").read_text().replace("prompt of two", "another prompt")
    project.write("batch.yaml", text)

    said = project.wanrun("plan", "batch.yaml", "--emulator", "--format", "json")

    assert said.exit_code == 0, said
    jobs = {job["job"]: (job["state"], job["action"]) for job in said.json["jobs"]}
    assert jobs == {"batch/one": ("done", "nothing"), "batch/two": ("changed", "submit")}
    assert said.json["actions"] == {"nothing": 1, "submit": 1}
    assert set(said.json["jobs"][0]) == {
        *("job", "state", "action", "why", "changes", "model", "provider", "tags", "fingerprint", "media"),
        *(
            "chains_from",
            "fitted",
            "spec",
            "line",
            "places",
            "billed_seconds_at_most",
            "cost_at_most",
            "objections",
            "occupied",
        ),
    }


def test_plan_and_run_agree_on_retrying(project: Project) -> None:
    """--retry-failed turns a failed job's action into submit."""
    fail = {"on": "create", "do": {"fail": {"code": "InvalidParameter", "message": "no"}}}
    spec = project.spec("one")
    project.wanrun(spec, *FAST, *project.faults(fail))

    plain = project.wanrun("plan", spec, "--emulator")
    retry = project.wanrun("plan", spec, "--emulator", "--retry-failed")

    assert plain.stdout.startswith("batch/one  failed  nothing  no (InvalidParameter)\n"), plain
    assert retry.stdout.startswith("batch/one  failed  submit  no (InvalidParameter); at most 22.13 CNY"), retry


def test_status_of_nothing_says_so(project: Project) -> None:
    """No ledger is not an error, and looking makes none."""
    said = project.wanrun("status")

    assert (said.exit_code, said.stdout) == (0, f"there is no ledger at {project.folder}/.wanrun/ledger.db\n")
    assert project.wanrun("status", "--format", "json").json == {"jobs": [], "money": [], "max_cost": None}
    assert not (project.folder / ".wanrun").exists()


def test_status_shows_how_every_job_stands(project: Project) -> None:
    """Address, state, time and place, in the order the jobs were entered, with the sum below."""
    project.wanrun(project.spec("one", "two"), *FAST)

    said = project.wanrun("status", "--emulator")

    *rows, empty, total, money = said.stdout.splitlines()
    assert [row.split()[:2] for row in rows] == [["batch/one", "done"], ["batch/two", "done"]]
    assert rows[0].endswith(".wanrun/emulator/delivered/out/one.mp4")
    assert (empty, total) == ("", "2 jobs: 2 done")
    assert money == "at the service this would be: 8.81 CNY spent"


def test_a_create_in_the_air_says_what_it_waits_for(project: Project) -> None:
    """And what to do if no run is there to hear the answer stands on a line below."""
    project.wanrun(project.spec("one"), *FAST)
    with closing(sqlite3.connect(project.folder / ".wanrun/emulator/ledger.db")) as ledger, ledger:
        ledger.execute("UPDATE attempts SET state = 'intended'")

    job, advice, *_ = project.wanrun("status", "--emulator").stdout.splitlines()

    assert job.endswith("  its create awaits an answer")
    assert advice.startswith("    run it again to find out, or: wanrun resolve --emulator batch/one --adopt TASK")


@pytest.mark.parametrize(
    ("patterns", "found"),
    [
        (["one"], ["batch/one"]),
        (["batch/*"], ["batch/one", "batch/two"]),
        (["t*", "o?e"], ["batch/one", "batch/two"]),
    ],
    ids=" ".join,
)
def test_status_takes_patterns(project: Project, patterns: list[str], found: list[str]) -> None:
    """Against spec/job, or without a slash against the job."""
    project.wanrun(project.spec("one", "two"), *FAST)

    said = project.wanrun("status", "--emulator", *patterns, "--format", "json")

    assert [job["job"] for job in said.json["jobs"]] == found


@pytest.mark.parametrize("pattern", ["other/*", "ONE"])
def test_a_pattern_that_is_no_jobs_is_refused(project: Project, pattern: str) -> None:
    """Exit code 2, also beside one that matches, and where there is no ledger: it must be misspelt."""
    nowhere = project.wanrun("status", "--emulator", pattern)
    project.wanrun(project.spec("one"), *FAST)
    said = project.wanrun("status", "--emulator", "one", pattern, "--format", "json")

    assert (said.exit_code, said.stdout) == (2, "")
    assert said.stderr == f'no job in the ledger matches "{pattern}"; wanrun status lists them\n'
    words = f"there is no ledger at {project.folder}/.wanrun/emulator/ledger.db; nothing to show\n"
    assert (nowhere.exit_code, nowhere.stderr) == (2, words)


def test_wide_names_keep_the_columns_straight(project: Project) -> None:
    """A terminal gives some characters two cells."""
    project.write("wide.yaml", (project.folder / project.spec("日本語", "abc")).read_text())

    said = project.wanrun("plan", "wide.yaml")

    rows = [line.partition("  at most")[0] for line in said.stdout.splitlines()[:2]]
    assert rows == ["wide/日本語  new  submit", "wide/abc     new  submit"]


class TestResolve:
    """An unsure or held job is settled in three ways, and only such a job."""

    @pytest.fixture
    def held(self, project: Project) -> Project:
        """Return a project whose job one is unsure; its task was made."""
        lost = {"on": "create", "nth": 1, "do": {"reset": "after"}}
        project.wanrun(project.spec("one"), *FAST, *project.faults(lost, NO_LIST))
        return project

    def resolve(self, project: Project, *args: str) -> Said:
        """Resolve against the emulator's ledger."""
        return project.wanrun("resolve", *args, "--emulator")

    def task(self, project: Project) -> str:
        """Return the one task of the emulator's account."""
        text = (project.folder / ".wanrun/emulator/account/statement.json").read_text()
        return text.partition('"task_id": "')[2].partition('"')[0]

    def test_adopting_goes_on_with_the_task(self, held: Project) -> None:
        """Nothing is paid again."""
        said = self.resolve(held, "one", "--adopt", self.task(held))
        run = held.wanrun("batch.yaml", *FAST)

        assert said.exit_code == 0
        assert said.stdout.startswith("batch/one is now in flight; if its create made another task, that one is paid")
        assert (run.exit_code, "1 done; nothing was submitted" in run.stdout) == (0, True), run

    def test_a_mistyped_task_can_be_put_right(self, held: Project) -> None:
        """As long as nobody has looked at it; that nothing was looked at is said, and how to."""
        first = self.resolve(held, "one", "--adopt", "0385dc79-5ff8-4d82-bcb6-7f2c5d3a1f0e")
        task = self.task(held)
        other = self.resolve(held, "one", "--adopt", task)
        refused = self.resolve(held, "one", "--abandon")
        run = held.wanrun("batch.yaml", *FAST)
        after = self.resolve(held, "one", "--adopt", task)

        words = f"{task} was not looked at; see whether it is the job's: wanrun tasks --emulator {task}\n"
        assert (first.exit_code, other.exit_code, refused.exit_code) == (0, 0, 2), other
        assert other.stdout.endswith(words)
        assert "if task 0385dc79-5ff8-4d82-bcb6-7f2c5d3a1f0e was made for it" in other.stdout
        assert (run.exit_code, "1 done; nothing was submitted" in run.stdout) == (0, True), run
        assert (after.exit_code, "is done; only" in after.stderr) == (2, True), after

    def test_resubmitting_makes_another_task(self, held: Project) -> None:
        """A person has decided to."""
        said = self.resolve(held, "batch/one", "--resubmit")
        run = held.wanrun("batch.yaml", *FAST)

        assert said.exit_code == 0
        assert said.stdout.startswith("batch/one is now new; if its create made a task after all, both are paid for")
        assert (run.exit_code, "1 done; 1 task submitted" in run.stdout) == (0, True), run

    def test_abandoning_leaves_it_for_good(self, held: Project) -> None:
        """The job is lost, which a run still reports."""
        said = self.resolve(held, "one", "--abandon", "--format", "json")
        run = held.wanrun("batch.yaml", *FAST)

        assert said.json["state"] == "lost"
        assert "its result is not fetched" in said.json["risk"]
        assert (run.exit_code, "batch/one is lost: abandoned by hand" in run.stdout) == (1, True), run

    def test_it_is_decided_once(self, held: Project) -> None:
        """A job that is not held, unsure or lost is refused, with how it stands."""
        self.resolve(held, "one", "--resubmit")

        said = self.resolve(held, "one", "--resubmit")

        assert (said.exit_code, said.stdout) == (2, "")
        assert said.stderr == "batch/one is new; only a job that is held, unsure or lost is resolved by hand\n"

    @pytest.mark.parametrize("task", ["", " ", "../../tasks", "a b", "x" * 300, "a\x1b[31m"], ids=ascii)
    def test_what_is_no_task_id_is_not_adopted(self, held: Project, task: str) -> None:
        """The id would become part of an address."""
        said = self.resolve(held, "one", "--adopt", task)

        assert said.exit_code == 2, said
        assert "\x1b" not in said.all
        assert self.resolve(held, "one", "--resubmit").exit_code == 0

    def test_a_job_that_is_not_there_is_named(self, held: Project) -> None:
        """Exit code 2, and where the jobs are listed."""
        said = self.resolve(held, "two", "--abandon")

        assert (said.exit_code, said.stderr) == (2, 'no job "two" in the ledger; wanrun status lists them\n')

    def test_a_job_of_several_specs_needs_its_address(self, held: Project) -> None:
        """The addresses to choose from are in the message."""
        held.wanrun(held.spec("one", name="other.yaml", prompt="another"), *FAST)

        said = self.resolve(held, "one", "--abandon")

        assert said.exit_code == 2
        assert said.stderr == '"one" is a job of several specs; name one of batch/one, other/one\n'

    def test_without_a_ledger_there_is_nothing_to_settle(self, project: Project) -> None:
        """The message names where it was looked for, and none is made."""
        said = project.wanrun("resolve", "one", "--abandon")

        assert said.exit_code == 2
        assert said.stderr == f"there is no ledger at {project.folder}/.wanrun/ledger.db; nothing to resolve\n"
        assert not (project.folder / ".wanrun").exists()
