"""The schema of specs is their reference: complete, with examples that hold, and printable for editors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from referencing import Registry

from wanrun.spec import printed_schema
from wanrun.spec.structure import FIELDS, OWN_FIELDS, core_schema

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wanrun.catalog import Catalog

GOOD = sorted((Path(__file__).parent / "good").glob("*.yaml"))


def properties_of(schema: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every property and definition of a schema with its path."""
    for key in ("properties", "$defs"):
        for name, inner in schema.get(key, {}).items():
            yield f"{path}/{name}", inner
            yield from properties_of(inner, f"{path}/{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from properties_of(schema[key], path)


PROPERTIES = [(path, inner) for path, inner in properties_of(core_schema()) if "$ref" not in inner]


@pytest.mark.parametrize(("path", "schema"), PROPERTIES, ids=[path for path, _ in PROPERTIES])
def test_every_key_is_described_with_an_example_that_holds(path: str, schema: Any) -> None:
    """A full sentence, and an example that the schema itself takes."""
    assert schema["description"][-1] == "."
    assert schema["description"][0].isupper()
    whole = {**schema, "$defs": core_schema()["$defs"]}
    for example in schema["examples"]:
        Draft202012Validator(whole, registry=Registry()).validate(example)


def test_every_field_of_a_job_is_in_the_schema() -> None:
    """The code and the reference know the same fields."""
    definitions: Any = core_schema()["$defs"]

    assert set(FIELDS) == set(definitions["job"]["properties"])
    assert set(definitions["defaults"]["properties"]) == set(FIELDS) - set(OWN_FIELDS)


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_the_printed_schema_takes_good_specs(path: Path, catalog: Catalog) -> None:
    """An editor that uses it complains of nothing that wanrun takes."""
    schema = printed_schema(catalog)
    Draft202012Validator.check_schema(schema)
    spec = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # noqa: S506  # it makes only text

    assert [error.message for error in Draft202012Validator(schema).iter_errors(_typed(spec))] == []


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("parameters", {"duration": 1}),
        ("parameters", {"fps": 24}),
        ("media", [{"video": {"fiel": "a.mp4"}}]),
        ("media", [{"video": {"file": {"pth": "a.mp4"}}}]),
        ("media", [{"vidoe": "a.mp4"}]),
        ("media", [{"video": {"file": "a.mp4", "http": "https://example.com/a.mp4"}}]),
        ("media", [{"video": {}}]),
        ("sinks", ["a", "a"]),
    ],
)
def test_the_printed_schema_refuses_what_no_installed_kind_takes(place: str, value: object, catalog: Catalog) -> None:
    """Kinds, options and parameters are those of this installation."""
    job = {"id": "a", "model": "wan2.7-videoedit", "media": [{"video": "a.mp4"}], place: value}

    assert not Draft202012Validator(printed_schema(catalog)).is_valid({"version": 1, "jobs": [job]})


def test_the_printed_schema_takes_a_template_for_any_value(catalog: Catalog) -> None:
    """Even where the value itself would be a number or a choice."""
    parameters = {
        "duration": "${{ matrix.seconds }}",
        "resolution": "${{ vars.resolution }}",
        "watermark": "${{ vars.w }}",
    }
    job = {"id": "a", "model": "${{ vars.model }}", "media": [{"video": {"camera": {"number": "${{ vars.n }}"}}}]}

    Draft202012Validator(printed_schema(catalog)).validate({"version": 1, "jobs": [{**job, "parameters": parameters}]})


def _typed(value: Any) -> Any:
    """Return what the base loader read as text with the types that the tested specs mean."""
    if isinstance(value, dict):
        return {key: _typed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_typed(item) for item in value]
    known = {"true": True, "false": False}
    return known.get(value, int(value, 0) if value.startswith("0x") or value.isdigit() else value)
