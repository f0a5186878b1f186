"""What Slack is told when: with a webhook one message a notice, with a token one that is kept up to date, and a thread.

A run's first message is the one that changes while the run goes on. What people have to know is said in its thread
and shown in the channel too, since nobody is told of a change; a run that never had such a message speaks in the
channel itself.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from wanrun import NoticeName, Secret, SinkError
from wanrun_plugins._slack_answers import SlackRefused
from wanrun_plugins._slack_calls import API, Calls
from wanrun_plugins._slack_files import Sharing, seconds_for
from wanrun_plugins._slack_words import abandoned, message, needs_people, standing

if TYPE_CHECKING:
    from wanrun import DeliverContext, Delivery, Notice, NotifyContext, Receipt, SinkRef
    from wanrun.types import JSON
    from wanrun_plugins._slack_pace import Pace

SPARE_SECONDS = 0.5  #: of the call's time, to say why it was not enough
DELETED = "message_not_found"
#: What keeps a message from being changed for good: it is gone, or the workspace forbids it.
UNCHANGEABLE = frozenset({DELETED, "cant_update_message", "edit_window_closed"})


async def tell(notice: Notice, ctx: NotifyContext, pace: Pace) -> None:
    """Say what a notice says, as far as the sink's options go."""
    async with Calls(pace, ctx.seconds - SPARE_SECONDS) as calls:
        if not isinstance(webhook := notice.sink.options.get("webhook"), Secret):
            await _Channel.of(notice.sink, calls).tell(notice, ctx)
        elif notice.names != (NoticeName.RUN_PROGRESS,):  # a webhook cannot change what it has said
            await calls.post(webhook, message(notice))


async def share(delivery: Delivery, ctx: DeliverContext, pace: Pace, *, place: str) -> Receipt:
    """Share an artifact in a channel, unless it is there already."""
    async with Calls(pace, seconds_for(delivery.artifact)) as calls:
        channel = _Channel.of(delivery.sink, calls)
        return await Sharing(calls, channel.api, channel.token, channel.channel, delivery, ctx).share(place)


@dataclass(frozen=True, slots=True)
class _Board:
    """The message that a run keeps up to date, as it is remembered."""

    run: str
    channel: str  #: as Slack calls it
    ts: str  #: Slack's name for the message; empty for one that somebody has deleted
    is_over: bool = False  #: it says how the run ended, or can no longer be changed

    @classmethod
    def read(cls, text: str | None) -> Self | None:
        """Return what was remembered; None where that is nothing of this."""
        try:
            return cls(**json.loads(text or "null"))
        except (TypeError, ValueError):
            return None

    def written(self) -> str:
        """Return it as a text to remember."""
        return json.dumps(asdict(self))


@dataclass(frozen=True, slots=True)
class _Channel:
    """One channel, spoken to with a bot's token."""

    api: str
    token: Secret
    channel: str
    calls: Calls

    @classmethod
    def of(cls, sink: SinkRef, calls: Calls) -> Self:
        """Return the channel of a sink's options."""
        token = sink.options["token"]
        assert isinstance(token, Secret)
        return cls(str(sink.options.get("api", API)), token, str(sink.options["channel"]), calls)

    async def tell(self, notice: Notice, ctx: NotifyContext) -> None:
        """Bring the run's board up to date, then say what is more than that; the first may be done twice unseen."""
        board, has_news = await self._board(notice, ctx), _has_news(notice)
        if board is None and _begins_board(notice):
            board = await self._new_board(notice)
        elif board is not None and notice.counts and not board.is_over:
            text, is_over = standing(notice), notice.exit_code is not None
            board = await self._change(board, text, is_over=is_over, or_else_fail=not has_news)
        if board is not None:
            ctx.remember(board.written())
        if has_news:
            thread = {"thread_ts": board.ts, "reply_broadcast": needs_people(notice)} if board and board.ts else {}
            await self._say(message(notice) | thread)

    async def _board(self, notice: Notice, ctx: NotifyContext) -> _Board | None:
        """Return the board of this run; one of a run that died without ending it is ended first."""
        board = _Board.read(ctx.remembered)
        if board is None or board.run == notice.run:
            return board
        if notice.counts and not board.is_over:
            board = await self._change(board, abandoned(board.run, notice), is_over=True, or_else_fail=False)
            ctx.remember(replace(board, is_over=True).written())
        return None

    async def _new_board(self, notice: Notice) -> _Board:
        answer = await self._say(standing(notice))
        channel, ts = answer.get("channel"), answer.get("ts")
        if not isinstance(channel, str) or not isinstance(ts, str):
            raise SinkError("Slack has taken a message, and does not say which it is")
        return _Board(notice.run, channel, ts)

    async def _change(self, board: _Board, text: dict[str, JSON], *, is_over: bool, or_else_fail: bool) -> _Board:
        """Change a board, and return it as it is now; one that can no longer be changed is left as it stands.

        Whatever else Slack has against it is an error only where nothing more important waits to be said.
        """
        try:
            await self.calls.say("chat.update", self.api, self.token, {"channel": board.channel, "ts": board.ts} | text)
        except SlackRefused as exc:
            if exc.code in UNCHANGEABLE:
                return replace(board, is_over=True, ts="" if exc.code == DELETED else board.ts)
            if or_else_fail:
                raise
            return board
        return replace(board, is_over=is_over)

    async def _say(self, text: dict[str, Any]) -> dict[str, Any]:
        return await self.calls.say("chat.postMessage", self.api, self.token, {"channel": self.channel} | text)


def _has_news(notice: Notice) -> bool:
    return bool(notice.jobs or notice.reasons) or NoticeName.RUN_FINISHED in notice.names


def _begins_board(notice: Notice) -> bool:
    begins = not {NoticeName.RUN_STARTED, NoticeName.RUN_PROGRESS}.isdisjoint(notice.names)
    return begins and notice.exit_code is None
