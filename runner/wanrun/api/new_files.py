"""Files that commands write for a person to go on with: never over something that is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wanrun.errors import SettingsError, disk_advice

if TYPE_CHECKING:
    from pathlib import Path


def write_new(path: Path, text: str) -> None:
    """Write a file that is not there yet, with its folder if need be; raises `SettingsError` when it cannot."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as exc:
        raise SettingsError(f"{path}: {exc.strerror or exc}; {disk_advice(exc)}") from exc
