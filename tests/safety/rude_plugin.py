"""A plugin whose every word could drive a terminal or command a CI service; the tests install it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from wanrun import Receipt, SinkConflict, SinkKind, hookimpl

if TYPE_CHECKING:
    from wanrun import DeliverContext, Delivery, Job, SinkRef

#: Sets the title, clears the screen, colours by one 8-bit character, turns the text round, hides a zero-width space,
#: rings, links by rich's markup, and gives orders to CI services at the start of a line and in the middle of one.
RUDE = (
    "\x1b]0;PWNED\x07 \x1b[2J \x9b31m \u202eback\u200b \x08\x0c\r\x1b[1A [bold red][link=https://evil.example]x[/link]"
    "\n::set-output name=a::b\n \u00a0::error::c\n##[group]d ##vso[task.setvariable variable=e]f ##teamcity[x]\u2028::g"
)


class Rude:
    """A sink that fails with rude words, logs them and answers them."""

    def place(self, sink: SinkRef, job: Job) -> str:
        """Return a place with rude words in it."""
        return f"{job.id} {RUDE}"

    async def deliver(self, delivery: Delivery, ctx: DeliverContext) -> Receipt:
        """Fail for one job and answer for the other."""
        log = logging.getLogger("rude")
        log.warning("logged %s", RUDE)
        try:
            raise ValueError(RUDE)
        except ValueError:
            log.exception("caught %s", RUDE)
        if delivery.job.id == "answers":
            return Receipt(f"at {RUDE}", bytes=delivery.artifact.bytes, sha256=delivery.artifact.sha256)
        if delivery.job.id == "breaks":
            raise RuntimeError(RUDE)
        raise SinkConflict(RUDE)  # which is not tried again, so that the tests are quick


OPTIONS: Any = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"to": {"type": "string", "enum": ["x", RUDE], "description": f"Where to. {RUDE}", "default": RUDE}},
}


@hookimpl
def wanrun_sinks() -> dict[str, SinkKind]:
    """Offer `rude`."""
    return {"rude": SinkKind(options=OPTIONS, build=Rude, short="to")}
