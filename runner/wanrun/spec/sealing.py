"""Which options may hold a secret, by their kind's schema; what stands there is sealed, and nobody sees it again."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from wanrun.spec.nodes import Entry, ListNode, ScalarNode, list_of, map_of
from wanrun.spec.template import TemplateError, lookups
from wanrun.types import SecretTemplate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wanrun.spec.nodes import Node

Path: TypeAlias = "tuple[str | int, ...]"

MARK = "writeOnly"  #: the keyword of JSON Schema for what is given and never shown


def takes_secrets(schema: object) -> bool:
    """Say whether a secret may stand anywhere below a schema: in properties, items or additional properties."""
    if not isinstance(schema, dict):
        return False
    inner = [schema.get("items"), schema.get("additionalProperties"), *schema.get("properties", {}).values()]
    return _is_secret(schema) or any(map(takes_secrets, inner))


def secret_paths(schema: object, path: str = "") -> Iterator[str]:
    """Yield where secrets may stand below a schema: `token`, `auth.token`, `headers.*`, `tokens[]`."""
    if not isinstance(schema, dict):
        return
    if _is_secret(schema):
        yield path
    for name, inner in schema.get("properties", {}).items():
        yield from secret_paths(inner, f"{path}.{name}".lstrip("."))
    yield from secret_paths(schema.get("items"), f"{path}[]")
    yield from secret_paths(schema.get("additionalProperties"), f"{path}.*".lstrip("."))


def sealed(node: Node, schema: object) -> Node:
    """Return a node with every text sealed that stands where its schema wants a secret."""
    if isinstance(node, ScalarNode):
        if not _is_secret(schema) or isinstance(node.value, SecretTemplate):
            return node
        return ScalarNode(SecretTemplate([str(node.value)]), node.line, node.column)
    if isinstance(node, ListNode):
        return list_of([sealed(item, _inner(schema, 0)) for item in node.items], node)
    entries = {key: Entry(each.key, sealed(each.node, _inner(schema, key))) for key, each in node.entries.items()}
    return map_of(entries, node)


def written_out(node: Node, schema: object) -> Iterator[str]:
    """Yield what a spec itself holds where its schema wants a secret, or where a misspelt key may have meant one."""
    if isinstance(node, ScalarNode):
        if (_is_secret(schema) or schema is False) and isinstance(node.value, str | int) and not node.templated:
            yield str(node.value)
    elif isinstance(node, ListNode):
        for index, item in enumerate(node.items):
            yield from written_out(item, _inner(schema, index))
    else:
        for key, entry in node.entries.items():
            yield from written_out(entry.node, _inner(schema, key))


def strays(node: Node, schema: object, path: Path = (), *, templates: bool = False) -> Iterator[tuple[Node, Path]]:
    """Yield the values that hold a secret where their schema wants none, each with its path.

    `templates`: those too that will hold one when their templates are filled in.
    """
    if isinstance(node, ScalarNode):
        holds = isinstance(node.value, SecretTemplate) or (templates and _names_one(node))
        if holds and not _is_secret(schema):
            yield node, path
    elif isinstance(node, ListNode):
        for index, item in enumerate(node.items):
            yield from strays(item, _inner(schema, index), (*path, index), templates=templates)
    else:
        for key, entry in node.entries.items():
            yield from strays(entry.node, _inner(schema, key), (*path, key), templates=templates)


def _is_secret(schema: object) -> bool:
    return isinstance(schema, dict) and schema.get(MARK) is True


def _inner(schema: object, step: str | int) -> object:
    """Return the schema of a mapping's key or a list's item; None where that takes more than a look.

    False, as in JSON Schema, is one that takes nothing: that of a key which is not known, and of all below it.
    """
    if not isinstance(schema, dict):
        return False if schema is False else None
    if isinstance(step, int):
        return None if "prefixItems" in schema else schema.get("items")
    if step in (properties := schema.get("properties", {})):
        return properties[step]
    return None if "patternProperties" in schema else schema.get("additionalProperties")


def _names_one(node: ScalarNode) -> bool:
    if not node.templated:
        return False
    try:
        return any(lookup.names[0] == "secret" for lookup in lookups(str(node.value)))
    except TemplateError:
        return False  # reported with all other templates
