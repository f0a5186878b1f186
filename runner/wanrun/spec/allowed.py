"""Says in words what a schema allows: `0 or a whole number from 2 to 10`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from wanrun.spec.words import either, flow, quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

EXAMPLE_CHARACTERS = 80  #: a longer example is left out

_NOUNS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "nothing",
}


def allowed(schema: Mapping[str, Any] | bool) -> str:
    """Return what a value may be, as the end of a sentence that starts with "give"."""
    if not isinstance(schema, dict):
        return "another value"
    if "const" in schema:
        return _value(schema["const"])
    if "enum" in schema:
        return either(map(_value, schema["enum"]))
    for keyword in ("anyOf", "oneOf"):
        if isinstance(choices := schema.get(keyword), list) and choices:
            common = {key: value for key, value in schema.items() if key != keyword}
            return either(
                dict.fromkeys(allowed({**common, **choice}) for choice in choices if isinstance(choice, dict))
            )
    return _by_type(schema) + _such_as(schema)


def _value(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _by_type(schema: Mapping[str, Any]) -> str:
    types = schema.get("type", [])
    names = [types] if isinstance(types, str) else list(types)
    if not names and ("minimum" in schema or "maximum" in schema):
        names = ["number"]
    if not names:
        return "another value"
    return either(_NOUNS.get(name, name) + _range(name, schema) for name in names)


def _range(name: str, schema: Mapping[str, Any]) -> str:
    if name in ("integer", "number"):
        return _bounds(schema) + _multiple(schema)
    if name == "object" and schema.get("required"):
        return f" with {quoted(schema['required'], 'and')}"
    if name == "string":
        low, high = schema.get("minLength"), schema.get("maxLength")
        if low and high:
            return f" of {low} to {high} characters"
        if low and low > 1:
            return f" of at least {low} characters"
        return f" of at most {high} characters" if high else ""
    return ""


def _bounds(schema: Mapping[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f" from {low} to {high}"
    words = [
        f"of {low} or more" if low is not None else "",
        f"of {high} or less" if high is not None else "",
        f"above {schema['exclusiveMinimum']}" if "exclusiveMinimum" in schema else "",
        f"below {schema['exclusiveMaximum']}" if "exclusiveMaximum" in schema else "",
    ]
    return "".join(f" {word}" for word in words if word)


def _multiple(schema: Mapping[str, Any]) -> str:
    return f" that {schema['multipleOf']} divides" if "multipleOf" in schema else ""


def _such_as(schema: Mapping[str, Any]) -> str:
    """Show an example where it says more than the words before it: of lists, mappings and patterns."""
    example = flow(schema["examples"][0]) if schema.get("examples") else ""
    if "pattern" in schema and not example:
        return f" that matches {schema['pattern']}"
    types = schema.get("type", [])
    telling = "pattern" in schema or "array" in types or "object" in types
    return f", such as {example}" if telling and 0 < len(example) <= EXAMPLE_CHARACTERS else ""
