"""A ledger carried from place to place: nothing is paid twice, and no run uses a copy while another goes on."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from account_parts import account, emulator_ledger, intended, own
from cli_parts import FAST, NO_LIST

from disks import small_files
from processes import COMMAND

if TYPE_CHECKING:
    from pathlib import Path

    from cli_parts import Project

pytestmark = pytest.mark.slow

STATE = ".wanrun/emulator"
LEDGER = f"{STATE}/ledger.db"
EXPORT = ("ledger", "export", "--emulator")
IMPORT = ("ledger", "import", "--emulator")


def delivered(project: Project, *ids: str) -> str:
    """Run a spec of these jobs to its end, and return its name."""
    spec = project.spec(*ids)
    assert project.wanrun(spec, *FAST).exit_code == 0
    return spec


def tasks_made(project: Project) -> int:
    with account(project) as opened:
        return len(opened.tasks)


def move_away(project: Project, *, artifacts: bool = True) -> None:
    """Leave what another machine would not have: the ledger, and the artifact store."""
    for path in (project.folder / STATE).glob("ledger*"):
        path.unlink()
    if artifacts:
        shutil.rmtree(project.folder / STATE / "artifacts", ignore_errors=True)


def carry(project: Project, name: str = "ledger.jsonl") -> str:
    """Export the ledger, and leave nothing else of it."""
    assert project.wanrun(*EXPORT, name).exit_code == 0
    move_away(project)
    return name


def contents(folder: Path) -> dict[str, bytes]:
    """Return what is in the files of a folder, but for who used the ledger last and when."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.suffix != ".lock"}


# There and back


@pytest.mark.parametrize("name", ["ledger.jsonl", "ledger.jsonl.gz"])
def test_a_ledger_that_was_carried_knows_what_is_paid(project: Project, name: str) -> None:
    """The next run submits nothing and delivers nothing; the file is private."""
    spec = delivered(project, "one", "two")
    said = project.wanrun(*EXPORT, name)
    move_away(project)

    taken = project.wanrun(*IMPORT, name)
    run = project.wanrun(spec, *FAST)

    assert said.stdout.startswith(f"{name} (")
    assert (project.folder / name).stat().st_mode & 0o777 == 0o600
    assert taken.exit_code == 0, taken
    assert taken.stdout.startswith(f"{LEDGER}: 2 done; as of 20")
    assert "2 results not in the artifact store here: delivered, and nothing needs them\n" in taken.stdout
    assert (run.exit_code, tasks_made(project)) == (0, 2), run
    assert "2 done; nothing was submitted" in run.stdout


def test_a_ledger_goes_through_a_pipe(project: Project) -> None:
    """Standard output has the file and nothing else."""
    spec = delivered(project, "one")
    env = {"PATH": os.environ["PATH"], "PYTHONUTF8": "1"}
    out = subprocess.run([*COMMAND, *EXPORT, "-"], cwd=project.folder, env=env, capture_output=True, check=True)
    move_away(project)

    taken = subprocess.run(
        [*COMMAND, *IMPORT, "-", "--format", "json"], cwd=project.folder, env=env, input=out.stdout, capture_output=True
    )
    run = project.wanrun(spec, *FAST)

    assert out.stderr == b""
    assert taken.returncode == 0, taken.stderr
    assert json.loads(taken.stdout)["states"] == {"done": 1}
    assert (run.exit_code, tasks_made(project)) == (0, 1), run


def test_what_is_in_flight_comes_home_elsewhere(project: Project) -> None:
    """The file says until when; the task that is known is not made again."""
    spec = project.spec("one")
    assert project.wanrun(spec, *FAST, "--no-wait").exit_code == 3

    taken = project.wanrun(*IMPORT, carry(project))
    run = project.wanrun(spec, *FAST)

    assert "ledger.db: 1 in flight; as of 20" in taken.stdout, taken
    assert "the first result of what is in flight is gone at 20" in taken.stdout
    assert (run.exit_code, tasks_made(project)) == (0, 1), run


def test_a_create_in_the_air_is_looked_for_elsewhere(project: Project) -> None:
    """A run that dies before the answer, and another machine that goes on: one task."""
    spec = project.spec("one")
    child = project.start(spec, *FAST, *project.faults({"on": "create", "do": {"latency_seconds": 60}}))
    child.until("1 to submit")
    while not any(entry.attempts for entry in _entries(project)):
        assert child.process.poll() is None
    child.signal(signal.SIGKILL)
    child.end()

    taken = project.wanrun(*IMPORT, carry(project))
    run = project.wanrun(spec, *FAST)

    assert "ledger.db: 1 unsure; as of 20" in taken.stdout, taken
    assert (run.exit_code, tasks_made(project)) == (0, 1), run


def _entries(project: Project) -> list[Any]:
    if not (project.folder / LEDGER).is_file():
        return []
    with emulator_ledger(project) as ledger:
        return list(ledger.entries())


def test_an_unsure_attempt_stays_unsure(project: Project) -> None:
    """With what its task can be known by: a list that can be read again tells."""
    spec = project.spec("one")
    lost = project.faults({"on": "create", "do": {"reset": "after"}}, NO_LIST)
    assert project.wanrun(spec, *FAST, *lost).exit_code in (1, 3)

    taken = project.wanrun(*IMPORT, carry(project))
    run = project.wanrun(spec, *FAST)

    assert "ledger.db: 1 unsure; as of 20" in taken.stdout, taken
    assert (run.exit_code, tasks_made(project)) == (0, 1), run


def test_a_result_that_is_needed_and_not_here_is_said(project: Project) -> None:
    """While the service has it, the next run fetches it anew and delivers it."""
    spec = project.spec("one")
    project.write(".wanrun/emulator/delivered/out", "a file where a folder should be")
    assert project.wanrun(spec, *FAST).exit_code in (1, 3)
    name = carry(project)
    (project.folder / ".wanrun/emulator/delivered/out").unlink()

    taken = project.wanrun(*IMPORT, name)
    facts = project.wanrun(*IMPORT, name, "--format", "json").json
    run = project.wanrun(spec, *FAST)

    assert "batch/one: its result is not here, nor delivered; the service has it until 20" in taken.stdout, taken
    assert [(each["job"], each["needed"]) for each in facts["missing"]] == [("batch/one", True)]
    assert (run.exit_code, tasks_made(project)) == (0, 1), run


# Refusals


def forked(project: Project) -> str:
    """Return a spec after a file was made of its ledger, and another job was run."""
    delivered(project, "one")
    assert project.wanrun(*EXPORT, "old.jsonl").exit_code == 0
    return delivered(project, "one", "two")


def test_an_older_file_is_refused_with_what_it_does_not_know(project: Project) -> None:
    """Exit code 2, and the ledger is as it was."""
    forked(project)
    before = (project.folder / LEDGER).read_bytes()
    with emulator_ledger(project) as ledger:
        task = ledger.entries()[-1].attempts[-1].task_id

    said = project.wanrun(*IMPORT, "old.jsonl")

    assert said.exit_code == 2
    assert said.stderr.startswith(
        f"old.jsonl is older than {project.folder}/{LEDGER}; nothing was changed\n"
        "only the ledger here knows:\n"
        f"  batch/two: delivered: .wanrun/emulator/delivered/out/two.mp4\n"
        f"  batch/two: task {task}, fetched\n"
    ), said
    assert (project.folder / LEDGER).read_bytes() == before


def test_a_file_that_has_diverged_is_refused_with_both_sides(project: Project) -> None:
    """Each has a task that the other does not know."""
    forked(project)
    assert project.wanrun(*EXPORT, "here.jsonl").exit_code == 0
    move_away(project)
    project.wanrun(*IMPORT, "old.jsonl")
    delivered(project, "one", "three")

    said = project.wanrun(*IMPORT, "here.jsonl")

    assert said.exit_code == 2
    here, _, there = said.stderr.partition("only the file knows:\n")
    assert "here.jsonl has diverged from" in here, said
    assert ("batch/three: task" in here, "batch/three" in there) == (True, False)
    assert ("batch/two: task" in there, "batch/two" in here) == (True, False)


def test_giving_a_ledger_up_takes_the_name_of_its_state(project: Project) -> None:
    """The state is kept beside, and each task that is known no more is named with how to give it back to its job."""
    spec = forked(project)
    state = project.wanrun(*IMPORT, "old.jsonl").stderr.split()[-1]
    with emulator_ledger(project) as ledger:
        task = ledger.entries()[-1].attempts[-1].task_id

    wrong = project.wanrun(*IMPORT, "old.jsonl", "--replace", "0123456789ab")
    said = project.wanrun(*IMPORT, "old.jsonl", "--replace", state)
    adopted = project.wanrun("resolve", "--emulator", "batch/two", "--adopt", str(task), "--spec", spec)
    run = project.wanrun(spec, *FAST)

    assert wrong.exit_code == 2
    assert "--replace 0123456789ab names another state of the ledger here" in wrong.stderr
    assert said.exit_code == 0, said
    assert f"the ledger that was here is kept as {STATE}/ledger-{state}.db\n" in said.stdout
    assert f"  wanrun resolve --emulator batch/two --adopt {task} --spec SPEC\n" in said.stdout
    assert (project.folder / STATE / f"ledger-{state}.db").stat().st_mode & 0o777 == 0o600
    assert adopted.exit_code == 0, adopted
    assert (run.exit_code, tasks_made(project)) == (0, 2), run


def test_a_newer_file_takes_the_older_ledgers_place(project: Project) -> None:
    """And a file that knows the same changes nothing."""
    spec = forked(project)
    assert project.wanrun(*EXPORT, "new.jsonl").exit_code == 0
    move_away(project)
    project.wanrun(*IMPORT, "old.jsonl")

    newer = project.wanrun(*IMPORT, "new.jsonl", "--format", "json")
    before = contents(project.folder / STATE)
    same = project.wanrun(*IMPORT, "new.jsonl")

    assert (newer.exit_code, newer.json["was"]) == (0, "newer"), newer
    assert newer.json["kept"] == f"{project.folder}/{STATE}/ledger-before-import.db"
    assert same.stdout.startswith(f"{LEDGER}: known already; 2 done; as of")
    assert contents(project.folder / STATE) == before
    assert (project.wanrun(spec, *FAST).exit_code, tasks_made(project)) == (0, 2)


def test_one_services_ledger_never_takes_anothers_place(project: Project) -> None:
    """Neither over a ledger, nor as that of the embedded emulator."""
    with project.ledger() as ledger:
        ledger.belong_to("service")
    project.wanrun("ledger", "export", "service.jsonl")
    own(project, one="task-1")
    project.wanrun(*EXPORT, "emulator.jsonl")

    over = project.wanrun("ledger", "import", "emulator.jsonl")
    state = project.wanrun(*IMPORT, "service.jsonl", "--replace", "x")
    move_away(project)
    alone = project.wanrun(*IMPORT, "service.jsonl")

    assert (over.exit_code, state.exit_code, alone.exit_code) == (2, 2, 2)
    assert "emulator.jsonl belongs to the emulator account" in over.stderr
    assert f"and {project.folder}/.wanrun/ledger.db to the service itself" in over.stderr
    assert alone.stderr == ("service.jsonl belongs to the service itself, not to an emulator; leave out --emulator\n")
    assert not (project.folder / LEDGER).exists()


@pytest.mark.parametrize("args", [EXPORT, IMPORT], ids=["export", "import"])
def test_a_full_disk_leaves_no_half_file(project: Project, args: tuple[str, ...]) -> None:
    """And once there is space the same command works."""
    delivered(project, *(f"job-{number}" for number in range(12)))
    if args is IMPORT:
        carry(project)

    with small_files():
        full = project.wanrun(*args, "ledger.jsonl")
    left = [path.name for name in ("*.part", "ledger.db", "ledger.jsonl") for path in project.folder.rglob(name)]
    well = project.wanrun(*args, "ledger.jsonl")

    assert full.exit_code in (2, 3), full
    assert left == (["ledger.db"] if args is EXPORT else ["ledger.jsonl"])
    assert well.exit_code == 0, well


def test_a_file_that_is_there_is_kept(project: Project) -> None:
    """Until --force."""
    delivered(project, "one")
    project.write("ledger.jsonl", "mine")

    said = project.wanrun(*EXPORT, "ledger.jsonl")
    forced = project.wanrun(*EXPORT, "ledger.jsonl", "--force", "--format", "json")

    assert said.exit_code == 2
    assert said.stderr.endswith("/ledger.jsonl is there already; name another file, or replace it with --force\n")
    assert (forced.exit_code, forced.json["lent_to"]) == (0, None), forced
    assert forced.json["bytes"] == (project.folder / "ledger.jsonl").stat().st_size


def test_a_missing_file_and_a_missing_ledger_are_said(project: Project) -> None:
    """Exit code 2, and nothing is made."""
    none = project.wanrun("ledger", "import", "ledger.jsonl")
    out = project.wanrun("ledger", "export", "ledger.jsonl")
    pipe = project.wanrun("ledger", "export", "-")

    assert [each.exit_code for each in (none, out, pipe)] == [2, 2, 2]
    assert none.stderr == "ledger.jsonl: No such file or directory\n"
    assert out.stderr == pipe.stderr == f"there is no ledger at {project.folder}/.wanrun/ledger.db; nothing to copy\n"
    assert not (project.folder / ".wanrun").exists()


# Lent


def test_nobody_runs_with_a_ledger_that_is_lent(project: Project) -> None:
    """Plan and status look at it; a run makes no call, and says what a person has to do."""
    spec = delivered(project, "one")
    project.wanrun(*EXPORT, "lent.jsonl", "--lent-to", "job 7")
    move_away(project)

    taken = project.wanrun(*IMPORT, "lent.jsonl")
    plan = project.wanrun("plan", spec, "--emulator", "--format", "json")
    run = project.wanrun(project.spec("one", "two"), *FAST)
    again = project.wanrun(*EXPORT, "again.jsonl", "--lent-to", "job 8")
    doctor = project.wanrun("doctor", "--emulator")

    assert "it is lent to job 7 at 20" in taken.stdout, taken
    assert plan.json["actions"] == {"nothing": 1}
    assert (run.exit_code, tasks_made(project)) == (1, 1), run
    assert f"{LEDGER} was lent to job 7 at 20" in run.stderr
    assert 'and then: wanrun ledger reclaim "job 7"' in run.stderr
    assert (again.exit_code, again.stderr) == (1, run.stderr)  # nor can it be lent to another
    assert (doctor.exit_code, run.stderr.strip() in doctor.stdout) == (1, True), doctor


@pytest.mark.parametrize(
    "written", ["{", "[]", '{"to": 1, "at": 5}', '{"to": "me", "at": "x"}', "[" * 100_000, b"\x00"]
)
def test_a_ledger_that_does_not_say_whom_it_is_lent_to_is_damaged(project: Project, written: str | bytes) -> None:
    """It may be lent to anybody, so nobody runs with it or hands it on; in words, with what to do."""
    spec = delivered(project, "one")
    project.wanrun(*EXPORT, "good.jsonl")
    with closing(sqlite3.connect(project.folder / LEDGER)) as raw:
        raw.execute("INSERT INTO meta VALUES ('lent', ?)", (written,))
        raw.commit()

    commands = (
        (spec, *FAST),
        ("plan", spec, "--emulator"),
        (*EXPORT, "again.jsonl"),
        (*IMPORT, "good.jsonl"),
        ("ledger", "reclaim", "--emulator", "me"),
    )
    said = [project.wanrun(*command) for command in commands]
    looked = [project.wanrun(*command, "--emulator") for command in (("ledger", "check"), ("doctor",))]
    status = project.wanrun("status", "--emulator", "--format", "json")

    for each in said:
        assert each.exit_code == 1, each
        assert f"{LEDGER} is damaged: it does not say whom it is lent to: " in each.stderr
        assert "take the last good copy of it, or make a new one: wanrun ledger rebuild" in each.stderr
        assert "Traceback" not in each.all
    for each in looked:
        assert (each.exit_code, "it does not say whom it is lent to" in each.stdout) == (1, True), each
    assert [job["state"] for job in status.json["jobs"]] == ["done"]  # which is the ledger's to say all the same


@pytest.mark.parametrize("who", ["", "  ", "job\n7", "\x1b[31mjob", 'job "7"', "$(job)", "j" * 301])
def test_a_borrower_has_a_name_that_can_be_typed(project: Project, who: str) -> None:
    """Such as a variable of CI that is empty: nobody could take the ledger back by it."""
    delivered(project, "one")

    said = project.wanrun(*EXPORT, "lent.jsonl", "--lent-to", who)

    assert (said.exit_code, said.stderr.count("\n")) == (2, 1), said
    assert "whom a ledger is lent to is named in one line" in said.stderr
    assert not (project.folder / "lent.jsonl").exists()


def test_a_newer_file_gives_a_lent_ledger_back(project: Project) -> None:
    """Also where nothing came of it."""
    spec = delivered(project, "one")
    project.wanrun(*EXPORT, "lent.jsonl", "--lent-to", "job 7")
    project.wanrun(*EXPORT, "back.jsonl")
    move_away(project)
    project.wanrun(*IMPORT, "lent.jsonl")

    taken = project.wanrun(*IMPORT, "back.jsonl", "--format", "json")
    run = project.wanrun(spec, *FAST)

    assert (taken.json["was"], taken.json["lent_to"]) == ("same", None)
    assert run.exit_code == 0, run


def test_a_lent_ledger_is_taken_back_by_its_borrowers_name(project: Project) -> None:
    """What was submitted there is adopted first; then nothing is paid twice."""
    spec = delivered(project, "one")
    project.wanrun(*EXPORT, "lent.jsonl", "--lent-to", "job 7")
    project.spec("one", "two")
    project.wanrun(spec, *FAST)  # the borrower, which dies before it gives anything back
    with emulator_ledger(project) as ledger:
        task = ledger.entries()[-1].attempts[-1].task_id
    move_away(project)
    project.wanrun(*IMPORT, "lent.jsonl")

    listed = project.wanrun("tasks", "--emulator")
    adopted = project.wanrun("resolve", "--emulator", "batch/two", "--adopt", str(task), "--spec", spec)
    wrong = project.wanrun("ledger", "reclaim", "job 8", "--emulator")
    right = project.wanrun("ledger", "reclaim", "job 7", "--emulator")
    twice = project.wanrun("ledger", "reclaim", "job 7", "--emulator")
    run = project.wanrun(spec, *FAST)

    assert str(task) in listed.stdout
    assert adopted.exit_code == 0, adopted
    assert (wrong.exit_code, right.exit_code, twice.exit_code) == (2, 0, 2)
    assert 'not to "job 8"; nothing was changed' in wrong.stderr
    assert right.stdout == f"{LEDGER} is no longer lent to job 7\n"
    assert (run.exit_code, tasks_made(project)) == (0, 2), run


def test_a_file_made_while_a_run_goes_on_is_lent_to_that_run(project: Project) -> None:
    """Whole, and no run uses it; nor can it be lent or replaced meanwhile."""
    spec = project.spec(*(f"job-{number}" for number in range(3)))
    child = project.start(spec, "--emulator", "--edit", "none", "--speed", "1")
    child.until(": submitted")

    said = project.wanrun(*EXPORT, "ledger.jsonl")
    lend = project.wanrun(*EXPORT, "lent.jsonl", "--lent-to", "me")
    over = project.wanrun(*IMPORT, "ledger.jsonl")
    child.signal(signal.SIGKILL)
    child.end()
    before = tasks_made(project)
    move_away(project)
    taken = project.wanrun(*IMPORT, "ledger.jsonl")
    run = project.wanrun(spec, *FAST)

    assert f"lent to the run that was using it, pid {child.process.pid}, since 20" in said.stdout, said
    assert (lend.exit_code, over.exit_code) == (3, 3)
    assert taken.exit_code == 0, taken
    assert (run.exit_code, tasks_made(project)) == (1, before), run


@pytest.mark.parametrize("more", [False, True], ids=["same", "newer"])
def test_a_file_from_before_it_was_lent_does_not_give_a_ledger_back(project: Project, more: bool) -> None:
    """Whatever it knows: what the borrower pays for is not in it. Nor is a loan undone by one before it."""
    spec = forked(project)
    if not more:
        move_away(project)
        project.wanrun(*IMPORT, "old.jsonl")
    project.wanrun(*EXPORT, "first.jsonl", "--lent-to", "job 6")
    project.wanrun(*EXPORT, "before.jsonl")
    if more:
        move_away(project)
        project.wanrun(*IMPORT, "old.jsonl")
    project.wanrun(*EXPORT, "lent.jsonl", "--lent-to", "job 7")
    project.wanrun(*IMPORT, "lent.jsonl")
    before = contents(project.folder / STATE)

    said = project.wanrun(*IMPORT, "before.jsonl")
    first = project.wanrun(*IMPORT, "first.jsonl")
    after = contents(project.folder / STATE)
    run = project.wanrun(spec, *FAST)
    reclaimed = project.wanrun("ledger", "reclaim", "job 7", "--emulator")
    taken = project.wanrun(*IMPORT, "before.jsonl", "--format", "json")

    assert said.exit_code == 2, said
    assert said.stderr.startswith(
        "before.jsonl was written before the ledger here was lent, so it does not give it back; nothing was changed\n"
        f"{project.folder}/{LEDGER} was lent to job 7 at 20"
    )
    assert said.stderr.endswith('and then: wanrun ledger reclaim "job 7"\n')
    if more:
        assert first.exit_code == 2
        assert first.stderr.startswith("first.jsonl was lent before the ledger here was lent"), first
    else:
        assert first.exit_code == 0
        assert ("known already" in first.stdout, "it is lent to job 7 at 20" in first.stdout) == (True, True), first
    assert after == before
    assert (run.exit_code, tasks_made(project)) == (1, 2), run
    assert reclaimed.exit_code == 0, reclaimed
    assert (taken.json["was"], taken.json["lent_to"]) == ("newer" if more else "same", None)


def test_who_gives_up_what_a_lent_ledger_knows_does_not_give_up_that_it_is_lent(project: Project) -> None:
    """An older file is refused without the state that would have to be named."""
    forked(project)
    project.wanrun(*EXPORT, "lent.jsonl", "--lent-to", "job 7")
    state = project.wanrun(*IMPORT, "old.jsonl").stderr.split()[-1]
    project.wanrun(*IMPORT, "lent.jsonl")

    said = project.wanrun(*IMPORT, "old.jsonl")
    forced = project.wanrun(*IMPORT, "old.jsonl", "--replace", state)

    assert len(state) == 12
    assert (said.exit_code, "--replace" in said.stderr) == (2, False), said
    assert "old.jsonl was written before the ledger here was lent" in said.stderr
    assert forced == said


def test_a_file_that_cannot_be_read_as_a_ledger_changes_nothing(project: Project) -> None:
    """Its checksum is right, and one of its rows is none of wanrun's."""
    spec = forked(project)
    project.wanrun(*EXPORT, "new.jsonl")
    lines = (project.folder / "new.jsonl").read_bytes().replace(b'"fetched"', b'"archived"').splitlines(keepends=True)
    seal = json.loads(lines[-1]) | {"sha256": hashlib.sha256(b"".join(lines[:-1])).hexdigest()}
    (project.folder / "new.jsonl").write_bytes(b"".join(lines[:-1]) + json.dumps(seal).encode() + b"\n")
    project.write("new.jsonl.gz", "")
    (project.folder / "new.jsonl.gz").write_bytes(gzip.compress(b"".join(lines))[:10] + b"\xff" * 100)
    before = contents(project.folder / STATE)

    said = project.wanrun(*IMPORT, "new.jsonl")
    packed = project.wanrun(*IMPORT, "new.jsonl.gz")

    assert said.exit_code == packed.exit_code == 2, said
    assert said.stderr.startswith("new.jsonl: it is damaged (rows that cannot be read: ValueError: 'archived' is not")
    assert said.stderr.endswith("; nothing was changed\n")
    assert packed.stderr.startswith("new.jsonl.gz: it cannot be read (Error -3 while decompressing"), packed
    assert contents(project.folder / STATE) == before
    assert (project.wanrun(spec, *FAST).exit_code, tasks_made(project)) == (0, 2)


# A ledger is required


@pytest.mark.parametrize("command", ["run", "plan"])
def test_without_the_ledger_that_is_required_nothing_is_done(project: Project, command: str) -> None:
    """Exit code 2 says what to do, and a file of no bytes is no ledger."""
    spec = project.spec("one")
    args = (command, spec, "--require-ledger", *(FAST if command == "run" else ("--emulator",)))

    missing = project.wanrun(*args)
    project.write(LEDGER, "")
    empty = project.wanrun(*args)

    assert (missing.exit_code, empty.exit_code) == (2, 2)
    assert missing.stderr.startswith(f"there is no ledger at {project.folder}/{LEDGER}, and one is required: without")
    assert missing.stderr.endswith("if nothing has ever run, begin one: wanrun ledger new\n")
    assert empty.stderr == missing.stderr


def test_the_first_run_begins_with_a_ledger_that_is_made_for_it(project: Project) -> None:
    """Once; a ledger that is there is never touched."""
    spec = project.spec("one")

    begun = project.wanrun("ledger", "new", "--emulator")
    run = project.wanrun(spec, *FAST, "--require-ledger")
    again = project.wanrun("ledger", "new", "--emulator")

    assert begun.stdout == f"{LEDGER}: an empty ledger\n"
    assert run.exit_code == 0, run
    assert again.exit_code == 2
    assert f"there is a ledger at {project.folder}/{LEDGER} already" in again.stderr
    with emulator_ledger(project) as ledger:
        assert len(ledger.entries()) == 1
        assert intended(ledger, "another")
