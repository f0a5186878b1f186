"""The spec's schema as an editor wants it: with every installed kind's options, models, and templates as values."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from wanrun.spec.structure import core_schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from wanrun.catalog import Catalog
    from wanrun.hookspecs import SinkKind, SourceKind
    from wanrun.types import JSON

_TEMPLATE = {
    "type": "string",
    "pattern": r"\$\{\{",
    "description": "A text with templates; one that is a single template takes the value that the template names.",
    "examples": ["${{ matrix.style }}"],
    "x-templates": False,
}
_ANNOTATIONS = ("description", "examples", "default", "title")


def printed_schema(catalog: Catalog) -> dict[str, JSON]:
    """Return the schema of specs as this installation takes them, for editors and `wanrun schema`.

    Where a value may stand, a template may stand too; the annotation `x-templates` marks where none may.
    """
    schema: Any = copy.deepcopy(core_schema())
    definitions = schema["$defs"]
    media = {name: limits.description for model in catalog.models.values() for name, limits in model.media.items()}
    item = definitions["media_item"]
    item["properties"] = {
        name: {"$ref": "#/$defs/media_value", "description": description} for name, description in media.items()
    }
    item["additionalProperties"] = False
    definitions["media_value"] |= _one_of("source", catalog.sources, definitions)
    definitions["media_value"]["type"] = ["string", "object"]
    definitions["sink"] |= _one_of("sink", catalog.sinks, definitions)
    definitions["table"] = _of_one_key(definitions["table"])
    definitions["model"]["enum"] = list(catalog.models)
    _add_parameters(catalog, definitions["parameters"], definitions)
    definitions["template"] = _TEMPLATE
    return {key: _with_templates(value) if key in ("properties", "$defs") else value for key, value in schema.items()}


def printed_base_schema(catalog: Catalog) -> dict[str, JSON]:
    """Return the schema of the files that specs extend, as `printed_schema`."""
    whole: Any = printed_schema(catalog)
    return {
        "$schema": whole["$schema"],
        "title": "Base of wanrun specs, version 1",
        "$ref": "#/$defs/base",
        "$defs": whole["$defs"],
    }


def _one_of(
    sort: str, kinds: Mapping[str, SourceKind] | Mapping[str, SinkKind], definitions: dict[str, Any]
) -> dict[str, Any]:
    """Return what says that a mapping has one key, a kind, with that kind's options or its short form."""
    properties = {}
    for name, kind in kinds.items():
        definitions[f"{sort}_{name}"] = {**_moved(kind.options, f"{sort}_{name}"), "x-templates": False}
        options = {"$ref": f"#/$defs/{sort}_{name}"}
        description = f"The {sort} {name}, with its options."
        short = {"type": "string", "description": f"Short for the option {kind.short}."}
        choice = {"anyOf": [short, options]} if kind.short else options
        properties[name] = {**choice, "description": description, "x-templates": False}
    return _of_one_key({"properties": properties, "additionalProperties": False})


def _of_one_key(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a mapping that has exactly one of its keys.

    It does not say so by maxProperties itself, with which a language server offers no keys where the first one is to
    be written.
    """
    rest = {key: value for key, value in schema.items() if key != "maxProperties"}
    alone = {name: {"maxProperties": 1} for name in schema["properties"]}
    return {**rest, "minProperties": 1, "dependentSchemas": alone}


def _add_parameters(catalog: Catalog, parameters: dict[str, Any], definitions: dict[str, Any]) -> None:
    """Say which parameters there are: those of all installed models, since a job's model may come from elsewhere."""
    choices = []
    for number, model in enumerate(catalog.models.values()):
        properties = model.job.get("properties")
        if isinstance(properties, dict) and "parameters" in properties:
            definitions[f"parameters_{number}"] = _moved(properties["parameters"], f"parameters_{number}")  # type: ignore[arg-type]  # checked by the registry
            choices.append({"$ref": f"#/$defs/parameters_{number}"})
    if choices:
        parameters["anyOf"] = choices


def _moved(schema: Mapping[str, JSON], name: str) -> Any:
    """Return a copy of a schema whose references to itself hold at its new place among the definitions."""

    def moved(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: _reference(item, name) if key == "$ref" else moved(item) for key, item in value.items()}
        return [moved(item) for item in value] if isinstance(value, list) else value

    return {key: value for key, value in moved(dict(schema)).items() if key not in ("$schema", "$id")}


def _reference(target: str, name: str) -> str:
    return f"#/$defs/{name}{target[1:]}" if target.startswith("#") else target


def _with_templates(value: Any) -> Any:
    """Return schemas by name, each allowing a template in place of the value unless it says otherwise."""
    return {name: _open(schema) for name, schema in value.items()}


def _open(schema: Any) -> Any:
    """Return a schema that also takes a template, and so do the schemas inside it."""
    if not isinstance(schema, dict):
        return schema
    inside = dict(schema)
    for key in ("properties", "$defs"):
        if key in inside:
            inside[key] = _with_templates(inside[key])
    for key in ("items", "additionalProperties"):
        if key in inside:
            inside[key] = _open(inside[key])
    if not _takes_templates(schema):
        return inside
    outside = {key: inside.pop(key) for key in _ANNOTATIONS if key in inside}
    return {**outside, "anyOf": [inside, {"$ref": "#/$defs/template"}]}


def _takes_templates(schema: Mapping[str, Any]) -> bool:
    """Say whether a template is news to a schema: not where any text, or what a reference says, is taken anyway."""
    if schema.get("x-templates") is False or "$ref" in schema or not set(schema) - {*_ANNOTATIONS, "x-templates"}:
        return False
    constrained = {"pattern", "enum", "const", "maxLength", "format", "anyOf", "oneOf", "not"} & set(schema)
    return bool(constrained) or "string" not in _types(schema)


def _types(schema: Mapping[str, Any]) -> Iterator[str]:
    types = schema.get("type", ["string"])
    yield from [types] if isinstance(types, str) else types
