"""What plugins may offer: names, kinds with sound option schemas, models; each is checked once, naming its origin."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from wanrun.guards import GuardedLedgerStore, GuardedSource, guarded_sink
from wanrun.hookspecs import LedgerStore, LedgerStoreKind, SinkKind, Source, SourceKind
from wanrun.models import Model
from wanrun.wellformed import schema_fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wanrun.guards import Origin
    from wanrun.hookspecs import Notifier, Sink
    from wanrun.types import JSON

T = TypeVar("T")

NAME = re.compile(r"[a-z][a-z0-9_-]*")  #: of a kind
DRAFT = "https://json-schema.org/draft/2020-12/schema"
REFERENCES = ("$ref", "$dynamicRef")


@dataclass
class Offers(Generic[T]):
    """The offers of one sort by name; a name belongs to the plugin that brings it."""

    sort: str  #: for messages: source, sink, ledger store, model
    _offers: dict[str, T] = field(default_factory=dict)
    _origins: dict[str, Origin] = field(default_factory=dict)

    def add(self, name: str, offer: T, origin: Origin) -> None:
        """Keep one offer; raises `PluginError` that cites both plugins for a name that is taken."""
        other = self._origins.get(name)
        if other is not None:
            raise origin.error(
                f'it offers the {self.sort} "{name}", which {other} offers already; remove one of the two'
            )
        self._offers[name] = offer
        self._origins[name] = origin

    def sorted(self) -> dict[str, T]:
        """Return the offers by name, in the order of names."""
        return dict(sorted(self._offers.items()))


def checked_source(name: object, kind: object, origin: Origin) -> SourceKind:
    """Return a kind of source that blames its own mistakes on the plugin; raises `PluginError` when unusable."""
    label = _label("source", name, origin)
    if not isinstance(kind, SourceKind):
        raise origin.error(f"{label} is {kind!r:.60}; offer a wanrun.SourceKind")
    _check_kind(kind, label, origin)
    return replace(kind, build=partial(_build_source, kind.build, label, origin))


def checked_sink(name: object, kind: object, origin: Origin) -> SinkKind:
    """Return a kind of sink that blames its own mistakes on the plugin; raises `PluginError` when unusable."""
    label = _label("sink", name, origin)
    if not isinstance(kind, SinkKind):
        raise origin.error(f"{label} is {kind!r:.60}; offer a wanrun.SinkKind")
    _check_kind(kind, label, origin)
    return replace(kind, build=partial(_build_sink, kind.build, label, origin))


def checked_ledger_store(name: object, kind: object, origin: Origin) -> LedgerStoreKind:
    """Return a kind of ledger store that blames its own mistakes on the plugin; raises `PluginError` when unusable."""
    label = _label("ledger store", name, origin)
    if not isinstance(kind, LedgerStoreKind):
        raise origin.error(f"{label} is {kind!r:.60}; offer a wanrun.LedgerStoreKind")
    _check_options(kind.options, label, origin)
    return replace(kind, build=partial(_build_ledger_store, kind.build, label, origin))


def checked_model(data: Any, origin: Origin) -> Model:
    """Return the model that a model file's content describes; raises `PluginError` when it does not describe one."""
    name = data.get("name") if isinstance(data, Mapping) else None
    if not isinstance(name, str) or not name:
        raise origin.error(f"it offers {data!r:.60} as a model; offer the content of a model file, with a name")
    label = f'its model "{name}"'
    with origin.guard(f"{label} is not described as a model file is"):
        model = Model.from_json(data)
    _check_schema(model.job, label, origin)
    return model


def pairs(answer: object, hook: str, origin: Origin) -> list[tuple[Any, Any]]:
    """Return the items of a hook's answer that must be a mapping."""
    if not isinstance(answer, Mapping):
        raise origin.error(f"its {hook} returned {answer!r:.60}; return a mapping from name to kind")
    return list(answer.items())


def items(answer: Any, hook: str, origin: Origin) -> list[Any]:
    """Return the items of a hook's answer that must be iterable, and may be a generator that fails."""
    with origin.guard(f"its {hook} returned no usable list"):
        return list(answer)


def _label(sort: str, name: object, origin: Origin) -> str:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise origin.error(f"it offers a {sort} called {name!r:.60}; use a-z, 0-9, - and _, a letter first")
    return f'its {sort} "{name}"'


def _build_source(build: Callable[[], Source], label: str, origin: Origin) -> Source:
    with origin.guard(f"{label} cannot be built"):
        built = build()
    if not isinstance(built, Source):
        raise origin.error(f"{label} builds {built!r:.60}, which is not a wanrun.Source")
    return GuardedSource(built, label, origin)


def _build_sink(build: Callable[[], Sink | Notifier], label: str, origin: Origin) -> Sink | Notifier:
    with origin.guard(f"{label} cannot be built"):
        built = build()
    return guarded_sink(built, label, origin)


def _build_ledger_store(
    build: Callable[[Mapping[str, JSON]], LedgerStore], label: str, origin: Origin, options: Mapping[str, JSON]
) -> GuardedLedgerStore:
    with origin.guard(f"{label} cannot be built"):
        built = build(options)
    if not isinstance(built, LedgerStore):
        raise origin.error(f"{label} builds {built!r:.60}, which is not a wanrun.LedgerStore")
    return GuardedLedgerStore(built, label, origin)


def _check_kind(kind: SourceKind | SinkKind, label: str, origin: Origin) -> None:
    _check_options(kind.options, label, origin)
    if kind.short is not None and kind.short not in kind.options.get("properties", {}):  # type: ignore[operator]  # checked
        raise origin.error(f'{label} has the short form "{kind.short}", which is not one of its options')
    if not isinstance(kind.seconds, int | float) or not 0 < kind.seconds < math.inf:
        raise origin.error(f"{label} has seconds={kind.seconds!r:.20}; give what one call may take, more than 0")


def _check_options(options: Mapping[str, JSON], label: str, origin: Origin) -> None:
    _check_schema(options, label, origin)
    properties = options.get("properties", {})
    if options.get("type") != "object" or not isinstance(properties, dict):
        raise origin.error(f'the options of {label} need "type": "object"')
    for part in _write_only(options, within=True):
        raise origin.error(
            f"a secret of {label} is described as {json.dumps(part)[:80]}; writeOnly is for options, items or "
            'additional properties of "type": "string", written out where they stand'
        )
    for name, schema in properties.items():
        if not isinstance(schema, dict) or not schema.get("description"):
            raise origin.error(f'the option "{name}" of {label} has no description')


def _write_only(schema: object, *, within: bool) -> Iterator[Mapping[str, JSON]]:
    """Yield the parts of a schema that ask for a secret where a spec cannot give one.

    `within`: the part is reached by properties, items and additional properties alone.
    """
    if isinstance(schema, list):
        for item in schema:
            yield from _write_only(item, within=False)
    if not isinstance(schema, Mapping):
        return
    if schema.get("writeOnly") is True and not (within and schema.get("type") == "string"):
        yield schema
    for keyword, inner in schema.items():
        if keyword == "properties" and isinstance(inner, Mapping):
            for each in inner.values():
                yield from _write_only(each, within=within)
        else:
            yield from _write_only(inner, within=within and keyword in ("items", "additionalProperties"))


def _check_schema(schema: object, label: str, origin: Origin) -> None:
    if not isinstance(schema, Mapping):
        raise origin.error(f"the schema of {label} is {schema!r:.60}; give a JSON Schema")
    if schema.get("$schema", DRAFT) != DRAFT:
        raise origin.error(f"the schema of {label} is not of draft 2020-12")
    if fault := schema_fault(schema):
        raise origin.error(f"the schema of {label} is wrong {fault}")
    for reference in _references(schema):
        if not reference.startswith("#"):  # validators would fetch it
            raise origin.error(f"the schema of {label} refers to {reference!r:.60}; keep what it needs inside it")


def _references(schema: object) -> Iterator[str]:
    if isinstance(schema, Mapping):
        yield from (schema[key] for key in REFERENCES if isinstance(schema.get(key), str))
        for value in schema.values():
            yield from _references(value)
    elif isinstance(schema, list | tuple):
        for value in schema:
            yield from _references(value)
