"""Whether a JSON Schema that a plugin brings is well-formed, which every command asks of every one.

A quick yes for those that are plainly right; only the others need the validator, which takes long to load.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_TYPES = frozenset({"string", "integer", "number", "boolean", "array", "object", "null"})


def schema_fault(schema: Mapping[str, Any]) -> str | None:
    """Say what keeps a mapping from being a JSON Schema of draft 2020-12, as the end of a sentence; None if nothing."""
    if is_plain(schema):
        return None
    from jsonschema import Draft202012Validator  # here, since most runs never need it
    from jsonschema.exceptions import SchemaError

    try:
        Draft202012Validator.check_schema(dict(schema))
    except SchemaError as exc:
        return f"at {exc.json_path}: {exc.message}"
    return None


def is_plain(schema: object) -> bool:
    """Say whether a schema is surely well-formed: of common keywords, each with a value of its kind."""
    if isinstance(schema, bool):
        return True
    if not isinstance(schema, dict):
        return False
    return all(keyword in _KEYWORDS and _KEYWORDS[keyword](value) for keyword, value in schema.items())


def _is_type(value: Any) -> bool:
    return isinstance(value, str) and value in _TYPES


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_size(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _is_anything(value: Any) -> bool:
    return True


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value) and len(set(value)) == len(value)


def _are_choices(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 0 and all(map(is_plain, value))


def _are_named(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(name, str) and is_plain(each) for name, each in value.items())


def _is_pattern(value: Any) -> bool:
    try:
        return isinstance(value, str) and re.compile(value) is not None
    except re.error:
        return False


def _are_by_pattern(value: Any) -> bool:
    return _are_named(value) and all(map(_is_pattern, value))


_KEYWORDS: dict[str, Callable[[Any], bool]] = {
    "type": _is_type,
    "properties": _are_named,
    "patternProperties": _are_by_pattern,
    "additionalProperties": is_plain,
    "propertyNames": is_plain,
    "items": is_plain,
    "required": _are_names,
    "enum": _is_list,
    "const": _is_anything,
    "anyOf": _are_choices,
    "pattern": _is_pattern,
    "uniqueItems": _is_flag,
    **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"), _is_size),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), _is_number),
    "title": _is_text,
    "description": _is_text,
    "default": _is_anything,
    "examples": _is_list,
    "writeOnly": _is_flag,
    "x-templates": _is_anything,
}
