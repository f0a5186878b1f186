"""Source and sink in a whole run, against the emulator: no key, no network, no cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from wanrun.testing import make_clip

import wanrun_plug_name

if TYPE_CHECKING:
    from wanrun.testing.fixtures import RunSpec

SPEC = """\
version: 1
defaults: {model: wan2.7-videoedit}
sinks:
  shelf: {plug-name: {path: shelf}}
jobs:
  - id: night
    prompt: Make it night.
    media: [{video: {plug-name: street}}]
"""


def test_a_clip_of_the_library_ends_on_the_shelf(tmp_path: Path, wanrun_run: RunSpec) -> None:
    """It is found, edited by the emulator, and delivered."""
    make_clip(tmp_path / "library" / "street.mp4")

    outcome = wanrun_run(SPEC, plugin=wanrun_plug_name)

    (job,) = outcome.jobs
    assert job.state == "done", job.why
    assert [Path(place).name for place in job.places] == ["night.mp4"]
    assert Path(job.places[0]).stat().st_size > 0
