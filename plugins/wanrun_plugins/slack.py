"""Sink `slack`: tells a channel what happens, and shares results there; through an app's webhook or its bot's token.

Here is only what a spec may write. `_slack` says what is told when, `_slack_words` how it reads, `_slack_files` shares
results, `_slack_calls` knows the wire.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wanrun import SinkKind, hookimpl

if TYPE_CHECKING:
    from wanrun import Notifier
    from wanrun.types import JSON

OPTIONS: dict[str, JSON] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "webhook": {
            "type": "string",
            "writeOnly": True,
            "minLength": 1,
            "description": "The address of an incoming webhook, which belongs to one channel. It can post, and neither "
            "change what it said nor share files.",
            "examples": ["${{ secret.SLACK_WEBHOOK }}"],
        },
        "token": {
            "type": "string",
            "writeOnly": True,
            "minLength": 1,
            "description": "The token of a bot (xoxb-...) that is a member of the channel, with the scope chat:write, "
            "and files:write for results.",
            "examples": ["${{ secret.SLACK_TOKEN }}"],
        },
        "channel": {
            "type": "string",
            "pattern": "^[CDG][A-Z0-9]{2,}$",
            "description": "The id of the channel for the token, as the channel's details show it at their end.",
            "examples": ["C0123456789"],
        },
        "api": {
            "type": "string",
            "pattern": "^https?://",
            "description": "The address of Slack's Web API for the token, if it is another one: that of GovSlack, or "
            "a server of tests on this machine.",
            "default": "https://slack.com/api/",
            "examples": ["https://slack-gov.com/api/"],
        },
    },
    "anyOf": [
        {"required": ["webhook"], "maxProperties": 1},
        {"required": ["token", "channel"], "properties": {"webhook": False}},
    ],
}


def _build() -> Notifier:
    from wanrun_plugins._slack import Slack  # here, since it loads what speaks to the network

    return Slack()


@hookimpl
def wanrun_sinks() -> dict[str, SinkKind]:
    """Offer `slack`."""
    return {"slack": SinkKind(options=OPTIONS, build=_build)}
