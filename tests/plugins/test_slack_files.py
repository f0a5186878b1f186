"""Results that the sink `slack` shares in a channel: once as far as that can be, whole, and at flat memory."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from plugin_parts import Lent, a_delivery, a_job
from slack_parts import by_token, by_webhook

from slack_server import CHANNEL, SlackServer
from wanrun import Artifact, SinkError
from wanrun.registry import load_catalog

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wanrun import Delivery, Receipt

SHARING = ["files.list", "files.getUploadURLExternal", "upload", "files.completeUploadExternal"]
MEGABYTE = 1024 * 1024


@pytest.fixture
def slack() -> Iterator[SlackServer]:
    """Serve a Slack that does not mind haste."""
    with SlackServer(a_second=False) as server:
        yield server


def a_result(slack: SlackServer, folder: Path, content: bytes = b"a result") -> Delivery:
    """Return a delivery to the server's channel."""
    return replace(a_delivery(folder, content), sink=by_token(slack))


async def deliver(delivery: Delivery) -> Receipt:
    """Deliver as a new process would."""
    return await load_catalog().sink("slack").deliver(delivery, Lent())


async def test_a_result_is_shared_under_the_job_s_name(slack: SlackServer, tmp_path: Path) -> None:
    """The receipt says where, and which file."""
    delivery = a_result(slack, tmp_path)

    receipt = await deliver(delivery)

    (file,) = slack.files.values()
    assert slack.calls == SHARING
    assert (file.channel, file.title, file.length) == (CHANNEL, "hero/shot", 8)
    assert file.sha256 == delivery.artifact.sha256
    assert file.name == f"hero-shot-{delivery.artifact.sha256[:16]}.mp4"
    assert (receipt.place, receipt.bytes, receipt.sha256) == (f"slack:{CHANNEL}/hero/shot", 8, file.sha256)
    assert receipt.details == {"id": file.id, "permalink": f"https://files.slack.com/{file.id}"}


async def test_what_was_shared_is_not_shared_again(slack: SlackServer, tmp_path: Path) -> None:
    """As after a crash before the receipt was recorded; another take of the job is another file."""
    first = await deliver(a_result(slack, tmp_path))
    second = await deliver(a_result(slack, tmp_path))
    other = await deliver(a_result(slack, tmp_path, b"another take"))

    assert second == first
    assert other.details["id"] != first.details["id"]
    assert len(slack.files) == 2


async def test_without_the_scope_to_look_it_is_shared_all_the_same(tmp_path: Path) -> None:
    """Then a crash may share it twice."""
    with SlackServer(a_second=False, scopes=frozenset({"files:write"})) as slack:
        for _ in range(2):
            await deliver(a_result(slack, tmp_path))

        assert len(slack.files) == 2


async def test_what_the_app_may_not_is_said(tmp_path: Path) -> None:
    """With the scope that it lacks."""
    words = "give the app the scope files:write and install it anew"
    with SlackServer(scopes=frozenset({"chat:write"})) as slack, pytest.raises(SinkError, match=words):
        await deliver(a_result(slack, tmp_path))


async def test_a_file_that_is_not_the_result_is_not_shared(slack: SlackServer, tmp_path: Path) -> None:
    """Other bytes, fewer or none: it has gone to Slack at most, where nobody sees it."""
    for content in (b"a rasult", b"a r"):
        delivery = a_result(slack, tmp_path)
        delivery.artifact.path.write_bytes(content)
        with pytest.raises(SinkError, match=r"is not what the service made|became shorter"):
            await deliver(delivery)
    delivery.artifact.path.unlink()
    with pytest.raises(SinkError, match="No such file"):
        await deliver(delivery)

    assert [file.channel for file in slack.files.values()] == [None] * 3


async def test_an_address_that_is_not_slack_s_gets_nothing(slack: SlackServer, tmp_path: Path) -> None:
    """Whoever answers: a result goes to Slack's own hosts."""
    listed = '{"ok": true, "files": []}'
    for url in ("https://example.com/upload", "http://files.slack.com/x", "https://files.slack.com.evil.net/"):
        answer = f'{{"ok": true, "upload_url": "{url}?canary", "file_id": "F1"}}'
        slack.answers = [(200, {}, listed), (200, {}, answer)]
        with pytest.raises(SinkError, match="an address for the file that is none of its own") as refused:
            await deliver(a_result(slack, tmp_path))
        assert "canary" not in str(refused.value)


async def test_a_refused_upload_is_not_shared(slack: SlackServer, tmp_path: Path) -> None:
    """The signed address is not in the message."""
    slack.answers = [(200, {}, '{"ok": true, "files": []}')]
    answer = f'{{"ok": true, "upload_url": "{slack.url}/upload/v1/F0?signature=canary", "file_id": "F0"}}'
    slack.answers.append((200, {}, answer))

    with pytest.raises(SinkError) as refused:
        await deliver(a_result(slack, tmp_path))

    assert str(refused.value) == "Slack answered the file with 400"


async def test_what_slack_would_not_take_is_said_before_it_is_sent(slack: SlackServer, tmp_path: Path) -> None:
    """A gigabyte is its limit."""
    delivery = a_result(slack, tmp_path)
    large = replace(delivery, artifact=replace(delivery.artifact, bytes=1_000_000_001))

    with pytest.raises(SinkError, match="Slack takes 1000000000 in a file"):
        await deliver(large)

    assert slack.calls == []


def test_a_place_is_named_without_network_and_a_webhook_has_none(slack: SlackServer, tmp_path: Path) -> None:
    """Asked at `validate`."""
    sink = load_catalog().sink("slack")

    assert sink.place(by_token(slack), a_job(tmp_path)) == f"slack:{CHANNEL}/hero/shot"
    with pytest.raises(SinkError, match="a webhook takes no files"):
        sink.place(by_webhook(slack), a_job(tmp_path))


@pytest.mark.slow
async def test_memory_does_not_grow_with_the_file(slack: SlackServer, tmp_path: Path) -> None:
    """64 MB, of which a few are in memory at a time."""
    delivery = a_result(slack, tmp_path, b"x")
    path, piece = tmp_path / "large", bytes(MEGABYTE)
    digest = sha256()
    with path.open("wb") as large_file:
        for _ in range(64):
            large_file.write(piece)
            digest.update(piece)
    large = replace(delivery, artifact=Artifact(path, digest.hexdigest(), 64 * MEGABYTE, ".mp4"))

    tracemalloc.start()
    await deliver(large)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    (file,) = slack.files.values()
    assert file.sha256 == digest.hexdigest()
    assert peak < 8 * MEGABYTE
