"""Editing, judged by decoding what came out; and media that the service would not take."""

from __future__ import annotations

import base64
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import pytest
import trio

from wanrun.emulator import run_emulator
from wanrun.emulator.chain import Wish
from wanrun.emulator.edit import Edited, Order, edit, order, output_size
from wanrun.emulator.inputs import is_loopback
from wanrun.emulator.looks import LOOKS, look_of
from wanrun.emulator.probe import Video, probe_video
from wanrun.models import shipped_models

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

pytestmark = pytest.mark.slow

MODEL = next(model for model in shipped_models() if model.name == "wan2.7-videoedit")
MEDIA = Path(__file__).resolve().parents[2] / "specs" / "media"
STREET, CLAY, COAT = MEDIA / "street.mp4", MEDIA / "clay.png", MEDIA / "coat.png"
NEARLY = 6.0  #: mean difference of one picture encoded twice, at most; 255 is black to white


@dataclass
class Film:
    """What a decoded file has in it."""

    frames: list[Any]
    samples: int
    loudest: float
    rate: Fraction
    codec: str

    @property
    def size(self) -> tuple[int, int]:
        return self.frames[0].width, self.frames[0].height

    def picture(self, at: int = 30) -> Any:
        """Return one frame, small, as RGB bytes."""
        return bytes(self.frames[at].reformat(width=96, height=54, format="rgb24").planes[0])


def decoded(path: Path) -> Film:
    """Decode a whole file."""
    with av.open(str(path)) as film:
        picture = film.streams.video[0]
        frames = list(film.decode(picture))
        film.seek(0)
        heard = list(film.decode(film.streams.audio[0]))
        loudest = max(max(map(abs, memoryview(bytes(each.planes[0])).cast("f")[: each.samples])) for each in heard)
        samples = sum(each.samples for each in heard)
        return Film(frames, samples, loudest, picture.average_rate, picture.codec.name)


def difference(one: bytes, other: bytes) -> float:
    """Return the mean difference of two pictures, 0 to 255."""
    return sum(abs(a - b) for a, b in zip(one, other, strict=True)) / len(one)


@pytest.fixture(scope="module")
def street_film() -> Film:
    """Return the example video, decoded."""
    return decoded(STREET)


@pytest.fixture
def edited(tmp_path: Path) -> Callable[..., tuple[Edited, Film]]:
    """Return a function that edits the example video and decodes the result."""

    def make(
        prompt: str = "mirror it", *, source: Path = STREET, images: tuple[Path, ...] = (), **parameters: Any
    ) -> tuple[Edited, Film]:
        video = probe_video(source, MODEL.media["video"])
        assert isinstance(video, Video)
        body = {"input": {"prompt": prompt}, "parameters": {"resolution": "720P", "duration": 2} | parameters}
        outcome = edit(order(body, MODEL, video, images, tmp_path / "result.mp4"), lambda: None)
        assert isinstance(outcome, Edited)
        return outcome, decoded(tmp_path / "result.mp4")

    return make


def test_an_edit_is_h264_at_30_frames_with_the_input_s_sound(edited: Callable[..., tuple[Edited, Film]]) -> None:
    """The whole length at 1280 x 720, and the tune is still there."""
    outcome, film = edited(duration=0)

    assert outcome == Edited(4.0, 4.0)
    assert (film.codec, film.rate, film.size, len(film.frames)) == ("h264", 30, (1280, 720), 120)
    assert film.samples / 44_100 == pytest.approx(4.0, abs=0.1)
    assert film.loudest > 0.1


@pytest.mark.parametrize("prompt", [words[0] for words, _ in LOOKS] + ["把场景变成黏土动画", "do something", ""])
def test_an_edit_is_visible(street_film: Film, tmp_path: Path, prompt: str) -> None:
    """Whatever the prompt, the picture differs clearly from the input's."""
    video, wish = Video(STREET, 480, 270, 4.0), Wish(prompt, (), 320, 180, watermark=False)

    edit(Order(video, wish, 0.3, tmp_path / "result.mp4"), lambda: None)

    changed = decoded(tmp_path / "result.mp4").picture(at=5)
    assert difference(street_film.picture(at=5), changed) > 2 * NEARLY


def test_words_choose_the_look() -> None:
    """By the beginning of a word, in capitals too, and the hash of a prompt without known words."""
    assert look_of("A SNOWY street") == look_of("snow")
    assert look_of("a nice slice") != look_of("ice")
    assert look_of("Turn it to clay") != look_of("Turn it to anime")
    assert look_of("aaa") == look_of("aaa")
    assert look_of("aaa") != look_of("bbb")


@pytest.mark.parametrize(
    ("resolution", "ratio", "size"),
    [
        ("720P", "9:16", (720, 1280)),
        ("720P", "1:1", (960, 960)),
        ("1080P", "4:3", (1648, 1248)),
        ("720P", None, (1280, 720)),
        ("1080P", None, (1920, 1080)),
    ],
)
def test_size_follows_the_table_or_the_input(resolution: str, ratio: str | None, size: tuple[int, int]) -> None:
    """With a ratio by the table, without by the input's aspect on as many pixels."""
    video = Video(STREET, 480, 270, 4.0)

    assert output_size({"resolution": resolution, "ratio": ratio}, MODEL, video) == size


@pytest.mark.parametrize(("width", "height"), [(240, 1920), (1920, 240), (333, 517)])
def test_size_is_even_and_keeps_aspect_and_area(width: int, height: int) -> None:
    """For any shape that the service takes."""
    across, down = output_size({"resolution": "720P"}, MODEL, Video(STREET, width, height, 4.0))

    assert across % 2 == down % 2 == 0
    assert across / down == pytest.approx(width / height, rel=0.01)
    assert across * down == pytest.approx(1280 * 720, rel=0.01)


def test_an_asked_ratio_is_what_comes_out(edited: Callable[..., tuple[Edited, Film]]) -> None:
    """The default resolution is 1080P; the picture is filled, not squeezed."""
    _, film = edited(ratio="3:4")

    assert film.size == (832, 1104)


def test_duration_cuts(edited: Callable[..., tuple[Edited, Film]]) -> None:
    """Two of four seconds: picture and sound."""
    outcome, film = edited(duration=2)

    assert outcome == Edited(2.0, 2.0)
    assert len(film.frames) == 60
    assert film.samples / 44_100 == pytest.approx(2.0, abs=0.1)


def corner(film: Film, *, right: bool) -> bytes:
    """Return the lower right or lower left of a frame, as brightness."""
    frame = film.frames[30].reformat(width=320, height=180, format="gray")
    plane = frame.planes[0]
    data, wide = bytes(plane), plane.line_size
    columns = slice(285, 320) if right else slice(0, 70)
    return b"".join(data[row * wide : row * wide + 320][columns] for row in range(130, 180))


def test_a_watermark_is_drawn_when_asked(edited: Callable[..., tuple[Edited, Film]]) -> None:
    """At the lower right, and nowhere else."""
    _, without = edited(watermark=False)
    _, marked = edited(watermark=True)

    assert difference(corner(without, right=True), corner(marked, right=True)) > NEARLY
    assert difference(corner(without, right=False), corner(marked, right=False)) < NEARLY


def test_reference_images_are_seen(edited: Callable[..., tuple[Edited, Film]]) -> None:
    """They stand at the lower left, one beside the other."""
    _, without = edited()
    _, shown = edited(images=(CLAY, COAT))

    assert difference(corner(without, right=False), corner(shown, right=False)) > 4 * NEARLY
    assert difference(corner(without, right=True), corner(shown, right=True)) < NEARLY


def test_a_silent_input_gets_a_silent_track(edited: Callable[..., tuple[Edited, Film]], tmp_path: Path) -> None:
    """Real results always have sound."""
    source = film(tmp_path / "silent.mp4", seconds=2)

    _, result = edited(source=source)

    assert result.samples / 44_100 == pytest.approx(2.0, abs=0.1)
    assert result.loudest < 0.001


def film(path: Path, *, seconds: float, width: int = 320, height: int = 240, codec: str = "libx264") -> Path:
    """Write a plain grey film of ten frames a second without sound."""
    with av.open(str(path), "w") as target:
        stream = target.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(int(seconds * 10)):
            frame = av.VideoFrame(width, height, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes([90 + number % 50]) * plane.buffer_size)
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    return path


def picture(pixels: str, *, width: int = 300, height: int = 300, codec: str = "png") -> bytes:
    """Return a plain picture."""
    encoder = av.CodecContext.create(codec, "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = width, height, pixels, Fraction(1, 25)
    frame = av.VideoFrame(width, height, pixels)
    for plane in frame.planes:
        plane.update(bytes(plane.buffer_size))
    return b"".join(bytes(packet) for packet in encoder.encode(frame))


@pytest.fixture
def emulator(tmp_path: Path, connect: Callable[[str], Any]) -> Callable[[], Any]:
    """Return a context manager that serves an account which edits."""

    @asynccontextmanager
    async def run() -> AsyncIterator[Any]:
        limits = replace(MODEL.limits, creates_per_second=100, queries_per_second=1000)
        serving = partial(run_emulator, folder=tmp_path / "emulator", speed=10_000.0, log=str, limits=limits)
        async with trio.open_nursery() as nursery:
            url = await nursery.start(lambda task_status: serving(task_status=task_status))
            async with connect(url) as service:
                yield service
            nursery.cancel_scope.cancel()

    return run


async def outcome_of(service: Any, media: list[dict[str, str]], **parameters: Any) -> dict[str, Any]:
    """Make a task and wait for its end."""
    body = {"model": "wan2.7-videoedit", "input": {"prompt": "night", "media": media}, "parameters": parameters}
    response = await service.send(body)
    task_id = response.json()["output"]["task_id"]
    while True:
        output = await service.output(task_id)
        if output["task_status"] not in ("PENDING", "RUNNING"):
            return dict(output)
        await trio.sleep(0.02)


def as_data(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()


async def test_a_task_is_really_edited(
    emulator: Callable[[], Any], tmp_path: Path, street: bytes, street_film: Film, coat_url: str
) -> None:
    """Upload, create with a reference image, download: the film differs, and the statement has the bill."""
    async with emulator() as service:
        video = {"type": "video", "url": await service.uploaded(street)}
        image = {"type": "reference_image", "url": coat_url}
        output = await outcome_of(service, [video, image], resolution="720P", duration=2)
        (tmp_path / "result.mp4").write_bytes((await service.plain.get(output["video_url"])).content)

    result = decoded(tmp_path / "result.mp4")
    assert (result.size, len(result.frames)) == ((1280, 720), 60)
    assert difference(street_film.picture(), result.picture()) > 2 * NEARLY


async def test_a_video_far_away_is_never_asked_for(emulator: Callable[[], Any], tmp_path: Path) -> None:
    """A stand-in is edited, and the statement says so without the link's query."""
    async with emulator() as service:
        media = [{"type": "video", "url": "https://example.com/a.mp4?Signature=secret"}]
        output = await outcome_of(service, media, resolution="720P")

    statement = (tmp_path / "emulator" / "statement.json").read_text()
    assert output["task_status"] == "SUCCEEDED"
    assert "example.com was not asked; a stand-in was edited" in statement
    assert "secret" not in statement


async def test_a_result_can_be_the_next_input(emulator: Callable[[], Any]) -> None:
    """A link to this machine is fetched; one that is dead fails the task."""
    async with emulator() as service:
        video = {"type": "video", "url": "https://example.com/a.mp4"}
        first = await outcome_of(service, [video], resolution="720P")
        chained = await outcome_of(service, [{"type": "video", "url": first["video_url"]}], resolution="720P")
        dead = first["video_url"].replace("Signature=", "Signature=x")
        failed = await outcome_of(service, [{"type": "video", "url": dead}])

    assert chained["task_status"] == "SUCCEEDED"
    assert (failed["task_status"], failed["code"]) == ("FAILED", "InvalidParameter")
    assert failed["message"] == f"Failed to download {dead.partition('?')[0]}"


BAD_VIDEOS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "too short": (partial(film, seconds=1), "InvalidFile.Duration"),
    "too long": (partial(film, seconds=12), "InvalidFile.Duration"),
    "too small": (partial(film, seconds=2, width=200, height=240), "InvalidFile.Resolution"),
    "too wide": (partial(film, seconds=2, width=2400, height=240), "InvalidFile.AspectRatio"),
}


async def test_a_bad_video_fails_with_the_service_s_code(emulator: Callable[[], Any], tmp_path: Path) -> None:
    """Length, size, aspect, container and plain rubbish; the server lives through all of them."""
    rubbish = {
        "no video": (b"hello", "InvalidFile.Format"),
        "empty": (b"", "InvalidFile.Format"),
        "a picture": (CLAY.read_bytes(), "InvalidFile.Format"),
        "matroska": (film(tmp_path / "a.mkv", seconds=2).read_bytes(), "InvalidFile.Format"),
        "torn": (STREET.read_bytes()[:20_000], "InvalidFile.Openerror"),
        "holes": (holed(STREET.read_bytes()), None),
    }
    cases = {name: (make(tmp_path / f"{name}.mp4").read_bytes(), code) for name, (make, code) in BAD_VIDEOS.items()}
    got = {}
    async with emulator() as service:
        for name, (data, _) in (cases | rubbish).items():
            media = [{"type": "video", "url": await service.uploaded(data)}]
            got[name] = await outcome_of(service, media, resolution="720P")
        alive = (await service.api.get("/tasks")).status_code

    codes = {name: output.get("code") for name, output in got.items()}
    wanted = {name: code for name, (_, code) in (cases | rubbish).items()}
    for loose in ("torn", "holes"):  # what can be decoded of them is for the decoder to say
        codes.pop(loose), wanted.pop(loose)
    assert codes == wanted
    assert alive == 200


def holed(data: bytes) -> bytes:
    """Return a file with every 50th byte of its media turned over."""
    changed = bytearray(data)
    for place in range(len(data) // 2, len(data), 50):
        changed[place] ^= 0xFF
    return bytes(changed)


async def test_a_bad_image_fails_with_the_service_s_code(emulator: Callable[[], Any], street: bytes) -> None:
    """Alpha, size, aspect, another format, and base64 that is none."""
    cases = {
        "alpha": (as_data(picture("rgba")), "InvalidImage.FileFormat"),
        "small": (as_data(picture("rgb24", width=100)), "InvalidImageResolution"),
        "narrow": (as_data(picture("rgb24", width=250, height=2100)), "InvalidFile.AspectRatio"),
        "gif": (as_data(picture("rgb8", codec="gif")), "InvalidImage.FileFormat"),
        "rubbish": (as_data(b"hello"), "InvalidImage.FileFormat"),
        "no base64": ("data:image/png;base64,!!!", "InvalidImage.FileFormat"),
    }
    got = {}
    async with emulator() as service:
        video = {"type": "video", "url": await service.uploaded(street)}
        for name, (url, _) in cases.items():
            output = await outcome_of(service, [video, {"type": "reference_image", "url": url}])
            got[name] = output.get("code")

    assert got == {name: code for name, (_, code) in cases.items()}


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("localhost.example.com", False),
        ("10.0.0.1", False),
        ("0.0.0.0", False),  # noqa: S104  # a host to refuse
        ("2130706433", False),
        ("", False),
    ],
)
def test_only_this_machine_counts_as_near(host: str, here: bool) -> None:
    """By the name alone; nothing is resolved."""
    assert is_loopback(host) is here


def test_a_model_without_a_table_of_sizes_keeps_the_size_of_the_input() -> None:
    """A plugin's model may say nothing about sizes, and its results still play."""
    bare = replace(MODEL, sizes={}, defaults={})
    video = probe_video(STREET, MODEL.media["video"])
    assert isinstance(video, Video)

    assert output_size({"resolution": "720P", "ratio": "16:9"}, bare, video) == (480, 270)
