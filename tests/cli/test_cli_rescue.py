"""`wanrun rescue`: every finished result of the account comes home, whichever program asked for it."""

from __future__ import annotations

import json
import signal
import sqlite3
import time
from contextlib import closing
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest
from account_parts import account, emulator_ledger, intended, made, own
from cli_parts import FAST, wait_until

from wanrun.fingerprint import prompt_key
from wanrun.ledger import AttemptState, LedgerLock
from wanrun.types import Job, Position

if TYPE_CHECKING:
    from pathlib import Path

    from cli_parts import Project, Said

pytestmark = pytest.mark.slow

RESCUED = ".wanrun/emulator/rescued"
DONE: dict[str, float] = {"age_seconds": 60, "speed": 100000}  #: of tasks that have ended a minute ago
AWAY = ("--emulator", "--edit", "none", "--speed", "0.01")


def rescue(project: Project, *args: str) -> Said:
    return project.wanrun("rescue", *FAST, *args)


def fates(said: Said) -> dict[str, str]:
    return {task["task"]: task["fate"] for task in said.json["tasks"]}


def downloads(project: Project) -> int:
    with account(project) as opened:
        calls: Any = opened.statement()["calls"]
    return sum(calls.get("download", {}).values())


def check_files(folder: Path, *tasks: str) -> None:
    """Check that there are these results with their sidecars, each whole, and nothing else."""
    assert {path.name for path in folder.iterdir()} == {f"{task}.mp4{end}" for task in tasks for end in ("", ".json")}
    for task in tasks:
        content = (folder / f"{task}.mp4").read_bytes()
        facts = json.loads((folder / f"{task}.mp4.json").read_text())
        assert (facts["bytes"], facts["sha256"]) == (len(content), sha256(content).hexdigest())
        assert facts["task_id"] == task


# Tasks that nobody here knows


def test_results_of_other_programs_become_files(project: Project) -> None:
    """With a sidecar that says what they are; no ledger is made, and no link is in any of it."""
    one, two = made(project, "clay please", "two", **DONE)

    said = rescue(project)

    assert said.exit_code == 0, said
    check_files(project.folder / RESCUED, one, two)
    facts = json.loads((project.folder / RESCUED / f"{one}.mp4.json").read_text())
    assert (facts["prompt"], facts["model"], facts["provider"]) == ("clay please", "wan2.7-videoedit", "default")
    assert (facts["request_id"], facts["job"]) == ("request-clay please", None)
    assert facts["created_at"] < facts["ended_at"] <= time.time()
    assert facts["usage"]["billed_seconds"] == 4
    assert f"task {one}: rescued, {RESCUED}/{one}.mp4 (30 kB)\n" in said.stdout
    assert said.stdout.endswith(f"2 tasks: 2 rescued\nrescued results are in {RESCUED}\n")
    assert not (project.folder / ".wanrun/emulator/ledger.db").exists()
    assert b"Signature=" not in project.bytes_of(RESCUED)
    assert (project.folder / RESCUED).stat().st_mode & 0o777 == 0o700


def test_a_second_rescue_downloads_nothing(project: Project) -> None:
    """What is there is known by its name and checksum."""
    one, two = made(project, "one", "two", **DONE)
    rescue(project)

    said = rescue(project, "--format", "json")

    assert (said.exit_code, fates(said)) == (0, {one: "there already", two: "there already"})
    assert downloads(project) == 2
    check_files(project.folder / RESCUED, one, two)


def test_what_a_killed_rescue_left_is_made_good(project: Project) -> None:
    """A file without its sidecar, a sidecar without its file, and a download under way."""
    one, two = made(project, "one", "two", **DONE)
    rescue(project)
    folder = project.folder / RESCUED
    (folder / f"{one}.mp4.json").unlink()
    (folder / f"{two}.mp4").unlink()
    (folder / ".wanrun-x").mkdir()
    (folder / ".wanrun-x/result.part").write_bytes(b"half")

    said = rescue(project)

    assert said.exit_code == 0, said
    check_files(folder, one, two)


def test_a_killed_rescue_leaves_no_partial_file(project: Project) -> None:
    """And the next one brings everything home."""
    tasks = made(project, "one", "two", "three", **DONE)
    slow = project.faults({"on": "download", "do": {"bytes_per_second": 3000}})
    folder = project.folder / RESCUED

    child = project.start("rescue", *FAST, *slow)
    wait_until(lambda: bool(list(folder.glob(".wanrun-*/result.part"))))
    child.signal(signal.SIGKILL)
    child.end()
    left = [path.name for path in folder.iterdir() if not path.name.startswith(".")]
    said = rescue(project)

    assert left == []
    assert said.exit_code == 0, said
    check_files(folder, *tasks)


def test_an_interrupted_rescue_tidies_up(project: Project) -> None:
    """Ctrl-C leaves nothing half done."""
    made(project, "one", **DONE)
    slow = project.faults({"on": "download", "do": {"bytes_per_second": 3000}})
    folder = project.folder / RESCUED

    child = project.start("rescue", *FAST, *slow)
    wait_until(lambda: bool(list(folder.glob(".wanrun-*/result.part"))))
    child.signal(signal.SIGINT)
    said = child.end()

    assert said.exit_code == 130
    assert "Traceback" not in said.all
    assert list(folder.iterdir()) == []


def test_a_folder_can_be_chosen(project: Project) -> None:
    """It is made, and it is the user's own."""
    (task,) = made(project, "one", **DONE)

    said = rescue(project, "--into", "safe/here")

    assert said.exit_code == 0, said
    check_files(project.folder / "safe/here", task)
    assert not (project.folder / RESCUED).exists()


@pytest.mark.parametrize("kind", ["video", "sidecar", "changed"])
def test_other_bytes_are_never_overwritten(project: Project, kind: str) -> None:
    """Exit code 1 names the file; the others come home."""
    one, two = made(project, "one", "two", **DONE)
    folder = project.folder / RESCUED
    if kind == "changed":
        rescue(project)
    name = f"{one}.mp4.json" if kind == "sidecar" else f"{one}.mp4"
    project.write(f"{RESCUED}/{name}", "mine")

    said = rescue(project)

    assert said.exit_code == 1, said
    assert f"{folder}/{name} " in said.stderr
    assert "move it away" in said.stderr
    assert (folder / name).read_text() == "mine"
    assert (folder / f"{two}.mp4").is_file()
    assert not list(folder.glob(".wanrun-*"))


def test_tasks_that_have_not_ended_are_counted(project: Project) -> None:
    """They are no failure: there is nothing to fetch yet."""
    (task,) = made(project, "one")

    said = project.wanrun("rescue", *AWAY)

    assert (said.exit_code, said.stdout) == (0, "1 task: 1 not ended yet\n"), task


def test_nothing_to_rescue_is_said(project: Project) -> None:
    """An empty account is an answer too."""
    said = rescue(project)

    assert (said.exit_code, said.stdout) == (0, "nothing to rescue\n")


# Bad ways


def test_a_dead_link_is_asked_for_anew(project: Project) -> None:
    """One refusal is no loss."""
    (task,) = made(project, "one", **DONE)

    said = rescue(project, *project.faults({"on": "download", "nth": 1, "do": {"status": 403, "code": "AccessDenied"}}))

    assert said.exit_code == 0, said
    check_files(project.folder / RESCUED, task)


def test_what_cannot_be_had_now_is_left_for_later(project: Project) -> None:
    """Exit code 3 with the reason; the others come home."""
    project.write("wanrun.toml", "[providers.default]\npatience_seconds = 1\n")
    one, two = made(project, "one", "two", **DONE)
    faults = project.faults({"on": "download", "prompt": "one", "do": {"status": 503}})

    said = rescue(project, *faults)
    again = rescue(project)

    assert said.exit_code == 3, said
    assert f"task {one}: later: download: http://127.0.0.1:" in said.stderr
    assert said.stdout.endswith(f"2 tasks: 1 rescued, 1 to be tried again\nrescued results are in {RESCUED}\n")
    assert again.exit_code == 0
    check_files(project.folder / RESCUED, one, two)


def test_a_link_that_stays_dead_is_no_loss_within_its_day(project: Project) -> None:
    """The service says that it keeps a result for 24 hours, so it may come back."""
    (task,) = made(project, "one", **DONE)

    said = rescue(project, *project.faults({"on": "download", "do": {"status": 403, "code": "AccessDenied"}}))

    assert said.exit_code == 3, said
    assert f"task {task}: later: " in said.stderr
    assert "not a day old; ask again later" in said.stderr


def test_neither_key_nor_link_is_written_or_said(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in a sidecar, not in the ledger, not in JSON; a link's query opens it."""
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-canary-0123456789")
    with project.emulator("--speed", "100000") as url:
        spec = project.spec("one")
        project.wanrun(spec, "--base-url", url)
        texts = [project.wanrun("rescue", "--all", "--base-url", url, *form).all for form in ((), ("--format", "json"))]

    assert list((project.folder / ".wanrun/rescued").glob("*.mp4"))
    for text in (*map(str.encode, texts), project.bytes_of()):
        assert b"canary" not in text
        assert b"Signature" not in text
        assert b"Expires" not in text


def test_a_refused_key_stops_it(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 4; the key is not in what is said."""
    monkeypatch.setenv("DASHSCOPE_API_KEY", "not-a-key-of-this-account")
    with project.emulator() as url:
        said = project.wanrun("rescue", "--base-url", url)

    assert said.exit_code == 4, said
    assert said.stderr.startswith("the tasks of provider default cannot be listed: ")
    assert "not-a-key" not in said.all


@pytest.mark.parametrize("place", ["/proc/rescued", "wanrun.toml/rescued"])
def test_a_folder_that_cannot_be_made_is_said(project: Project, place: str) -> None:
    """Before anything is asked of the service."""
    made(project, "one", **DONE)

    said = rescue(project, "--into", place)

    assert said.exit_code == 2, said
    assert "name another folder with --into" in said.stderr
    assert "Traceback" not in said.all


# Jobs of the ledger


def lose_result(project: Project, spec: str) -> None:
    """Run a spec whose downloads all fail, so that its tasks are left in flight."""
    project.write("wanrun.toml", "[providers.default]\npatience_seconds = 0.5\n")
    said = project.wanrun(spec, *FAST, *project.faults({"on": "download", "do": {"status": 503}}))
    assert said.exit_code == 3, said


def test_what_jobs_wait_for_goes_into_the_artifact_store(project: Project) -> None:
    """The next run delivers it, without asking for any result, and pays nothing."""
    spec = project.spec("one", "two")
    lose_result(project, spec)
    before = downloads(project)

    said = rescue(project, "--format", "json")
    after = downloads(project)
    run = project.wanrun(spec, *AWAY)

    assert said.exit_code == 0, said
    assert sorted(fates(said).values()) == ["in the store", "in the store"]
    assert {task["job"] for task in said.json["tasks"]} == {"batch/one", "batch/two"}
    assert run.exit_code == 0, run
    assert "2 done; nothing was submitted" in run.stdout
    assert after - before == 2
    assert downloads(project) == after
    with emulator_ledger(project) as ledger:
        names = [event["name"] for event in ledger.events() if str(event["run"]).startswith("rescue-")]
    assert names == ["job_fetched", "job_fetched"]


def test_what_the_ledger_has_is_not_fetched_again(project: Project) -> None:
    """Delivered or not; with --all it is copied into the folder, from the artifact store."""
    spec = project.spec("one")
    project.wanrun(spec, *FAST)
    before = downloads(project)

    nothing = rescue(project)
    everything = rescue(project, "--all", "--format", "json")

    assert (nothing.exit_code, nothing.stdout) == (0, "nothing to rescue\n")
    (task,) = everything.json["tasks"]
    assert (task["fate"], task["job"]) == ("rescued", "batch/one")
    assert downloads(project) == before
    check_files(project.folder / RESCUED, task["task"])


def test_an_earlier_take_that_was_fetched_is_not_fetched_again(project: Project) -> None:
    """A job that was paid for once more still has its first result."""
    spec = project.spec("one")
    project.wanrun(spec, *FAST)
    with emulator_ledger(project) as ledger:
        (entry,) = ledger.entries()
        assert entry.attempt is not None
        ledger.ended(entry.attempt.id, AttemptState.DISMISSED, "one more take")
        ledger.accepted(ledger.intend(entry.id, prompt_key="k"), task_id="task-2", request_id=None)

    said = rescue(project, "--format", "json")

    assert [task["task"] for task in said.json["tasks"]] == ["task-2"]


def test_with_all_what_jobs_wait_for_is_in_both_places(project: Project) -> None:
    """One download, two copies."""
    spec = project.spec("one")
    lose_result(project, spec)
    before = downloads(project)

    said = rescue(project, "--all", "--format", "json")

    (task,) = said.json["tasks"]
    assert (said.exit_code, task["fate"], downloads(project) - before) == (0, "in the store", 1)
    check_files(project.folder / RESCUED, task["task"])


def test_what_stands_in_the_folder_is_not_in_the_way_of_the_store(project: Project) -> None:
    """With --all too: the job's result is safe, and then the file in the way is named."""
    spec = project.spec("one")
    lose_result(project, spec)
    with emulator_ledger(project) as ledger:
        (task,) = ledger.jobs_of_tasks()
    project.write(f"{RESCUED}/{task}.mp4", "mine")

    said = rescue(project, "--all")

    assert said.exit_code == 1, said
    assert "holds something else already; move it away, or rescue into another folder with --into" in said.stderr
    assert "batch/one  to deliver" in project.wanrun("status", "--emulator").stdout
    assert (project.folder / RESCUED / f"{task}.mp4").read_text() == "mine"


def test_a_lost_ledger_does_not_keep_anything_from_coming_home(project: Project) -> None:
    """Then the results are files, and nothing is guessed about whose they are."""
    spec = project.spec("one", "two")
    lose_result(project, spec)
    for path in (project.folder / ".wanrun/emulator").glob("ledger.*"):
        path.unlink()

    said = rescue(project, "--format", "json")

    assert said.exit_code == 0, said
    assert list(fates(said).values()) == ["rescued", "rescued"]
    assert not (project.folder / ".wanrun/emulator/ledger.db").exists()


def test_a_result_is_lost_when_its_day_is_over(project: Project) -> None:
    """Exit code 7 says so once, and the ledger knows it; a second rescue has nothing to ask for."""
    with account(project, age_seconds=30 * 3600, speed=100000) as opened:
        body = {"model": "wan2.7-videoedit", "input": {"prompt": "p", "media": [MEDIUM]}}
        task = opened.create(body, request_id="r").id
    own(project, shot=task)
    with closing(sqlite3.connect(project.folder / ".wanrun/emulator/ledger.db", isolation_level=None)) as ledger:
        ledger.execute("UPDATE attempts SET intended_at = intended_at - 30 * 3600")

    said = rescue(project)
    again = rescue(project)

    assert said.exit_code == 7, said
    assert f"task {task} of batch/shot: lost: the service no longer keeps the result of task {task}" in said.stderr
    assert "batch/shot  lost" in project.wanrun("status", "--emulator").stdout
    assert again.exit_code == 0, again


MEDIUM = {"type": "video", "url": "https://example.com/a.mp4"}


def test_a_ledger_that_cannot_be_read_is_no_reason_to_give_up(project: Project) -> None:
    """It is said how to rescue without it."""
    (task,) = made(project, "one", **DONE)
    path = project.folder / project.write(".wanrun/emulator/ledger.db", "no ledger at all, but long enough " * 100)

    said = rescue(project)
    path.rename(path.with_name("bad.db"))
    without = rescue(project)

    assert said.exit_code == 2, said
    assert said.stderr.endswith("Without a ledger, once it is moved away, everything can be rescued as files\n")
    assert without.exit_code == 0, without
    check_files(project.folder / RESCUED, task)


def test_a_run_that_holds_the_ledger_is_left_alone(project: Project) -> None:
    """Exit code 3 says who holds it, and that nothing is lost; nothing is asked or written."""
    spec = project.spec("one")
    lose_result(project, spec)

    with LedgerLock(project.folder / ".wanrun/emulator/ledger.db"):
        said = rescue(project)

    assert said.exit_code == 3
    assert "is in use by another run (pid " in said.stderr
    assert "nothing is lost" in said.stderr
    assert not (project.folder / RESCUED).exists()


def test_the_ledger_of_another_account_is_refused(project: Project) -> None:
    """Exit code 2: its tasks would not be these."""
    made(project, "one", **DONE)
    with emulator_ledger(project) as ledger:
        ledger.belong_to("emulator:another")

    said = rescue(project)

    assert said.exit_code == 2, said
    assert "belongs to the emulator account another, but" in said.stderr
    assert not list((project.folder / RESCUED).iterdir())


# Jobs that may have made a task


def doubted(project: Project, name: str) -> None:
    """Let the ledger have a job whose create got no answer."""
    with account(project) as opened:
        owner = f"emulator:{opened.id}"
    with emulator_ledger(project) as ledger:
        ledger.belong_to(owner)
        attempt = intended(ledger, name)
        ledger.held(attempt, "its create got no answer", {})
    path = project.folder / "batch.yaml"
    job = Job("batch", name, path, Position(path, 1, 1), "wan2.7-videoedit", "default", name, None, (), {}, ())
    with closing(sqlite3.connect(project.folder / ".wanrun/emulator/ledger.db", isolation_level=None)) as connection:
        at = time.time() - 90
        connection.execute("UPDATE attempts SET prompt_key = ?, intended_at = ?", (prompt_key(job), at))


def test_whose_task_it_may_be_is_said_and_not_decided(project: Project) -> None:
    """The command that adopts it can be typed; then the next rescue takes the file, not the network."""
    task, _ = made(project, "shot", "another", **DONE)
    doubted(project, "shot")

    said = rescue(project)
    held = project.wanrun("status", "--emulator").stdout
    words = f"task {task} may be that of batch/shot: wanrun resolve --emulator batch/shot --adopt {task}"
    adopted = project.wanrun("resolve", "--emulator", "batch/shot", "--adopt", task)
    before = downloads(project)
    stored = rescue(project, "--format", "json")

    assert said.exit_code == 0, said
    assert words in said.stdout.splitlines()
    assert said.stdout.count("may be that of") == 1
    assert "batch/shot  held" in held
    assert adopted.exit_code == 0, adopted
    assert fates(stored)[task] == "in the store", stored
    assert downloads(project) == before


def test_an_adopted_result_comes_from_the_folder_when_the_service_has_it_no_more(project: Project) -> None:
    """What was rescued in time is not lost a day later."""
    (task,) = made(project, "shot", **DONE)
    doubted(project, "shot")
    rescue(project)
    project.wanrun("resolve", "--emulator", "batch/shot", "--adopt", task)
    history = project.folder / ".wanrun/emulator/account/history.jsonl"
    history.write_text("".join(line + "\n" for line in history.read_text().splitlines() if task not in line))

    said = rescue(project, "--format", "json")

    assert (said.exit_code, fates(said)) == (0, {task: "in the store"}), said


# Providers


def test_all_providers_are_asked_or_one_by_name(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider that is away keeps nobody else's results from coming home."""
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-one")
    with project.emulator() as url:
        project.write(
            "wanrun.toml",
            f'[providers.away]\nbase_url = "http://127.0.0.1:9/api/v1"\npatience_seconds = 0.5\n'
            f'[providers.here]\nbase_url = "{url}"\n',
        )
        both = project.wanrun("rescue")
        one = project.wanrun("rescue", "--provider", "here")
        misspelt = project.wanrun("rescue", "--provider", "her")

    assert both.exit_code == 3, both
    assert "the tasks of provider away cannot be listed: " in both.stderr
    assert (one.exit_code, one.stdout) == (0, "nothing to rescue\n"), one
    assert misspelt.exit_code == 2
    assert 'did you mean "here"?' in misspelt.stderr


def test_tasks_at_a_provider_that_is_not_described_any_more_are_said(project: Project) -> None:
    """Exit code 3: they cannot be asked for without its address and key."""
    (task,) = made(project, "one", **DONE)
    own(project, shot=task)
    with closing(sqlite3.connect(project.folder / ".wanrun/emulator/ledger.db", isolation_level=None)) as ledger:
        ledger.execute("UPDATE entries SET provider = 'old'")

    said = rescue(project)

    assert said.exit_code == 3, said
    assert 'tasks are in flight at the provider "old", which wanrun.toml no longer describes' in said.stderr
    assert f"task {task} of batch/shot: in the artifact store" in said.stdout
