"""Keys, networks and ledgers that do not work: the exit code, clear words, no traceback, and nothing lost."""

from __future__ import annotations

import socket
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from cli_parts import FAST, NO_LIST, SETTINGS

if TYPE_CHECKING:
    from cli_parts import Project

pytestmark = pytest.mark.slow

CANARY = "sk-canary-0123456789abcdef"
UNAUTHORIZED = {"status": 401, "code": "InvalidApiKey", "message": "Invalid API-key provided."}


def test_a_refused_key_stops_the_run(project: Project) -> None:
    """Exit code 4 with the service's word; the jobs stay new, and a run with a working key starts clean."""
    spec = project.spec("one", "two")

    refused = project.wanrun(spec, *FAST, *project.faults({"on": "any", "do": UNAUTHORIZED}))
    outcome = project.wanrun(spec, *FAST)

    assert refused.exit_code == 4, refused
    assert "Invalid API-key provided" in refused.stdout
    assert "2 new; nothing was submitted" in refused.stdout
    assert outcome.exit_code == 0, outcome


def test_an_unreachable_service_is_given_up_and_nothing_is_lost(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 3 after patience is over, with what to do; nothing is held, for nothing was sent."""
    monkeypatch.setenv("DASHSCOPE_API_KEY", CANARY)
    project.write("wanrun.toml", "[providers.default]\npatience_seconds = 1\n")
    spec = project.spec("one")

    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # not listening: connections are refused
        said = project.wanrun(spec, "--base-url", f"http://127.0.0.1:{nobody.getsockname()[1]}/api/v1")

    assert said.exit_code == 3, said
    assert "the service cannot be reached" in said.stdout
    assert said.stdout.endswith("run again to go on\n")
    assert project.wanrun("plan", spec, "--format", "json").json["jobs"][0]["state"] == "new"


def test_a_lost_result_is_said_once_more_gravely(project: Project) -> None:
    """Exit code 7 in the run that finds it lost, 1 afterwards, and how to pay for it again."""
    spec = project.spec("one")
    project.wanrun(spec, *FAST, *project.faults({"on": "create", "do": {"reset": "before"}}, NO_LIST))
    project.wanrun("resolve", "one", "--adopt", "0385dc79-5ff8-4d82-bcb6-7f2c5d3a1f0e", "--emulator")
    with closing(sqlite3.connect(project.folder / ".wanrun/emulator/ledger.db")) as ledger, ledger:
        ledger.execute("UPDATE attempts SET intended_at = intended_at - 90000")

    found, after = project.wanrun(spec, *FAST), project.wanrun(spec, *FAST)

    assert (found.exit_code, after.exit_code) == (7, 1), found
    assert "to pay for it again: wanrun resolve --emulator batch/one --resubmit" in found.stdout
    assert "1 lost; nothing was submitted" in after.stdout


def test_the_key_is_nowhere_but_in_the_calls(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not printed, not in events, not in any file of the ledger's folder or of the sinks."""
    monkeypatch.setenv("DASHSCOPE_API_KEY", CANARY)
    spec = project.spec("one", "two")
    faults = project.faults(
        {"on": "create", "nth": 1, "do": {"status": 400, "code": "InvalidParameter", "message": f"key {CANARY}"}},
        {"on": "query", "nth": 1, "do": {"status": 503, "message": CANARY}},
    )
    with project.emulator("--speed", "100000", *faults) as url:
        said = project.wanrun(spec, "--base-url", url, "--events", "events.jsonl")
        status = project.wanrun("status", "--format", "json")

        assert project.statement(url)["tasks_made"] == 1
    assert said.exit_code == 1, said
    for printed in (said.all, repr(said), status.all, (project.folder / "events.jsonl").read_text()):
        assert CANARY not in printed
    assert CANARY.encode() not in project.bytes_of(".wanrun")
    assert CANARY.encode() not in project.bytes_of("out")


def test_a_ledger_knows_whose_it_is(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """One account's ledger is not used against another, whatever the address."""
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-test")
    project.wanrun(project.spec("one"), *FAST)
    with project.emulator("--speed", "100000") as url:
        said = project.wanrun(project.spec("two"), "--base-url", url, "--ledger", ".wanrun/emulator/ledger.db")

        assert project.statement(url)["tasks_made"] == 0
    assert said.exit_code == 2, said
    assert "belongs to the emulator account " in said.stderr
    assert "use another ledger (--ledger)" in said.stderr


@pytest.mark.parametrize("command", ["run", "plan", "status", "resolve"])
class TestLedgerFile:
    """A ledger that cannot be used is named, with what is wrong, by every command that opens it."""

    def said(self, project: Project, command: str) -> str:
        """Run a command, see that it fails in order, and return what it says."""
        args = {
            "run": [project.spec("one"), *FAST],
            "plan": [project.spec("one"), "--emulator"],
            "status": ["--emulator"],
            "resolve": ["one", "--abandon", "--emulator"],
        }
        said = project.wanrun(command, *args[command])
        assert said.exit_code == 2, said
        assert "Traceback" not in said.all
        assert said.stdout == ""
        return said.stderr

    def test_garbage(self, project: Project, command: str) -> None:
        """Bytes that are no SQLite file stay untouched."""
        project.write(".wanrun/emulator/ledger.db", "garbage " * 1000)

        assert "/.wanrun/emulator/ledger.db: file is not a database" in self.said(project, command)
        assert (project.folder / ".wanrun/emulator/ledger.db").read_text() == "garbage " * 1000

    def test_another_database(self, project: Project, command: str) -> None:
        """A newer wanrun's ledger is left to that one."""
        (project.folder / ".wanrun/emulator").mkdir(parents=True)
        with closing(sqlite3.connect(project.folder / ".wanrun/emulator/ledger.db")) as ledger:
            ledger.execute("PRAGMA user_version = 99")

        words = "ledger.db was written by a newer wanrun (version 99); use that one"
        assert words in self.said(project, command)


def test_a_file_in_place_of_the_ledger_s_folder(project: Project) -> None:
    """It is named before anything is submitted; looking just finds no ledger."""
    project.write(".wanrun", "a file")
    spec = project.spec("one")

    run = project.wanrun(spec, *FAST)

    assert run.exit_code == 2, run
    assert f"{project.folder}/.wanrun/emulator: Not a directory" in run.stderr
    assert "Traceback" not in run.all
    assert project.wanrun("plan", spec, "--emulator").exit_code == 0
    looked = project.wanrun("status", "--emulator").stdout
    assert looked == f"there is no ledger at {project.folder}/.wanrun/emulator/ledger.db\n"


def test_a_folder_in_place_of_the_ledger(project: Project) -> None:
    """It is no file, and that is said."""
    (project.folder / ".wanrun/emulator/ledger.db").mkdir(parents=True)

    said = project.wanrun(project.spec("one"), *FAST)

    assert said.exit_code == 2, said
    assert "/.wanrun/emulator/ledger.db: Is a directory" in said.stderr
    assert "Traceback" not in said.all


def test_an_artifact_store_that_cannot_be_written_is_said(project: Project) -> None:
    """A file stands where the folder should be: nothing is submitted."""
    project.write("wanrun.toml", SETTINGS)
    project.write(".wanrun/emulator/artifacts", "a file")

    said = project.wanrun(project.spec("one"), *FAST)

    assert said.exit_code == 2, said
    assert ".wanrun/emulator/artifacts: File exists" in said.stderr
    assert "Traceback" not in said.all


def test_a_sink_that_cannot_be_written_is_tried_again_later(project: Project) -> None:
    """Exit code 3: the result is kept, and delivered without paying when the place is free."""
    project.write(".wanrun/emulator/delivered/out", "a file")
    spec = project.spec("one")

    failed = project.wanrun(spec, *FAST)
    (project.folder / ".wanrun/emulator/delivered/out").unlink()
    delivered = project.wanrun(spec, *FAST)

    assert failed.exit_code == 3, failed
    assert "batch/one: not delivered to disk: " in failed.stderr
    assert (delivered.exit_code, "nothing was submitted" in delivered.stdout) == (0, True), delivered
