"""A plugin with a kind of sink that hears of events and keeps what it is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from wanrun import Notice, NotifyContext, SinkKind, hookimpl

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

OPTIONS: Any = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "room": {"type": "string", "description": "Where to."},
        "token": {"type": "string", "writeOnly": True, "description": "What opens it."},
    },
}


class Chat:
    """Offers the kind `chat`, and is it."""

    def __init__(self) -> None:
        self.told: list[Notice] = []
        self.times: list[float] = []  # of each, on trio's clock
        self.act: Callable[[Notice], Awaitable[object]] | None = None  # what it does besides, or instead

    @hookimpl
    def wanrun_sinks(self) -> dict[str, SinkKind]:
        """Offer it."""
        return {"chat": SinkKind(options=OPTIONS, build=lambda: self, short="room")}

    async def notify(self, notice: Notice, ctx: NotifyContext) -> None:
        """Keep a notice, and do what the test wants."""
        self.told.append(notice)
        self.times.append(trio.current_time())
        if self.act is not None:
            await self.act(notice)

    @property
    def titles(self) -> list[str]:
        """What the messages say in one line, without where they come from, which all of them say."""
        assert all(notice.title.startswith("emulator: ") for notice in self.told)
        return [title_of(notice) for notice in self.told]


def title_of(notice: Notice) -> str:
    """Return a notice's title without where it comes from."""
    return notice.title.removeprefix("emulator: ")
