"""Sink `slack`: tells a channel what happens, and shares results there; through an app's webhook or its bot's token.

Here is what a spec may write. `_slack` says what is told when, `_slack_words` how it reads, `_slack_files` shares
results, `_slack_calls` knows the wire, and `_slack_answers` what Slack says there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wanrun import SinkError, SinkKind, hookimpl
from wanrun_plugins._slack_pace import Pace

if TYPE_CHECKING:
    from wanrun import DeliverContext, Delivery, Job, Notice, NotifyContext, Receipt, SinkRef
    from wanrun.types import JSON

OPTIONS: dict[str, JSON] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "webhook": {
            "type": "string",
            "writeOnly": True,
            "minLength": 1,
            "description": "The address of an incoming webhook, which belongs to one channel and needs no other "
            "option. It can post, and neither change what it said nor share files.",
            "examples": ["${{ secret.SLACK_WEBHOOK }}"],
        },
        "token": {
            "type": "string",
            "writeOnly": True,
            "minLength": 1,
            "description": "In place of a webhook, the token of a bot (xoxb-...) that is a member of the channel, with "
            "the scope chat:write, and files:write for results.",
            "examples": ["${{ secret.SLACK_TOKEN }}"],
        },
        "channel": {
            "type": "string",
            "pattern": "^[CDG][A-Z0-9]{2,}$",
            "description": "With a token, the id of the channel, as the channel's details show it at their end.",
            "examples": ["C0123456789"],
        },
        "api": {
            "type": "string",
            "pattern": "^https?://",
            "description": "With a token, the address of Slack's Web API if it is another one: that of GovSlack, or a "
            "server of tests on this machine.",
            "default": "https://slack.com/api/",
            "examples": ["https://slack-gov.com/api/"],
        },
    },
    "anyOf": [
        {"required": ["webhook"], "maxProperties": 1},
        {"required": ["token", "channel"], "properties": {"webhook": False}},
    ],
}


class Slack:
    """Tells channels, and shares results there.

    What speaks to the network is loaded when there is something to say, since no check and no plan needs it.
    """

    def __init__(self) -> None:
        self._pace = Pace()

    def place(self, sink: SinkRef, job: Job) -> str:
        """Name the channel and the job; a webhook's sink has no place for files."""
        if "channel" not in sink.options:
            raise SinkError("a webhook takes no files; give token and channel, or name this sink in notify alone")
        return f"slack:{sink.options['channel']}/{job.address}"

    async def deliver(self, delivery: Delivery, ctx: DeliverContext) -> Receipt:
        """Share the artifact in the channel, unless it is there already."""
        from wanrun_plugins._slack import share

        return await share(delivery, ctx, self._pace, place=self.place(delivery.sink, delivery.job))

    async def notify(self, notice: Notice, ctx: NotifyContext) -> None:
        """Say what a notice says."""
        from wanrun_plugins._slack import tell

        await tell(notice, ctx, self._pace)


@hookimpl
def wanrun_sinks() -> dict[str, SinkKind]:
    """Offer `slack`."""
    return {"slack": SinkKind(options=OPTIONS, build=Slack)}
