"""Checks nodes against a JSON Schema and says what is wrong in sentences, each at the line where it can be mended."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any

from wanrun import rules
from wanrun.spec.allowed import EXAMPLE_CHARACTERS, allowed
from wanrun.spec.cells import Fitter
from wanrun.spec.nodes import ListNode, MapNode, Mark, ScalarNode, node_of, scalars
from wanrun.spec.quick import quick
from wanrun.spec.sealing import takes_secrets
from wanrun.spec.template import has_template
from wanrun.spec.words import did_you_mean, flow, nearest, quoted, shown
from wanrun.types import HIDDEN, SecretTemplate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jsonschema.exceptions import ValidationError

    from wanrun.rules import Rule, Sentence
    from wanrun.spec.nodes import Node, Placed
    from wanrun.spec.quick import Yes
    from wanrun.types import JSON

#: A fault: where, what, and the path to the value that is wrong.
Fault = tuple["Placed", "Sentence", tuple[str | int, ...]]

#: How messages call the value at a path.
Naming = Callable[[Sequence[str | int]], str]

_SIZES = {"minItems": "items", "maxItems": "items", "minProperties": "keys", "maxProperties": "keys"}
_RULES = {
    "type": rules.WRONG_TYPE,
    "enum": rules.NOT_A_CHOICE,
    "const": rules.NOT_A_CHOICE,
    "minLength": rules.TEXT_LENGTH,
    "maxLength": rules.TEXT_LENGTH,
    "pattern": rules.TEXT_FORM,
    "format": rules.TEXT_FORM,
    "uniqueItems": rules.LISTED_TWICE,
    **dict.fromkeys(_SIZES, rules.ITEM_COUNT),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"), rules.OUT_OF_RANGE),
}


class Checker:
    """One schema, compiled; nothing it refers to is ever fetched."""

    def __init__(self, schema: Mapping[str, JSON]) -> None:
        self._schema = schema
        self._part: Any = schema  # that is checked; it may refer to the rest
        self._made: Any = None
        self._quick = quick(schema)
        self._quick_parts: dict[int, Yes | None] = {}  # by identity: they are parts of the schema, which stays
        self._fitter = Fitter(schema, self._takes)

    def part(self, name: str) -> Checker | None:
        """Return the checker of one property, which may still refer to the whole schema's definitions."""
        properties = self._schema.get("properties")
        if not isinstance(properties, dict) or name not in properties:
            return None
        part = copy(self)
        part._part, part._made = properties[name], None
        part._quick = quick(properties[name])
        return part

    def fit(self, node: Node) -> Node:
        """Return a node in which the cells of a CSV table have the types that the schema wants."""
        return self._fitter.fit(node, self._part)

    @property
    def _validator(self) -> Any:
        if self._made is None:
            from wanrun.spec.validating import validator_of  # here, since most runs never need it

            self._made = validator_of(self._schema, self._part)
        return self._made

    def _takes(self, part: Mapping[str, Any], value: str) -> bool:
        """Say whether a part of the schema takes a text."""
        if "string" not in part.get("type", "string"):
            return False
        if id(part) not in self._quick_parts:
            self._quick_parts[id(part)] = quick(part)
        if (fine := self._quick_parts[id(part)]) and fine(value):
            return True
        from wanrun.spec.validating import Unresolvable

        try:
            return bool(self._validator.evolve(schema=part).is_valid(value))
        except Unresolvable:
            return True  # nothing can be told; `faults` says why

    def faults(self, node: Node, name: Naming, *, templates: bool = False) -> Iterator[Fault]:
        """Yield what is wrong with a node; `templates` leaves out values whose templates are not filled in yet."""
        if self._quick and self._quick(node.plain()):
            return
        from wanrun.spec.validating import Unresolvable

        try:
            errors = list(self._validator.iter_errors(node.plain()))
        except Unresolvable as exc:
            words = f"{name(())} cannot be checked: its schema refers to {shown(exc.ref)}, which it does not hold"
            yield node, rules.SCHEMA_UNUSABLE(words), ()
            return
        for error in errors:
            path = tuple(error.absolute_path)
            at = _walk(node, path)
            if isinstance(at, ScalarNode) and isinstance(at.value, SecretTemplate):
                continue  # a text that nobody sees; where it may not stand, `sealing.strays` says so
            if not (templates and _undecided(error, at)):
                yield from _sentences(error, at, name(path), path)


def _walk(node: Node, path: Sequence[str | int]) -> Node:
    for step in path:
        if isinstance(node, MapNode):
            node = node.entries[str(step)].node
        elif isinstance(node, ListNode):
            node = node.items[int(step)]
    return node


def option_faults(schema: Mapping[str, JSON], options: Mapping[str, JSON], label: str) -> list[str]:
    """Return what is wrong with the options of a table of `wanrun.toml`, a line each."""
    return [message for _, message, _ in Checker(schema).faults(node_of(dict(options), Mark(1, 1)), dotted(label))]


def dotted(label: str) -> Naming:
    """Return a naming of values below the one called `label`: `parameters.duration`, `media item 2`."""
    return lambda path: label + "".join(f" item {step + 1}" if isinstance(step, int) else f".{step}" for step in path)


def _undecided(error: ValidationError, node: Node) -> bool:
    """Say whether an error may vanish once templates are filled in; keys are never templates."""
    if isinstance(error.schema, dict) and error.schema.get("x-templates") is False:
        return False
    if isinstance(node, ScalarNode):
        return isinstance(node.value, str) and has_template(node.value)
    if error.validator in ("required", "additionalProperties", "type", "propertyNames", *_SIZES):
        return False
    return any(isinstance(leaf.value, str) and has_template(leaf.value) for leaf in scalars(node))


def _sentences(error: ValidationError, node: Node, label: str, path: tuple[str | int, ...]) -> Iterator[Fault]:
    schema = error.schema if isinstance(error.schema, dict) else {}
    if "propertyNames" in error.absolute_schema_path and isinstance(node, MapNode):
        key = str(error.instance)
        words = f"{shown(key)} cannot be a name here; give {allowed(schema)}"
        yield node.entries[key].key, rules.KEY_UNFIT(words), (*path, key)
    elif error.validator in ("additionalProperties", "unevaluatedProperties") and isinstance(node, MapNode):
        yield from _unknown_keys(error, node, label, path)
    elif error.validator == "required" and isinstance(node, MapNode):
        required: Any = error.validator_value
        for key in required:
            if key not in node and not _misspelt(key, node, schema):
                yield node, rules.MISSING_KEY(_missing(key, label, schema)), path
    else:
        yield node, _rule(error)(_about_value(error, node, label, schema)), path


def _unknown_keys(error: ValidationError, node: MapNode, label: str, path: tuple[str | int, ...]) -> Iterator[Fault]:
    schema: Any = error.schema
    known = list(schema.get("properties", {}))
    for key in _strangers(node, schema):
        advice = _home(key, schema) or did_you_mean(key, known) or f"; {label} has no keys"
        yield node.entries[key].key, rules.UNKNOWN_KEY(f"unknown key {shown(key)}{advice}"), (*path, key)


def _home(key: str, schema: Mapping[str, Any]) -> str:
    """Say where a key belongs that is right one level further down, as the end of a sentence; empty if nowhere."""
    homes = [name for name, inner in schema.get("properties", {}).items() if key in inner.get("properties", {})]
    return f"; it belongs in {quoted(homes)}" if homes else ""


def _misspelt(key: str, node: MapNode, schema: Mapping[str, Any]) -> bool:
    """Say whether a missing key is there under a wrong name, which has its own sentence."""
    return schema.get("additionalProperties") is False and nearest(key, _strangers(node, schema)) is not None


def _strangers(node: MapNode, schema: Mapping[str, Any]) -> list[str]:
    """Return the keys of a mapping that its schema does not name."""
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    return [key for key in node.entries if key not in known and not any(re.search(each, key) for each in patterns)]


def _missing(key: str, label: str, schema: Mapping[str, Any]) -> str:
    examples = schema.get("properties", {}).get(key, {}).get("examples")
    example = f"{key}: {flow(examples[0])}" if examples else ""
    return f'{label} needs the key "{key}"' + (f", such as {example}" if 0 < len(example) <= EXAMPLE_CHARACTERS else "")


def _rule(error: ValidationError) -> Rule:
    """Return the rule that a value breaks; where it has choices, that of the one it comes nearest to."""
    if error.validator in ("anyOf", "oneOf"):
        broken = [_RULES.get(str(choice.validator)) for choice in error.context or () if not choice.path]
        for rule in (rules.OUT_OF_RANGE, rules.TEXT_FORM, rules.TEXT_LENGTH, rules.WRONG_TYPE):
            if rule in broken:
                return rule
    alone = not isinstance(error.instance, dict | list)
    return _RULES.get(str(error.validator), rules.NOT_A_CHOICE if alone else rules.UNFIT_TOGETHER)


def _about_value(error: ValidationError, node: Node, label: str, schema: Mapping[str, Any]) -> str:
    bound: Any = error.validator_value
    value: Any = error.instance
    if error.validator == "maxLength":
        return f"{label} has {len(value)} characters; give at most {bound}"
    if error.validator in _SIZES:
        size = len(value)
        most = "at most" if str(error.validator).startswith("max") else "at least"
        return f"{label} has {size or 'no'} {_SIZES[error.validator]}; give {most} {bound}"
    if error.validator == "uniqueItems":
        twice = next((item for index, item in enumerate(value) if item in value[:index]), None)
        return f"{label} lists {HIDDEN if takes_secrets(schema) else shown(twice)} twice; give it once"
    if error.validator != "type" and not isinstance(node, ScalarNode):
        return f"{label} does not fit together; give {allowed(schema)}"
    return f"{label} is {HIDDEN if takes_secrets(schema) else shown(node.plain())}; give {allowed(schema)}"
