"""Finds the installed plugins, asks each what it offers and makes the catalog; only this file runs pluggy.

What a plugin does wrong becomes a `PluginError` that names the plugin and its package. Whether an offer is usable is
decided by `offers`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import lru_cache, partial
from importlib import metadata
from typing import TYPE_CHECKING, Any, cast

import pluggy

from wanrun import hookspecs
from wanrun.catalog import Catalog
from wanrun.chains import CHAIN, KIND
from wanrun.errors import PluginError, SettingsError, WanrunError
from wanrun.guards import Origin
from wanrun.hookspecs import Objection
from wanrun.models import shipped_models
from wanrun.offers import Offers, checked_ledger_store, checked_model, checked_sink, checked_source, items, pairs

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from wanrun.events import Event
    from wanrun.hookspecs import LedgerStoreKind, SinkKind, SourceKind, Submission
    from wanrun.models import Model

GROUP = hookspecs.PROJECT  #: the group of entry points that plugins use
CORE = Origin("wanrun", "the core")
NOT_ALLOWED = "not allowed here ([allow] in the settings)"
SWITCHED_OFF = "switched off by --no-plugin"


def load_catalog(
    *,
    plugins: Iterable[object] = (),
    entry_points: bool = True,
    only: Collection[str] | None = None,
    without: Collection[str] = (),
) -> Catalog:
    """Return what all plugins offer: the installed ones, unless `entry_points` is off, and the ones given.

    Of the installed ones, where `only` is given, just those are imported whose entry points it names, and never those
    that `without` names; the catalog's `off` has the others.

    A plugin is a module or any other object with functions marked `wanrun.hookimpl`. The order of installation makes
    no difference. Raises `PluginError` for one that cannot be imported or that offers something unusable, and when
    two offer the same name; `SettingsError` for a name in `without` that is no plugin's.
    """
    loaded = _Plugins()
    for plugin in plugins:
        loaded.add(plugin, Origin(getattr(plugin, "__name__", type(plugin).__name__), "given by the program"))
    installed = sorted(metadata.entry_points(group=GROUP)) if entry_points else []
    off = _switched_off([point.name for point in installed], only, without) if entry_points else {}
    for point in installed:
        if point.name not in off:
            origin = _origin(point)
            loaded.add(_imported(point, origin), origin)
    return replace(_catalog(loaded), off=off)


def _switched_off(installed: list[str], only: Collection[str] | None, without: Collection[str]) -> dict[str, str]:
    """Return why some of the installed plugins are not to be imported; raises `SettingsError` for a name of none."""
    for name in without:
        if name not in installed:
            near = get_close_matches(name, installed, n=1)
            hint = f'did you mean "{near[0]}"? ' if near else ""
            raise SettingsError(
                f'no plugin is called "{name}" (named by --no-plugin); {hint}installed: {", ".join(installed)}'
            )
    off = [name for name in installed if name in without or (only is not None and name not in only)]
    return {name: SWITCHED_OFF if name in without else NOT_ALLOWED for name in off}


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledPlugin:
    """One installed plugin, the package that brings it, and what it offers by itself."""

    name: str
    package: str
    version: str
    sources: Mapping[str, SourceKind] = field(default_factory=dict)
    sinks: Mapping[str, SinkKind] = field(default_factory=dict)
    ledger_stores: Mapping[str, LedgerStoreKind] = field(default_factory=dict)
    models: tuple[str, ...] = ()
    observes: bool = False  #: it hears of the events of runs
    checks: bool = False  #: it may object to jobs
    problem: str | None = None  #: why it cannot be used
    off: str | None = None  #: why it is not imported, so that what it offers is not known

    @property
    def allowed(self) -> bool:
        """Whether the settings let it be used."""
        return self.off != NOT_ALLOWED

    def offers(self) -> str:
        """Return what it offers in words: `source file; models a, b`."""
        named = {
            "source": self.sources,
            "sink": self.sinks,
            "ledger store": self.ledger_stores,
            "model": self.models,
        }
        parts = [f"{sort}{'s' * (len(names) > 1)} {', '.join(names)}" for sort, names in named.items() if names]
        parts += ["checks jobs"] if self.checks else []
        return "; ".join([*parts, "hears of events"] if self.observes else parts)


def installed_plugins(only: Collection[str] | None = None, without: Collection[str] = ()) -> list[InstalledPlugin]:
    """Return every installed plugin by name, the core first; one that is broken with what is wrong, never an error.

    Where `only` is given, just those are imported and asked that it names, and never those that `without` names.
    Raises `SettingsError` for a name in `without` that is no plugin's.
    """
    points = sorted(metadata.entry_points(group=GROUP))
    off = _switched_off([point.name for point in points], only, without)
    core = InstalledPlugin(
        name="wanrun",
        package="wanrun",
        version=metadata.version("wanrun"),
        sources={KIND: CHAIN},
        models=tuple(model.name for model in shipped_models()),
    )
    found = [
        _surveyed(point) if point.name not in off else replace(_installed(point), off=off[point.name])
        for point in points
    ]
    if not any(plugin.problem for plugin in found):
        found = _with_quarrel(found, only, without)
    return [core, *found]


def _surveyed(point: metadata.EntryPoint) -> InstalledPlugin:
    origin, loaded, plugin = _origin(point), _Plugins(), _installed(point)
    try:
        loaded.add(_imported(point, origin), origin)
        catalog = _catalog(loaded)
    except WanrunError as exc:
        return replace(plugin, problem=getattr(exc, "reason", None) or str(exc))
    own = set(catalog.models) - {model.name for model in shipped_models()}
    return replace(
        plugin,
        sources={name: kind for name, kind in catalog.sources.items() if kind is not CHAIN},
        sinks=catalog.sinks,
        ledger_stores=catalog.ledger_stores,
        models=tuple(sorted(own)),
        observes=loaded.has("wanrun_observers"),
        checks=loaded.has("wanrun_check_job"),
    )


def _installed(point: metadata.EntryPoint) -> InstalledPlugin:
    package, version = (point.dist.name, point.dist.version) if point.dist else ("unknown package", "")
    return InstalledPlugin(name=point.name, package=package, version=version)


def _with_quarrel(
    found: list[InstalledPlugin], only: Collection[str] | None, without: Collection[str]
) -> list[InstalledPlugin]:
    """Mark the plugin whose offers collide with another's, though each works by itself."""
    try:
        load_catalog(only=only, without=without)
    except PluginError as exc:
        return [replace(each, problem=exc.reason) if each.name == exc.plugin else each for each in found]
    return found


class _Plugins:
    """The plugins that were registered, each with its origin."""

    def __init__(self) -> None:
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self._origins: dict[str, Origin] = {}

    def add(self, plugin: object, origin: Origin) -> None:
        """Register one plugin; its hooks must exist and be spelt right."""
        try:
            self._manager.register(plugin, name=str(origin))
            self._manager.check_pending()
        except pluggy.PluginValidationError as exc:
            raise origin.error(self._misspelt(plugin) or _lines(exc)) from exc
        except ValueError as exc:  # pluggy's word for "twice"
            raise origin.error("it is registered twice; name it in one entry point only") from exc
        if not self._manager.get_hookcallers(plugin):
            raise origin.error("it offers nothing: mark its functions with wanrun.hookimpl")
        self._origins[str(origin)] = origin

    def ask(self, hook: str, **facts: object) -> Iterator[tuple[Origin, Any]]:
        """Call one hook of every plugin that has it and yield what each answered, by name of plugin."""
        callers = getattr(self._manager.hook, hook).get_hookimpls()
        for impl in sorted(callers, key=lambda impl: impl.plugin_name):
            origin = self._origins[impl.plugin_name]
            with origin.guard(f"its {hook} failed"):
                answer = impl.function(*(facts[name] for name in impl.argnames))
            if answer is not None:
                yield origin, answer

    def has(self, hook: str) -> bool:
        """Say whether a plugin implements a hook."""
        return bool(getattr(self._manager.hook, hook).get_hookimpls())

    def _misspelt(self, plugin: object) -> str | None:
        known = [name for name in vars(hookspecs) if name.startswith(f"{hookspecs.PROJECT}_")]
        for caller in self._manager.get_hookcallers(plugin) or ():
            if not caller.has_spec():
                near = get_close_matches(caller.name, known, n=1)
                hint = f'did you mean "{near[0]}"?' if near else f"there are {', '.join(known)}"
                return f'there is no hook "{caller.name}"; {hint}'
        return None


def _lines(exc: Exception) -> str:
    """Return what pluggy says is wrong with a hook, such as its arguments; its first line only names the plugin."""
    first, *others = str(exc).splitlines()
    return "; ".join(others or [first])


def _origin(point: metadata.EntryPoint) -> Origin:
    return Origin(point.name, _package(point.dist) if point.dist else "unknown package")


@lru_cache(maxsize=32)
def _package(distribution: metadata.Distribution) -> str:
    """Return name and version, once for all of its plugins: each time, its whole metadata is parsed, README and all."""
    facts = distribution.metadata
    return f"{facts['Name']} {facts['Version']}"


def _imported(point: metadata.EntryPoint, origin: Origin) -> object:
    with origin.guard(f"cannot import {point.value}"):
        return cast("object", point.load())


def _catalog(plugins: _Plugins) -> Catalog:
    sources: Offers[SourceKind] = Offers("source")
    sources.add(KIND, CHAIN, CORE)
    sinks: Offers[SinkKind] = Offers("sink")
    ledger_stores: Offers[LedgerStoreKind] = Offers("ledger store")
    models: Offers[Model] = Offers("model")
    for model in shipped_models():
        models.add(model.name, model, CORE)
    for origin, answer in plugins.ask("wanrun_sources"):
        for name, source in pairs(answer, "wanrun_sources", origin):
            sources.add(name, checked_source(name, source, origin), origin)
    for origin, answer in plugins.ask("wanrun_sinks"):
        for name, sink in pairs(answer, "wanrun_sinks", origin):
            sinks.add(name, checked_sink(name, sink, origin), origin)
    for origin, answer in plugins.ask("wanrun_ledger_stores"):
        for name, store in pairs(answer, "wanrun_ledger_stores", origin):
            ledger_stores.add(name, checked_ledger_store(name, store, origin), origin)
    for origin, answer in plugins.ask("wanrun_models"):
        for data in items(answer, "wanrun_models", origin):
            model = checked_model(data, origin)
            models.add(model.name, model, origin)
    return Catalog(
        sources.sorted(),
        sinks.sorted(),
        models.sorted(),
        partial(_observers, plugins),
        _checks(plugins),
        ledger_stores.sorted(),
    )


def _observers(plugins: _Plugins) -> list[Callable[[Event], None]]:
    """Ask for the observers of one run."""
    observers: list[Callable[[Event], None]] = []
    for origin, answer in plugins.ask("wanrun_observers"):
        for observer in items(answer, "wanrun_observers", origin):
            if not callable(observer):
                raise origin.error(f"its wanrun_observers offers {observer!r:.60}, which cannot be called")
            observers.append(partial(_tell, observer, origin))
    return observers


def _checks(plugins: _Plugins) -> Callable[[Submission], list[tuple[str, Objection]]]:
    """Return what asks every policy about one job; nothing is asked where there is none."""
    return partial(_objections, plugins) if plugins.has("wanrun_check_job") else lambda _: []


def _objections(plugins: _Plugins, submission: Submission) -> list[tuple[str, Objection]]:
    found = []
    for origin, answer in plugins.ask("wanrun_check_job", submission=submission):
        for objection in [answer] if isinstance(answer, Objection) else items(answer, "wanrun_check_job", origin):
            if not (isinstance(objection, Objection) and isinstance(objection.message, str) and objection.message):
                raise origin.error(f"its wanrun_check_job returned {objection!r:.60}; return a wanrun.Objection")
            found.append((str(origin), objection))
    return found


def _tell(observer: Callable[[Event], None], origin: Origin, event: Event) -> None:
    with origin.guard(f"its observer failed at {event.name}"):
        observer(event)
