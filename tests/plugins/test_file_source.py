"""What the source `file` promises: small pictures in the request, all else uploaded, each file hashed once."""

from __future__ import annotations

import os
from base64 import b64decode
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import trio
from plugin_parts import MEDIA, Lent, media_ref

from wanrun import MediaUrl, SourceError
from wanrun_plugins import file as file_module
from wanrun_plugins.file import INLINE_BYTES, FileSource

PICTURE, VIDEO = MEDIA / "clay.png", MEDIA / "street.mp4"


def ref(path: object, type_: str = "reference_image", folder: Path = MEDIA) -> Any:
    return media_ref(folder, "file", type_, path=str(path))


async def prepare(reference: Any, lent: Lent) -> MediaUrl:
    """Prepare a reference as the core does: identified before."""
    source = FileSource()
    lent.identity = source.identify(reference)
    return await source.prepare(reference, lent)


def digest(path: Path) -> str:
    return f"sha256:{sha256(path.read_bytes()).hexdigest()}"


def test_a_path_starts_at_the_specs_folder(tmp_path: Path) -> None:
    """Relative, absolute and file:// paths lead to the same file; `~` is only a character."""
    (tmp_path / "clips").mkdir()
    clip = tmp_path / "clips" / "my clip.mp4"
    clip.write_bytes(VIDEO.read_bytes())
    (tmp_path / "~").write_bytes(b"x")
    source = FileSource()

    for path in ("clips/my clip.mp4", clip, clip.as_uri(), f"file://localhost{clip}"):
        assert source.locate(ref(path, folder=tmp_path)) == clip
    assert source.locate(ref("~", folder=tmp_path)) == tmp_path / "~"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("clips/shot.mp4", r"^clips/shot.mp4: no such file \(paths start at the folder of hero.yaml\)$"),
        ("empty.png/x.mp4", "no such file"),
        ("~/shot.mp4", "no such file .~ and variables are not expanded; write the whole path"),
        ("clips/*.mp4", "write it in a matrix: {glob: ...}"),
        (r"clips\shot.mp4", "the parts of a path stand between slashes"),
        ("www.example.com/shot.mp4", "a link starts with https://"),
        (".", "this is a folder; name one file"),
        ("pipe", "not a regular file"),
        ("empty.png", "the file is empty"),
        ("a\0b", "cannot be a path"),
        ("a\ud800b", "cannot be a path"),
        ("file:///a%00b", "cannot be a path"),
        ("file://[", "three slashes"),
        ("file:shot.mp4", "three slashes"),
        ("file://clips/shot.mp4", "three slashes"),
        ("x" * 300, r"cannot be read \(File name too long\)"),
        ("loop", "cannot be read"),
    ],
)
def test_what_is_no_readable_file_is_refused_with_its_reason(tmp_path: Path, path: str, message: str) -> None:
    """Each way of being no file has its words, at `validate` already."""
    (tmp_path / "empty.png").touch()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")

    with pytest.raises(SourceError, match=message):
        FileSource().locate(ref(path, folder=tmp_path))


@pytest.mark.parametrize(
    ("head", "mime"),
    [
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"BM" + bytes(12) + b"\x28\0\0\0", "image/bmp"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "image/webp"),
        (b"\0\0\0\x18ftypisom", "video/mp4"),
        (b"\0\0\0\x14ftypqt  ", "video/quicktime"),
        (b"\0\0\0\x08wide\0\0\0\x08mdat", "video/quicktime"),
    ],
)
def test_identity_is_the_bytes_and_what_they_are(tmp_path: Path, head: bytes, mime: str) -> None:
    """Digest, size and type come from the content, whatever the name says."""
    path = tmp_path / "anything.txt"
    path.write_bytes(head + bytes(70))

    identity = FileSource().identify(ref(path))

    assert (identity.key, identity.bytes, identity.mime) == (digest(path), len(head) + 70, mime)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"Just words.\n", "clip.mp4 is .*; use JPEG, PNG, BMP, WEBP, MP4 or MOV"),
        (b"GIF89a" + bytes(40), "clip.mp4 is image/gif"),
        (b"\0\0\0\x18ftypheic" + bytes(40), "clip.mp4 is "),
        (b"RIFF\0\0\0\0AVI LIST" + bytes(40), "clip.mp4 is video/"),
        (b"BMW is no bitmap, though it starts as one", "clip.mp4 is "),
    ],
)
def test_what_the_service_does_not_read_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    """A file that only has the right name is said to be what it is."""
    (tmp_path / "clip.mp4").write_bytes(content)

    with pytest.raises(SourceError, match=message):
        FileSource().identify(ref("clip.mp4", folder=tmp_path))


async def test_a_small_picture_goes_into_the_request() -> None:
    """Up to 7 MB a data URL saves an upload."""
    lent = Lent()

    media = await prepare(ref(PICTURE), lent)

    head, _, data = media.url.partition(",")
    assert head == "data:image/png;base64"
    assert b64decode(data) == PICTURE.read_bytes()
    assert lent.uploads == []


async def test_a_picture_is_uploaded_when_the_request_is_full(tmp_path: Path) -> None:
    """The last character that fits is used, and not one more."""
    length = len((await prepare(ref(PICTURE), Lent())).url)
    full, just = Lent(inline_bytes_left=length - 1), Lent(inline_bytes_left=length)

    uploaded = await prepare(ref(PICTURE), full)
    inlined = await prepare(ref(PICTURE), just)

    assert uploaded.url.startswith("oss://")
    assert inlined.url.startswith("data:")
    assert full.uploads == [(PICTURE, digest(PICTURE), "image/png")]


@pytest.mark.parametrize(("more", "scheme"), [(0, "data:"), (1, "oss:")])
async def test_seven_megabytes_are_the_most_that_is_inlined(tmp_path: Path, more: int, scheme: str) -> None:
    """A larger picture is uploaded, whatever the request could hold."""
    picture = tmp_path / "large.png"
    picture.write_bytes(PICTURE.read_bytes().ljust(INLINE_BYTES + more, b"\0"))

    media = await prepare(ref(picture), Lent())

    assert media.url.startswith(scheme)


@pytest.mark.parametrize("path", [VIDEO, PICTURE], ids=["a video", "a picture as video"])
async def test_a_video_is_always_uploaded(path: Path) -> None:
    """The service takes no data URL for a video."""
    lent = Lent()

    await prepare(ref(path, "video"), lent)

    assert [upload[:2] for upload in lent.uploads] == [(path, digest(path))]


async def test_a_file_of_many_jobs_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many threads ask at once, each file is hashed once per process."""
    source, reads = FileSource(), []
    read = file_module._read_identity
    monkeypatch.setattr(file_module, "_read_identity", lambda *args: (reads.append(args), read(*args))[1])

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(trio.to_thread.run_sync, source.identify, ref(VIDEO, "video"))

    assert len(reads) == 1


def test_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    """Another content at the same path is another input, though size and time stamp are the same."""
    path = tmp_path / "a.png"
    source = FileSource()
    path.write_bytes(PICTURE.read_bytes() + b"1")
    first = source.identify(ref(path))
    stamp = path.stat().st_mtime_ns
    replacement = tmp_path / "b.png"
    replacement.write_bytes(PICTURE.read_bytes() + b"2")
    replacement.replace(path)
    os.utime(path, ns=(stamp, stamp))

    assert source.identify(ref(path)).key == digest(path) != first.key


async def test_a_file_that_vanishes_or_changes_meanwhile_is_refused(tmp_path: Path) -> None:
    """Between the look and the read anything may happen; it fails this job in plain words."""
    path = tmp_path / "a.png"
    path.write_bytes(PICTURE.read_bytes())
    identity = FileSource().identify(ref(path))

    path.write_bytes(PICTURE.read_bytes() + b"more")
    with pytest.raises(SourceError, match="changed since the plan"):
        file_module._data_url(path, "a.png", identity)
    path.unlink()
    with pytest.raises(SourceError, match=r"a\.png: cannot be read"):
        file_module._data_url(path, "a.png", identity)
    with pytest.raises(SourceError, match="no such file"):
        await prepare(ref("a.png", folder=tmp_path), Lent())


def fitted_ref(**options: Any) -> Any:
    return media_ref(MEDIA, "file", "video", path="street.mp4", **options)


@pytest.mark.parametrize(
    ("options", "before"),
    [
        ({}, ""),
        ({"fit": False}, ""),
        ({"fit": True}, "fit:"),
        ({"trim": "0-3"}, "trim=0-3:"),
        ({"trim": "0.0-3.00"}, "trim=0-3:"),
        ({"trim": "0-3", "fit": True}, "trim=0-3,fit:"),
    ],
    ids=str,
)
def test_identity_is_the_bytes_and_what_is_asked_to_be_made_of_them(options: dict[str, Any], before: str) -> None:
    """Never what is made: another PyAV makes other bytes. A plain file is its bytes alone, as ever."""
    identity = FileSource().identify(fitted_ref(**options))

    assert identity.key == before + digest(VIDEO)


@dataclass
class Fitting(Lent):
    """Lends a file that something was made of."""

    made: Path = VIDEO

    async def fitted(self, path: Path) -> Path:
        assert path == VIDEO
        return self.made


async def test_what_was_made_is_uploaded_as_what_it_is(tmp_path: Path) -> None:
    """By its own bytes, so that no two things that were made of one file are taken for each other."""
    film = tmp_path / "made.mp4"
    film.write_bytes(VIDEO.read_bytes() + bytes(8))
    lent = Fitting(made=film)

    await FileSource().prepare(fitted_ref(trim="0-3"), lent)

    assert lent.uploads == [(film, digest(film), "video/mp4")]


@dataclass
class AsItIs(Lent):
    """Lends the file itself, which then is changed."""

    async def fitted(self, path: Path) -> Path:
        await self.to_thread(_append, path)
        return path


def _append(path: Path) -> None:
    path.write_bytes(path.read_bytes() + bytes(8))


async def test_what_fits_as_it_is_is_held_against_what_the_plan_has_seen(tmp_path: Path) -> None:
    """A file that changes behind the last look at it is not handed over as if it were the planned one."""
    for name, planned in (("a.mp4", VIDEO), ("a.png", PICTURE)):
        (tmp_path / name).write_bytes(planned.read_bytes())
    lent = AsItIs()

    await prepare(media_ref(tmp_path, "file", path="a.mp4", fit=True), lent)
    with pytest.raises(SourceError, match="changed since the plan"):
        await prepare(media_ref(tmp_path, "file", "reference_image", path="a.png", fit=True), lent)

    assert lent.uploads == [(tmp_path / "a.mp4", digest(VIDEO), "video/mp4")]
