"""The sink `slack` holds what `wanrun.testing` asks of everybody's: it shares results, and tells in both ways."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import wanrun_plugins.slack
from slack_server import CHANNEL, TOKEN, SlackServer
from wanrun.testing import NotifierConformance, SinkConformance
from wanrun_plugins import _slack_pace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from wanrun.types import JSON

BY_TOKEN = {"token": "${{ secret.TOKEN }}", "channel": CHANNEL}
BY_WEBHOOK: Mapping[str, JSON] = {"webhook": "${{ secret.WEBHOOK }}"}


@pytest.fixture
def slack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SlackServer]:
    """Serve a Slack that does not mind haste, so that nobody has to wait for a turn."""
    monkeypatch.setattr(_slack_pace, "MESSAGE_SECONDS", 0.0)
    folder = tmp_path / "slack"
    folder.mkdir()
    with SlackServer(a_second=False, folder=folder) as server:
        yield server


@pytest.mark.slow
class TestSharing(SinkConformance):
    """Results as files in a channel, where any number of them may lie."""

    plugin, kind = wanrun_plugins.slack, "slack"
    keeps_one_file = False

    @pytest.fixture
    def secrets(self) -> Mapping[str, str]:
        return {"TOKEN": TOKEN}

    @pytest.fixture
    def options(self, slack: SlackServer) -> Mapping[str, JSON]:
        return {**BY_TOKEN, "api": slack.api}

    @pytest.fixture
    def bad_options(self) -> Sequence[Mapping[str, JSON]]:
        return [BY_WEBHOOK, {"token": TOKEN}, {**BY_TOKEN, "channel": "#general"}, {**BY_TOKEN, **BY_WEBHOOK}]

    @pytest.fixture
    def stored(self, slack: SlackServer) -> Callable[[str], bytes | None]:
        return lambda place: slack.shared(place.removeprefix(f"slack:{CHANNEL}/"))


class TestTelling(NotifierConformance):
    """Messages as a bot."""

    plugin, kind = wanrun_plugins.slack, "slack"

    @pytest.fixture
    def secrets(self, slack: SlackServer) -> Mapping[str, str]:
        return {"TOKEN": TOKEN, "WEBHOOK": slack.webhook, "NOBODY": f"{slack.url}/services/nobody"}

    @pytest.fixture
    def options(self, slack: SlackServer) -> Mapping[str, JSON]:
        return {**BY_TOKEN, "api": slack.api}

    @pytest.fixture
    def failing_options(self, options: Mapping[str, JSON]) -> Mapping[str, JSON]:
        return {**options, "token": "${{ secret.NOBODY }}"}

    @pytest.fixture
    def bad_options(self) -> Sequence[Mapping[str, JSON]]:
        return [{}, {"token": "${{ secret.TOKEN }}"}, {**BY_TOKEN, **BY_WEBHOOK}, {**BY_TOKEN, "channel": "#general"}]

    @pytest.fixture
    def heard(self, slack: SlackServer) -> Callable[[], list[str]]:
        return lambda: [message.words for message in slack.messages]


class TestTellingAWebhook(TestTelling):
    """Messages to a webhook."""

    @pytest.fixture
    def options(self) -> Mapping[str, JSON]:
        return BY_WEBHOOK

    @pytest.fixture
    def failing_options(self) -> Mapping[str, JSON]:
        return {"webhook": "${{ secret.NOBODY }}"}
