"""The page `docs/spec.md`, from the schema of specs and those of the built-in kinds and models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wanrun.registry import load_catalog
from wanrun.spec.allowed import allowed
from wanrun.spec.structure import core_schema
from wanrun.spec.words import flow

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

HEAD = """# The spec language

Every key of a spec, with an example. Written by `docs/render.py` from `schemas/spec.schema.json`, the schemas of the
built-in sources and sinks, and `schemas/models/`; change those, not this page. `wanrun schema` prints all of it for
editors, with what other installed plugins take.
"""

#: The mappings of the language in the order in which a reader meets them: heading and name of the definition.
SECTIONS = {
    "Defaults": "defaults",
    "Jobs": "job",
    "Matrix": "matrix",
    "An axis": "axis",
    "Items of `exclude`": "exclusion",
    "Items of `include`": "inclusion",
    "Table": "table",
    "Retries": "retries",
    "Budget": "budget",
    "Items of `notify`": "notify_item",
    "An event": "notify_event",
    "Bases": "base",
}


def spec_page() -> str:
    """Return the page."""
    schema: Any = core_schema()
    definitions = schema["$defs"]
    parts = [HEAD, *_section("A spec", schema, definitions)]
    for title, name in SECTIONS.items():
        parts += _section(title, definitions.get(name) or schema["properties"][name], definitions)
    parts += _section("Media items", definitions["media_item"], definitions)
    catalog = load_catalog()
    for model in catalog.models.values():
        parts += [f"## Model `{model.name}`\n", model.description + "\n"]
        properties: Any = model.job["properties"]
        parts.append("\n".join(_key(f"parameters.{key}", each, {}) for key, each in _keys(properties["parameters"])))
        parts.append("")
    for sort, kinds in (("Source", catalog.sources), ("Sink", catalog.sinks)):
        for name, kind in kinds.items():
            short = f"Short: `{name}: {kind.short.upper()}`.\n" if kind.short else ""
            parts += [f"## {sort} `{name}`\n", *([short] if short else []), "\n".join(_options(kind.options)), ""]
    return "\n".join(parts).rstrip() + "\n"


def _section(title: str, schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Iterator[str]:
    yield f"## {title}\n"
    yield f"{schema['description']}\n"
    yield f"    {flow(schema['examples'][0])}\n"
    if keys := [_key(name, each, definitions) for name, each in _keys(schema)]:
        yield "\n".join(keys) + "\n"


def _options(schema: Mapping[str, Any]) -> Iterator[str]:
    required = schema.get("required", [])
    for name, each in _keys(schema):
        yield _key(name, each, schema.get("$defs", {})) + ("" if name in required else " Optional.")


def _keys(schema: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return list(schema.get("properties", {}).items())


def _key(name: str, schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """Return one key as an item of a list: what it takes, what it is for, and an example."""
    if "$ref" in schema:
        schema = {**definitions[schema["$ref"].rpartition("/")[2]], **schema}
    plain = {key: value for key, value in schema.items() if key not in ("examples", "pattern")}
    takes = allowed(plain)
    takes = "" if takes == "another value" else f" ({takes})"
    example = (
        f" For example `{name.rpartition('.')[2]}: {flow(schema['examples'][0])}`." if "examples" in schema else ""
    )
    return f"- **`{name}`**{takes}. {schema['description']}{example}"
