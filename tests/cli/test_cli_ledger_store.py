"""The ledger in a ledger store as a user meets it: real commands, killed at every step, strict object storage."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from account_parts import intended
from cli_parts import FAST

from oss_server import Fault, OssServer
from oss_server.server import KEY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cli_parts import Project, Said

ENVIRON = {"OSS_ACCESS_KEY_ID": KEY.id, "OSS_ACCESS_KEY_SECRET": KEY.secret}
TABLE = "[ledger_store.oss]\nregion = 'cn-hangzhou'\nbucket = 'results'\n"
TAKE = ("ledger", "import", "--store", "--lend-to")
LOOK = ("ledger", "import", "--store")
GIVE = ("ledger", "export", "--store")


@pytest.fixture
def server(tmp_path: Path, project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[OssServer]:
    """Object storage that the settings name, with its key in the environment."""
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    with OssServer(tmp_path / "oss") as running:
        project.write("wanrun.toml", f"{TABLE}endpoint = '{running.url}'\n")
        yield running


def at(machine: str) -> tuple[str, ...]:
    """Return the options that stand for a machine of its own."""
    return ("--ledger", f"{machine}/ledger.db")


def names(server: OssServer) -> list[str]:
    return sorted(key.removeprefix("wanrun-ledger/") for key in server.objects)


def begun(project: Project) -> None:
    """Put an empty ledger there from the machine `one`."""
    assert project.wanrun("ledger", "new", *at("one")).exit_code == 0
    assert project.wanrun(*GIVE, *at("one")).exit_code == 0


def test_the_way_there_and_back(project: Project, server: OssServer) -> None:
    """What each command says, in words and as JSON; nothing of the key is in it."""
    said = [
        project.wanrun(*LOOK, *at("two")),
        project.wanrun("ledger", "new", *at("one")),
        project.wanrun(*GIVE, *at("one")),
        project.wanrun(*GIVE, *at("one"), "--format", "json"),
        project.wanrun(*LOOK, *at("two")),
        project.wanrun(*TAKE, "machine two", *at("two")),
        project.wanrun(*TAKE, "machine one", *at("one")),
        project.wanrun(*LOOK, *at("one"), "--format", "json"),
        project.wanrun(*GIVE, *at("two")),
        project.wanrun(*LOOK, *at("one")),
    ]

    none, _, first, again, looked, taken, refused, seen, back, newer = said
    assert (none.exit_code, none.stderr.split(".")[0]) == (2, "oss://results/wanrun-ledger/ has no ledger yet")
    assert first.stdout == "one/ledger.db is given back: generation 1 of oss://results/wanrun-ledger/\n"
    assert (again.json["generation"], again.json["new"]) == (1, False)
    assert looked.stdout.endswith("generation 1, to look at: no run uses it until it is taken (--lend-to WHO)\n")
    assert taken.stdout.endswith(
        "generation 1 is yours: run with it, then give it back with wanrun ledger export --store\n"
    )
    assert refused.exit_code == 1
    assert refused.stderr.startswith("generation 1 of oss://results/wanrun-ledger/ was lent to machine two at 20")
    assert (seen.json["lent_to"], seen.json["generation"], seen.json["free"]) == ("machine two", 1, False)
    assert back.exit_code == 0, back
    assert "generation 2, to look at" in newer.stdout
    assert names(server) == ["00000001.jsonl.gz", "00000001.lock", "00000002.jsonl.gz"]
    assert not any(KEY.secret in each.all or KEY.id in each.all for each in said)
    assert KEY.secret.encode() not in b"".join(each.read() for each in server.objects.values())


@pytest.mark.slow
def test_what_one_machine_paid_for_the_other_does_not(
    project: Project, server: OssServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run uses the ledger only where it was taken; plan and status look at every copy."""
    spec = project.spec("one")
    begun(project)
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-test")
    with project.emulator("--speed", "100000") as url:
        at_service = ("--base-url", url)
        project.wanrun(*LOOK, *at("two"))
        refused = project.wanrun(spec, *at_service, *at("two"))
        project.wanrun(*TAKE, "machine two", *at("two"))
        paid = project.wanrun(spec, *at_service, *at("two"))
        project.wanrun(*GIVE, *at("two"))
        given = project.wanrun(spec, *at_service, *at("two"))
        planned = project.wanrun("plan", spec, *at_service, *at("two"), "--format", "json")
        project.wanrun(*TAKE, "machine one", *at("one"))
        known = project.wanrun(spec, *at_service, *at("one"))
        tasks = project.statement(url)["tasks"]

    assert (refused.exit_code, paid.exit_code, given.exit_code, known.exit_code) == (1, 0, 1, 0), (refused, known)
    assert "Take it: wanrun ledger import --store --lend-to WHO" in refused.stderr
    assert "was given back to the ledger store as generation 2 at 20" in given.stderr
    assert (planned.json["actions"], planned.json["obstacles"]) == ({"nothing": 1}, [])
    assert "nothing was submitted" in known.stdout
    assert len(tasks) == 1


def test_only_a_ledger_that_was_taken_is_run_with(
    project: Project, server: OssServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a new one, which is not made, nor one that was never in the store: another machine may have paid."""
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-test")
    spec = project.spec("one")
    project.wanrun("ledger", "new", *at("two"))

    new, other = (project.wanrun(spec, *at(each)) for each in ("one", "two"))

    for said, name in ((new, "one"), (other, "two")):
        assert said.exit_code == 2, said
        assert f"{name}/ledger.db is not taken from the ledger store that wanrun.toml names" in said.stderr
    assert (project.folder / "one").exists() is False
    assert server.calls == []


def test_an_emulators_ledger_stays_here(project: Project, server: OssServer) -> None:
    """It is run with as ever, and never gets to where that of the service is."""
    ran = project.wanrun(project.spec("one"), *FAST)
    said = [project.wanrun(*words, "--emulator") for words in (GIVE, LOOK, (*TAKE, "me"))]

    assert ran.exit_code == 0, ran
    assert [each.exit_code for each in said] == [2, 2, 2]
    assert all("leave out --emulator" in each.stderr for each in said)
    assert server.calls == []


@pytest.mark.slow
def test_of_two_at_once_one_gets_it(project: Project, server: OssServer) -> None:
    """Two processes that have both seen it free."""
    begun(project)
    server.faults.append(Fault("PutObject", "slow", at=2, times=2, seconds=1))
    children = [project.start(*TAKE, f"machine {name}", *at(name), **ENVIRON) for name in ("two", "three")]

    said = [child.end() for child in children]

    assert sorted(each.exit_code for each in said) == [0, 1], said
    assert runnable(project, "two", "three") == 1
    assert names(server) == ["00000001.jsonl.gz", "00000001.lock"]


def runnable(project: Project, *machines: str) -> int:
    """Return how many of the machines have a ledger that runs accept."""
    count = 0
    for name in machines:
        if (project.folder / name / "ledger.db").is_file():
            with project.ledger(f"{name}/ledger.db") as ledger:
                count += ledger.hindrance() is None
    return count


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "fault"),
    [
        pytest.param(TAKE, Fault("PutObject", "stall", at=2), id="the lock is on its way"),
        pytest.param(TAKE, Fault("PutObject", "hold", at=2), id="the lock is there"),
        pytest.param(TAKE, Fault("ListObjectsV2", "hold", at=4), id="looking once more"),
        pytest.param(GIVE, Fault("PutObject", "stall", at=3), id="the ledger is on its way"),
        pytest.param(GIVE, Fault("PutObject", "hold", at=3), id="the ledger is there"),
        pytest.param(GIVE, Fault("ListObjectsV2", "hold", at=6), id="before what is old goes"),
    ],
)
def test_a_command_that_was_killed_goes_on(
    project: Project, server: OssServer, command: tuple[str, ...], fault: Fault
) -> None:
    """Nobody else has the ledger by then that does not know all, and the same command once more ends it well."""
    begun(project)
    if command is GIVE:
        assert project.wanrun(*TAKE, "machine two", *at("two")).exit_code == 0
    words = (*command, *(["machine two"] if command is TAKE else []), *at("two"))
    server.faults.append(fault)
    child = project.start(*words, **ENVIRON)
    assert server.held.wait(30)
    child.signal(signal.SIGKILL)
    child.end()
    server.released.set()
    server.faults.clear()

    between = runnable(project, "one", "two")
    again = project.wanrun(*words)
    other = project.wanrun(*TAKE, "machine one", *at("one"))

    assert between == 0
    assert again.exit_code == 0, again
    assert other.exit_code == (1 if command is TAKE else 0), other
    assert runnable(project, "one", "two") == 1


def test_a_machine_that_is_lost_is_given_up_by_a_person(project: Project, server: OssServer) -> None:
    """By the words that each refusal says; the lost one can give nothing back."""
    begun(project)
    project.wanrun(*TAKE, "machine two", *at("two"))
    stopped = project.wanrun(*TAKE, "machine one", *at("one"))

    steps = [
        project.wanrun("ledger", "reclaim", "machine two", *at("one")),
        project.wanrun(*GIVE, *at("one")),
        project.wanrun(*TAKE, "machine one", *at("one")),
    ]

    assert 'wanrun ledger reclaim "machine two", and wanrun ledger export --store\n' in stopped.stderr
    assert [each.exit_code for each in steps] == [0, 0, 0], steps
    assert "it goes back to the ledger store next, as generation 2: wanrun ledger export --store" in steps[0].stdout
    assert project.wanrun(*GIVE, *at("two")).exit_code == 0  # it knew nothing that the other one does not
    assert runnable(project, "one", "two") == 1


def test_a_file_of_a_ledger_that_was_taken_is_for_looking(project: Project, server: OssServer) -> None:
    """Whoever imports it is told who goes on with it; nor does a file take the place of one that has to go back."""
    project.wanrun("ledger", "new", *at("one"))
    project.wanrun("ledger", "export", "before.jsonl", *at("one"))
    project.wanrun(*GIVE, *at("one"))
    project.wanrun(*TAKE, "machine one", *at("one"))
    with project.ledger("one/ledger.db") as ledger:
        intended(ledger, "job")

    out = project.wanrun("ledger", "export", "copy.jsonl", *at("one"))
    taken = project.wanrun("ledger", "import", "copy.jsonl", *at("two"))
    over = project.wanrun("ledger", "import", "before.jsonl", "--replace", "x", *at("one"))
    own = project.wanrun("ledger", "import", "copy.jsonl", *at("one"))

    assert ", lent to machine one at 20" in out.stdout
    assert "it is lent to machine one at 20" in taken.stdout
    for refused in (over, own):
        assert (refused.exit_code, "Give it back before another takes its place" in refused.stderr) == (2, True), (
            refused
        )
    assert runnable(project, "one", "two") == 1


@pytest.mark.parametrize("who", ["machine one", None], ids=["taken", "the first"])
def test_a_file_of_a_ledger_that_could_not_be_given_back_brings_it_there(
    project: Project, server: OssServer, who: str | None
) -> None:
    """From another machine, once a person has reclaimed it; the file cannot be lent besides."""
    if who is None:
        project.wanrun("ledger", "new", *at("one"))
    else:
        begun(project)
        project.wanrun(*TAKE, who, *at("one"))
    with project.ledger("one/ledger.db") as ledger:
        intended(ledger, "job")
    server.faults.append(Fault("PutObject", "refuse", at=1, times=99))
    stuck = project.wanrun(*GIVE, *at("one"))
    server.faults.clear()

    lent = project.wanrun("ledger", "export", "lent.jsonl", "--lent-to", "me", *at("one"))
    project.wanrun("ledger", "export", "kept.jsonl", *at("one"))
    taken = project.wanrun("ledger", "import", "kept.jsonl", *at("two"))
    back = project.wanrun("ledger", "reclaim", who or "whoever was giving it back", *at("two"))
    given = project.wanrun(*GIVE, *at("two"))
    here = project.wanrun(*GIVE, *at("one"))

    assert stuck.exit_code != 0, stuck
    assert (lent.exit_code, "through which it is handed on" in lent.stderr) == (2, True), lent
    assert f"lent to {who or 'whoever was giving it back'} at 20" in taken.stdout
    assert (back.exit_code, given.exit_code, here.exit_code) == (0, 0, 0), (back, given, here)
    assert "which knows all that is known here already" in here.stdout


def test_the_check_up_says_what_is_in_the_store(project: Project, server: OssServer) -> None:
    """And why it cannot be reached."""
    begun(project)
    project.wanrun(*TAKE, "machine two", *at("two"))

    found = _finding(project.wanrun("doctor", "--format", "json", *at("one")))
    server.buckets.clear()
    lost = _finding(project.wanrun("doctor", "--format", "json", *at("one")))

    assert found["words"].startswith("oss://results/wanrun-ledger/: generation 1, lent to machine two at 20")
    assert (found["verdict"], lost["verdict"]) == ("ok", "problem")
    assert 'there is no bucket "results"' in lost["words"]


def _finding(said: Said) -> dict[str, str]:
    (found,) = [each for each in said.json["findings"] if each["about"] == "ledger store"]
    return dict(found)


@pytest.mark.parametrize(
    "words",
    [
        ("ledger", "export"),
        ("ledger", "export", "file", "--store"),
        ("ledger", "export", "--store", "--lent-to", "me"),
        ("ledger", "import"),
        ("ledger", "import", "file", "--store"),
        ("ledger", "import", "file", "--lend-to", "me"),
    ],
    ids=" ".join,
)
def test_a_file_or_the_store_is_named(project: Project, words: tuple[str, ...]) -> None:
    """Exactly one of them, and what goes with it."""
    said = project.wanrun(*words)

    assert (said.exit_code, said.stderr.splitlines()[1]) == (2, f"see wanrun {' '.join(words[:2])} --help"), said


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("", "wanrun.toml names no ledger store; write a table such as [ledger_store.oss] there"),
        ("[ledger_store]\n", "ledger_store has one table, named by a kind of ledger store; write [ledger_store.oss]"),
        ("[ledger_store.ftp]\n", "no plugin offers the ledger store ftp; installed: oss"),
        ("[ledger_store.oss]\nbucket = 'results'\n", 'ledger_store.oss needs the key "region", such as'),
        (f"{TABLE}prefx = 'x/'\n", 'unknown key "prefx"; did you mean "prefix"?'),
        (f"{TABLE}access_key_secret = 'x'\n", 'unknown key "access_key_secret"'),
        (TABLE, "no access key for OSS: set OSS_ACCESS_KEY_ID and OSS_ACCESS_KEY_SECRET"),
    ],
)
def test_a_bad_table_is_said(project: Project, table: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one line, with what to write instead."""
    monkeypatch.setenv("HOME", str(project.folder))
    project.write("wanrun.toml", table)

    said = project.wanrun(*LOOK)

    assert (said.exit_code, said.stderr.count("\n")) == (2, 1), said
    assert message in said.stderr


def test_a_wrong_borrower_is_refused_before_anything_is_asked(project: Project, server: OssServer) -> None:
    """Nobody could take the ledger back by such a name."""
    said = project.wanrun(*TAKE, "$(job)", *at("two"))

    assert (said.exit_code, server.calls) == (2, []), said
