"""Media of strangers: read by readers of our own, bounded in time and memory, whatever a file says of itself."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import time
import tracemalloc
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from media_files import make_picture, make_video
from wanrun.emulator import ready_clip
from wanrun.media import ProbeError, probe
from wanrun.mp4 import MAX_INDEX_BYTES, Mp4Error, read_mp4

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

SECONDS = 5.0  #: that one file may take on a busy machine; the worst below takes a tenth of it
MEMORY_BYTES = 3 * MAX_INDEX_BYTES


def box(kind: bytes, content: bytes = b"") -> bytes:
    """Return a box of an mp4."""
    return struct.pack(">I4s", 8 + len(content), kind) + content


FTYP = box(b"ftyp", b"isom\0\0\0\0")
MVHD = box(b"mvhd", bytes(100))
HANDLER = box(b"mdia", box(b"mdhd", bytes(24)) + box(b"hdlr", bytes(8) + b"vide" + bytes(12)))


def of_index(*content: bytes) -> bytes:
    """Return a file with this index."""
    return FTYP + box(b"moov", b"".join(content)) + box(b"mdat", b"x")


def table(kind: bytes, count: int, bytes_each: int) -> bytes:
    """Return an index whose one track has a table of offsets with so many entries."""
    offsets = box(kind, bytes(4) + struct.pack(">I", count) + bytes(count * bytes_each))
    media = box(b"mdhd", bytes(24)) + box(b"hdlr", bytes(8) + b"vide" + bytes(12))
    return of_index(MVHD, box(b"trak", box(b"mdia", media + box(b"minf", box(b"stbl", offsets)))))


def refusal_of(path: Path) -> str:
    """Return why a file is refused; empty for one that is not."""
    try:
        probe(path)
    except ProbeError as exc:
        return str(exc) or "no words"
    return ""


def fill(piece: bytes) -> bytes:
    """Return a piece as often as an index may hold it."""
    return piece * ((MAX_INDEX_BYTES - 1000) // len(piece))


HOSTILE: dict[str, bytes] = {
    "an index of tiny boxes": of_index(fill(box(b"free"))),
    "an index of tiny tracks": of_index(MVHD, fill(box(b"trak", HANDLER))),
    "a track of tiny boxes": of_index(MVHD, box(b"trak", fill(box(b"free")))),
    "a hundred tracks of tiny boxes": of_index(MVHD, box(b"trak", HANDLER + box(b"free") * 20_000) * 99),
    "four million offsets": table(b"stco", (MAX_INDEX_BYTES - 1000) // 4, 4),
    "two million wide offsets": table(b"co64", (MAX_INDEX_BYTES - 1000) // 8, 8),
    "an offset table that is not there": of_index(box(b"stco", bytes(4) + b"\xff\xff\xff\xff")),
    "boxes inside each other": of_index(MVHD, *[b"\0\0\x10\0trak"] * 500),
    "a billion seconds": of_index(box(b"mvhd", bytes(12) + b"\0\0\0\1" + b"\xff\xff\xff\xfe" + bytes(80))),
    "a hundred thousand boxes": FTYP + box(b"free") * 150_000,
    "an index said to be 16 EiB": FTYP + b"\0\0\0\1moov" + b"\xff" * 8,
    "a playlist": b"ffconcat version 1.0\nfile /etc/passwd\n",
    "a playlist behind a box": FTYP + b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
    "a picture of 4 billion pixels a side": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
    + b"\xff" * 8
    + b"\x08\x02\0\0\0"
    + bytes(4),
    "a picture of empty chunks": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\1\0\0\0\1\0\x08\x02\0\0\0" + bytes(12) * 20_000,
    "a picture of padding": b"\xff\xd8" + b"\xff" * 100_000,
    "a picture of tiny segments": b"\xff\xd8" + b"\xff\xe0\0\2" * 50_000,
    "a vector picture": b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_is_read_in_little_time_and_memory(tmp_path: Path, data: bytes) -> None:
    """It has facts or it is refused; a header that promises billions costs nothing."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(data)
    tracemalloc.start()
    began = time.process_time()

    said = refusal_of(path)
    taken, memory = time.process_time() - began, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert len(said) < 300
    assert taken < SECONDS
    assert memory < MEMORY_BYTES


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Return real media: mp4 and mov of two muxers, and pictures of each format."""
    folder = tmp_path_factory.mktemp("media")
    films = [make_video(folder / "a.mp4", seconds=1, sound=True), make_video(folder / "b.mov", flags="faststart")]
    pictures = [("png", "rgba"), ("mjpeg", "yuvj420p"), ("bmp", "bgr24"), ("libwebp", "bgra")]
    films += [make_picture(folder / f"{codec}.dat", codec, pixels=pixels) for codec, pixels in pictures]
    return [ready_clip().data, *(path.read_bytes() for path in films)]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damaged_media_give_probe_errors_only(tmp_path: Path, real: list[bytes], data: st.DataObject) -> None:
    """Bytes changed, cut out, doubled and put elsewhere: facts or an error with words, and nothing else."""
    damaged = bytearray(data.draw(st.sampled_from(real)))
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, min(len(damaged), 4000) - 1) | st.integers(0, len(damaged) - 1))
        size = data.draw(st.integers(1, 8) | st.integers(1, len(damaged)))
        change = data.draw(st.sampled_from(["write", "cut", "double", "ones"]))
        if change == "write":
            damaged[at : at + 4] = data.draw(st.binary(min_size=4, max_size=4))
        elif change == "ones":
            damaged[at : at + 8] = b"\xff" * 8
        elif change == "cut":
            del damaged[at : at + size]
        else:
            damaged[at:at] = damaged[at : at + size]
        if not damaged:
            break
    path = tmp_path / "damaged"
    path.write_bytes(damaged)

    assert refusal_of(path) != "no words"
    with suppress(Mp4Error):
        read_mp4(path)


LOOK = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({memory}, {memory}))
from pathlib import Path
from wanrun.inputs import check_inputs
from wanrun.media import probe
print(probe(Path(sys.argv[1])).seconds, sorted({{"av", "PIL", "cv2"}} & set(sys.modules)))
"""


def test_no_decoder_is_ever_loaded(tmp_path: Path) -> None:
    """Files are looked into without PyAV and its like, in a process of its own with little memory to show it."""
    path = make_video(tmp_path / "x.mp4", seconds=2)
    code = LOOK.format(memory=600 << 20)

    said = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)

    assert said.stdout.strip() == "2.0 []"


@pytest.mark.parametrize("name", ["/dev/zero", "a pipe", "a folder"])
def test_what_is_no_file_is_not_read(tmp_path: Path, name: str) -> None:
    """A link in a repository may lead to what never ends, or to what never begins."""
    path = tmp_path / "clip.mp4"
    if name == "a pipe":
        os.mkfifo(path)
    elif name == "a folder":
        path.mkdir()
    else:
        path.symlink_to(name)

    with pytest.raises(ProbeError):
        probe(path)


def test_the_emulator_opens_no_playlist(tmp_path: Path) -> None:
    """It edits with PyAV, which would open what a playlist names; it is told what the first bytes are."""
    pytest.importorskip("av", reason="the emulator edits with PyAV")
    from wanrun.emulator.checks import Fault
    from wanrun.emulator.probe import probe_image, probe_video
    from wanrun.models import shipped_models

    limits = next(iter(shipped_models())).media
    make_video(tmp_path / "secret.mp4", seconds=3)
    for text in ("ffconcat version 1.0\nfile secret.mp4\n", "#EXTM3U\n#EXTINF:3,\nsecret.mp4\n#EXT-X-ENDLIST\n"):
        path = tmp_path / "clip.mp4"
        path.write_text(text, encoding="utf-8")
        assert isinstance(probe_video(path, limits["video"]), Fault)
        assert isinstance(probe_image(path, limits["reference_image"]), Fault)
