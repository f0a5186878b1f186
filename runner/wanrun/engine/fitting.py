"""Has a job's file made to fit, a few at once, and lets go of it when the run ends."""

from __future__ import annotations

from threading import Event
from typing import TYPE_CHECKING

import trio

from wanrun.errors import SourceError, plain_errors
from wanrun.fitting import GivenUp, Shelf, fitting_of
from wanrun.inputs import named

if TYPE_CHECKING:
    from pathlib import Path

    from wanrun.engine.work import Work
    from wanrun.types import Identity, MediaRef

STOPPING_SECONDS = 5  #: who stops all processes of a run stops the run itself by then
AT_ONCE = 2  #: each may take gigabytes and two processors


class Fitter:
    """Makes files fit for one run."""

    def __init__(self, work: Work) -> None:
        self._work, self._shelf = work, Shelf(work.fitted)
        self._places = trio.CapacityLimiter(AT_ONCE)
        self._locks: dict[str, trio.Lock] = {}

    async def fitted(self, path: Path, ref: MediaRef, identity: Identity, model: str) -> Path:
        """Return the file that a reference asks to be made of a file whose bytes the plan has identified.

        Raises `SourceError` when it cannot be made, or when the file has changed.
        """
        fitting = fitting_of(self._work.catalog.source(ref.kind), ref)
        if fitting is None or not identity.key.startswith(f"{fitting.key}:sha256:"):
            raise SourceError(f"the source {ref.kind} asks for nothing to be made of the file named at {ref.position}")
        key, limits = identity.key.removeprefix(f"{fitting.key}:"), self._work.catalog.models[model].media[ref.type]
        name, left = named(path, ref.folder), Event()
        async with self._locks.setdefault(f"{identity.key} {model} {ref.type}", trio.Lock()), self._places:
            with plain_errors():
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_tell_when_cancelled, left)
                    try:
                        made = await self._work.world.to_thread(
                            self._shelf.made,
                            path,
                            key,
                            fitting,
                            limits,
                            name=name,
                            is_given_up=left.is_set,
                        )
                    except GivenUp as exc:  # since we are cancelled, or about to be
                        await trio.sleep(STOPPING_SECONDS)
                        raise SourceError(f"{name}: somebody has stopped what was made of it; run again") from exc
                    except OSError as exc:
                        raise SourceError(f"{exc.filename or self._work.fitted}: {exc.strerror or exc}") from exc
                    nursery.cancel_scope.cancel()
        return made


async def _tell_when_cancelled(left: Event) -> None:
    try:
        await trio.sleep_forever()
    finally:
        left.set()
