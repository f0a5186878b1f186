"""A problem inside a matrix names the combination, the place where the value is used, and the place where it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wanrun.spec import Loaded

    LoadText = Callable[[str], Loaded]

ID = '"${{ matrix.clip.slug }}-${{ matrix.seconds }}"'
SPEC = """\
version: 1
defaults: {{model: wan2.7-videoedit{defaults}}}
{top}jobs:
  - id: {id}
    matrix:
      clip: {clip}
      seconds: [5, {value}]{more}
    {field}
    media: [{{video: {video}}}]
"""


def written(**parts: str) -> str:
    """Return a spec with a matrix of two axes, and these parts of it."""
    plain = {
        "defaults": "",
        "top": "",
        "id": ID,
        "clip": "[a.mp4, b.mp4]",
        "value": "10",
        "more": "",
        "field": "prompt: Make it night.",
        "video": '"${{ matrix.clip }}"',
    }
    return SPEC.format(**(plain | parts))


def said_of(loaded: Loaded, folder: Path) -> list[str]:
    """Return what is wrong, with paths as a writer in the folder sees them."""
    return [str(problem).replace(f"{folder}/", "") for problem in loaded.problems]


DURATION = 'parameters: {duration: "${{ matrix.seconds }}"}'
ALLOWED = "give 0 or a whole number from 2 to 10"
ELEVEN = f"parameters.duration is 11; {ALLOWED} (matrix: clip=a.mp4, seconds=11 at hero.yaml:7:20; and 1 more)"


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"field": DURATION, "value": "11"},
         [f"8:28: {ELEVEN}"]),
        ({"defaults": f", {DURATION}", "value": "11"},
         [f"2:60: {ELEVEN}"]),
        ({"field": DURATION, "more": "\n      include: [{clip: c.mp4, seconds: 1}]"},
         [f"9:28: parameters.duration is 1; {ALLOWED} (matrix: clip=c.mp4, seconds=1 at hero.yaml:8:40)"]),
        ({"field": "prompt: ${{ matrix.look }}",
          "more": "\n      include: [{seconds: 10, look: 5}, {seconds: 5, look: x}]"},
         ["9:13: prompt is 5; give text of 1 to 5000 characters "
          "(matrix: clip=a.mp4, seconds=10, look=5 at hero.yaml:8:37; and 1 more)"]),
        ({"video": '"${{ matrix.clip }}://${{ matrix.seconds }}"', "clip": "[ftp]", "value": "6"},
         ['9:21: video is "ftp://5"; give an http:// or https:// link, a path, or one key, the kind of source '
          "(matrix: clip=ftp at hero.yaml:6:14, seconds=5 at hero.yaml:7:17)",
          '9:21: video is "ftp://6"; give an http:// or https:// link, a path, or one key, the kind of source '
          "(matrix: clip=ftp at hero.yaml:6:14, seconds=6 at hero.yaml:7:20)"]),
        ({"id": '"${{ matrix.clip }}-${{ matrix.seconds }}"', "clip": "[a b]", "value": "6"},
         ['4:9: the id "a b-5" cannot be used: a space may not stand in it; take the .slug of what it is made of, such '
          "as ${{ matrix.clip.slug }} (matrix: clip=a b at hero.yaml:6:14, seconds=5 at hero.yaml:7:17)",
          '4:9: the id "a b-6" cannot be used: a space may not stand in it; take the .slug of what it is made of, such '
          "as ${{ matrix.clip.slug }} (matrix: clip=a b at hero.yaml:6:14, seconds=6 at hero.yaml:7:20)"]),
        ({"clip": "[a/b.mp4, b.mp4]"},
         ['4:9: two combinations make the id "b-5" (matrix: clip=a/b.mp4 at hero.yaml:6:14, seconds=5 at '
          "hero.yaml:7:17 and clip=b.mp4 at hero.yaml:6:23, seconds=5 at hero.yaml:7:17); add what tells them apart",
          '4:9: two combinations make the id "b-10" (matrix: clip=a/b.mp4 at hero.yaml:6:14, seconds=10 at '
          "hero.yaml:7:20 and clip=b.mp4 at hero.yaml:6:23, seconds=10 at hero.yaml:7:20); add what tells them apart"]),
        ({"field": "prompt: ${{ matrix.clip.stm }}", "clip": "[a.mp4]", "value": "6"},
         ['8:13: matrix.clip is a text; its parts are "name", "stem", "suffix" and "slug", not "stm" '
          "(matrix: clip=a.mp4 at hero.yaml:6:14, seconds=5; and 1 more)"]),
        ({"top": 'sinks: {disk: {folder: {path: "${{ matrix.seconds }}"}}}\n', "clip": "[a.mp4]", "value": "6"},
         ['3:31: sinks.disk.folder.path is 5; give text (job "a-5", matrix: clip=a.mp4, seconds=5 at hero.yaml:8:17)',
          '3:31: sinks.disk.folder.path is 6; give text (job "a-6", matrix: clip=a.mp4, seconds=6 at hero.yaml:8:20)']),
    ],
    ids=["used in a job", "used in defaults", "added by include", "given by include", "two axes in one text", "an id",
         "one id of two", "a part", "a sink"],
)  # fmt: skip
def test_both_places_are_named(load_text: LoadText, tmp_path: Path, parts: dict[str, str], said: list[str]) -> None:
    """Of every axis that the wrong value was made of, and of no other."""
    assert said_of(load_text(written(**parts)), tmp_path) == [f"hero.yaml:{each}" for each in said]


def test_what_a_glob_has_found_stands_where_its_pattern_does(load_text: LoadText, tmp_path: Path) -> None:
    """A file has no place in the spec itself."""
    (tmp_path / "a.mp4").touch()
    field = 'parameters: {ratio: "${{ matrix.clip }}"}'
    spec = written(clip='{glob: "*.mp4"}', value="6", field=field)

    first, *_ = said_of(load_text(spec), tmp_path)

    assert first.endswith('"3:4" (matrix: clip=a.mp4 at hero.yaml:6:20, seconds=5; and 1 more)'), first


def test_values_that_look_alike_have_places_of_their_own(load_text: LoadText, tmp_path: Path) -> None:
    """A text and a number are two values."""
    spec = written(clip="[a.mp4]", value='"5"', field='parameters: {seed: "${{ matrix.seconds }}"}')

    (seed,) = (each for each in said_of(load_text(spec), tmp_path) if "parameters.seed" in each)

    assert 'parameters.seed is "5"' in seed
    assert "seconds=5 at hero.yaml:7:20" in seed
