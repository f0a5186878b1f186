"""Real processes: signals, pipes, encodings and terminals, with an emulator in a process of its own.

Kills and signals at random instants are in `tests/chaos`.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from cli_parts import FAST, wait_until

if TYPE_CHECKING:
    from cli_parts import Project

pytestmark = pytest.mark.slow

KEY = {"DASHSCOPE_API_KEY": "sk-test"}
SLOW = ("--emulator", "--edit", "none", "--speed", "1")  #: tasks take minutes
SIGNALS = [pytest.param(signal.SIGINT, 130, id="SIGINT"), pytest.param(signal.SIGTERM, 143, id="SIGTERM")]


def billed(project: Project, url: str) -> Counter[str]:
    """Return how many tasks of each prompt the account was billed for."""
    return Counter(task["prompt"] for task in project.statement(url)["tasks"] if task["billed_seconds"])


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_signal_saves_the_state_and_the_next_run_goes_on(project: Project, number: int, code: int) -> None:
    """In the middle of a run: it ends soon with the signal's code, and afterwards each job is paid once."""
    spec = project.spec("one", "two", "three")
    with project.emulator("--speed", "200") as url:
        child = project.start(spec, "--base-url", url, **KEY)
        child.until("submitted as task")
        child.signal(number)
        stopped = child.end(within_seconds=5)

        finished = project.process(spec, "--base-url", url, **KEY)

        assert stopped.exit_code == code, stopped
        assert "the state is saved, run again to go on" in stopped.stdout
        assert "Traceback" not in stopped.all
        assert finished.exit_code == 0, finished
        assert billed(project, url) == {"prompt of one": 1, "prompt of two": 1, "prompt of three": 1}


def test_a_second_signal_leaves_at_once(project: Project) -> None:
    """A create that awaits its reply gets a moment at the first signal, none at the second; the next run finds out."""
    spec = project.spec("one")
    faults = project.faults({"on": "create", "do": {"latency_seconds": 60}})
    child = project.start(spec, *FAST, *faults)
    wait_until(lambda: (project.folder / ".wanrun/emulator/ledger.db").exists() and intended(project))
    child.signal(signal.SIGINT)
    child.until("stopping: interrupted")
    child.signal(signal.SIGINT)

    said = child.end(within_seconds=4)
    after = project.wanrun(spec, *FAST)

    assert said.exit_code == 130, said
    assert (after.exit_code, "1 done; 1 task submitted" in after.stdout) == (0, True), after


def intended(project: Project) -> bool:
    """Say whether a create is under way."""
    with project.ledger(".wanrun/emulator/ledger.db") as ledger:
        return any(entry.attempt is not None for entry in ledger.entries())


def test_a_second_run_is_told_who_holds_the_ledger(project: Project) -> None:
    """Exit code 3 with the pid; status works meanwhile, resolve is refused like a run."""
    spec = project.spec("one")
    child = project.start(spec, *SLOW)
    child.until("submitted as task")

    second = project.wanrun(spec, *SLOW)
    status = project.wanrun("status", "--emulator", "--format", "json")
    resolve = project.wanrun("resolve", "one", "--abandon", "--emulator")
    child.signal(signal.SIGINT)
    first = child.end()

    held = f"ledger.db is in use by another run (pid {child.process.pid}, since 20"
    assert (second.exit_code, held in second.stderr) == (3, True), second
    assert (resolve.exit_code, held in resolve.stderr) == (3, True), resolve
    assert status.json["jobs"][0]["state"] == "in flight"
    assert first.exit_code == 130, first


@pytest.mark.parametrize("args", [("status", "--emulator"), ("--help",), ("run", "batch.yaml", *FAST)], ids=" ".join)
def test_a_reader_that_leaves_is_no_error(project: Project, args: tuple[str, ...]) -> None:
    """`wanrun ... | head -1` prints no traceback and keeps the exit code."""
    project.wanrun(project.spec("one"), *FAST)
    child = project.start(*args)
    assert child.process.stdout is not None
    child.process.stdout.close()
    child.process.stdout = None

    said = child.end()

    assert said.exit_code == 0, said
    assert "Traceback" not in said.stderr
    assert "BrokenPipe" not in said.stderr


def test_a_reader_of_events_that_leaves_does_not_end_the_run(project: Project) -> None:
    """`--events - | head -1`: the run goes on to its end, for it is paying for things."""
    child = project.start(project.spec("one"), *FAST, "--events", "-")
    assert child.process.stdout is not None
    child.process.stdout.close()
    child.process.stdout = None

    said = child.end()

    assert said.exit_code == 0, said
    assert "1 done; 1 task submitted" in said.stderr


def test_a_full_disk_under_the_events_does_not_end_the_run(project: Project) -> None:
    """It is said that not every event was written."""
    said = project.wanrun(project.spec("one"), *FAST, "--events", "/dev/full")

    assert said.exit_code == 0, said
    assert "/dev/full: No space left on device; not every event is in it\n" in said.stderr


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_an_encoding_that_lacks_characters_is_no_error(project: Project, encoding: str) -> None:
    """Ids of all scripts are printed as far as it can be done, as text and as JSON."""
    spec = project.spec("пальто", "日本語")
    environ = {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}

    run = project.process(spec, *FAST, **environ)
    status = project.process("status", "--emulator", "--format", "json", **environ)

    assert (run.exit_code, status.exit_code) == (0, 0), run
    assert "Traceback" not in run.all
    assert [job["job"] for job in status.json["jobs"]] == ["batch/пальто", "batch/日本語"]


def test_foreign_text_never_drives_the_terminal(project: Project) -> None:
    """Escape sequences in a file's name, in what the service says and in a call are not passed on."""
    evil = "\x1b]0;owned\x07\x1b[31m\u202e\x9b"
    project.write(f"bad{evil}.yaml", "version: 2")
    faults = project.faults({"on": "create", "do": {"fail": {"code": "InvalidParameter", "message": evil}}})

    outputs = [
        project.wanrun("validate", f"bad{evil}.yaml"),
        project.wanrun("validate", f"bad{evil}.yaml", "--format", "json"),
        project.wanrun("plan", f"--{evil}"),
        project.wanrun("status", evil),
        project.wanrun(project.spec("one"), *FAST, *faults),
        project.wanrun("status", "--emulator"),
        project.wanrun("status", "--emulator", "--format", "json"),
    ]

    for said in outputs:
        assert said.all
        assert not set(said.all) & set("\x1b\x07\u202e\x9b"), said


def test_a_file_name_that_is_no_text_is_no_error(project: Project) -> None:
    """Names are bytes on disk; one that is no UTF-8 is said to be none."""
    name = b"bad-\xff.yaml"
    (project.folder / os.fsdecode(name)).write_text("version: 2")

    text = project.process("validate", os.fsdecode(name))
    run = project.process(os.fsdecode(name), *FAST)

    assert (text.exit_code, run.exit_code) == (2, 2), text
    assert "Traceback" not in text.all + run.all
    assert "is not UTF-8" in text.stderr


def test_a_terminal_gets_a_live_view(project: Project) -> None:
    """On a real pseudo-terminal a bar is drawn and taken away again, and the results stand alone below."""
    leader, follower = os.openpty()
    child = project.start(project.spec("one", "two"), *FAST, stderr_to=follower, TERM="xterm-256color", COLUMNS="80")
    os.close(follower)
    drawn = b"".join(iter(lambda: _read(leader), b"")).decode()
    os.close(leader)

    said = child.end()

    assert said.exit_code == 0, said
    assert "jobs" in drawn
    assert "0/2" in drawn
    assert "Traceback" not in drawn
    assert drawn.rindex("\x1b[?25h") > drawn.rindex("\x1b[?25l")  # the cursor is back
    assert said.stdout.splitlines()[-1].startswith("2 done; 2 tasks submitted")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux's way of saying that the other side has closed
        return b""
