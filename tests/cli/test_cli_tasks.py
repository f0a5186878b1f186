"""`wanrun tasks` and `wanrun cancel`: the account by hand, and one's own jobs."""

from __future__ import annotations

import re
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest
from account_parts import account, emulator_ledger, intended, made, own
from cli_parts import FAST, SETTINGS

if TYPE_CHECKING:
    from cli_parts import Project


pytestmark = pytest.mark.slow

SLOW = ("--emulator", "--edit", "none", "--speed", "0.01")  #: tasks wait for 100 s before they run
UNKNOWN = "00000000-0000-4000-8000-00000000dead"
DEAD = "http://127.0.0.1:9/api/v1"


def states(project: Project) -> dict[str, str]:
    said = project.wanrun("status", "--emulator", "--format", "json")
    return {job["job"]: f"{job['state']}: {job['why']}" for job in said.json["jobs"]}


def billed(project: Project) -> int:
    with account(project) as opened:
        return int(opened.statement()["tasks_billed"])  # type: ignore[call-overload]


# The list


def test_every_task_of_the_account_is_listed_newest_first(project: Project) -> None:
    """Whichever program made them; those of this ledger say which job they are of."""
    old, mine = made(project, "old", age_seconds=60)[0], made(project, "mine")[0]
    own(project, shot=mine)

    said = project.wanrun("tasks", *SLOW)

    assert (said.exit_code, said.stderr) == (0, ""), said
    first, second, empty, total = said.stdout.splitlines()
    assert first.split()[2:] == [mine, "PENDING", "wan2.7-videoedit", "batch/shot"]
    assert second.split()[2:] == [old, "PENDING", "wan2.7-videoedit"]
    assert (empty, total) == ("", "2 tasks in the last 24 h: 2 PENDING; 1 of this ledger")


def test_every_page_of_the_list_is_read(project: Project) -> None:
    """An account with more tasks than a page holds is listed whole, each task once."""
    ids = made(project, *map(str, range(230)))

    said = project.wanrun("tasks", *SLOW, "--format", "json")

    assert {task["task"] for task in said.json["tasks"]} == set(ids)
    assert len(said.json["tasks"]) == 230


def test_the_list_says_the_same_to_programs(project: Project) -> None:
    """Times are epoch seconds; the request id is that of the create."""
    before = time.time()
    (task,) = made(project, "one")

    (row,) = project.wanrun("tasks", *SLOW, "--format", "json").json["tasks"]

    assert before - 1 <= row.pop("created_at") <= time.time() + 1
    assert (row["task"], row["status"], row["request_id"], row["job"]) == (task, "PENDING", "request-one", None)
    assert row["started_at"] is row["ended_at"] is None


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        (("--status", "pending"), 1),
        (("--status", "SUCCEEDED"), 1),
        (("--status", "RUNNING"), 0),
        (("--model", "wan2.7-videoedit"), 2),
        (("--model", "wan2.7-t2v"), 0),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_the_list_can_be_narrowed(project: Project, filters: tuple[str, ...], count: int) -> None:
    """By what the service says of a task, and by its model."""
    made(project, "done", age_seconds=60, speed=100000)
    made(project, "waits")

    assert len(project.wanrun("tasks", *SLOW, *filters, "--format", "json").json["tasks"]) == count


def test_an_empty_list_is_said(project: Project) -> None:
    """No tasks is an answer too."""
    said = project.wanrun("tasks", *FAST)

    assert (said.exit_code, said.stdout) == (0, "no tasks in the last 24 h\n")


# One task


def test_one_task_is_shown_with_all_its_fields(project: Project) -> None:
    """Times in local time, durations, what is billed, the prompt; the link without what opens it."""
    (task,) = made(project, "clay\x1b[2J please", age_seconds=60, speed=100000)
    own(project, shot=task)

    said = project.wanrun("tasks", task, *FAST)

    assert said.exit_code == 0, said
    shown = dict(line.split(maxsplit=1) for line in said.stdout.splitlines())
    assert list(shown) == [
        *("task", "status", "job", "submitted", "started", "ended", "waited", "worked", "usage", "prompt", "link")
    ]
    assert (shown["task"], shown["status"], shown["job"]) == (task, "SUCCEEDED", "batch/shot")
    assert shown["usage"].startswith("4 s billed (2 s in, 2 s out), ")
    assert shown["link"].startswith("http://127.0.0.1:")
    assert shown["prompt"] == "clay�[2J please"
    assert "?" not in shown["link"]


def test_one_task_says_the_same_to_programs(project: Project) -> None:
    """No query of a link in JSON either."""
    (task,) = made(project, "one", age_seconds=60, speed=100000)

    found = project.wanrun("tasks", task, *FAST, "--format", "json").json

    assert (found["task"], found["status"], found["prompt"]) == (task, "SUCCEEDED", "one")
    assert found["usage"]["billed_seconds"] == 4
    assert "?" not in found["link"]
    assert found["link_expires_at"] > time.time()


def test_a_task_that_the_service_does_not_know_needs_a_person(project: Project) -> None:
    """Exit code 1; it may have been there more than a day ago."""
    said = project.wanrun("tasks", UNKNOWN, *FAST)

    assert said.exit_code == 1
    assert said.stderr == f"task {UNKNOWN} is not known to the service, or is older than 24 h\n"


# Cancelling a task


def test_a_waiting_task_can_be_cancelled(project: Project) -> None:
    """The service is asked what became of it, and nothing is billed."""
    (task,) = made(project, "one")

    said = project.wanrun("tasks", "--cancel", task, *SLOW)

    assert (said.exit_code, said.stdout) == (0, f"task {task} is cancelled and not billed\n"), said
    assert project.wanrun("tasks", task, *SLOW, "--format", "json").json["status"] == "CANCELED"


def test_cancelling_the_task_of_a_job_says_how_to_tell_the_ledger(project: Project) -> None:
    """`wanrun cancel` is for one's own; `tasks` leaves the ledger alone."""
    (task,) = made(project, "one")
    own(project, shot=task)

    said = project.wanrun("tasks", "--cancel", task, *SLOW)
    told = project.wanrun("cancel", "batch/shot", *SLOW)

    assert said.stdout.splitlines()[1].endswith("wanrun cancel --emulator batch/shot")
    assert (told.exit_code, told.stdout) == (0, "batch/shot  cancelled\n"), told


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"speed": 1.0, "age_seconds": 30}, "runs already: too late to cancel it"),
        ({"speed": 100000, "age_seconds": 30}, "has ended and is billed: too late to cancel it"),
    ],
    ids=["running", "ended"],
)
def test_a_task_that_does_not_wait_cannot_be_cancelled(project: Project, options: dict[str, float], words: str) -> None:
    """Exit code 1, and the word for why."""
    (task,) = made(project, "one", **options)

    said = project.wanrun("tasks", "--cancel", task, *SLOW)

    assert (said.exit_code, said.stdout, said.stderr) == (1, "", f"task {task} {words}\n")


def test_a_cancelled_task_says_so_to_programs(project: Project) -> None:
    """One field decides, beside all that a query tells."""
    (task,) = made(project, "one")

    found = project.wanrun("tasks", "--cancel", task, *SLOW, "--format", "json").json

    assert (found["task"], found["cancelled"], found["status"]) == (task, True, "CANCELED")


# Downloading


def test_a_finished_task_can_be_downloaded(project: Project) -> None:
    """Checked and whole, by default under the task's name here, and nothing else is left behind."""
    (task,) = made(project, "one", age_seconds=60, speed=100000)
    before = {path.name for path in project.folder.iterdir()}

    said = project.wanrun("tasks", "--download", task, *FAST)

    assert said.exit_code == 0, said
    path = project.folder / f"{task}.mp4"
    assert said.stdout.startswith(f"{path.name} (")
    assert path.read_bytes()[4:8] == b"ftyp"
    assert {each.name for each in project.folder.iterdir()} - before == {path.name}
    assert path.stat().st_mode & 0o600 == 0o600


def test_a_download_goes_where_it_is_told(project: Project) -> None:
    """To a file, or to a folder under the task's name; JSON says where."""
    (task,) = made(project, "one", age_seconds=60, speed=100000)
    (project.folder / "here").mkdir()

    to_file = project.wanrun("tasks", "--download", task, "--to", "clip.mp4", *FAST, "--format", "json").json
    project.wanrun("tasks", "--download", task, "--to", "here", *FAST)

    assert to_file["path"] == str(project.folder / "clip.mp4")
    assert (project.folder / "clip.mp4").stat().st_size == to_file["bytes"]
    assert (project.folder / "clip.mp4").read_bytes() == (project.folder / f"here/{task}.mp4").read_bytes()


def test_a_download_never_overwrites_other_bytes(project: Project) -> None:
    """The same bytes are success; others stay and are an error."""
    (task,) = made(project, "one", age_seconds=60, speed=100000)
    project.write("mine.mp4", "mine")

    other = project.wanrun("tasks", "--download", task, "--to", "mine.mp4", *FAST)
    twice = [project.wanrun("tasks", "--download", task, *FAST) for _ in range(2)]

    assert other.exit_code == 1, other
    assert "mine.mp4 holds something else already; move it away" in other.stderr
    assert (project.folder / "mine.mp4").read_text() == "mine"
    assert [said.exit_code for said in twice] == [0, 0]


def test_a_download_that_breaks_goes_on(project: Project) -> None:
    """A connection that is cut is no reason to give up, nor to start over; what comes out is whole."""
    (task,) = made(project, "one", age_seconds=60, speed=100000)
    faults = project.faults({"on": "download", "nth": 1, "do": {"cut_after_bytes": 1000}})

    said = project.wanrun("tasks", "--download", task, *FAST, *faults)

    assert said.exit_code == 0, said
    assert "received 1000 bytes" in said.stderr
    with account(project) as opened:
        calls: Any = opened.statement()["calls"]
    assert {int(status): count for status, count in calls["download"].items()} == {200: 1, 206: 1}
    assert not list(project.folder.glob(".wanrun-*"))


@pytest.mark.parametrize(("times", "code"), [({"nth": 1}, 0), ({"every": 1}, 1)], ids=["once", "always"])
def test_a_dead_link_is_replaced_by_a_fresh_one(project: Project, times: dict[str, int], code: int) -> None:
    """When that is dead too, the result is gone: exit code 1, and nothing is left behind."""
    (task,) = made(project, "one", age_seconds=60, speed=100000)
    faults = project.faults({"on": "download", **times, "do": {"status": 403, "code": "AccessDenied"}})

    said = project.wanrun("tasks", "--download", task, *FAST, *faults)

    assert said.exit_code == code, said
    assert "no longer works; a fresh link is asked for (403)" in said.stderr
    assert ("no longer keeps the result" in said.stderr) == bool(code)
    assert not list(project.folder.glob(".wanrun-*"))


def test_a_place_that_cannot_be_written_is_said(project: Project) -> None:
    """The path and the reason, no traceback, also with the emulator serving meanwhile."""
    (task,) = made(project, "one", age_seconds=60, speed=100000)

    said = project.wanrun("tasks", "--download", task, "--to", "/proc/clip.mp4", *FAST)

    assert said.exit_code == 3, said
    assert said.stderr.startswith("/proc/")
    assert said.stderr.endswith("; nothing was kept\n")


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ({"speed": 0.01}, 3, "is PENDING; there is no result yet, try again later"),
        ({"speed": 0.01, "model": ""}, 1, "the service does not know task"),
    ],
    ids=["waiting", "unknown"],
)
def test_only_a_finished_task_has_a_result(project: Project, options: dict[str, Any], code: int, words: str) -> None:
    """Exit code 3 while it may still come, 1 when it never will; nothing is written."""
    task = UNKNOWN if "model" in options else made(project, "one", **options)[0]

    said = project.wanrun("tasks", "--download", task, *SLOW)

    assert said.exit_code == code, said
    assert words in said.stderr
    assert not list(project.folder.glob("*.mp4"))


def test_a_place_that_is_not_there_is_said_before_anything_is_asked(project: Project) -> None:
    """Exit code 2 names the folder."""
    said = project.wanrun("tasks", "--download", UNKNOWN, "--to", "no/where.mp4", *FAST)

    assert said.exit_code == 2
    assert said.stderr.endswith("/no: no such folder (given by --to)\n")


# The service


def test_another_key_is_refused_in_one_line(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 4; the key is not in what is said."""
    monkeypatch.setenv("DASHSCOPE_API_KEY", "not-a-key-of-this-account")
    with project.emulator() as url:
        said = project.wanrun("tasks", "--base-url", url)

    assert (said.exit_code, said.stdout) == (4, ""), said
    assert "InvalidApiKey" in said.stderr
    assert "not-a-key" not in said.all


def test_without_a_key_nothing_is_asked(project: Project) -> None:
    """Exit code 2 says which variable to set."""
    said = project.wanrun("tasks")

    assert said.exit_code == 2
    assert said.stderr == "no API key: set DASHSCOPE_API_KEY (or try it out with --emulator)\n"


def test_a_service_that_is_away_is_waited_for_and_then_left(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 3 after the provider's patience, saying meanwhile what is waited for."""
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-any")
    project.write("wanrun.toml", "[providers.default]\npatience_seconds = 1.5\n")

    said = project.wanrun("tasks", "--base-url", DEAD)

    assert said.exit_code == 3, said
    assert re.match(r"waiting \d s: list: no whole answer from 127\.0\.0\.1:9", said.stderr)


def test_a_provider_is_chosen_by_name(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own address and key; a name that is not described is an error with the nearest."""
    monkeypatch.setenv("OTHER_KEY", "sk-other")
    with project.emulator() as url:
        project.write("wanrun.toml", f'[providers.other]\nbase_url = "{url}"\napi_key_env = "OTHER_KEY"\n')
        chosen = project.wanrun("tasks", "--provider", "other")
        misspelt = project.wanrun("tasks", "--provider", "othr")

    assert (chosen.exit_code, chosen.stdout) == (0, "no tasks in the last 24 h\n"), chosen
    assert misspelt.exit_code == 2
    assert misspelt.stderr == 'wanrun.toml describes no provider "othr"; did you mean "other"?\n'


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("a", "--cancel", "b"), "give one of TASK, --cancel TASK, --download TASK"),
        (("--cancel", "a", "--download", "b"), "give one of TASK"),
        (("--to", "a.mp4"), "--to without --download"),
        (("a", "--status", "RUNNING"), "--status and --model choose from the list"),
        (("--status", "DONE"), "Invalid value for '--status'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_does_not_go_together_is_refused(project: Project, args: tuple[str, ...], message: str) -> None:
    """Exit code 2, and where to read on."""
    said = project.wanrun("tasks", *args)

    assert (said.exit_code, said.stdout) == (2, "")
    assert said.stderr.startswith(message)
    assert said.stderr.endswith("see wanrun tasks --help\n")


@pytest.mark.parametrize("name", ["../statement", "a b", "a/cancel"])
def test_what_is_no_task_id_is_not_asked_for(project: Project, name: str) -> None:
    """It would become part of an address."""
    said = project.wanrun("tasks", name, *FAST)

    assert said.exit_code == 2
    assert "is no task id" in said.stderr


def test_an_interrupted_command_just_ends(project: Project) -> None:
    """Ctrl-C while the service is slow: exit code 130 and no traceback."""
    faults = project.faults({"on": "list", "every": 1, "do": {"status": 503}})
    child = project.start("tasks", *FAST, *faults)
    child.until("waiting")

    child.signal(signal.SIGINT)
    said = child.end()

    assert (said.exit_code, said.stdout) == (130, ""), said
    assert "Traceback" not in said.stderr


# Cancelling jobs


def test_the_tasks_of_a_stopped_run_are_cancelled(project: Project) -> None:
    """From the spec to the ledger: submitted, stopped, cancelled, failed and not billed; a later run pays nothing."""
    project.write("wanrun.toml", SETTINGS)
    spec = project.spec("one", "two")
    child = project.start("run", spec, *SLOW)
    for _ in range(2):
        child.until("submitted as task")
    child.signal(signal.SIGINT)
    assert child.end().exit_code == 130

    said = project.wanrun("cancel", "batch/*", *SLOW)
    again = project.wanrun("cancel", "batch/*", *SLOW)
    run = project.wanrun(spec, *FAST)

    assert (said.exit_code, said.stdout) == (0, "batch/one  cancelled\nbatch/two  cancelled\n"), said
    assert (again.exit_code, again.stdout) == (0, "nothing of batch/* is in flight\n")
    assert (run.exit_code, "2 failed; nothing was submitted" in run.stdout) == (1, True), run
    assert states(project) == dict.fromkeys(["batch/one", "batch/two"], "failed: cancelled by hand")
    assert billed(project) == 0


def test_a_job_is_chosen_by_address_or_pattern(project: Project) -> None:
    """Others stay in flight."""
    tasks = made(project, "a", "b", "c")
    own(project, a1=tasks[0], a2=tasks[1], b1=tasks[2])

    said = project.wanrun("cancel", "a*", *SLOW, "--format", "json")

    assert [(job["address"], job["cancelled"]) for job in said.json["jobs"]] == [("batch/a1", True), ("batch/a2", True)]
    assert states(project)["batch/b1"].startswith("in flight")


def test_what_runs_is_left_to_the_next_run(project: Project) -> None:
    """Exit code 1 says so for that job; the others are cancelled all the same."""
    (running,) = made(project, "runs", speed=1, age_seconds=30)
    (ended,) = made(project, "ended", speed=100000, age_seconds=30)
    (waiting,) = made(project, "waits")
    own(project, runs=running, ended=ended, waits=waiting)

    said = project.wanrun("cancel", "*", *SLOW)

    assert said.exit_code == 1, said
    assert said.stdout.splitlines() == [
        "batch/runs   not cancelled  too late, it runs already; the next run fetches it",
        "batch/ended  not cancelled  too late, it has ended and is billed; the next run fetches it",
        "batch/waits  cancelled",
    ]
    assert [state.partition(":")[0] for state in states(project).values()] == ["in flight", "in flight", "failed"]


def test_an_unsure_job_is_not_called_cancelled(project: Project) -> None:
    """Whether it has a task is not known, so nothing can be cancelled."""
    own(project)
    with emulator_ledger(project) as ledger:
        intended(ledger, "gone")

    said = project.wanrun("cancel", "gone", *SLOW)

    assert said.exit_code == 1
    assert "batch/gone  not cancelled  it is unsure: whether it has a task is found out by the next run" in said.stdout


@pytest.mark.parametrize(
    ("args", "words"),
    [(("nothing",), 'no job in the ledger matches "nothing"'), (("shot", "other/*"), 'matches "other/*"')],
    ids=["no job", "one of two"],
)
def test_a_pattern_that_matches_nothing_is_an_error(project: Project, args: tuple[str, ...], words: str) -> None:
    """Exit code 2, and nothing is cancelled."""
    own(project, shot=made(project, "one")[0])

    said = project.wanrun("cancel", *args, *SLOW)

    assert said.exit_code == 2, said
    assert words in said.stderr
    assert states(project)["batch/shot"].startswith("in flight")


def test_without_a_ledger_there_is_nothing_to_cancel(project: Project) -> None:
    """Exit code 2 says where it was looked for; none is made."""
    said = project.wanrun("cancel", "*", *SLOW)

    assert said.exit_code == 2
    assert said.stderr.startswith("there is no ledger at ")
    assert not (project.folder / ".wanrun").exists()


def test_a_ledger_of_another_service_is_not_written_to(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cancel at the wrong service changes nothing, and says whose ledger it is."""
    own(project, shot=made(project, "one")[0])
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-any")

    with project.emulator() as url:
        said = project.wanrun("cancel", "*", "--ledger", ".wanrun/emulator/ledger.db", "--base-url", url)

    assert said.exit_code == 2, said
    assert "belongs to the emulator account" in said.stderr
    assert states(project)["batch/shot"].startswith("in flight")


def test_nothing_is_cancelled_while_a_run_uses_the_ledger(project: Project) -> None:
    """Exit code 3 names the run."""
    child = project.start("run", project.spec("one"), *SLOW)
    child.until("submitted as task")

    said = project.wanrun("cancel", "*", *SLOW)
    child.signal(signal.SIGINT)
    child.end()

    assert said.exit_code == 3, said
    assert "is in use by another run (pid" in said.stderr


def test_the_statement_shows_what_the_list_cost(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """One list call a page, one query a task, and nothing else."""
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-any")
    with project.emulator() as url:
        project.wanrun("tasks", "--base-url", url)
        project.wanrun("tasks", UNKNOWN, "--base-url", url)
        calls: Any = project.statement(url)["calls"]

    assert {kind: sum(answers.values()) for kind, answers in calls.items()} == {"list": 1, "query": 1}
