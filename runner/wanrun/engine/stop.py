"""Why a run ends before its work does, in two strengths: no more submissions, or stop now."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from wanrun.errors import ExitCode, KeyRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from wanrun.errors import ServiceError

REPLY_SECONDS = 5  #: that a create awaiting its reply still gets when the run stops now

#: The gravest wins.
GRAVITY = (
    ExitCode.BUG,
    ExitCode.LOST,
    ExitCode.INTERRUPTED,
    ExitCode.TERMINATED,
    ExitCode.HUNG_UP,
    ExitCode.STOPPED_BY_SERVICE,
    ExitCode.STOPPED_BY_BUDGET,
    ExitCode.ATTENTION,
    ExitCode.UNFINISHED,
    ExitCode.OK,
)


def gravest(codes: Iterator[ExitCode]) -> ExitCode:
    """Return the gravest of the exit codes; OK of none."""
    return min(codes, key=GRAVITY.index, default=ExitCode.OK)


def stop_code(exc: ServiceError) -> ExitCode:
    """Return the exit code of a run that a call has stopped: refused for good, or worth running again."""
    return ExitCode.STOPPED_BY_SERVICE if isinstance(exc, KeyRefused) else ExitCode.UNFINISHED


@dataclass(frozen=True, slots=True)
class Reason:
    """Why, in words for people, and the exit code that follows."""

    words: str
    exit_code: ExitCode


class Stop:
    """Ends submitting, or everything, for a reason; creates that await a reply are never cut off at once."""

    def __init__(self) -> None:
        self.reasons: list[Reason] = []
        self.heard: Callable[[Reason], None] = lambda _: None  #: is told of each reason
        self.hurry: Callable[[ExitCode], None] = lambda _: None  #: is told that the process has to be over in seconds
        self._submitting, self._watching = trio.CancelScope(), trio.CancelScope()
        self._everything: trio.CancelScope | None = None
        self._replies: set[trio.CancelScope] = set()
        self._reply_until = math.inf

    def bind(self, everything: trio.CancelScope) -> None:
        """Say what `now` cancels; at once, if it has been called before."""
        self._everything = everything
        if self._reply_until < math.inf:
            everything.cancel()

    @property
    def submitting(self) -> trio.CancelScope:
        """The scope that all preparing and submitting stands in."""
        return self._submitting

    @property
    def watching(self) -> trio.CancelScope:
        """The scope that everything stands in that waits for the service to bring a task to its end."""
        return self._watching

    @property
    def is_submitting(self) -> bool:
        """Whether new tasks may still be made."""
        return not self._submitting.cancel_called

    def submissions(self, words: str, exit_code: ExitCode) -> None:
        """Make no new tasks; what is in flight is still watched, fetched and delivered."""
        self.note(words, exit_code)
        self._submitting.cancel()

    def now(self, words: str, exit_code: ExitCode) -> None:
        """Stop all work; creates that await a reply get `REPLY_SECONDS`, then are unsure."""
        self.note(words, exit_code)
        self._submitting.cancel()
        self._reply_until = trio.current_time() + REPLY_SECONDS
        for scope in self._replies:
            scope.deadline = self._reply_until
        if self._everything is not None:
            self._everything.cancel()

    def note(self, words: str, exit_code: ExitCode) -> None:
        """Remember why some work is left undone, and stop nothing."""
        reason = Reason(words, exit_code)
        if reason not in self.reasons:
            self.reasons.append(reason)
            self.heard(reason)

    def reply(self) -> AbstractContextManager[trio.CancelScope]:
        """Shield a create from everything but the end of `REPLY_SECONDS` after `now`."""
        return _Reply(self._replies, self._reply_until)


class _Reply:
    def __init__(self, replies: set[trio.CancelScope], until: float) -> None:
        self._replies = replies
        self._scope = trio.CancelScope(shield=True, deadline=until)

    def __enter__(self) -> trio.CancelScope:
        self._replies.add(self._scope)
        return self._scope.__enter__()

    def __exit__(self, *exc_info: object) -> bool | None:
        self._replies.discard(self._scope)
        return self._scope.__exit__(*exc_info)  # type: ignore[arg-type]  # the three of the protocol
