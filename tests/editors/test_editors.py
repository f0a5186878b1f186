"""What editors and CI make of the printed schema, and of a SARIF log: asked of the programs that people use."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from jsonschema import Draft4Validator
from language_server import HERE, LanguageServer, missing

from processes import COMMAND

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

SPECS = sorted((HERE.parents[1] / "specs").glob("*.yaml"))
HEAD = "version: 1\ndefaults: {model: wan2.7-videoedit}\n"
JOB = "jobs:\n  - id: a\n"
MEDIA = "media: [{video: https://example.com/a.mp4}]"
BAD = f"{HEAD}jobs: [{{id: a b, promt: x, {MEDIA}}}]\n"
MATRIX = f"{HEAD}jobs: [{{id: '${{{{ matrix.n }}}}', prompt: '${{{{ matrix.n }}}}', matrix: {{n: [5]}}, {MEDIA}}}]\n"

needs_npm = pytest.mark.skipif(missing() is not None, reason=str(missing()))


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with what `wanrun schema` prints."""
    path = tmp_path_factory.mktemp("schema") / "wanrun.schema.json"
    path.write_bytes(subprocess.run([*COMMAND, "schema"], stdout=subprocess.PIPE, check=True).stdout)
    return path


@pytest.fixture(scope="module")
def server(schema: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LanguageServer]:
    """Start one language server for all that is asked."""
    with LanguageServer(schema, tmp_path_factory.mktemp("documents")) as running:
        yield running


@needs_npm
class TestLanguageServer:
    """Keys and values are completed, and described on hover, while a spec is written."""

    @pytest.mark.parametrize(
        ("text", "labels"),
        [
            ("|", {"name", "vars", "defaults", "sinks", "jobs", "budget"}),
            (f"{JOB}    |", {"prompt", "negative_prompt", "media", "parameters", "matrix", "sinks"}),
            (f"{JOB}    parameters:\n      |", {"duration", "resolution", "ratio", "seed"}),
            (f"{JOB}    parameters:\n      resolution: |", {"720P", "1080P"}),
            (f"{JOB}    media:\n      - |", {"video", "reference_image"}),
            (f"{JOB}    media:\n      - video:\n          |", {"file", "http"}),
            (f"{JOB}    table:\n      |", {"csv", "jsonl"}),
            ("sinks:\n  disk:\n    |", {"folder"}),
            ("sinks:\n  disk:\n    folder:\n      |", {"path", "name"}),
            ("defaults:\n  model: |", {"wan2.7-videoedit"}),
        ],
    )
    def test_what_may_stand_there_is_offered(self, server: LanguageServer, text: str, labels: set[str]) -> None:
        """Also the options of the installed kinds, and the parameters of the installed models."""
        assert labels <= set(server.completions(f"version: 1\n{text}"))

    def test_a_key_that_is_offered_is_described(self, server: LanguageServer) -> None:
        """In the words of the schema."""
        offered = server.completions(f"version: 1\n{JOB}    |")

        assert str(offered["prompt"]["documentation"]).startswith("What to do, in words.")

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("jo|bs: []", "The edits to make, at least one."),
            (f"{JOB}    prom|pt: x", "What to do, in words."),
            (f"{JOB}    parameters: {{dura|tion: 5}}", "Seconds to keep from the start of the input"),
            (f"{JOB}    media: [{{vid|eo: a.mp4}}]", "The video to edit."),
            (f"{JOB}    media: [{{video: {{file: {{pa|th: a.mp4}}}}}}]", "path"),
            ("sinks: {disk: {folder: {pa|th: x}}}", "The folder that all results stay in"),
        ],
    )
    def test_a_key_says_what_it_is_on_hover(self, server: LanguageServer, text: str, words: str) -> None:
        """With an example."""
        shown = server.hover(f"version: 1\n{text}")

        assert words in shown
        assert "Example" in shown

    @pytest.mark.parametrize("spec", SPECS, ids=lambda path: path.name)
    def test_a_good_spec_is_left_alone(self, server: LanguageServer, spec: Path) -> None:
        """Nothing is underlined in the specs that ship with the project."""
        assert server.diagnostics(spec.read_text(encoding="utf-8")) == []

    def test_a_table_of_two_files_is_underlined(self, server: LanguageServer) -> None:
        """Though both keys are offered while there is none."""
        spec = f"{HEAD}{JOB}    {MEDIA}\n    prompt: x\n    table: {{csv: a.csv, jsonl: a.jsonl}}\n"

        assert server.diagnostics(spec)
        assert server.diagnostics(spec.replace(", jsonl: a.jsonl", "")) == []

    def test_a_bad_one_is_underlined(self, server: LanguageServer) -> None:
        """A misspelt key, for one."""
        assert any("promt" in words for words in server.diagnostics(BAD))


@pytest.mark.parametrize("spec", SPECS, ids=lambda path: path.name)
def test_check_jsonschema_takes_every_spec(schema: Path, spec: Path) -> None:
    """For those who check specs where wanrun is not installed."""
    said = _check_jsonschema(schema, spec)

    assert said.returncode == 0, said.stdout


def test_check_jsonschema_refuses_a_bad_one(schema: Path, tmp_path: Path) -> None:
    """The schema says no by itself."""
    (tmp_path / "bad.yaml").write_text(BAD)

    said = _check_jsonschema(schema, tmp_path / "bad.yaml")

    assert said.returncode == 1
    assert b"promt" in said.stdout


def _check_jsonschema(schema: Path, spec: Path) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "check_jsonschema", "--schemafile", str(schema), str(spec)]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)


@needs_npm
@pytest.mark.parametrize(
    "text", [BAD, MATRIX, f"{HEAD}jobs: [{{id: a, {MEDIA}}}]\n"], ids=["problems", "related", "none"]
)
def test_a_sarif_log_is_one_by_the_official_schema(tmp_path: Path, text: str) -> None:
    """The schema comes with the matchers of the format's own makers."""
    (tmp_path / "spec.yaml").write_text(text)
    official = HERE / "node_modules" / "@microsoft" / "jest-sarif" / "lib" / "schemas" / "sarif-2.1.0-rtm.5.json"

    command = [*COMMAND, "validate", "spec.yaml", "--format", "sarif"]
    said = subprocess.run(command, cwd=tmp_path, stdout=subprocess.PIPE, check=False)

    validator = Draft4Validator(json.loads(official.read_text(encoding="utf-8-sig")))
    assert [error.message for error in validator.iter_errors(json.loads(said.stdout))] == []
