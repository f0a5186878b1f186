"""What the tests of the sink `slack` share: notices, and calls as the core makes them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import trio

from slack_server import CHANNEL, TOKEN
from wanrun import Notice, NoticeJob, NoticeName, Position, Secret, SinkRef, State
from wanrun.registry import load_catalog

if TYPE_CHECKING:
    from collections.abc import Callable

    from slack_server import SlackServer
    from wanrun.catalog import Catalog

T = TypeVar("T")

SPEC = Path("/project/batch.yaml")
HOSTILE = (
    "<!channel> <@U012345> &lt; *bold* _it_ `x` ~s~ @here :tada: <https://evil.example|click> a & b\n> quote\u202e"
)


@dataclass
class Lent:
    """What the core lends to a notifier, with a memory that lasts from call to call."""

    seconds: float = 10.0
    remembered: str | None = None

    def remember(self, text: str) -> None:
        self.remembered = text

    async def to_thread(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        return await trio.to_thread.run_sync(lambda: function(*args, **kwargs))


def by_webhook(slack: SlackServer, **options: Any) -> SinkRef:
    """Return a sink that posts to the server's webhook."""
    return _sink({"webhook": Secret(slack.webhook), **options})


def by_token(slack: SlackServer, **options: Any) -> SinkRef:
    """Return a sink that speaks to the server's channel with its token."""
    return _sink({"token": Secret(TOKEN), "channel": CHANNEL, "api": slack.api, **options})


def _sink(options: Any) -> SinkRef:
    return SinkRef("team", "slack", options, SPEC.parent, Position(SPEC, 4, 9))


def notice(sink: SinkRef, *names: str, **facts: Any) -> Notice:
    """Return a notice of a run; ended where an exit code is given."""
    given = {"title": "batch: 1 done", "text": "", "run": "run-1", "at": 0.0, "specs": ("batch",)} | facts
    return Notice(names=tuple(map(NoticeName, names)), sink=sink, **given)


def job(name: str, address: str = "batch/a", message: str = "", *places: str) -> NoticeJob:
    """Return what has happened to a job."""
    return NoticeJob(name=NoticeName(name), address=address, at=0.0, message=message, places=places)


def stand(**counts: int) -> dict[State, int]:
    """Return counts of jobs by state: `in_flight=2`."""
    return {State(name.replace("_", " ")): count for name, count in counts.items()}


async def tell(sent: Notice, lent: Lent | None = None, *, catalog: Catalog | None = None) -> Lent:
    """Tell the built-in sink as a run would, in time; those that share a catalog are of one process."""
    notifier = (catalog or load_catalog()).notifier("slack")
    assert notifier is not None
    lent = lent or Lent()
    with trio.fail_after(15):
        await notifier.notify(sent, lent)
    return lent
