"""`wanrun ledger`: a copy, a check, and a new ledger from the sidecars beside delivered results."""

from __future__ import annotations

import errno
import json
import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from account_parts import account, emulator_ledger
from cli_parts import FAST, HEAD

from disks import small_files
from wanrun.ledger.backup import faults_of

if TYPE_CHECKING:
    from pathlib import Path

    from cli_parts import Project

    from wanrun.ledger import Spent

pytestmark = pytest.mark.slow

LEDGER = ".wanrun/emulator/ledger.db"
OUT = ".wanrun/emulator/delivered/out"
REBUILD = ("ledger", "rebuild", "--emulator")


def lose_the_ledger(project: Project, *, store: bool = False) -> None:
    """Remove the ledger, and with `store` the artifacts too."""
    for path in (project.folder / ".wanrun/emulator").glob("ledger.*"):
        path.unlink()
    if store:
        shutil.rmtree(project.folder / ".wanrun/emulator/artifacts")


def delivered(project: Project, *ids: str) -> str:
    """Run a spec of these jobs to its end, and return its name."""
    spec = project.spec(*ids)
    assert project.wanrun(spec, *FAST).exit_code == 0
    return spec


def tasks_made(project: Project) -> int:
    with account(project) as opened:
        return len(opened.tasks)


def spent_of(project: Project) -> dict[str, Spent]:
    """Return what counts against a budget."""
    with emulator_ledger(project) as ledger:
        return ledger.spent()


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Return the bytes of each file and when it was written."""
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


def change(project: Project, name: str, **facts: Any) -> None:
    """Write other facts into a sidecar; None takes one away."""
    path = project.folder / OUT / name
    known = json.loads(path.read_text()) | facts
    path.write_text(json.dumps({key: value for key, value in known.items() if value is not None}))


# Rebuilding


@pytest.mark.parametrize("store", [False, True], ids=["the store is there", "the store is gone too"])
def test_after_a_rebuild_nothing_is_paid_or_delivered_again(project: Project, store: bool) -> None:
    """The plan says done, and a run makes no task and touches no file."""
    spec = delivered(project, "one", "two")
    before, spent = contents(project.folder / OUT), spent_of(project)
    lose_the_ledger(project, store=store)

    said = project.wanrun(*REBUILD)
    plan = project.wanrun("plan", spec, "--emulator", "--format", "json").json
    run = project.wanrun(spec, *FAST, "--format", "json")

    assert said.exit_code == 0, said
    assert said.stdout.startswith(f"{LEDGER}: 2 jobs, 2 tasks, 2 delivered; {'30 kB' if store else '0 kB'} copied")
    assert "wanrun tasks --emulator\n" in said.stdout
    assert "wanrun resolve --emulator JOB --adopt TASK --spec SPEC\n" in said.stdout
    assert [(job["state"], job["action"]) for job in plan["jobs"]] == [("done", "nothing")] * 2
    assert run.exit_code == 0, run
    assert (run.json["submitted"], tasks_made(project)) == (0, 2)
    assert contents(project.folder / OUT) == before
    assert spent_of(project) == spent
    assert project.wanrun("ledger", "check", "--deep", "--emulator").exit_code == 0


def test_a_rebuilt_ledger_knows_what_has_changed_since(project: Project) -> None:
    """Sidecars hold the words of a job, so the next plan can show the difference."""
    delivered(project, "one")
    lose_the_ledger(project)
    project.wanrun(*REBUILD)
    spec = project.spec("one", prompt="another prompt of {}")

    plan = project.wanrun("plan", spec, "--emulator")

    assert plan.stdout.splitlines()[1] == "    prompt: {+another+} prompt of one", plan


def test_a_sink_that_is_added_after_a_rebuild_is_delivered_to_without_paying(project: Project) -> None:
    """The artifact store has every result again."""
    spec = delivered(project, "one")
    lose_the_ledger(project, store=True)
    project.wanrun(*REBUILD)
    text = (project.folder / spec).read_text()
    project.write(spec, text.replace("sinks:\n", "sinks:\n  second: {folder: {path: second}}\n"))

    run = project.wanrun(spec, *FAST)

    assert run.exit_code == 0, run
    assert tasks_made(project) == 1
    assert (project.folder / ".wanrun/emulator/delivered/second/one.mp4").is_file()


def test_a_job_renamed_after_a_rebuild_is_moved(project: Project) -> None:
    """The sidecar says how to get to the spec, so it is known that the old name is gone."""
    spec = delivered(project, "one")
    lose_the_ledger(project)
    project.wanrun(*REBUILD)
    project.write(spec, (project.folder / spec).read_text().replace("id: one", "id: other"))

    run = project.wanrun(spec, *FAST)

    assert (run.exit_code, tasks_made(project)) == (0, 1), run
    assert (project.folder / OUT / "other.mp4").is_file()


def test_what_moved_before_the_ledger_was_lost_is_one_entry(project: Project) -> None:
    """Two files of one task: the later sidecar has the job's name."""
    spec = delivered(project, "one")
    project.write(spec, (project.folder / spec).read_text().replace("id: one", "id: other"))
    assert project.wanrun(spec, *FAST).exit_code == 0
    lose_the_ledger(project)

    said = project.wanrun(*REBUILD)
    run = project.wanrun(spec, *FAST)

    assert said.stdout.startswith(f"{LEDGER}: 1 job, 1 task, 2 delivered"), said
    assert (run.exit_code, tasks_made(project)) == (0, 1), run
    assert "1 done; nothing was submitted" in run.stdout


def test_two_sinks_of_one_job_are_two_deliveries(project: Project) -> None:
    """Each place has its sidecar, and both are known again."""
    head = HEAD.replace("sinks:\n", "sinks:\n  second: {folder: second}\n")
    job = "jobs:\n  - {id: one, prompt: p, media: [{video: https://example.com/one.mp4}]}\n"
    spec = project.write("batch.yaml", head + job)
    assert project.wanrun(spec, *FAST).exit_code == 0
    lose_the_ledger(project)

    said = project.wanrun(*REBUILD)

    assert said.stdout.startswith(f"{LEDGER}: 1 job, 1 task, 2 delivered"), said
    plan = project.wanrun("plan", spec, "--emulator", "--format", "json").json
    assert [job["state"] for job in plan["jobs"]] == ["done"]


def test_sidecars_of_older_versions_are_read(project: Project) -> None:
    """They name neither sink nor spec: nothing is paid, and the next run finds the file in its place."""
    spec = delivered(project, "one")
    change(project, "one.mp4.json", account=None, spec_path=None, sink=None)
    lose_the_ledger(project)

    said = project.wanrun(*REBUILD)
    run = project.wanrun(spec, *FAST)
    again = project.wanrun("plan", spec, "--emulator", "--format", "json").json

    assert said.exit_code == 0, said
    assert (run.exit_code, tasks_made(project)) == (0, 1), run
    assert [job["state"] for job in again["jobs"]] == ["done"]


def test_a_ledger_that_is_there_is_never_touched(project: Project) -> None:
    """Exit code 2 says what to do; elsewhere one can be made."""
    delivered(project, "one")
    before = (project.folder / LEDGER).read_bytes()

    said = project.wanrun(*REBUILD)
    elsewhere = project.wanrun(*REBUILD, "--into", "new/ledger.db")

    assert said.exit_code == 2
    assert "is there already, and nothing takes its place; move it away" in said.stderr
    assert (project.folder / LEDGER).read_bytes() == before
    assert elsewhere.exit_code == 0, elsewhere
    assert (project.folder / "new/ledger.db").stat().st_mode & 0o777 == 0o600
    assert len(list((project.folder / "new/artifacts").iterdir())) == 1


def test_a_journal_without_its_ledger_is_in_the_way(project: Project) -> None:
    """SQLite would play it back into the new ledger."""
    delivered(project, "one")
    lose_the_ledger(project)
    (project.folder / f"{LEDGER}-journal").write_bytes(bytes.fromhex("d9d505f920a163d7") + bytes(504))

    said = project.wanrun(*REBUILD)

    assert said.exit_code == 2
    assert "belongs to a ledger that is gone; move it away" in said.stderr


BAD: dict[str, tuple[Any, str]] = {
    "no JSON": (b"{", "it is no JSON"),
    "deep": (b"[" * 100_000, "it is no JSON"),
    "a list": (b"[]", "it is no JSON object"),
    "foreign": (b'{"name": "package"}', "wanrun did not write it"),
    "newer": ({"sidecar_version": 2}, "it is of version 2, which this wanrun does not know"),
    "no task": ({"task_id": None}, 'its "task_id" is missing or is none'),
    "a path as task": ({"task_id": "../../x"}, 'its "task_id" is missing or is none'),
    "no checksum": ({"sha256": "AB"}, 'its "sha256" is missing or is none'),
    "no size": ({"bytes": True}, 'its "bytes" is missing or is none'),
    "no fingerprint": ({"fingerprint": "1:ab"}, 'its "fingerprint" is missing or is none'),
    "another address": ({"address": "a/b"}, "its address is not that of its spec and job"),
    "half a character": ({"job": "\ud800", "address": "batch/\ud800"}, 'its "job" is not text that can be recorded'),
    "no usage": ({"usage": {"billed_seconds": "4"}}, 'its "usage" is none'),
    "odd usage": ({"usage": {"billed_seconds": 4, "x": 1}}, 'its "usage" is none'),
    "no account": ({"account": "me"}, 'its "account" is missing or is none'),
    "size": ({"bytes": 12}, "one.mp4 has another size than what was delivered; it is left out"),
    "checksum": ({"sha256": "ab" * 32}, "one.mp4 has another checksum than what was delivered; it is left out"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_sidecar_is_said_and_left_out(project: Project, name: str) -> None:
    """Line by line, with exit code 1; the others are taken."""
    content, words = BAD[name]
    delivered(project, "one", "two")
    lose_the_ledger(project)
    if isinstance(content, bytes):
        (project.folder / OUT / "one.mp4.json").write_bytes(content)
    else:
        change(project, "one.mp4.json", **content)

    said = project.wanrun(*REBUILD)

    assert said.exit_code == 1, said
    assert said.stderr.startswith(f"{OUT}/one.mp4.json: {words}")
    assert said.stdout.startswith(f"{LEDGER}: 1 job, 1 task, 1 delivered")


@pytest.mark.parametrize(("store", "tasks"), [(False, 1), (True, 2)], ids=["in the store", "nowhere"])
def test_a_result_that_was_taken_away_is_taken_from_the_store(project: Project, store: bool, tasks: int) -> None:
    """Then it is delivered again, for nothing; where it is nowhere, it is said that a run would pay."""
    spec = delivered(project, "one")
    (project.folder / OUT / "one.mp4").unlink()
    lose_the_ledger(project, store=store)

    said = project.wanrun(*REBUILD)
    run = project.wanrun(spec, *FAST)

    assert said.exit_code == 1
    assert "one.mp4 is not beside it; " in said.stderr
    assert ("a run would pay for it again" in said.stderr) == store
    assert (run.exit_code, tasks_made(project)) == (0, tasks), run
    assert (project.folder / OUT / "one.mp4").is_file()


def test_sidecars_that_contradict_each_other_are_left_out(project: Project) -> None:
    """Both are named: neither can be believed."""
    delivered(project, "one", "two", "three")
    task = json.loads((project.folder / OUT / "two.mp4.json").read_text())["task_id"]
    change(project, "one.mp4.json", task_id=task)
    lose_the_ledger(project)

    said = project.wanrun(*REBUILD, "--format", "json")

    assert said.exit_code == 1, said
    assert [problem["why"] for problem in said.json["problems"]] == [
        f"it says something else of task {task} than two.mp4.json",
        f"it says something else of task {task} than one.mp4.json",
    ]
    assert (said.json["jobs"], said.json["tasks"]) == (1, 1)


def test_what_another_account_made_is_left_out(project: Project) -> None:
    """A ledger belongs to one service; an emulator's results are no proof of a payment."""
    delivered(project, "one", "two")
    change(project, "one.mp4.json", account="service")
    lose_the_ledger(project)

    said = project.wanrun(*REBUILD, "--format", "json")

    assert said.exit_code == 1
    assert (said.json["account"], said.json["jobs"]) == ("service", 1)
    assert said.json["problems"][0]["why"].endswith("and this ledger to service")
    assert project.wanrun("batch.yaml", *FAST).exit_code == 2


def test_the_emulators_results_are_not_looked_at_for_the_services_ledger(project: Project) -> None:
    """Without --emulator the whole project is searched, but for wanrun's own folder."""
    delivered(project, "one")

    said = project.wanrun("ledger", "rebuild")

    assert (said.exit_code, said.stdout) == (1, "")
    assert said.stderr == "no sidecar that can be used was found; no ledger was made\n"
    assert not (project.folder / ".wanrun/ledger.db").exists()


def test_rescued_results_belong_to_no_job(project: Project) -> None:
    """Their sidecars are passed over, and counted."""
    delivered(project, "one")
    lose_the_ledger(project)
    assert project.wanrun("rescue", *FAST, "--into", f"{OUT}/more").exit_code == 0

    said = project.wanrun(*REBUILD, "--format", "json")

    assert said.exit_code == 0, said
    assert (said.json["tasks"], said.json["rescued"], said.json["problems"]) == (1, 1, [])


def test_a_full_disk_leaves_no_half_ledger(project: Project) -> None:
    """Exit code 3, and once there is space the same command makes it."""
    delivered(project, "one")
    lose_the_ledger(project, store=True)

    with small_files():
        full = project.wanrun(*REBUILD)
    left = [path.name for path in (project.folder / ".wanrun/emulator").rglob("*.part")]
    there = (project.folder / LEDGER).exists()
    well = project.wanrun(*REBUILD)

    assert "no ledger was made" in full.stderr, full
    assert (left, there) == ([], False)
    assert well.exit_code == 0, well


def test_a_folder_that_is_not_there_is_said(project: Project) -> None:
    """Exit code 2, and no ledger."""
    said = project.wanrun(*REBUILD, "nowhere")

    assert said.exit_code == 2
    assert said.stderr.endswith("/nowhere: no such folder\n")
    assert not (project.folder / ".wanrun").exists()


# Copies


def test_a_copy_can_take_the_ledgers_place(project: Project) -> None:
    """A run with it goes on as with the ledger itself."""
    spec = delivered(project, "one")

    said = project.wanrun("ledger", "backup", "copy.db", "--emulator")
    shutil.move(project.folder / "copy.db", project.folder / LEDGER)
    run = project.wanrun(spec, *FAST)

    assert (said.exit_code, said.stderr) == (0, ""), said
    assert said.stdout.startswith("copy.db (")
    assert said.stdout.endswith("kB), checked\n")
    assert (run.exit_code, tasks_made(project)) == (0, 1), run


def test_copies_are_whole_while_a_run_is_writing(project: Project) -> None:
    """And the run never notices."""
    spec = project.spec(*(f"job-{number}" for number in range(12)))
    child = project.start(spec, *FAST)
    child.until(": submitted")

    copies = []
    while child.process.poll() is None:
        name = f"copy-{len(copies)}.db"
        assert project.wanrun("ledger", "backup", name, "--emulator").exit_code == 0
        copies.append(project.folder / name)
    said = child.end()

    assert said.exit_code == 0, said
    assert copies
    assert [faults_of(copy) for copy in copies] == [[]] * len(copies)


def test_a_copy_is_told_to_programs(project: Project) -> None:
    """Where it is and how large; a second one needs --force."""
    delivered(project, "one")
    args = ("ledger", "backup", "copy.db", "--emulator", "--format", "json")

    first = project.wanrun(*args)
    second = project.wanrun(*args)
    forced = project.wanrun(*args, "--force")

    path = project.folder / "copy.db"
    assert first.json == {"ledger": str(project.folder / LEDGER), "path": str(path), "bytes": path.stat().st_size}
    assert (second.exit_code, forced.exit_code) == (2, 0)
    assert second.stderr == f"{path} is there already; name another file, or replace it with --force\n"


@pytest.mark.parametrize("name", ["backup", "check"])
def test_without_a_ledger_there_is_nothing_to_look_at(project: Project, name: str) -> None:
    """Exit code 2, and none is made."""
    said = project.wanrun("ledger", name, *(["copy.db"] if name == "backup" else []))

    assert said.exit_code == 2
    assert said.stderr.startswith(f"there is no ledger at {project.folder}/.wanrun/ledger.db; nothing to ")
    assert not (project.folder / ".wanrun").exists()


# Checking


def artifact(project: Project) -> Path:
    (found,) = (project.folder / ".wanrun/emulator/artifacts").glob("*.mp4")
    return found


def test_a_sound_ledger_is_said_to_be_sound(project: Project) -> None:
    """Quickly by sizes, or by every byte."""
    delivered(project, "one")

    quick = project.wanrun("ledger", "check", "--emulator")
    deep = project.wanrun("ledger", "check", "--emulator", "--deep", "--format", "json")

    assert (quick.exit_code, deep.exit_code) == (0, 0)
    assert "all 1 are there, with the right size" in quick.stdout
    assert deep.json["findings"][1]["facts"] == {"artifacts": 1, "deep": True}


def test_a_damaged_artifact_is_found(project: Project) -> None:
    """One byte is only found by reading; what to do is said with the place of the good copy."""
    delivered(project, "one")
    content = bytearray(artifact(project).read_bytes())
    content[-1] ^= 1
    artifact(project).write_bytes(content)

    quick = project.wanrun("ledger", "check", "--emulator")
    deep = project.wanrun("ledger", "check", "--emulator", "--deep")

    assert quick.exit_code == 0
    assert deep.exit_code == 1
    assert "has another checksum than when it was fetched; move it away; its delivered copy is .wanrun/" in deep.stdout


def test_an_artifact_of_another_size_is_found(project: Project) -> None:
    """Without reading any."""
    delivered(project, "one")
    artifact(project).write_bytes(b"short")

    said = project.wanrun("ledger", "check", "--emulator")

    assert said.exit_code == 1
    assert "has 0 kB instead of 30 kB (5 and 3" in said.stdout


def test_an_artifact_that_is_gone_matters_while_it_is_to_be_delivered(project: Project) -> None:
    """What is delivered needs it no more."""
    spec = delivered(project, "one")
    artifact(project).unlink()
    done = project.wanrun("ledger", "check", "--emulator")
    with closing(sqlite3.connect(project.folder / LEDGER, isolation_level=None)) as ledger:
        ledger.execute("UPDATE deliveries SET state = 'failed'")
    missing = project.wanrun("ledger", "check", "--emulator")

    assert (done.exit_code, missing.exit_code) == (0, 1), spec
    assert "it is delivered, and nothing needs it" in done.stdout
    assert "the next run fetches it anew while the service keeps it" in missing.stdout


def test_a_damaged_ledger_is_found(project: Project) -> None:
    """Exit code 1, and the way out."""
    delivered(project, *(f"job-{number}" for number in range(3)))
    path = project.folder / LEDGER
    content = bytearray(path.read_bytes())
    content[4096 * 3 : 4096 * 5] = bytes(4096 * 2)
    path.write_bytes(content)

    said = project.wanrun("ledger", "check", "--emulator")

    assert said.exit_code == 1, said
    assert "wanrun ledger rebuild" in said.stdout
    assert "Traceback" not in said.all


def test_a_ledger_that_cannot_be_looked_at_is_not_called_damaged(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the error says, with its exit code, and no advice to move anything away."""
    project.wanrun(project.spec("one"), *FAST)
    project.write("notes.txt", "no database " * 100)
    with closing(sqlite3.connect(project.folder / "other.db")) as other, other:
        other.execute("CREATE TABLE notes (words TEXT)")

    foreign = project.wanrun("ledger", "check", "--ledger", "notes.txt")
    another = project.wanrun("ledger", "check", "--ledger", "other.db")
    with monkeypatch.context() as patch:
        patch.setattr("wanrun.ledger.backup.check_journal", forbidden)
        denied = project.wanrun("ledger", "check", "--emulator")
    project.write(LEDGER, "no database " * 100)
    spoilt = project.wanrun("ledger", "check", "--emulator")

    assert [each.exit_code for each in (foreign, another, denied, spoilt)] == [2, 2, 2, 1]
    assert "notes.txt is no ledger: it is not even a database" in foreign.stdout
    assert "other.db is no ledger of wanrun" in another.stdout
    assert "Permission denied" in denied.stdout
    assert ["move it away" in each.stdout for each in (foreign, another, denied, spoilt)] == [False] * 3 + [True]


def forbidden(path: Path) -> None:
    """Fail as the system does for a file of somebody else."""
    raise PermissionError(errno.EACCES, "Permission denied", str(path))
