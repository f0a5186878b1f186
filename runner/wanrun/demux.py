"""Opens media as what their first bytes say they are, and nothing that they name.

Left to guess, the library takes a playlist for a video; given a name, it may take that for an address.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import av

from wanrun.sniff import HEAD_BYTES, mime_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_DEMUXERS = {
    "video/mp4": "mp4",
    "video/quicktime": "mp4",
    "image/png": "png_pipe",
    "image/jpeg": "jpeg_pipe",
    "image/bmp": "bmp_pipe",
    "image/webp": "webp_pipe",
}


@contextmanager
def open_media(path: Path) -> Iterator[av.container.InputContainer]:
    """Open a picture or a video; raises ValueError for anything else, PyAV's errors, and OSError."""
    with path.open("rb") as file:
        mime = mime_of(file.read(HEAD_BYTES))
        if mime is None:
            raise ValueError("it is neither a picture nor a video")
        file.seek(0)
        with av.open(file, "r", format=_DEMUXERS[mime]) as container:
            yield container
