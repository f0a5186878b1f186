"""What is noted on disk of an upload in parts before it is begun: all that the next run needs after a kill."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from wanrun import SinkError

if TYPE_CHECKING:
    from pathlib import Path

_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)  # Windows has none


@dataclass(frozen=True, slots=True)
class Noted:
    """An upload in parts that was begun for a place, or was about to be."""

    sha256: str
    part_bytes: int
    terms: str  #: a digest
    begun_at: float
    upload: str | None  #: its id; None: it was about to be begun

    @property
    def what(self) -> tuple[str, int, str]:
        """What has to be the same for it to go on."""
        return self.sha256, self.part_bytes, self.terms


class Note:
    """The file in a folder, that of the artifacts, that says what is under way to one place."""

    def __init__(self, folder: Path, place: str) -> None:
        self._path = folder / f".oss-{sha256(place.encode()).hexdigest()[:24]}.json"

    def read(self) -> Noted | None:
        """Return what it says; None when there is none, or none that can be read."""
        try:
            facts = json.loads(self._path.read_text(encoding="utf-8"))
            return Noted(
                str(facts["sha256"]),
                int(facts["part_bytes"]),
                str(facts["terms"]),
                float(facts["begun_at"]),
                None if facts["upload"] is None else str(facts["upload"]),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, noted: Noted) -> None:
        """Put it on disk in one step, before what it tells of happens."""
        made = self._path.with_suffix(".part")
        try:
            with open(made, "wb", opener=_private) as file:  # pathlib takes no opener
                file.write(json.dumps(asdict(noted)).encode())
                file.flush()
                os.fsync(file.fileno())
            made.replace(self._path)
        except OSError as exc:
            raise SinkError(f"{made}: {exc.strerror or exc}; mend that and run again, the artifact is kept") from exc

    def remove(self) -> None:
        """Remove it, if it is there; what it tells of an upload that has ended does no harm."""
        with suppress(OSError):
            self._path.unlink()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | _NO_LINKS, 0o600)
