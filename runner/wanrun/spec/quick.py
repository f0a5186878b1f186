"""A quick yes for values that are plainly right, so that ten thousand jobs do not take the slow road.

The validator stays the one that says no, and why: what is not understood here, or not right, goes to it. Only the
keywords below are understood, which is what models and options mostly consist of.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeAlias

from wanrun.types import SecretTemplate

if TYPE_CHECKING:
    from collections.abc import Callable

Yes: TypeAlias = "Callable[[Any], bool]"

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str, SecretTemplate),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}
_ANNOTATIONS = {"description", "examples", "default", "title", "x-templates", "writeOnly", "$schema", "$defs"}
_OF_MAPPINGS = {"properties", "patternProperties", "additionalProperties"}


def quick(schema: Any) -> Yes | None:
    """Return a test that is true only for values the schema allows, or None for a schema that is too much for it."""
    if schema is True:
        return _always
    if not isinstance(schema, dict):
        return None
    tests: list[Yes] = []
    for keyword in schema.keys() - _ANNOTATIONS - _OF_MAPPINGS:
        test = _KEYWORDS[keyword](schema[keyword]) if keyword in _KEYWORDS else None
        if test is None:
            return None
        tests.append(test)
    if schema.keys() & _OF_MAPPINGS:
        if (mapping := _mapping(schema)) is None:
            return None
        tests.append(mapping)
    return _all(tests)


def _all(tests: list[Yes]) -> Yes:
    if len(tests) == 1:
        return tests[0]
    return lambda value: all(test(value) for test in tests)


def _type(names: Any) -> Yes | None:
    classes = tuple(found for name in ([names] if isinstance(names, str) else names) for found in _TYPES[name])
    return lambda value: type(value) in classes  # exact, so that true is no number


def _choices(values: list[Any]) -> Yes | None:
    texts = {value for value in values if isinstance(value, str)}
    return (lambda value: type(value) is str and value in texts) if len(texts) == len(values) else None


def _any_of(schemas: list[Any]) -> Yes | None:
    tests = [test for schema in schemas if (test := quick(schema))]
    return (lambda value: any(test(value) for test in tests)) if len(tests) == len(schemas) else None


def _items(schema: Any) -> Yes | None:
    test = quick(schema)
    return test and (lambda value: type(value) is not list or all(map(test, value)))


def _names(schema: Any) -> Yes | None:
    test = quick(schema)
    return test and (lambda value: type(value) is not dict or all(map(test, value)))


_KEYWORDS: dict[str, Callable[[Any], Yes | None]] = {
    "type": _type,
    "enum": _choices,
    "anyOf": _any_of,
    "items": _items,
    "propertyNames": _names,
    "const": lambda one: lambda value: type(value) is type(one) and type(one) in (int, str, bool) and value == one,
    "minLength": lambda size: lambda value: type(value) is not str or len(value) >= size,
    "maxLength": lambda size: lambda value: type(value) is not str or len(value) <= size,
    "minimum": lambda low: lambda value: type(value) not in (int, float) or value >= low,
    "maximum": lambda high: lambda value: type(value) not in (int, float) or value <= high,
    "minItems": lambda size: lambda value: type(value) is not list or len(value) >= size,
    "minProperties": lambda size: lambda value: type(value) is not dict or len(value) >= size,
    "maxProperties": lambda size: lambda value: type(value) is not dict or len(value) <= size,
    "required": lambda names: lambda value: type(value) is not dict or all(name in value for name in names),
    "uniqueItems": lambda wanted: lambda value: not wanted or type(value) is not list or _distinct(value),
    "pattern": lambda pattern: lambda value: type(value) is not str or re.search(pattern, value) is not None,
}


def _mapping(schema: dict[str, Any]) -> Yes | None:
    """Return the test of a mapping's values, each by its key; a key of which too much is said gets no quick yes."""
    rest = schema.get("additionalProperties", True)
    others = _never if rest is False else quick(rest)
    known = {name: quick(inner) or _never for name, inner in schema.get("properties", {}).items()}
    free = schema.get("patternProperties", {})
    if others is None or any(inner != {} for inner in free.values()):
        return None  # a key that is known is not asked for its pattern, so the pattern may ask nothing

    def test_of(key: str) -> Yes:
        return known.get(key) or (_always if any(re.search(pattern, key) for pattern in free) else others)

    return lambda value: type(value) is not dict or all(test_of(key)(item) for key, item in value.items())


def _distinct(values: list[Any]) -> bool:
    """Say whether all values are texts and differ, as where it is asked they mostly are."""
    return all(type(value) is str for value in values) and len(set(values)) == len(values)


def _always(value: object) -> bool:
    return True


def _never(value: object) -> bool:
    return False
