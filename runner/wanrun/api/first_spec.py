"""The text of a first spec and of first settings, with comments for who has never seen one; pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MODEL = "wan2.7-videoedit"
LINK = "https://example.com/street.mp4"  #: stands for a clip of the reader's own; an emulator has one in its place

SETTINGS = """\
# Settings of this project. All of it is optional; a key that is not known is refused. The API key does not belong here:
# it is read from the environment variable DASHSCOPE_API_KEY.

[providers.default]
region = "singapore"            # or "beijing": key, host and model must be of one region
# workspace = "ws-123"          # makes the workspace's own host

[budget]
# max_cost = "200 CNY"          # what all runs together may spend
# confirm_above = "20 CNY"      # ask at a terminal before a run that may cost more; elsewhere --yes is needed
"""

_PLAIN = re.compile(r"(?:\.\./)*[A-Za-z0-9_][A-Za-z0-9_./-]*")  #: needs no quotes, in a block or in a list


@dataclass(frozen=True, slots=True)
class Aside:
    """A clip that is not among the jobs as they are written."""

    path: str  #: from the spec's folder
    why: str  #: one clause: `clips/long.mov is 34.2 s long; ...`
    id: str | None = None  #: of the job that can be made of it; None where nothing can
    options: str = ""  #: that make it fit, as YAML: `trim: 0-10, fit: true`


def first_spec(name: str) -> str:
    """Return a spec of two edits of a link; `name` is the file's."""
    return f"""\
{_head(name, "A first spec: edits of one clip. Change what it says, look at what it would cost, then run it.")}
jobs:
  - id: clay
    prompt: Turn the whole scene into clay style.
    media:
      - video: {LINK}       # a link, or a path from this file's folder: clips/street.mp4
      # - reference_image: pictures/coat.png        # up to four pictures that the prompt can refer to

  # One job for each combination of the lists.
  - id: ${{{{ matrix.style }}}}-${{{{ matrix.time }}}}
    matrix:
      style: [anime, noir]
      time: [day]
    prompt: Turn the whole scene into ${{{{ matrix.style }}}} style, by ${{{{ matrix.time }}}}.
    media:
      - video: {LINK}
"""


def spec_of_clips(
    name: str, *, folder: str, clips: Sequence[str], pattern: str | None, fit: bool, asides: Iterable[Aside]
) -> str:
    """Return a spec with a matrix over clips, given by their paths; `pattern` is a glob that finds just these.

    `fit`: none of them fits as it is, and each is made to.
    """
    lines = [
        _head(
            name,
            f"One edit for each clip of {_comment(folder)}. Change the prompt, look at what it would cost, run it.",
        ),
        "jobs:",
        "  # One job for each combination: every style with every clip.",
        "  - id: ${{ matrix.style }}-${{ matrix.clip.slug }}",
        "    matrix:",
        "      style: [clay]                     # add more, such as anime",
        *_axis(clips, pattern),
        "    prompt: Turn the whole scene into ${{ matrix.style }} style.",
        "    media:",
        *_video(fit),
        "      # - reference_image: pictures/coat.png        # up to four pictures that the prompt can refer to",
        *_asides(list(asides)),
    ]
    return "\n".join(lines) + "\n"


def _head(name: str, words: str) -> str:
    spec = _comment(name)
    return f"""\
# {words}
#
#   wanrun validate {spec}             is everything right?
#   wanrun plan {spec}                 what would happen, and what would it cost at most?
#   wanrun {spec} --emulator           try it for nothing
#   wanrun {spec} --limit 2            pay for two jobs first
#   wanrun {spec}                      then for the others; the same command resumes
version: 1

defaults:                               # what every job gets that does not say otherwise
  model: {MODEL}
  parameters:
    resolution: 720P                    # or 1080P, which costs more
    # duration: 5                       # seconds to keep from the start of each clip; without it all of them

sinks:                                  # where results go
  disk: {{folder: {{path: out, name: "${{{{ spec.name }}}}/${{{{ job.id }}}}.mp4"}}}}
"""


def _axis(clips: Sequence[str], pattern: str | None) -> list[str]:
    if pattern is not None:
        return [f"      clip: {{glob: {_value(pattern)}}}"]
    return ["      clip:", *(f"        - {_value(_untemplated(clip))}" for clip in clips)]


def _video(fit: bool) -> list[str]:
    if not fit:
        return ["      - video: ${{ matrix.clip }}"]
    return [
        "      # None of the clips fits as it is, so each is made to, here; trim: 2-8 would choose the seconds.",
        '      - video: {file: {path: "${{ matrix.clip }}", fit: true}}',
    ]


def _asides(asides: list[Aside]) -> list[str]:
    """Return comments about the other clips; what can be made of one stands there as a job to take the signs from."""
    if not asides:
        return []
    lines = ["", "  # Not among them. Where a job follows, it is right once the signs in front of its lines are gone."]
    for aside in asides:
        lines += ["  #", f"  # {_comment(aside.why)}"]
        if aside.id is not None:
            options = f", {aside.options}" if aside.options else ""
            source = f"{{file: {{path: {_value(_untemplated(aside.path))}{options}}}}}"
            lines += [
                f"  # - id: {_value(aside.id)}",
                "  #   prompt: Turn the whole scene into clay style.",
                f"  #   media: [{{video: {source}}}]",
            ]
    return lines


def _value(text: str) -> str:
    """Return a text as YAML takes it anywhere; what it cannot hold as it is, is escaped."""
    if _PLAIN.fullmatch(text) and not re.fullmatch(r"[0-9._-]+|true|false|null", text, re.IGNORECASE):
        return text
    return json.dumps(text, ensure_ascii=not text.isprintable())


def _untemplated(text: str) -> str:
    return text.replace("${{", "$${{")


def _comment(text: str) -> str:
    """Return a text that stays in its comment, whatever a file is called."""
    return "".join(each if each.isprintable() else "\ufffd" for each in text)
