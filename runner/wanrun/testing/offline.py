"""Finds out whether something reaches for the network."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_CALLS = frozenset({"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.sendmsg"})

_caught: list[str] | None = None  # None: nobody is listening
_installed = False


class ReachedOut(OSError):
    """The network is not there."""


@contextmanager
def offline(what: str) -> Iterator[None]:
    """Refuse every call to the network, by whatever library; raises AssertionError if there was one, naming `what`."""
    global _caught, _installed  # an audit hook is for the whole process, and stays
    if not _installed:
        sys.addaudithook(_listen)
        _installed = True
    found: list[str] = []
    _caught = found
    try:
        yield
    finally:
        _caught = None
        assert not found, f"{what} calls the network: {', '.join(found)}"


def _listen(event: str, _arguments: tuple[object, ...]) -> None:
    if _caught is not None and event in _CALLS:
        _caught.append(event)
        raise ReachedOut(f"{event}: there is no network here")
