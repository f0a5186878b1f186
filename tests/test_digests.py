"""What `digests` promises: a file is hashed once, a changed one anew, and what is kept may be broken."""

from __future__ import annotations

import errno
import json
import mmap
import os
import shutil
import stat
import time
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import pytest

from wanrun import Identity, MediaRef, Position
from wanrun.digests import FILE_NAME, REST_NS, TICK_NS, Digests


def later() -> int:
    """Stand in for a wall clock some minutes on, so that files made just now are not fresh any more."""
    return time.time_ns() + 100 * TICK_NS


@dataclass
class Clips:
    """A folder of clips, and how often one was read."""

    folder: Path
    reads: list[str] = field(default_factory=list)

    def write(self, name: str, content: bytes) -> None:
        (self.folder / name).write_bytes(content)

    def digests(self, now_ns: object = later) -> Digests:
        """Return what a new process would know."""
        return Digests(self.folder / ".wanrun", now_ns=now_ns)  # type: ignore[arg-type]

    def identity(self, digests: Digests, name: str = "a.mp4", **options: str) -> Identity:
        path = self.folder / name
        ref = MediaRef("video", "file", {"path": name, **options}, self.folder, Position(path, 1, 1))

        def identify() -> Identity:
            self.reads.append(name)
            content = path.read_bytes()
            return Identity(f"sha256:{sha256(content).hexdigest()}", len(content), "video/mp4")

        return digests.identity(ref, path, identify)

    def look(self, name: str = "a.mp4", now_ns: object = later, **options: str) -> Identity:
        """Identify a clip as a command of its own does."""
        digests = self.digests(now_ns)
        found = self.identity(digests, name, **options)
        digests.save()
        return found

    @property
    def kept(self) -> Path:
        return self.folder / ".wanrun" / FILE_NAME


@pytest.fixture
def clips(tmp_path: Path) -> Clips:
    made = Clips(tmp_path)
    made.write("a.mp4", b"first")
    return made


def test_a_file_is_read_once_however_many_commands_ask(clips: Clips) -> None:
    """The second command has the answer from the first, with size and type."""
    first = clips.look()

    assert clips.look() == first == Identity(first.key, 5, "video/mp4")
    assert clips.reads == ["a.mp4"]


def test_other_bytes_are_read_whatever_is_done_to_look_the_same(clips: Clips) -> None:
    """Size and time stamp of the old file do not hide the new one: the file system keeps another time itself."""
    first, entry = clips.look(), (clips.folder / "a.mp4").stat()
    clips.write("a.mp4", b"other")
    os.utime(clips.folder / "a.mp4", ns=(entry.st_atime_ns, entry.st_mtime_ns))

    assert clips.look() != first
    assert clips.reads == ["a.mp4"] * 2


def test_another_file_in_its_place_is_read(clips: Clips) -> None:
    """A rename over it makes another inode."""
    first = clips.look()
    clips.write("b.mp4", b"other")
    (clips.folder / "b.mp4").replace(clips.folder / "a.mp4")

    assert clips.look() != first


def test_a_file_that_was_written_just_now_is_not_trusted(clips: Clips) -> None:
    """It may be written again within the same tick of the file system's clock, and would look the same."""
    clips.look(now_ns=time.time_ns)

    clips.look(now_ns=time.time_ns)

    assert clips.reads == ["a.mp4"] * 2
    assert not clips.kept.exists()


def test_a_file_that_is_written_through_a_mapping_is_read_again(clips: Clips) -> None:
    """The system notes the time of a page's first change alone, until the page has been written to disk."""
    path = clips.folder / "a.mp4"
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 5) as mapped:
        mapped[:5] = b"other"
        first = clips.look()
        while _clock_of(clips.folder) <= path.stat().st_mtime_ns:
            pass
        mapped[:5] = b"third"

        assert clips.look() != first
        assert clips.reads == ["a.mp4"] * 2


def _clock_of(folder: Path) -> int:
    """Return what the file system's clock says now."""
    (folder / "clock").write_bytes(b"")
    (folder / "clock").touch()
    return (folder / "clock").stat().st_mtime_ns


def test_what_cannot_be_written_out_must_have_been_left_alone_for_longer(
    clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as it takes the system to write out what is mapped."""

    def refuse(_descriptor: int) -> None:
        raise OSError(errno.EBADF, "not here")

    monkeypatch.setattr(os, "fsync", refuse)
    clips.look(now_ns=lambda: time.time_ns() + REST_NS // 2)
    assert not clips.kept.exists()

    clips.look(now_ns=lambda: time.time_ns() + 2 * REST_NS)
    assert clips.kept.exists()


def test_a_file_of_the_future_is_not_trusted(clips: Clips) -> None:
    """A clock that is wrong tells nothing about what comes after."""
    ahead = time.time() + 10_000
    os.utime(clips.folder / "a.mp4", (ahead, ahead))
    clips.look()

    clips.look()

    assert clips.reads == ["a.mp4"] * 2


def test_a_file_that_changes_while_it_is_read_is_not_kept(clips: Clips) -> None:
    """What was hashed is neither the old file nor the new one."""
    digests = clips.digests()
    path = clips.folder / "a.mp4"
    ref = MediaRef("video", "file", {"path": "a.mp4"}, clips.folder, Position(path, 1, 1))

    def identify() -> Identity:
        path.write_bytes(b"other")
        return Identity("sha256:of half and half", 5)

    digests.identity(ref, path, identify)
    digests.save()

    assert not clips.kept.exists()


def test_other_options_are_another_question(clips: Clips) -> None:
    """What a source makes of a file may depend on them."""
    clips.look()

    clips.look(trim="0-10")

    assert clips.reads == ["a.mp4"] * 2


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: b"", id="empty"),
        pytest.param(lambda data: data[: len(data) // 2], id="cut short"),
        pytest.param(lambda data: data.replace(b"sha256:", b"sha256:0", 1), id="one digit"),
        pytest.param(lambda data: data.partition(b"\n")[2], id="no first line"),
        pytest.param(lambda data: os.urandom(1000), id="noise"),
        pytest.param(lambda data: b"[" * 100_000, id="depth"),
        pytest.param(lambda data: data.replace(b"wanrun ", b"wanrun 9.", 1), id="of another version"),
    ],
)
def test_what_is_kept_can_be_broken(clips: Clips, damage: object) -> None:
    """It is ignored, and the next command keeps it anew."""
    clips.look()
    clips.kept.write_bytes(damage(clips.kept.read_bytes()))  # type: ignore[operator]

    clips.look()
    clips.look()

    assert clips.reads == ["a.mp4"] * 2


def test_whole_but_wrong_content_is_ignored(clips: Clips) -> None:
    """Rows of another form, with a first line that fits, are no rows."""
    clips.look()
    content = json.dumps([["name", ["too", "few"]]]).encode()
    first = clips.kept.read_bytes().partition(b"\n")[0].rpartition(b" ")[0]
    clips.kept.write_bytes(first + b" " + sha256(content).hexdigest().encode() + b"\n" + content)

    clips.look()

    assert clips.reads == ["a.mp4"] * 2


def test_two_commands_at_once_lose_nothing_of_each_other(clips: Clips) -> None:
    """Each adds what it has found to what is there when it is done."""
    clips.write("b.mp4", b"second")
    one, two = clips.digests(), clips.digests()
    clips.identity(one, "a.mp4")
    clips.identity(two, "b.mp4")

    one.save()
    two.save()
    clips.look("a.mp4")
    clips.look("b.mp4")

    assert clips.reads == ["a.mp4", "b.mp4"]
    assert [path.name for path in clips.kept.parent.iterdir()] == [FILE_NAME]


def test_what_turns_out_wrong_is_forgotten_for_good(clips: Clips) -> None:
    """A run that sends other bytes than were noted makes the next command read them."""
    clips.look()
    ref = MediaRef("video", "file", {"path": "a.mp4"}, clips.folder, Position(clips.folder / "a.yaml", 1, 1))

    clips.digests().forget(ref)
    clips.look()

    assert clips.reads == ["a.mp4"] * 2


def test_a_place_that_cannot_be_written_stops_nothing(clips: Clips) -> None:
    """Where wanrun's folder cannot be, every command hashes anew."""
    (clips.folder / ".wanrun").write_bytes(b"a file")

    assert clips.look() == clips.look()


def test_it_is_the_users_alone(clips: Clips) -> None:
    """Names of clips are nobody else's business; nothing is left beside it."""
    clips.look()

    assert stat.S_IMODE(clips.kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(clips.kept.parent.stat().st_mode) == 0o700


def test_a_checkout_that_was_copied_is_read_anew(clips: Clips, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Another copy has other inodes, so a cache that travels along is of no harm."""
    clips.look()
    copy = Clips(tmp_path_factory.mktemp("other") / "project")
    shutil.copytree(clips.folder, copy.folder)

    copy.look()

    assert copy.reads == ["a.mp4"]
