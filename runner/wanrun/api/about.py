"""What is installed: the schemas for editors, and the plugins with what they offer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Literal

from wanrun.errors import SettingsError
from wanrun.models import schemas_folder
from wanrun.registry import InstalledPlugin, installed_plugins, load_catalog
from wanrun.spec.printed import printed_base_schema, printed_schema

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wanrun.hookspecs import SinkKind, SourceKind
    from wanrun.types import JSON

DIALECT = "https://json-schema.org/draft/2020-12/schema"


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledKind:
    """One kind of source or sink, and the plugin that offers it."""

    sort: Literal["source", "sink"]
    name: str
    plugin: InstalledPlugin
    short: str | None  #: the option that a bare string stands for
    options: Mapping[str, JSON]  #: JSON Schema of an object


def schema(*, events: bool = False, base: bool = False, model: str | None = None) -> dict[str, JSON]:
    """Return the schema of specs with the options of every installed plugin, as editors want it.

    Instead, with `events`, that of a run's event lines; with `base`, that of files that specs extend; with `model`,
    that of what a job may ask of one model. Raises `PluginError`, and `SettingsError` for a model that nobody offers.
    """
    if events:
        text = (schemas_folder() / "events.schema.json").read_text(encoding="utf-8")
        return dict(json.loads(text))
    catalog = load_catalog()
    if model is None:
        return printed_base_schema(catalog) if base else printed_schema(catalog)
    if model not in catalog.models:
        raise SettingsError(f'no plugin offers the model "{model}"; {_hint(model, list(catalog.models))}')
    found = catalog.models[model]
    return {"$schema": DIALECT, "title": found.name, "description": found.description, **found.job}


def plugins() -> list[InstalledPlugin]:
    """Return every installed plugin, the core first; one that is broken with its `problem`, never an error."""
    return installed_plugins()


def kinds(name: str) -> list[InstalledKind]:
    """Return what is offered under a name: a source, a sink, or both. Raises `SettingsError` when it is nothing."""
    installed = installed_plugins()
    found = [kind for plugin in installed for kind in _kinds(plugin) if kind.name == name]
    if not found:
        known = sorted({kind.name for plugin in installed for kind in _kinds(plugin)})
        raise SettingsError(f'no plugin offers the kind "{name}"; {_hint(name, known)}')
    return found


def _kinds(plugin: InstalledPlugin) -> list[InstalledKind]:
    sources = [_kind("source", name, kind, plugin) for name, kind in plugin.sources.items()]
    return sources + [_kind("sink", name, kind, plugin) for name, kind in plugin.sinks.items()]


def _kind(
    sort: Literal["source", "sink"], name: str, kind: SourceKind | SinkKind, plugin: InstalledPlugin
) -> InstalledKind:
    return InstalledKind(sort=sort, name=name, plugin=plugin, short=kind.short, options=kind.options)


def _hint(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return (f'did you mean "{near[0]}"? ' if near else "") + f"installed: {', '.join(known)}"
