"""An answer's body, piece by piece, with what a fault script does to it; shared by the transport and the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wanrun.emulator.calls import Answer, Span
from wanrun.emulator.store import PIECE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wanrun.emulator.faults import Effect
    from wanrun.emulator.store import Store

GARBAGE = b"<html><body>Bad Gateway, said with 200</body></html>"
DRIPS_PER_SECOND = 5


class Cut(Exception):
    """The answer ends here, before its length is reached."""


def disguised(answer: Answer, effect: Effect) -> Answer:
    """Return the answer as the caller gets to see it: unreadable, when the script says so."""
    if not effect.garbage:
        return answer
    return Answer(200, {**answer.headers, "Content-Type": "text/html"}, GARBAGE, task_id=answer.task_id)


def pieces(answer: Answer, effect: Effect, store: Store) -> Iterator[bytes]:
    """Yield the body; raises `Cut` where the script breaks it off, and KeyError when the object is gone."""
    sent = 0
    stop = answer.length if effect.cut_after_bytes is None else min(effect.cut_after_bytes, answer.length)
    size = PIECE_BYTES if effect.bytes_per_second is None else max(1, int(effect.bytes_per_second / DRIPS_PER_SECOND))
    while sent < stop:
        piece = _read(answer, sent, min(size, stop - sent), store)
        if not piece:
            raise Cut
        yield _spoilt(piece) if effect.corrupt and sent == 0 else piece
        sent += len(piece)
    if stop < answer.length:
        raise Cut


def pause_after(piece: bytes, effect: Effect) -> float:
    """Return how many seconds to wait after a piece, so that the body drips as slowly as the script says."""
    return len(piece) / effect.bytes_per_second if effect.bytes_per_second else 0.0


def _read(answer: Answer, start: int, length: int, store: Store) -> bytes:
    body = answer.body
    if isinstance(body, Span):
        return store.read(body.key, body.start + start, length)
    return body[start : start + length]


def _spoilt(piece: bytes) -> bytes:
    middle = len(piece) // 2
    return piece[:middle] + bytes([piece[middle] ^ 0x01]) + piece[middle + 1 :]
