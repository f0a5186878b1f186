"""The loopback Slack that the tests use answers Slack's own client as Slack does."""

from __future__ import annotations

import time
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_handlers import RateLimitErrorRetryHandler
from slack_sdk.webhook import WebhookClient

from slack_server import CHANNEL, TOKEN, SlackServer

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow


@pytest.fixture
def slack() -> Iterator[SlackServer]:
    """Serve a Slack."""
    with SlackServer() as server:
        yield server


@pytest.fixture
def client(slack: SlackServer) -> WebClient:
    """Return Slack's own client of it."""
    return WebClient(TOKEN, base_url=slack.api)


def test_a_webhook_takes_what_fits_and_says_what_is_wrong(slack: SlackServer) -> None:
    """`ok` as text, else Slack's word with a status of 4xx."""
    good = WebhookClient(slack.webhook)

    assert (good.send(text="hello").status_code, slack.messages[0].body["text"]) == (200, "hello")
    assert good.send(text="").body in ("no_text", "invalid_payload")
    assert good.send(text="x", blocks=[{"type": "divider"}] * 51).body == "invalid_blocks"
    wrong = WebhookClient(f"{slack.url}/services/T/B/none").send(text="x")
    assert (wrong.status_code, wrong.body) == (404, "no_service")


def test_one_message_a_second(slack: SlackServer) -> None:
    """The second gets 429 with Retry-After, by which Slack's own client waits and comes through."""
    hurried, patient = WebhookClient(slack.webhook), WebhookClient(slack.webhook)
    patient.retry_handlers.append(RateLimitErrorRetryHandler(max_retry_count=2))
    hurried.send(text="one")

    refused = hurried.send(text="two")
    began = time.monotonic()
    taken = patient.send(text="three")

    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
    assert (taken.status_code, time.monotonic() - began > 0.9) == (200, True)
    assert [message.body["text"] for message in slack.messages] == ["one", "three"]


def test_messages_are_posted_changed_and_answered(slack: SlackServer, client: WebClient) -> None:
    """As a thread shows them; what is not there cannot be changed."""
    posted = client.chat_postMessage(channel=CHANNEL, text="one")
    client.chat_update(channel=CHANNEL, ts=posted["ts"], text="two")
    time.sleep(1)
    client.chat_postMessage(channel=CHANNEL, text="three", thread_ts=posted["ts"])

    assert [message.now["text"] for message in slack.messages] == ["two", "three"]
    assert [message.now["text"] for message in slack.said()] == ["two"]
    with pytest.raises(SlackApiError, match="message_not_found"):
        client.chat_update(channel=CHANNEL, ts="1.0", text="four")
    with pytest.raises(SlackApiError, match="channel_not_found"):
        client.chat_postMessage(channel="C0OTHER", text="five")
    with pytest.raises(SlackApiError, match="invalid_auth"):
        WebClient("xoxb-wrong", base_url=slack.api).chat_postMessage(channel=CHANNEL, text="six")


def test_files_are_taken_in_three_steps(slack: SlackServer, client: WebClient) -> None:
    """As `files_upload_v2` goes about it; `files.list` has them afterwards."""
    client.files_upload_v2(channel=CHANNEL, content=b"film", filename="a.mp4", title="batch/a")

    (file,) = slack.files.values()
    assert (file.sha256, file.channel, file.title) == (sha256(b"film").hexdigest(), CHANNEL, "batch/a")
    assert [each["name"] for each in client.files_list(channel=CHANNEL)["files"]] == ["a.mp4"]
