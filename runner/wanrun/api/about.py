"""What is installed: the schemas for editors, and the plugins with what they offer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Literal

from wanrun.errors import PluginError, SettingsError
from wanrun.models import schemas_folder
from wanrun.permits import is_kind_allowed, narrowed
from wanrun.project import Setup
from wanrun.registry import InstalledPlugin, installed_plugins, load_catalog
from wanrun.settings import load_settings
from wanrun.spec.printed import printed_base_schema, printed_schema
from wanrun.spec.sealing import secret_paths

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wanrun.hookspecs import SinkKind, SourceKind
    from wanrun.settings import Allow
    from wanrun.types import JSON

Sort = Literal["source", "sink", "ledger store"]

DIALECT = "https://json-schema.org/draft/2020-12/schema"


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledKind:
    """One kind of source, sink or ledger store, and the plugin that offers it."""

    sort: Sort
    name: str
    plugin: InstalledPlugin
    short: str | None  #: the option that a bare string stands for
    options: Mapping[str, JSON]  #: JSON Schema of an object
    secrets: tuple[str, ...] = ()  #: the options that take secrets, such as `token` or `auth.token`
    allowed: bool = True  #: specs of this project may use it; none uses a ledger store


def schema(
    setup: Setup | None = None, *, events: bool = False, base: bool = False, model: str | None = None
) -> dict[str, JSON]:
    """Return the schema of specs with the options of every plugin and kind that the project allows, for editors.

    Instead, with `events`, that of a run's event lines; with `base`, that of files that specs extend; with `model`,
    that of what a job may ask of one model. Raises `PluginError`, and `SettingsError` for a model that nobody offers.
    """
    if events:
        text = (schemas_folder() / "events.schema.json").read_text(encoding="utf-8")
        return dict(json.loads(text))
    allow = _allow(setup)
    catalog = narrowed(load_catalog(only=allow.plugins, without=_without(setup)), allow)
    if model is None:
        return printed_base_schema(catalog) if base else printed_schema(catalog)
    if model not in catalog.models:
        raise SettingsError(f'no plugin offers the model "{model}"; {_hint(model, list(catalog.models))}')
    found = catalog.models[model]
    return {"$schema": DIALECT, "title": found.name, "description": found.description, **found.job}


def plugins(setup: Setup | None = None) -> list[InstalledPlugin]:
    """Return every installed plugin, the core first; one that is broken with its `problem`.

    One that is switched off, or that the project does not allow, is not imported, so that what it offers is not known
    (`off` says why). Raises `SettingsError` for settings that cannot be read.
    """
    return installed_plugins(_allow(setup).plugins, _without(setup))


def kinds(name: str | None = None, setup: Setup | None = None) -> list[InstalledKind]:
    """Return the installed kinds, or what is offered under a name: a kind's, else a plugin's.

    Raises `SettingsError` for a name that is nothing's, and `PluginError` for a plugin that cannot be used.
    """
    allow = _allow(setup)
    installed = installed_plugins(allow.plugins, _without(setup))
    every = [kind for plugin in installed for kind in _kinds(plugin, allow)]
    if name is None:
        return every
    if found := [kind for kind in every if kind.name == name]:
        return found
    if named := [plugin for plugin in installed if plugin.name == name]:
        _refuse_unusable(named[0])
        return [kind for kind in every if kind.plugin.name == name]
    known = sorted({*(kind.name for kind in every), *(plugin.name for plugin in installed)})
    off = [f"{plugin.name} is {plugin.off}" for plugin in installed if plugin.off]
    raise SettingsError("; ".join([f'no plugin offers the kind "{name}"; {_hint(name, known)}', *off]))


def _refuse_unusable(plugin: InstalledPlugin) -> None:
    """Raise for a plugin that says nothing of what it offers."""
    if plugin.off is not None:
        raise SettingsError(f"what the plugin {plugin.name} offers is not known: it is {plugin.off}, and not imported")
    if plugin.problem is not None:
        raise PluginError(plugin.problem, plugin=plugin.name, package=f"{plugin.package} {plugin.version}".strip())


def _without(setup: Setup | None) -> tuple[str, ...]:
    return setup.without_plugins if setup else ()


def _allow(setup: Setup | None) -> Allow:
    setup = setup or Setup()
    return load_settings(start=setup.folder, config=setup.config, environ=setup.environ).allow


def _kinds(plugin: InstalledPlugin, allow: Allow) -> list[InstalledKind]:
    sources = [_kind("source", name, kind, plugin, allow) for name, kind in plugin.sources.items()]
    sinks = [_kind("sink", name, kind, plugin, allow) for name, kind in plugin.sinks.items()]
    stores = [
        InstalledKind(sort="ledger store", name=name, plugin=plugin, short=None, options=kind.options)
        for name, kind in plugin.ledger_stores.items()
    ]
    return sources + sinks + stores


def _kind(
    sort: Literal["source", "sink"], name: str, kind: SourceKind | SinkKind, plugin: InstalledPlugin, allow: Allow
) -> InstalledKind:
    return InstalledKind(
        sort=sort,
        name=name,
        plugin=plugin,
        short=kind.short,
        options=kind.options,
        secrets=tuple(secret_paths(kind.options)),
        allowed=is_kind_allowed(sort, name, allow),
    )


def _hint(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return (f'did you mean "{near[0]}"? ' if near else "") + f"installed: {', '.join(known)}"
