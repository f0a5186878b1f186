"""The service of a simulation: the emulator's account, whose every result is its task's own, shared with others."""

from __future__ import annotations

import struct
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from wanrun.emulator import Account, ready_clip
from wanrun.emulator.store import get, put

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wanrun.emulator import Task
    from wanrun.emulator.faults import Effect

BOX_HEAD_BYTES = 8  #: length and kind of an mp4 box
MODEL = "wan2.7-videoedit"


class Service(Account):
    """An account that serves each task a video of its own, and remembers which tasks other programs made."""

    def __init__(self, **account: Any) -> None:
        super().__init__(**account)
        self.foreign: set[str] = set()  #: ids of tasks that are none of ours
        self.uploads: dict[str, str | None] = {}  #: URL -> the task that made the video which was uploaded
        self.unreadable: set[str] = set()  #: ids of tasks whose video was not to be had any more

    def create(self, body: Mapping[str, Any], *, request_id: str, effect: Effect | None = None) -> Task:
        """Make a task, which fails if its video cannot be read."""
        task = super().create(body, request_id=request_id, effect=effect)
        if not self._reads(task.media[0]["url"]):
            self.unreadable.add(task.id)
            task.fate = ["InvalidParameter", "Failed to download the video"]
        return task

    def _reads(self, url: str) -> bool:
        if url.startswith("oss://"):
            return self.shelf.find(url, MODEL) is not None
        dies_at = link_dies_at(url)
        return dies_at is None or self.clock() < dies_at

    def keep_upload(self, key: str, model: str) -> None:
        """Note an upload, and whose result it is."""
        super().keep_upload(key, model)
        self.uploads[f"oss://{key}"] = maker_of(get(self.store, key))

    def task_ends(self, task: Task, at: float) -> None:
        """End a task; its video has its id in a box that players skip."""
        if not task.fate:
            task.result = f"results/{task.id}"
            put(self.store, task.result, video_of(task.id))
        super().task_ends(task, at)

    def make_foreign(self, prompt: str, url: str) -> None:
        """Let another program on this account make a task."""
        self.advance()
        if not self.queue_is_full(MODEL):
            body = {"model": MODEL, "input": {"prompt": prompt, "media": [{"type": "video", "url": url}]}}
            self.foreign.add(self.create(body, request_id=self.new_id()).id)


def link_dies_at(url: str) -> int | None:
    """Return when a link to a result dies, whichever account's it is; None for other URLs."""
    expires = parse_qs(urlsplit(url).query).get("Expires")
    return int(expires[0]) if expires else None


def video_of(task_id: str) -> bytes:
    """Return the video that a task made."""
    mark = task_id.encode()
    return ready_clip().data + struct.pack(">I", BOX_HEAD_BYTES + len(mark)) + b"free" + mark


@cache
def _clip_bytes() -> int:
    return len(ready_clip().data)


def maker_of(video: bytes) -> str | None:
    """Return the id of the task that made a video; None for what is not a whole video of any."""
    task_id = video[_clip_bytes() + BOX_HEAD_BYTES :].decode("ascii", "replace")
    return task_id if video == video_of(task_id) else None
