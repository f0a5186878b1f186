"""`wanrun run` in this process, against the embedded emulator: what it prints, writes and returns."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from cli_parts import FAST, NO_LIST

if TYPE_CHECKING:
    from cli_parts import Project


def test_a_run_says_where_the_results_are(project: Project) -> None:
    """Standard output holds the places and the sum; the progress is on standard error."""
    said = project.wanrun("run", project.spec("one", "two"), *FAST)

    assert said.exit_code == 0, said
    assert said.stdout.splitlines() == [
        ".wanrun/emulator/delivered/out/one.mp4",
        ".wanrun/emulator/delivered/out/two.mp4",
        "at the service this would be: 8.81 CNY spent",
        "2 done; 2 tasks submitted. Ledger: .wanrun/emulator/ledger.db",
    ]
    assert said.stderr.splitlines()[0] == "2 jobs, 2 to submit"
    assert "batch/one: delivered to .wanrun/emulator/delivered/out/one.mp4" in said.stderr
    assert (project.folder / ".wanrun/emulator/delivered/out/one.mp4").read_bytes()[4:8] == b"ftyp"


def test_a_second_run_submits_nothing_and_says_so(project: Project) -> None:
    """What is done is never paid for again; the places are printed all the same."""
    spec = project.spec("one")
    project.wanrun(spec, *FAST)

    said = project.wanrun(spec, *FAST)

    assert said.exit_code == 0, said
    assert said.stdout.splitlines() == [
        ".wanrun/emulator/delivered/out/one.mp4",
        "1 done; nothing was submitted. Ledger: .wanrun/emulator/ledger.db",
    ]
    assert said.stderr == "1 job, 0 to submit\n"


def test_a_path_that_leads_out_of_the_emulators_folder_is_a_problem_of_the_spec(project: Project) -> None:
    """At its place, and with the exit code of a spec that is wrong: running again does not help."""
    spec = project.spec("one")
    project.write(spec, (project.folder / spec).read_text().replace("path: out", "path: ../out"))

    said = project.wanrun("run", spec, *FAST)

    assert (said.exit_code, said.stderr.count("\n")) == (2, 2)
    assert said.stderr.startswith("batch.yaml:4:18: sinks.disk: ../out: with --emulator results stay in ")
    assert project.wanrun("validate", spec).exit_code == 0


def test_json_says_the_same_for_programs(project: Project) -> None:
    """One document on standard output, with the name of the exit code."""
    said = project.wanrun("run", project.spec("one"), *FAST, "--format", "json")

    outcome = said.json
    assert (outcome["exit_code"], outcome["exit"], outcome["submitted"]) == (0, "ok", 1)
    assert outcome["states"] == {"done": 1}
    assert outcome["jobs"] == [
        {
            "job": "batch/one",
            "state": "done",
            "why": "",
            "places": [str(project.folder / ".wanrun/emulator/delivered/out/one.mp4")],
        }
    ]
    assert outcome["ledger"] == str(project.folder / ".wanrun/emulator/ledger.db")
    assert outcome["reasons"] == outcome["notes"] == []


def test_events_go_to_a_file(project: Project) -> None:
    """Each event is a JSON line; a second run appends its own."""
    spec = project.spec("one")
    project.wanrun(spec, *FAST, "--events", "events.jsonl")
    project.wanrun(spec, *FAST, "--events", "events.jsonl")

    lines = [json.loads(line) for line in (project.folder / "events.jsonl").read_text().splitlines()]

    assert [line["event"] for line in lines if line["event"].startswith("run_")] == ["run_started", "run_finished"] * 2
    assert {line.get("job", "batch/one") for line in lines} == {"batch/one"}


def test_events_on_standard_output_leave_it_to_them(project: Project) -> None:
    """With --events - all else is on standard error, so that a program can read the lines."""
    said = project.wanrun(project.spec("one"), *FAST, "--events", "-")

    names = [json.loads(line)["event"] for line in said.stdout.splitlines()]
    assert (names[0], names[-1]) == ("run_started", "run_finished")
    assert "1 done; 1 task submitted" in said.stderr


def test_a_quiet_run_says_only_what_came_of_it(project: Project) -> None:
    """-q leaves standard error empty when nothing went wrong."""
    said = project.wanrun("run", "-q", project.spec("one"), *FAST)

    assert (said.exit_code, said.stderr) == (0, "")
    assert "1 done" in said.stdout


def test_run_is_the_default_also_behind_options(project: Project) -> None:
    """`wanrun --emulator spec.yaml` is not a misspelt command."""
    said = project.wanrun(*FAST, project.spec("one"))

    assert said.exit_code == 0, said


def test_a_failed_job_asks_for_a_person_and_can_be_retried(project: Project) -> None:
    """Exit code 1 with the service's words; a plain second run leaves it alone, --retry-failed makes another task."""
    fail = {"on": "create", "nth": 1, "do": {"fail": {"code": "DataInspectionFailed", "message": "not\nthis"}}}
    spec, faults = project.spec("one"), project.faults(fail)

    failed = project.wanrun(spec, *FAST, *faults)
    plain = project.wanrun(spec, *FAST)
    status = project.wanrun("status", "--emulator")
    retried = project.wanrun(spec, *FAST, "--retry-failed")

    assert failed.exit_code == plain.exit_code == 1
    assert "batch/one: failed: not this (DataInspectionFailed)\n" in failed.stderr
    assert "batch/one is failed: not this (DataInspectionFailed)\n" in failed.stdout
    assert "1 failed; nothing was submitted" in plain.stdout
    assert "to try them anew: the same command with --retry-failed\n" in plain.stdout
    assert (status.stdout.count("--retry-failed"), "wanrun run --emulator SPEC" in status.stdout) == (1, True)
    assert (retried.exit_code, "1 done; 1 task submitted" in retried.stdout) == (0, True)


def test_a_held_job_says_what_to_do(project: Project) -> None:
    """Exit code 1; run and status name the job, the task it may have and how to settle it; nothing is sent again."""
    unclear = {"reset": "after", "unknown_after_seconds": 0}
    spec, faults = project.spec("one", "two"), project.faults({"on": "create", "nth": 1, "do": unclear})

    held = project.wanrun(spec, *FAST, *faults)
    again = project.wanrun(spec, *FAST, "--retry-failed")
    status = project.wanrun("status", "--emulator")

    assert held.exit_code == again.exit_code == 1
    assert "1 held" in held.stdout
    assert "1 done" in held.stdout
    assert "nothing was submitted" in again.stdout
    advice = "wanrun resolve --emulator batch/one --adopt TASK | --resubmit | --abandon"
    assert advice in held.stdout
    assert advice in status.stdout
    assert "wanrun status --emulator batch/one shows the tasks it may be, wanrun tasks --emulator TASK" in status.stdout
    assert "1 task submitted, 1 task may have been made. Ledger" in held.stdout
    (candidate,) = [line for line in status.stdout.splitlines() if line.startswith("    task ")]
    assert "the service does not tell what it is" in candidate
    (job,) = project.wanrun("status", "one", "--emulator", "--format", "json").json["jobs"]
    assert [each["finding"] for each in job["evidence"]["candidates"]] == ["unclear"]


def test_an_unsure_job_says_what_to_do(project: Project) -> None:
    """Exit code 3, and why it was not found out; run again, it is, and nothing is paid twice."""
    faults = project.faults({"on": "create", "nth": 1, "do": {"reset": "after"}}, NO_LIST)

    unsure = project.wanrun(project.spec("one"), *FAST, *faults)
    status = project.wanrun("status", "--emulator")
    settled = project.wanrun("batch.yaml", *FAST)

    assert unsure.exit_code == 3, unsure
    assert "whether 1 create without an answer made a task is not found out" in unsure.stdout
    assert "a run looks for its task in the account's list" in status.stdout
    assert "run it again to find out, or: wanrun resolve --emulator batch/one --adopt TASK" in status.stdout
    assert (settled.exit_code, "1 done; nothing was submitted" in settled.stdout) == (0, True), settled


def test_a_file_at_the_place_is_said_before_anything_is_paid(project: Project) -> None:
    """Other bytes at the place: exit code 1, they stay, nothing is paid; the job is tried anew when they are gone."""
    spec, place = project.spec("one"), ".wanrun/emulator/delivered/out/one.mp4"
    project.write(place, "mine")

    conflict = project.wanrun(spec, *FAST)
    assert (conflict.exit_code, "nothing was submitted" in conflict.stdout) == (1, True), conflict
    assert (project.folder / place).read_text() == "mine"
    assert "batch/one is failed: nothing was paid: the sink disk would write" in conflict.stdout

    (project.folder / place).unlink()
    delivered = project.wanrun(spec, *FAST, "--retry-failed")
    assert (delivered.exit_code, "1 task submitted" in delivered.stdout) == (0, True), delivered


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--edit", "none"), "--edit without --emulator"),
        (("--speed", "3", "--faults", "f.yaml"), "--speed and --faults without --emulator"),
        (("--deliver",), "--deliver without --emulator"),
        (("--emulator", "--base-url", "http://127.0.0.1:1/api/v1"), "--emulator and --base-url exclude each other"),
        (("--emulator", "--format", "json", "--events", "-"), "both write to standard output"),
        (("--emulator", "--events", "no/such/folder"), "no/such/folder: No such file or directory (given by --events)"),
        (("--emulator", "--faults", "nowhere.yaml"), "nowhere.yaml: cannot be read: No such file or directory"),
        (("--config", "nowhere.toml"), "nowhere.toml: no such file (given by --config)"),
        ((), "no API key: set DASHSCOPE_API_KEY (or try it out with --emulator)"),
    ],
    ids=lambda value: " ".join(value) or "no key" if isinstance(value, tuple) else "",
)
def test_a_call_that_is_wrong_is_refused_before_anything(project: Project, args: tuple[str, ...], words: str) -> None:
    """Exit code 2 with one clear line; above all, options of the emulator never reach the service that costs money."""
    said = project.wanrun("run", project.spec("one"), *args)

    assert said.exit_code == 2, said
    assert words in said.stderr
    assert "Traceback" not in said.all
    assert said.stdout == ""


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"version: 1\njobs: [", id="broken"),
        pytest.param(b"", id="empty"),
        pytest.param(b"\xff\xfe\x00", id="no text"),
        pytest.param(b"just words", id="words"),
        pytest.param(b"&a [*a]", id="circle"),
        pytest.param(b"[" * 5000, id="deep"),
        pytest.param(b"version: 1\njobs: 7", id="wrong type"),
        pytest.param(b"version: 1\njobs: [{id: a, medai: []}]", id="misspelt"),
    ],
)
def test_a_broken_spec_submits_nothing(project: Project, content: bytes) -> None:
    """Exit code 2, each problem at its place, and no ledger is made."""
    (project.folder / "bad.yaml").write_bytes(content)

    said = project.wanrun("bad.yaml", *FAST)

    assert said.exit_code == 2, said
    *problems, last = said.stderr.splitlines()
    assert all(line.startswith("bad.yaml:") for line in problems), said
    assert last.endswith("in bad.yaml; nothing was submitted")
    assert "Traceback" not in said.all
    assert not (project.folder / ".wanrun").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "[providers.default]\npoll_seconds = 'x'",
            'wanrun.toml: providers.default.poll_seconds is "x"; give a number',
        ),
        ("[providers.default]\nregoin = 'x'", 'wanrun.toml: unknown key "providers.default.regoin"; did you mean'),
        ("[providers.default]\nregion = 'mars'", "wanrun.toml: providers.default.region is "),
        ("[", "wanrun.toml: not valid TOML"),
    ],
)
@pytest.mark.parametrize("command", ["run", "validate", "plan", "status"])
def test_wrong_settings_are_said_by_every_command(project: Project, command: str, text: str, words: str) -> None:
    """Exit code 2, naming the file and the key."""
    project.write("wanrun.toml", text)

    said = project.wanrun(command, *([] if command == "status" else [project.spec("one")]))

    assert said.exit_code == 2, said
    assert words in said.stderr
    assert "Traceback" not in said.all
