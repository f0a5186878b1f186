"""What lies in the store and for how long: uploads for 48 hours, results until their link dies."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wanrun.emulator.store import Store

UPLOAD_SECONDS = 48 * 3600.0  #: how long an `oss://` URL works


@dataclass(frozen=True, slots=True)
class Upload:
    """An uploaded file, bound to the model that its policy named."""

    key: str
    model: str
    until: float  #: epoch seconds


class Shelf:
    """Remembers uploads, and throws away what has had its time."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._uploads: dict[str, Upload] = {}
        self._dates: list[tuple[float, str]] = []

    def add(self, upload: Upload) -> None:
        """Take an upload whose bytes are in the store."""
        self._uploads[upload.key] = upload
        self.expire(upload.key, upload.until)

    def expire(self, key: str, at: float) -> None:
        """Throw an object away at this time."""
        heapq.heappush(self._dates, (at, key))

    def has(self, key: str) -> bool:
        """Say whether there is an upload of this key."""
        return key in self._uploads

    def find(self, url: str, model: str) -> Upload | None:
        """Return the upload of an `oss://` URL, if there is one for this model."""
        upload = self._uploads.get(url.removeprefix("oss://"))
        return upload if upload is not None and upload.model == model else None

    def clear(self, now: float) -> None:
        """Throw away what has had its time."""
        while self._dates and self._dates[0][0] <= now:
            _, key = heapq.heappop(self._dates)
            self._uploads.pop(key, None)
            self._store.delete(key)
