"""What `wanrun.testing` lends to the tests of plugins: servers, files, runs, and clear words for what is missing."""

from __future__ import annotations

import socket
import subprocess
import sys
import urllib.request
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING
from urllib.error import HTTPError

import pytest
import trio

import wanrun
from wanrun.media import probe
from wanrun.testing import ChatServer, Emulator, Lent, make_clip
from wanrun.testing.cancelling import cancel_at
from wanrun.testing.offline import offline

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

PLUGIN_TESTS = """\
    pytest_plugins = ["wanrun.testing.fixtures"]

    from wanrun.testing import SinkConformance, SourceConformance

    def test_emulator(wanrun_emulator):
        assert wanrun_emulator.statement()["tasks_made"] == 0

    def test_artifact(wanrun_artifact):
        artifact = wanrun_artifact(b"some bytes")
        assert artifact.path.read_bytes() == b"some bytes"
        assert artifact.is_there()

    def test_run(wanrun_run):
        media = "[{video: https://example.com/a.mp4}]"
        outcome = wanrun_run(f"version: 1\\njobs: [{{id: a, model: wan2.7-videoedit, prompt: Night, media: {media}}}]")
        assert outcome.exit_code == 0

    class TestNothing(SinkConformance):
        pass

    class TestNoStored(SinkConformance):
        import wanrun_plugins.folder as plugin
        kind = "folder"

    class TestNoOther(SourceConformance):
        import wanrun_plugins.http as plugin
        kind = "http"
"""


@pytest.mark.slow
def test_the_fixtures_serve_and_what_is_not_said_is_asked_for(tmp_path: Path) -> None:
    """In a test file of an author, with nothing else installed."""
    (tmp_path / "test_plugin.py").write_text(dedent(PLUGIN_TESTS))
    words = [sys.executable, "-m", "pytest", "-q", "-rA", "--tb=line", "-p", "no:cacheprovider", "-p", "no:trio"]
    words += ["-k", "not killed and not large"]

    said = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False).stdout

    for name in ("test_emulator", "test_artifact", "test_run"):
        assert f"PASSED test_plugin.py::{name}\n" in said, said
    assert "TestNothing needs `plugin`, the module with the hooks" in said
    assert "override the fixture `stored`" in said
    assert "override the fixture `other_options`" in said


def test_without_pytest_it_says_what_to_install() -> None:
    """In the last line, which is the one that is read."""
    code = "import sys; sys.modules['pytest'] = None; import wanrun.testing"

    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False).stderr

    assert said.splitlines()[-1].endswith('wanrun.testing is for tests with pytest: pip install "wanrun[testing]"')


def test_wanrun_is_typed() -> None:
    """The marker is beside the package, for mypy and editors."""
    assert Path(wanrun.__file__).with_name("py.typed").is_file()


def test_the_chat_keeps_what_is_sent_and_answers_as_told() -> None:
    """One answer after the other, then the usual one."""
    with ChatServer() as chat:
        chat.answer_next(429, "slowly", Retry_After="1")
        with pytest.raises(HTTPError) as refused:
            urllib.request.urlopen(f"{chat.url}/hooks/a?b=c", data=b'{"text": "hello"}')
        refused.value.close()
        with urllib.request.urlopen(chat.url) as reply:
            answered = reply.read()

    assert (refused.value.code, refused.value.headers["Retry-After"]) == (429, "1")
    assert answered == b"ok"
    assert [(post.method, post.path) for post in chat.posts] == [("POST", "/hooks/a?b=c"), ("GET", "/")]
    assert chat.posts[0].json == {"text": "hello"}


def test_an_emulator_serves_until_it_is_left(tmp_path: Path) -> None:
    """And gives its port back."""
    with Emulator(tmp_path) as emulator:
        port = int(emulator.url.split(":")[2].split("/")[0])
        assert emulator.statement()["tasks_made"] == 0

    with socket.socket() as sock:
        assert sock.connect_ex(("127.0.0.1", port)) != 0


def test_clips_fit_the_model_and_differ(tmp_path: Path) -> None:
    """Each number is another file."""
    clips = [make_clip(tmp_path / "clips" / f"{number}.mp4", number=number) for number in (0, 1)]

    assert [probe(clip).seconds for clip in clips] == [2.0, 2.0]
    assert clips[0].read_bytes() != clips[1].read_bytes()


async def test_an_upload_is_held_against_its_key(tmp_path: Path) -> None:
    """As the core does, so that a source that names other bytes is found."""
    clip, lent = make_clip(tmp_path / "a.mp4"), Lent()
    key = f"sha256:{sha256(clip.read_bytes()).hexdigest()}"

    media = await lent.upload(clip, key=key, mime="video/mp4")

    assert media.url.startswith("oss://")
    assert [upload.path for upload in lent.uploads] == [clip]
    with pytest.raises(wanrun.SourceError, match="its bytes are not those of the key sha256:0"):
        await lent.upload(clip, key="sha256:0", mime="video/mp4")


def test_reaching_for_the_network_is_found_even_if_it_is_hidden() -> None:
    """Whatever the code makes of the refusal."""

    def hiding() -> None:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", 9), timeout=0.1)

    with pytest.raises(AssertionError, match=r"^place\(\) calls the network: socket\."), offline("place()"):
        hiding()
    hiding()  # outside, nothing is held against it


async def works() -> str:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.lowlevel.checkpoint)
        await trio.lowlevel.checkpoint()
    return "done"


async def goes_on() -> str:
    try:
        await trio.lowlevel.checkpoint()
    except trio.Cancelled:
        return "done"
    return "done"


async def times_out() -> str:
    with trio.move_on_after(0):
        await trio.lowlevel.checkpoint()
    return "done"


async def times_out_before() -> str:
    await times_out()
    with trio.CancelScope(shield=True):
        await trio.lowlevel.checkpoint()
    return "done"


async def tidies_up() -> str:
    with trio.CancelScope(shield=True), trio.move_on_after(0):
        await trio.sleep(1)
    return "done"


async def translates() -> str:
    try:
        await trio.lowlevel.checkpoint()
    except BaseException as exc:
        raise ValueError("no") from exc
    return "done"


@pytest.mark.parametrize(
    ("call", "step", "ended"),
    [
        (works, 0, "cancelled"),
        (works, 1, "cancelled"),
        (works, 50, "done before"),
        (goes_on, 1, "swallowed"),
        (times_out, 1, "cancelled"),
        (times_out_before, 3, "done"),
        (tidies_up, 1, "done"),
        (translates, 1, "ValueError"),
    ],
)
def test_how_a_call_takes_being_cancelled_is_told(call: Callable[[], Awaitable[str]], step: int, ended: str) -> None:
    """What it does behind a shield is none of its sins."""
    found = cancel_at(step, call)

    if found.error is not None:
        assert type(found.error).__name__ == ended
    elif found.cancelled:
        assert ended == "cancelled"
    elif found.swallowed:
        assert ended == "swallowed"
    else:
        assert ended == ("done" if found.reached else "done before")
        assert found.value == "done"
