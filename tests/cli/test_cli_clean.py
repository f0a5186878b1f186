"""`wanrun clean`: what nobody needs any more goes, and nothing that a job refers to which is not over."""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cli_parts import FAST, HEAD, NO_LIST, SETTINGS, terminal

from oss_server import Fault, OssServer
from oss_server.server import BUCKET, KEY, REGION
from oss_server.storage import Object, keep
from wanrun import api
from wanrun.fitting import relied_on
from wanrun.ledger import AttemptState, Ledger, LedgerLock
from wanrun.ledger.lending import lend
from wanrun.types import Artifact, Job, Position

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cli_parts import Project, Said

DAY = 24 * 3600
OSS = {"OSS_ACCESS_KEY_ID": KEY.id, "OSS_ACCESS_KEY_SECRET": KEY.secret}
#: A made file's name: what it was made of, and what it is.
MADE = f"{'a' * 64}-{'b' * 64}.mp4"


@pytest.fixture
def server(tmp_path: Path, project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[OssServer]:
    """Object storage that the project stages in."""
    for name, value in OSS.items():
        monkeypatch.setenv(name, value)
    for name in ("OSS_SESSION_TOKEN", "ALIBABA_CLOUD_CREDENTIALS_FILE"):
        monkeypatch.delenv(name, raising=False)
    with OssServer(tmp_path / "oss") as running:
        table = f"[staging.oss]\nregion = '{REGION}'\nbucket = '{BUCKET}'\nendpoint = '{running.url}'\n"
        project.write("wanrun.toml", SETTINGS + table)
        yield running


def staged(server: OssServer, word: str, *, days: float = 6) -> str:
    """Put an object into the bucket as it would have been staged some days ago, and return the key of its content."""
    digest = sha256(word.encode()).hexdigest()
    content = keep([word.encode()], server.folder)
    server.objects[f"wanrun-staging/{digest}.mp4"] = Object(content, content.etag, {}, time.time() - days * DAY)
    return f"sha256:{digest}"


@dataclass
class Book:
    """The project's ledger, with attempts as a run would have made them."""

    project: Project
    folder: str = ".wanrun"

    @contextmanager
    def open(self) -> Iterator[Ledger]:
        with self.project.ledger(f"{self.folder}/ledger.db") as ledger:
            yield ledger

    def attempt(self, name: str, state: AttemptState, **asked: Any) -> int:
        """Give a job an attempt in some state."""
        here = Position(self.project.folder / "old.yaml", 1, 1)
        job = Job("old", name, here.path, here, "wan2.7-videoedit", "default", name, None, (), {}, ())
        with self.open() as ledger:
            entry = ledger.enter(job, fingerprint=f"1:{name}", spec_path="old.yaml")
            attempt = ledger.intend(entry, prompt_key=name, asked={"words": "x", **asked})
            ledger.accepted(attempt, task_id=f"task-{name}", request_id=None)
            if state is AttemptState.FETCHED:
                ledger.fetched(attempt, Artifact(Path("x"), "c" * 64, 1, ".mp4"))
            else:
                ledger.ended(attempt, state, "why")
        return attempt

    def file(self, name: str, data: bytes = b"bytes") -> Path:
        """Put a file beside the ledger."""
        path = self.project.folder / self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path


@pytest.fixture
def book(project: Project) -> Book:
    made = Book(project)
    with made.open():
        return made


def counts(said: Said) -> dict[str, tuple[int, int]]:
    """Return how many files of each sort were found and removed, of those of which there are any."""
    return {each["sort"]: (each["count"], each["removed"]) for each in said.json["found"] if each["count"]}


# In a bucket of one's own

#: The states of an attempt whose task may be under way, or may have been made.
NOT_OVER = ("intended", "unsure", "held", "undecided", "in_flight", "succeeded")


def test_what_an_attempt_refers_to_stays_until_it_is_over(project: Project, server: OssServer, book: Book) -> None:
    """Whatever its age, and whatever else goes."""
    keys = {state: staged(server, state, days=60) for state in AttemptState}
    for state, key in keys.items():
        book.attempt(state, state, staged=[key])

    said = project.wanrun("clean", "--yes", "--format", "json")

    assert said.exit_code == 0, said
    left = {f"sha256:{name[15:79]}" for name in server.objects}
    assert left == {keys[AttemptState(state)] for state in NOT_OVER}
    assert said.json["stays"] == ["6 staged files stay: needed by jobs that are not over"]


def test_what_some_machine_may_have_a_link_to_stays(project: Project, server: OssServer, book: Book) -> None:
    """Five days: three in which it is handed out, and two that the last link lives."""
    for word, days in (("young", 0.1), ("just not", 4.9), ("old", 5.1)):
        staged(server, word, days=days)
    server.objects["wanrun-staging/mine.mp4"] = next(iter(server.objects.values()))

    shown = project.wanrun("clean")
    done = project.wanrun("clean", "--yes")

    assert shown.stdout.splitlines() == [
        "staged for the service  1 file, 0 kB",
        "2 staged files stay: links that some machine was given may still be good",
        "1 file, 0 kB to remove; --yes removes it",
    ]
    assert done.stdout.endswith("removed 1 file, 0 kB\n"), done
    assert len(server.objects) == 3


@pytest.mark.parametrize(
    ("arrange", "why"),
    [
        (
            lambda book: book.attempt("one", AttemptState.HELD),
            "old/one is not over, and what it refers to was not noted; settle or finish it first",
        ),
        (lambda book: _lend(book), "the ledger was lent to job 7 at "),
        (lambda book: (book.project.folder / ".wanrun/ledger.db").unlink(), "there is no ledger at "),
    ],
    ids=["an attempt that does not say", "lent", "no ledger"],
)
def test_nothing_staged_goes_where_it_is_not_known_what_refers_to_it(
    project: Project, server: OssServer, book: Book, arrange: Callable[[Book], object], why: str
) -> None:
    """What is on disk goes all the same."""
    staged(server, "old")
    book.file(f"fitted/{MADE}")
    arrange(book)

    said = project.wanrun("clean", "--yes")

    assert said.exit_code == 0, said
    assert f"what is staged stays: {why}" in said.stdout
    assert "removed 1 file" in said.stdout
    assert not server.calls


def _lend(book: Book) -> None:
    with book.open() as ledger:
        lent = lend("job 7", now=time.time()).written()
        ledger._write("INSERT INTO meta (key, value) VALUES ('lent', :lent)", lent=lent)


def test_a_bucket_that_cannot_be_listed_is_said(project: Project, server: OssServer, book: Book) -> None:
    """Exit code 1 for what a person mends, 3 for what passes; what is on disk goes all the same."""
    book.file(f"fitted/{MADE}")
    server.faults.append(Fault("ListObjectsV2", "refuse", status=403, code="AccessDenied", message="No right."))

    denied = project.wanrun("clean")
    server.faults[:] = [Fault("ListObjectsV2", "refuse", times=9)]
    busy = project.wanrun("clean", "--yes")

    assert (denied.exit_code, busy.exit_code) == (1, 3), denied
    assert denied.stderr.startswith("what is staged cannot be listed: oss://results/wanrun-staging/: ")
    assert "oss:DeleteObject" in denied.stderr
    assert "removed 1 file" in busy.stdout


def test_a_bucket_that_stops_answering_in_the_middle_is_said(project: Project, server: OssServer, book: Book) -> None:
    """What is gone is gone, and cleaning again goes on."""
    for word in "abcdefgh":
        staged(server, word)
    server.faults.append(Fault("DeleteObject", "refuse", at=3, times=99))

    broken = project.wanrun("clean", "--yes", "--format", "json")
    server.faults.clear()
    again = project.wanrun("clean", "--yes", "--format", "json")

    assert (broken.exit_code, again.exit_code) == (3, 0), broken
    assert counts(broken) == {"staged": (8, 2)}
    assert counts(again) == {"staged": (6, 6)}


def test_with_the_emulator_no_bucket_is_asked(project: Project, server: OssServer) -> None:
    """It has a store of its own."""
    book = Book(project, ".wanrun/emulator")
    part = book.file(f"artifacts/{book.attempt('one', AttemptState.FETCHED)}.part")
    mine = Book(project).file("artifacts/1.part")

    said = project.wanrun("clean", "--emulator", "--yes", "--format", "json")

    assert counts(said) == {"partial": (1, 1)}
    assert (part.exists(), mine.exists(), server.calls) == (False, True, [])


SHED = """\
    import wanrun

    class Shed:
        def locate(self, ref): raise NotImplementedError
        identify = locate
        async def prepare(self, ref, ctx): raise NotImplementedError
        async def stage(self, file, ctx): raise NotImplementedError
        {more}

    @wanrun.hookimpl
    def wanrun_sources():
        options = {{"type": "object", "additionalProperties": False}}
        return {{"shed": wanrun.SourceKind(options=options, build=Shed, staging=options)}}
"""
LISTS = "async def staged(self, options, ctx): return ['x']\n        unstage = staged"


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        ("", 0, "what is staged stays: its kind of source cannot list it"),
        (LISTS, 1, '(shed 1.2): its source "shed" answered staged with a str; it must be a wanrun.StagedFile'),
    ],
    ids=["cannot", "wrongly"],
)
def test_a_store_that_a_plugin_cannot_list_is_left_alone(
    project: Project, book: Book, install_module: Callable[..., None], more: str, code: int, words: str
) -> None:
    """And the plugin is named where it is to blame."""
    install_module("shed", SHED.format(more=more), module="shed_plugin", entry_point="[wanrun]\nshed = shed_plugin")
    project.write("wanrun.toml", f"{SETTINGS}[staging.shed]\n")

    said = project.wanrun("clean")

    assert said.exit_code == code, said
    assert words in said.all


# On disk


def test_what_is_on_disk_goes_by_its_name(project: Project, book: Book) -> None:
    """What was made to fit, and half of it; nothing of a person's, no link, and nothing else of ours."""
    ours = [book.file(f"fitted/{MADE}"), book.file(f"fitted/{'0' * 16}-{'1' * 8}.part")]
    ours.append(book.file(f"artifacts/.wanrun-{'0' * 16}.part"))
    others = [
        book.file(name)
        for name in (
            "fitted/holidays.mp4",
            f"fitted/x{MADE}",
            f"artifacts/{'d' * 64}.mp4",
            "artifacts/99.part",
            "artifacts/.oss-abc.json",
            "rescued/task.mp4",
            "digests.json",
        )
    ]
    (book.project.folder / f".wanrun/fitted/{'e' * 64}-{'f' * 64}.mp4").symlink_to(others[0])

    said = project.wanrun("clean", "--yes")

    assert said.exit_code == 0, said
    assert [path.exists() for path in ours] == [False] * 3
    assert all(path.exists() for path in others)
    assert project.wanrun("clean").stdout == "nothing to remove\n"


def test_a_download_goes_once_its_attempt_is_over(project: Project, book: Book) -> None:
    """Of a paid result that is lost what there is stays, and what is doubtful goes for a good one only."""
    attempts = {state: book.attempt(state, state) for state in AttemptState}
    for number in attempts.values():
        for suffix in ("part", "doubtful"):
            book.file(f"artifacts/{number}.{suffix}")

    said = project.wanrun("clean", "--yes")

    assert said.exit_code == 0, said
    left = {path.name for path in (project.folder / ".wanrun/artifacts").iterdir()}
    parts = {state for state, number in attempts.items() if f"{number}.part" in left}
    doubtful = {state for state, number in attempts.items() if f"{number}.doubtful" in left}
    assert parts == {*map(AttemptState, NOT_OVER), AttemptState.LOST}
    assert doubtful == set(AttemptState) - {AttemptState.FETCHED}


@pytest.mark.slow
def test_what_a_run_with_another_ledger_fetches_stays(project: Project) -> None:
    """Two ledgers in one folder have one artifact store, and number their downloads alike."""
    child = project.start(project.spec("one"), "--emulator", "--edit", "none", "--speed", "1")
    child.until(": submitted")
    copy = project.folder / ".wanrun/emulator/artifacts/.wanrun-0123456789abcdef.part"
    copy.touch()
    other = ("clean", "--yes", "--emulator", "--ledger", ".wanrun/emulator/other.db")

    during = project.wanrun(*other)
    was_there = copy.exists()
    child.signal(signal.SIGKILL)
    child.end()
    after = project.wanrun(*other)

    assert (during.exit_code, was_there) == (0, True), during
    assert f"what is in {copy.parent} stays: a run with another ledger relies on it" in during.stdout
    assert (after.exit_code, copy.exists()) == (0, False), after


def test_what_a_run_relies_on_stays(project: Project, book: Book) -> None:
    """With its own ledger it is told to wait; with another one what it has made is left alone."""
    made = book.file(f"fitted/{MADE}")

    with LedgerLock(project.folder / ".wanrun/ledger.db"):
        busy = project.wanrun("clean", "--yes")
    with relied_on(made.parent):
        other = project.wanrun("clean", "--yes")
    after = project.wanrun("clean", "--yes")

    assert (busy.exit_code, other.exit_code, after.exit_code) == (3, 0, 0), (busy, other)
    assert "ledger.db is in use by another run" in busy.stderr
    assert f"what is in {made.parent} stays: a run with another ledger relies on it" in other.stdout
    assert "removed 1 file" in after.stdout
    assert not made.exists()


def test_a_file_that_cannot_be_removed_is_named(project: Project, book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its siblings go."""
    stuck, free = book.file(f"fitted/{MADE}"), book.file(f"fitted/{'c' * 64}-{'d' * 64}.png")
    unlink = Path.unlink

    def refuse(path: Path, missing_ok: bool = False) -> None:
        if path == stuck:
            raise PermissionError(13, "Permission denied", str(path))
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    said = project.wanrun("clean", "--yes")

    assert said.exit_code == 1, said
    assert said.stderr == f"{stuck} is not removed: Permission denied; make it writable\n"
    assert (stuck.exists(), free.exists()) == (True, False)


def test_where_there_is_nothing_nothing_is_made(project: Project) -> None:
    """Not even a folder."""
    said = project.wanrun("clean")

    assert (said.exit_code, said.stdout) == (0, "nothing to remove\n"), said
    assert not (project.folder / ".wanrun").exists()


# Results

CHAINED = f"""{HEAD}jobs:
  - {{id: night, prompt: night, media: [{{video: https://example.com/a.mp4}}]}}
  - {{id: anime, prompt: anime, media: [{{video: {{job: night}}}}]}}
"""


def results(project: Project, *args: str) -> Said:
    return project.wanrun("clean", "--emulator", "--format", "json", *args)


def test_results_go_only_if_asked_for_and_stay_done(project: Project) -> None:
    """The next run does nothing, and a sink that is added then is told what to do."""
    spec = project.spec("one", "two")
    project.wanrun(spec, *FAST)

    unasked = results(project, "--yes")
    asked = results(project, "--results", spec, "--yes")
    plan = project.wanrun("plan", spec, "--emulator", "--format", "json").json

    assert counts(unasked) == {}
    assert counts(asked) == {"results": (1, 1)}  # of both jobs the emulator makes the same bytes
    assert plan["actions"] == {"nothing": 2}
    assert list((project.folder / ".wanrun/emulator/artifacts").iterdir()) == []
    assert len(list((project.folder / ".wanrun/emulator/delivered/out").glob("*.mp4"))) == 2


def test_a_result_that_is_not_delivered_everywhere_stays(project: Project) -> None:
    """A sink that the spec has by now has not had it yet, though the ledger calls the job done."""
    spec = project.spec("one")
    project.wanrun(spec, *FAST)
    text = (project.folder / spec).read_text()
    project.write(spec, text.replace("sinks:\n", "sinks:\n  more: {folder: more}\n"))

    said = results(project, "--results", spec, "--yes")

    assert counts(said) == {}
    assert project.wanrun(spec, *FAST).exit_code == 0
    assert list((project.folder / ".wanrun/emulator/delivered/more").rglob("*.mp4"))


@pytest.mark.parametrize("named", ["with its spec", "by the ledger alone"])
def test_a_result_that_a_chain_needs_stays(project: Project, named: str) -> None:
    """Also of a chain in another spec, which the ledger knows."""
    project.write("a.yaml", CHAINED)
    fault = {"on": "create", "prompt": "anime", "do": {"status": 400, "code": "InvalidParameter", "message": "no"}}
    first = project.wanrun("a.yaml", *FAST, *project.faults(fault))
    if named == "by the ledger alone":
        project.write("a.yaml", CHAINED.rpartition("  - ")[0])

    kept = results(project, "--results", "a.yaml", "--yes")

    assert first.exit_code == 1, first
    assert counts(kept) == {}
    assert kept.json["stays"] == ["1 result stays: needed by jobs that chain from it and have none yet"]
    project.write("a.yaml", CHAINED)
    assert project.wanrun("a.yaml", *FAST, "--retry-failed").exit_code == 0
    assert counts(results(project, "--results", "a.yaml", "--yes")) == {"results": (1, 1)}


def test_results_of_a_lent_ledger_stay(project: Project) -> None:
    """Whoever has it may chain from them."""
    spec = project.spec("one")
    project.wanrun(spec, *FAST)
    _lend(Book(project, ".wanrun/emulator"))

    said = results(project, "--results", spec, "--yes")

    assert (said.exit_code, counts(said)) == (0, {})
    assert said.json["stays"][0].startswith("results stay: the ledger was lent to job 7 at ")


@pytest.mark.parametrize("args", [("--results",), ("batch.yaml",)])
def test_results_are_those_of_specs(project: Project, book: Book, args: tuple[str, ...]) -> None:
    """Which say where each has to be; a spec that is wrong is said as anywhere."""
    project.spec("one")

    said = project.wanrun("clean", *args)
    wrong = project.wanrun("clean", "--results", project.write("wrong.yaml", "version: 2\n"))

    assert said.exit_code == 2
    assert said.stderr.startswith("--results and the SPECS whose results may go belong together\n")
    assert (wrong.exit_code, "wrong.yaml:1:10" in wrong.stderr) == (2, True), wrong


# Asking


@pytest.mark.slow
@pytest.mark.parametrize(("typed", "code"), [("y\n", 0), ("n\n", 2)])
def test_at_a_terminal_a_person_is_asked(project: Project, book: Book, typed: str, code: int) -> None:
    """With how much it is; only a yes removes anything."""
    made = book.file(f"fitted/{MADE}", b"x" * 1000)
    with terminal(project, "clean") as screen:
        screen.until("1 file, 1 kB to remove. Remove? [y/N] ")
        screen.type(typed)

        assert screen.end() == code, screen.seen

    assert made.exists() == (code != 0)


# From beginning to end


@pytest.mark.slow
def test_a_kill_in_the_middle_leaves_what_the_next_one_goes_on_with(
    project: Project, server: OssServer, book: Book
) -> None:
    """What is gone is gone; nothing is written down that could be wrong."""
    for word in "abcdefgh":
        staged(server, word)
    made = book.file(f"fitted/{MADE}")
    server.faults.append(Fault("DeleteObject", "hold", at=3))
    child = project.start("clean", "--yes", **OSS)
    assert server.held.wait(30)
    child.signal(signal.SIGKILL)
    child.end()
    server.released.set()
    assert made.exists()

    said = project.process("clean", "--yes", **OSS)

    assert said.exit_code == 0, said
    assert (server.objects, made.exists()) == ({}, False)


@pytest.mark.slow
def test_a_clip_that_was_staged_goes_when_its_time_is_over(project: Project, server: OssServer) -> None:
    """Not while its job is in flight, and not before five days; the next job that needs it sends it anew."""
    clip = Path(__file__).parents[2] / "specs/media/street.mp4"
    (project.folder / "street.mp4").write_bytes(clip.read_bytes())
    spec = project.write("clip.yaml", f"{HEAD}jobs: [{{id: a, prompt: a, media: [{{video: street.mp4}}]}}]\n")
    project.environ |= {"DASHSCOPE_API_KEY": "sk-test", **OSS}
    (name,) = [f"wanrun-staging/{sha256(clip.read_bytes()).hexdigest()}.mp4"]
    silent = project.faults({"on": "query", "do": {"status": 503}}, NO_LIST)
    with project.emulator("--speed", "100000", *silent) as url:
        child = project.start(spec, "--base-url", url)
        child.until("submitted as task")
        child.signal(signal.SIGINT)
        child.end()
    server.objects[name] = replace(server.objects[name], made_at=time.time() - 6 * DAY)

    kept = project.process("clean", "--yes")
    with project.emulator("--speed", "100000") as url:
        done = project.process(spec, "--base-url", url)
    gone = project.process("clean", "--yes")

    assert done.exit_code == 0, done
    assert "1 staged file stays: needed by jobs that are not over" in kept.stdout, kept
    assert "removed 1 file" in gone.stdout, gone
    assert server.objects == {}
    assert api.clean(api.Setup(folder=project.folder)).found == ()
