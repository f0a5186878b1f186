"""Opens media as what their first bytes say they are.

Left to guess, the library takes a playlist for a video, and opens whatever files and addresses it names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import av

from wanrun.sniff import HEAD_BYTES, mime_of

if TYPE_CHECKING:
    from pathlib import Path

_DEMUXERS = {
    "video/mp4": "mp4",
    "video/quicktime": "mp4",
    "image/png": "png_pipe",
    "image/jpeg": "jpeg_pipe",
    "image/bmp": "bmp_pipe",
    "image/webp": "webp_pipe",
}


def open_media(path: Path) -> av.container.InputContainer:
    """Open a picture or a video; raises ValueError for anything else, and PyAV's errors."""
    with path.open("rb") as file:
        mime = mime_of(file.read(HEAD_BYTES))
    if mime is None:
        raise ValueError("neither a picture nor a video")
    return av.open(str(path), format=_DEMUXERS[mime])
