"""How much memory a large upload takes: the peak with a large video over the peak with a small one."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from benchmarks.account import ROOMY, ROOT
from benchmarks.contenders import SDKS, Jobs, run, wanrun

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.sizes import Size

CLIP = ROOT / "specs" / "media" / "street.mp4"
CONTENDERS = (wanrun(), SDKS[0], SDKS[2])
MB = 1_000_000


def measure(size: Size, folder: Path) -> dict[str, Any]:
    """Return the peak memory of each contender with the clip as it is and with one padded to many megabytes."""
    folder.mkdir(parents=True)
    large = padded(folder / "large.mp4", size.upload_mb * MB)
    service = {"limits": ROOMY, "seconds": 0.0, "queue_seconds": 0.0}
    peaks: dict[str, Any] = {}
    for each in CONTENDERS[: 1 + size.sdks]:
        for name, video in {"small": CLIP, "large": large}.items():
            took = run(each, Jobs(1, video=_named(each.name, video)), folder / name, **service)
            peaks.setdefault(each.name, {"ended": 0})[f"{name}_mib"] = took["peak_mib"]
            peaks[each.name]["ended"] += took["ended"]
    return {"upload_mb": size.upload_mb, "contenders": peaks}


def _named(contender: str, video: Path) -> str:
    return str(video) if contender == "wanrun" else f"file://{video}"


def padded(path: Path, size: int) -> Path:
    """Make a copy of the clip that has this many bytes: a `free` box at the end, which every player skips."""
    shutil.copyfile(CLIP, path)
    with path.open("r+b") as file:
        left = size - file.seek(0, 2)
        file.write(left.to_bytes(4, "big") + b"free")
        file.truncate(size)
    return path
