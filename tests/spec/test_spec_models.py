"""Jobs are checked by the model's own data, whatever the model: nothing of one model is written in code."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from spec_kinds import build_catalog

from wanrun.models import shipped_models
from wanrun.spec import load

if TYPE_CHECKING:
    from pathlib import Path

    from wanrun.models import Model

(VIDEOEDIT,) = (model for model in shipped_models() if model.name == "wan2.7-videoedit")
PROMPT = {"type": "string", "maxLength": 20}
SECONDS = {"$ref": "#/$defs/seconds"}


def model_with(**keywords: Any) -> Model:
    """Return a model that makes videos of words alone, or with properties of its own, of stills too."""
    properties = {"prompt": PROMPT, "parameters": {"type": "object", "properties": {"duration": SECONDS}}}
    job = {"type": "object", "properties": properties, "$defs": {"seconds": {"type": "integer", "maximum": 9}}}
    media = {"still": replace(VIDEOEDIT.media["reference_image"], max_count=9)} if "properties" in keywords else {}
    return replace(VIDEOEDIT, name="words", job={**job, **keywords}, media=media)


def said_of(model: Model, job: str, tmp_path: Path) -> list[str]:
    path = tmp_path / "hero.yaml"
    path.write_text(f"version: 1\njobs:\n  - id: a\n    model: words\n{job}", encoding="utf-8")
    loaded = load([path], catalog=build_catalog(words=model))
    return [f"{problem.position.line}:{problem.position.column}: {problem.message}" for problem in loaded.problems]


@pytest.mark.parametrize(
    ("keywords", "job", "said"),
    [
        ({}, "    prompt: fine\n", []),
        (
            {"required": ["prompt"]},
            "    parameters: {}\n",
            ["3:5: this job has no prompt; words needs one"],
        ),
        ({}, "    negative_prompt: no\n", ["5:22: words takes no negative_prompt"]),
        (
            {},
            "    media: [{video: a.mp4}]\n",
            ['5:14: words takes no media of type "video"'],
        ),
        (
            {},
            "    parameters: {duration: 10}\n",
            ["5:28: parameters.duration is 10; give a whole number of 9 or less"],
        ),
        (
            {"anyOf": [{"required": ["prompt"]}, {"required": ["parameters"]}]},
            "",
            ['3:5: this job does not fit together; give a mapping with "prompt" or a mapping with "parameters"'],
        ),
        (
            {"properties": {"media": {"type": "array", "maxItems": 1}}},
            "    media: [{still: a.png}, {still: b.png}]\n",
            ["5:12: media has 2 items; give at most 1"],
        ),
        (
            {"properties": {"prompt": {"$ref": "#/$defs/nowhere"}}},
            "    prompt: x\n",
            ['5:13: prompt cannot be checked: its schema refers to "/$defs/nowhere", which it does not hold'],
        ),
    ],
    ids=[
        "fine",
        "required",
        "no such words",
        "no such media",
        "shared definition",
        "several fields",
        "media together",
        "broken schema",
    ],
)
def test_a_models_own_demands_are_checked(keywords: dict[str, Any], job: str, said: list[str], tmp_path: Path) -> None:
    """Whatever its schema says comes out at the line where it is broken."""
    assert said_of(model_with(**keywords), job, tmp_path) == said


def test_one_matrix_can_try_several_models(tmp_path: Path) -> None:
    """Each job is checked against the model that its combination names."""
    path = tmp_path / "hero.yaml"
    path.write_text(
        'version: 1\njobs:\n  - id: "${{ matrix.model }}"\n    matrix: {model: [words, wan2.7-videoedit]}\n'
        '    model: "${{ matrix.model }}"\n    prompt: more than twenty characters\n    media: [{video: a.mp4}]\n',
        encoding="utf-8",
    )

    problems = load([path], catalog=build_catalog(words=model_with())).problems

    assert [str(problem).partition("hero.yaml:")[2] for problem in problems] == [
        "6:13: prompt has 27 characters; give at most 20",
        '7:14: words takes no media of type "video"',
    ]
