"""The host's side of editing: takes running tasks from the account, edits in threads, hands results back."""

from __future__ import annotations

import logging
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from wanrun.emulator.checks import Fault
from wanrun.emulator.inputs import Unusable, gather
from wanrun.errors import MissingExtra

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wanrun.emulator.account import Work
    from wanrun.emulator.edit import Edited
    from wanrun.emulator.folder import Home
    from wanrun.emulator.inputs import Input
    from wanrun.emulator.store import FolderStore

EDITS_AT_ONCE = 2
_log = logging.getLogger(__name__)


def require_av() -> None:
    """Raise `MissingExtra` when PyAV is not installed."""
    try:
        import av  # noqa: F401  # an extra; only looked for
    except ImportError as exc:
        raise MissingExtra("the emulator edits with PyAV", extra="emulator", hint=" (or use --edit none)") from exc


class Editor:
    """Edits tasks of one account whose store is a folder."""

    def __init__(self, home: Home) -> None:
        self._account, self._store, self._folder, self._save = home.account, home.store, home.folder, home.save
        self._threads = trio.CapacityLimiter(EDITS_AT_ONCE)
        self._kicked = trio.Event()

    def kick(self) -> None:
        """Say that something happened, so that `run` looks again."""
        self._kicked.set()

    async def run(self) -> None:
        """Move the account along and edit what it hands out, until cancelled."""
        async with trio.open_nursery() as nursery:
            while True:
                self._kicked = trio.Event()
                self._account.advance()
                self._save()
                for work in self._account.work():
                    nursery.start_soon(self._edit, work)
                with trio.move_on_after(max(0.01, self._account.next_at() - self._account.clock())):
                    await self._kicked.wait()

    async def _edit(self, work: Work) -> None:
        """Edit one task; whatever its media hold, the outcome is a result or a failed task."""
        try:
            outcome = await self._outcome(work)
        except Unusable as exc:
            outcome = exc.fault
        except Exception:  # hostile media must not stop the emulator
            _log.exception("task %s could not be edited", work.task_id)
            outcome = Fault("InternalError.Algo", "The video could not be edited.")
        if isinstance(outcome, Fault):
            self._account.fail(work.task_id, outcome)
        else:
            seconds = {"input_seconds": outcome.input_seconds, "output_seconds": outcome.output_seconds}
            self._account.finish(work.task_id, _result_key(work), **seconds)
        self.kick()

    async def _outcome(self, work: Work) -> Edited | Fault:
        with tempfile.TemporaryDirectory(dir=self._folder, prefix="edit-") as name:
            inputs = await gather(work.body, work.model, self._store, Path(name))
            for each in inputs:
                if each.stand_in_for:
                    self._account.warn(f"task {work.task_id}: {each.stand_in_for} was not asked; a stand-in was edited")
            make = partial(_make, work, inputs, Path(name) / "result.mp4", self._store)
            return await trio.to_thread.run_sync(make, limiter=self._threads)


def _result_key(work: Work) -> str:
    return f"results/{work.task_id}"


def _make(work: Work, inputs: Sequence[Input], target: Path, store: FolderStore) -> Edited | Fault:
    """Probe, edit and keep; runs in a thread."""
    from wanrun.emulator import edit, probe  # PyAV is an extra

    limits = work.model.media
    images = [each.path for each in inputs if each.type != "video" and each.path is not None]
    for each in inputs:
        if each.path in images and (fault := probe.probe_image(each.path, limits[each.type])):
            return fault
    film = next(each for each in inputs if each.type == "video")
    assert film.path is not None
    video = probe.probe_video(film.path, limits["video"])
    if isinstance(video, Fault):
        return video
    order = edit.order(work.body, work.model, video, images, target)
    outcome = edit.edit(order, trio.from_thread.check_cancelled)
    if not isinstance(outcome, Fault):
        store.adopt(target, _result_key(work))
    return outcome
