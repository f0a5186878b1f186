"""Which visible effect a prompt gets: words to look for, and the filters that make the effect."""

from __future__ import annotations

import re
import zlib
from typing import TypeAlias

Filter: TypeAlias = tuple[str, str]  #: name and arguments of an FFmpeg filter

_STEPS = "floor(val/{0})*{0}+{0}/2"

LOOKS: tuple[tuple[tuple[str, ...], tuple[Filter, ...]], ...] = (
    (
        ("clay", "plasticine", "黏土", "粘土"),
        (("gblur", "sigma=2"), ("lutyuv", f"y='{_STEPS.format(28)}'"), ("hue", "s=1.7")),
    ),
    (("anime", "cartoon", "comic", "动漫", "卡通"), (("lutyuv", f"y='{_STEPS.format(56)}'"), ("hue", "s=2.4"))),
    (("sketch", "pencil", "drawing", "素描"), (("edgedetect", "low=0.05:high=0.15"), ("negate", ""))),
    (("black and white", "black-and-white", "monochrome", "grayscale", "noir", "黑白"), (("hue", "s=0"),)),
    (("night", "moon", "dark", "夜"), (("colorchannelmixer", "rr=0.25:gg=0.32:bb=0.7"), ("vignette", "PI/4"))),
    (
        ("snow", "winter", "ice", "雪"),
        (("colorchannelmixer", "rr=0.7:rb=0.4:gg=0.75:gb=0.4:bb=1.2"), ("noise", "alls=22:allf=t")),
    ),
    (("sunset", "autumn", "golden", "warm", "秋", "日落"), (("colorchannelmixer", "rr=1.25:gg=0.85:bb=0.5"),)),
    (
        ("sepia", "vintage", "old film", "复古"),
        (("hue", "s=0"), ("colorchannelmixer", "rr=1.1:gg=0.85:bb=0.6"), ("vignette", "PI/4")),
    ),
    (("oil paint", "watercolor", "painting", "油画", "水彩"), (("avgblur", "3"), ("hue", "s=1.9"))),
    (("neon", "cyberpunk", "赛博"), (("hue", "h=130:s=3"), ("colorchannelmixer", "rr=0.8:gg=0.6:bb=1.3"))),
    (("mirror", "flip", "镜像"), (("hflip", ""),)),
    (("replace", "change", "swap", "替换", "换"), (("hue", "h=100:s=1.5"),)),
)


def look_of(prompt: str) -> tuple[Filter, ...]:
    """Return the filters for a prompt: by the first word that is known, else a turn of all colours by its hash."""
    lower = prompt.lower()
    for words, filters in LOOKS:
        if any(_says(lower, word) for word in words):
            return filters
    return (("hue", f"h={60 + zlib.crc32(prompt.encode('utf-8', 'replace')) % 240}:s=1.4"),)


def _says(prompt: str, word: str) -> bool:
    """Say whether a word begins somewhere in a prompt; Chinese has no gaps between words."""
    return re.search(rf"\b{re.escape(word)}", prompt) is not None if word.isascii() else word in prompt
