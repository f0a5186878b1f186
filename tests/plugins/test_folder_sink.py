"""What the sink `folder` promises: whole files only, inside its folder only, and never over somebody else's."""

from __future__ import annotations

import errno
import json
import os
import signal
import stat
import subprocess
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from textwrap import dedent
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from plugin_parts import Lent, a_delivery, a_job, sink_ref

from wanrun import Sandbox, SinkConflict, SinkError
from wanrun_plugins import _folders
from wanrun_plugins.folder import FolderSink

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wanrun import Delivery, Receipt


@pytest.fixture(params=[True, False], ids=["by descriptors", "by paths"])
def sink(request: pytest.FixtureRequest) -> FolderSink:
    """The sink in both its ways to reach a folder; the second is that of Windows."""
    return FolderSink(descriptors=request.param)


def deliver(delivery: Delivery, sink: FolderSink | None = None) -> Receipt:
    return (sink or FolderSink()).deliver(delivery, Lent())


def files(folder: Path) -> set[str]:
    """Return every file below a folder, hidden ones too."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


@pytest.fixture
def umask() -> Iterator[None]:
    """Leave the process as it was."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_a_result_becomes_a_file_with_a_sidecar(tmp_path: Path, sink: FolderSink) -> None:
    """The receipt says where the file is and what it holds, and nothing else is left there."""
    receipt = deliver(a_delivery(tmp_path), sink)

    path = tmp_path / "out" / "shot.mp4"
    assert path.read_bytes() == b"a result"
    assert files(tmp_path / "out") == {"shot.mp4", "shot.mp4.json"}
    assert receipt.place == str(path) == sink.place(sink_ref(tmp_path), a_job(tmp_path))
    assert (receipt.bytes, receipt.sha256) == (8, sha256(b"a result").hexdigest())


def test_the_sidecar_holds_what_a_ledger_needs(tmp_path: Path) -> None:
    """Address, fingerprint, task, use and checksum; the same bytes each time."""
    delivery = replace(a_delivery(tmp_path), account="service")
    deliver(delivery)
    sidecar = tmp_path / "out" / "shot.mp4.json"
    first = sidecar.read_bytes()

    deliver(delivery)

    facts = json.loads(first)
    assert sidecar.read_bytes() == first
    assert list(facts)[:3] == ["made_by", "sidecar_version", "address"]
    assert (facts["address"], facts["fingerprint"], facts["task_id"]) == ("hero/shot", "f1:0123", "task-1")
    assert (facts["sha256"], facts["bytes"]) == (delivery.artifact.sha256, 8)
    assert facts["usage"]["billed_seconds"] == 10.0
    assert (facts["account"], facts["spec_path"]) == ("service", "../hero.yaml")
    assert facts["sink"] == {"name": "disk", "kind": "folder", "options": {}}
    assert "Ton über alles" in first.decode()


def test_the_name_may_hold_folders(tmp_path: Path, sink: FolderSink) -> None:
    """They are made, below an absolute folder as below a relative one."""
    deliver(a_delivery(tmp_path, name="a/b/c.mp4"), sink)
    deliver(a_delivery(tmp_path, path=str(tmp_path / "else" / "where"), name="é/ü.mp4"), sink)

    assert (tmp_path / "out" / "a" / "b" / "c.mp4").read_bytes() == b"a result"
    assert (tmp_path / "else" / "where" / "é" / "ü.mp4").read_bytes() == b"a result"


def test_the_folder_itself_may_be_a_link(tmp_path: Path, sink: FolderSink) -> None:
    """Whoever runs this may keep results on another disk."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "disk")

    deliver(a_delivery(tmp_path), sink)

    assert files(tmp_path / "disk") == {"shot.mp4", "shot.mp4.json"}


@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o000, 0o644)])
def test_files_have_the_mode_of_the_users_own(tmp_path: Path, mask: int, mode: int) -> None:
    """0644 less the umask, and never writable by others."""
    os.umask(mask)

    deliver(a_delivery(tmp_path))

    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "out").iterdir()} == {mode}


def test_the_same_bytes_are_not_written_again(tmp_path: Path, sink: FolderSink) -> None:
    """A delivery after a crash finds its work done."""
    deliver(a_delivery(tmp_path), sink)
    before = (tmp_path / "out" / "shot.mp4").stat()

    receipt = deliver(a_delivery(tmp_path), sink)

    after = (tmp_path / "out" / "shot.mp4").stat()
    assert (after.st_ino, after.st_mtime_ns, after.st_ctime_ns) == (
        before.st_ino,
        before.st_mtime_ns,
        before.st_ctime_ns,
    )
    assert receipt.sha256 == sha256(b"a result").hexdigest()


def test_another_file_at_the_place_is_a_conflict(tmp_path: Path, sink: FolderSink) -> None:
    """What is there stays, and the message holds both checksums and what to do."""
    place = tmp_path / "out" / "shot.mp4"
    place.parent.mkdir()
    place.write_bytes(b"precious")

    with pytest.raises(SinkConflict) as raised:
        deliver(a_delivery(tmp_path), sink)

    assert files(place.parent) == {"shot.mp4"}
    assert place.read_bytes() == b"precious"
    for fact in (sha256(b"precious").hexdigest()[:12], sha256(b"a result").hexdigest()[:12], "hero/shot", str(place)):
        assert fact in str(raised.value)


def test_what_this_job_delivered_before_is_replaced(tmp_path: Path, sink: FolderSink) -> None:
    """A changed job's new result takes its old one's place, sidecar and all."""
    deliver(a_delivery(tmp_path, b"old"), sink)

    deliver(a_delivery(tmp_path, b"new", may_replace=(b"old",)), sink)

    assert (tmp_path / "out" / "shot.mp4").read_bytes() == b"new"
    assert sha256(b"new").hexdigest() in (tmp_path / "out" / "shot.mp4.json").read_text("utf-8")


@pytest.mark.parametrize("content", [b"{}", b"my notes", b"[" * 100_000, b"\xff"])
def test_a_sidecar_of_somebody_else_is_a_conflict(tmp_path: Path, content: bytes) -> None:
    """A file that only has the sidecar's name is not touched."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "shot.mp4.json").write_bytes(content)

    with pytest.raises(SinkConflict, match="not written by wanrun"):
        deliver(a_delivery(tmp_path))

    assert (tmp_path / "out" / "shot.mp4.json").read_bytes() == content


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../x.mp4", "stays in the folder"),
        ("a/../../x.mp4", "stays in the folder"),
        ("/etc/x.mp4", "stays in the folder"),
        ("a//x.mp4", "stays in the folder"),
        ("./x.mp4", "stays in the folder"),
        ("..", "stays in the folder"),
        ("", "stays in the folder"),
        ("..\\x.mp4", "backslashes"),
        ("x\0.mp4", "control characters"),
        ("x\x1b[2J.mp4", "control characters"),
        ("x\ud800.mp4", "control characters"),
        ("CON.mp4", "device on Windows"),
        ("nul/x.mp4", "device on Windows"),
        ("a./x.mp4", "dot or a blank"),
        ("a /x.mp4", "dot or a blank"),
        ("x.exe", "ends with .mp4"),
        ("x.mp4.desktop", "ends with .mp4"),
        ("x", "ends with .mp4"),
        ("é" * 130 + "/x.mp4", "at most 255 bytes"),
        ("x" * 247 + ".mp4", "at most 250 bytes"),
    ],
)
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str, message: str) -> None:
    """At `validate` and again at delivery; nothing is written."""
    with pytest.raises(SinkError, match=message) as raised:
        FolderSink().place(sink_ref(tmp_path, name=name), a_job(tmp_path))
    with pytest.raises(SinkError, match=message):
        deliver(a_delivery(tmp_path, name=name))

    assert str(raised.value).isprintable()
    assert not (tmp_path / "out").exists()


@given(st.lists(st.sampled_from(["..", ".", "a", "", "\\", "/", "b.mp4", "~", "C:", "\0"]), max_size=6))
def test_no_name_leaves_the_folder(parts: list[str]) -> None:
    """Whatever parts a name is made of, its place is below the folder, or it is refused."""
    home = Path("/specs")
    try:
        place = FolderSink().place(sink_ref(home, name="/".join(parts)), a_job(home))
    except SinkError:
        return
    assert os.path.normpath(place) == place
    assert place.startswith("/specs/out/")


@pytest.mark.parametrize("planted", ["a", "a/b", "a/b/x.mp4", "a/b/x.mp4.json"])
def test_a_planted_link_is_not_followed(tmp_path: Path, sink: FolderSink, planted: str) -> None:
    """A link at any part below the folder is refused by its path, and its target is not touched."""
    target = tmp_path / "target"
    target.mkdir()
    if "." in planted:
        target = target / "file"
        target.write_bytes(b"precious")
    link = tmp_path / "out" / planted
    link.parent.mkdir(parents=True)
    link.symlink_to(target)

    with pytest.raises(SinkError, match="symbolic link") as raised:
        deliver(a_delivery(tmp_path, name="a/b/x.mp4"), sink)

    assert str(link) in str(raised.value)
    assert link.is_symlink()
    assert files(tmp_path / "target") in ({"file"}, set())
    assert b"".join(path.read_bytes() for path in (tmp_path / "target").iterdir()) in (b"precious", b"")


def test_a_link_planted_between_look_and_step_is_not_followed(tmp_path: Path) -> None:
    """The kernel refuses it at the step itself."""
    (tmp_path / "out").mkdir()
    with _folders.open_below(tmp_path / "out", ()) as folder:
        folder._refuse_link = lambda name: None  # type: ignore[method-assign]  # as if the link came right after it
        (tmp_path / "out" / "x").symlink_to(tmp_path)
        for step in (folder.enter, folder.open_file, folder.create_file):
            with pytest.raises(OSError, match="x") as raised:
                step("x")
            assert raised.value.errno in (errno.ELOOP, errno.ENOTDIR, errno.EEXIST)


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["a folder", "a pipe"])
def test_what_is_no_file_at_the_place_is_refused(tmp_path: Path, sink: FolderSink, make: Any) -> None:
    """A folder or a pipe neither blocks nor is replaced."""
    (tmp_path / "out").mkdir()
    make(tmp_path / "out" / "shot.mp4")

    with pytest.raises(SinkError, match=r"shot\.mp4: "):
        deliver(a_delivery(tmp_path), sink)


@pytest.mark.parametrize("path", ["out", "out/sub"])
def test_a_file_where_a_folder_should_be_is_refused(tmp_path: Path, sink: FolderSink, path: str) -> None:
    """The message names the file that is in the way."""
    blocking = tmp_path / path
    blocking.parent.mkdir(exist_ok=True)
    blocking.write_bytes(b"x")

    with pytest.raises(SinkError, match=f"{blocking}: (this is not a folder|Not a directory)"):
        deliver(a_delivery(tmp_path, name="sub/x.mp4"), sink)

    assert blocking.read_bytes() == b"x"


def test_a_damaged_artifact_is_not_delivered(tmp_path: Path, sink: FolderSink) -> None:
    """The checksum is taken again on the way, before the file gets its name."""
    delivery = a_delivery(tmp_path)
    delivery.artifact.path.write_bytes(b"a rexult")

    with pytest.raises(SinkError, match="artifact is damaged"):
        deliver(delivery, sink)

    assert files(tmp_path / "out") == set()


def test_an_artifact_that_is_gone_is_said_so(tmp_path: Path, sink: FolderSink) -> None:
    """This is not the place's fault, and not said to be kept."""
    delivery = a_delivery(tmp_path)
    delivery.artifact.path.unlink()

    with pytest.raises(SinkError, match="the artifact cannot be read") as raised:
        deliver(delivery, sink)

    assert "nothing is lost" not in str(raised.value)


def test_what_a_killed_run_left_is_removed(tmp_path: Path) -> None:
    """A run that is killed while it writes leaves no file of the name, and the next delivery cleans up."""
    code = """
        import os, signal, sys
        from pathlib import Path
        sys.path.insert(0, sys.argv[2])
        from plugin_parts import a_delivery
        from wanrun_plugins import folder
        folder.os.fsync = lambda fd: os.kill(os.getpid(), signal.SIGKILL)
        delivery = a_delivery(Path(sys.argv[1]))
        (Path(sys.argv[1]) / "out").mkdir()
        folder.FolderSink().deliver(delivery, None)
    """
    killed = subprocess.run([sys.executable, "-c", dedent(code), tmp_path, Path(__file__).parent], check=False)
    left = files(tmp_path / "out")
    (tmp_path / "out" / ".wanrun-0123456789abcdef-of-another.part").touch()

    deliver(a_delivery(tmp_path))

    assert killed.returncode == -signal.SIGKILL
    assert len(left) == 1
    assert next(iter(left)).startswith(".wanrun-")
    assert files(tmp_path / "out") == {"shot.mp4", "shot.mp4.json", ".wanrun-0123456789abcdef-of-another.part"}


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    """The message says that the artifact is kept, and the half-written file is gone."""
    code = """
        import resource, signal, sys
        from pathlib import Path
        sys.path.insert(0, sys.argv[2])
        from plugin_parts import a_delivery
        from wanrun_plugins.folder import FolderSink
        delivery = a_delivery(Path(sys.argv[1]), bytes(100_000))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
        try:
            FolderSink().deliver(delivery, None)
        except Exception as exc:
            print(type(exc).__name__, exc)
    """
    command = [sys.executable, "-c", dedent(code), tmp_path, Path(__file__).parent]

    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert said.startswith(f"SinkError {tmp_path}/out/shot.mp4: File too large; nothing is lost")
    assert files(tmp_path / "out") == set()


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "free space and run again"),
        (errno.EROFS, "make the folder writable"),
        (errno.EIO, "see that the disk is well"),
    ],
)
def test_errors_of_the_disk_come_with_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, advice: str
) -> None:
    """What the system says, where, that nothing is lost, and what to do."""

    def refuse(fd: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)

    with pytest.raises(SinkError, match=f"{os.strerror(number)}; nothing is lost, the artifact is kept.*{advice}"):
        deliver(a_delivery(tmp_path))


def test_a_place_that_changes_meanwhile_is_left_alone(tmp_path: Path) -> None:
    """A file that another program puts there while we copy is not replaced."""
    delivery = a_delivery(tmp_path)
    place = tmp_path / "out" / "shot.mp4"
    os.mkfifo(pipe := tmp_path / "store" / "pipe")  # the copy waits until something writes into it
    delivery = replace(delivery, artifact=replace(delivery.artifact, path=pipe))

    def interfere() -> None:
        with pipe.open("wb") as file:
            place.write_bytes(b"precious")
            file.write(b"a result")

    other = Thread(target=interfere)
    other.start()
    with pytest.raises(SinkError, match="another program changed it just now"):
        deliver(delivery)
    other.join()

    assert files(place.parent) == {"shot.mp4"}
    assert place.read_bytes() == b"precious"


async def test_many_deliveries_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    """One sink serves all jobs of a run, in threads."""
    sink = FolderSink()

    async with trio.open_nursery() as nursery:
        for number in range(20):
            delivery = a_delivery(tmp_path, f"result {number}".encode(), id_=f"s{number}", name=f"x/{number}.mp4")
            nursery.start_soon(trio.to_thread.run_sync, sink.deliver, delivery, Lent())

    assert len(files(tmp_path / "out" / "x")) == 40


@pytest.mark.parametrize("path", ["out", "/srv/out", "."])
def test_in_a_sandbox_everything_stays_below_it(tmp_path: Path, sink: FolderSink, path: str) -> None:
    """With `--emulator` a spec's own folders are not touched."""
    sandbox = tmp_path / "sandbox"

    receipt = deliver(a_delivery(tmp_path, sandbox=Sandbox(sandbox, sandbox), path=path, name="a/x.mp4"), sink)

    place = sandbox / path.lstrip("/") / "a" / "x.mp4"
    assert receipt.place == str(place)
    assert place.read_bytes() == b"a result"
    assert not (tmp_path / "out").exists()


def test_no_path_leads_out_of_a_sandbox(tmp_path: Path, sink: FolderSink) -> None:
    """Neither by `..` nor by a link inside."""
    sandbox = tmp_path / "sandbox"
    sandbox.mkdir()
    (sandbox / "out").symlink_to(tmp_path)

    with pytest.raises(SinkError, match="leads out of it"):
        deliver(a_delivery(tmp_path, sandbox=Sandbox(sandbox, sandbox), path="a/../../b"), sink)
    with pytest.raises(SinkError, match="symbolic link"):
        deliver(a_delivery(tmp_path, sandbox=Sandbox(sandbox, sandbox), path="out"), sink)


def test_in_a_sandbox_a_folder_beside_that_of_the_spec_is_beside_it(tmp_path: Path, sink: FolderSink) -> None:
    """`../out` is where many projects keep results, and can be rehearsed."""
    sandbox = Sandbox(tmp_path / "sandbox", tmp_path / "sandbox" / "specs")

    receipt = deliver(a_delivery(tmp_path, sandbox=sandbox, path="../out", name="x.mp4"), sink)

    assert receipt.place == str(tmp_path / "sandbox" / "out" / "x.mp4")


def test_the_name_fits_what_the_file_is(tmp_path: Path) -> None:
    """An artifact of another format is not given a false name."""
    delivery = a_delivery(tmp_path)
    delivery = replace(delivery, artifact=replace(delivery.artifact, suffix=".mov"))

    with pytest.raises(SinkError, match=r"must end with \.mov"):
        deliver(delivery)


def test_a_root_with_control_characters_is_refused(tmp_path: Path) -> None:
    """The folder's path is printed to a terminal."""
    with pytest.raises(SinkError, match="no control characters"):
        FolderSink().place(sink_ref(tmp_path, path="out\x1b[2J"), a_job(tmp_path))
