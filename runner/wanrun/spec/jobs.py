"""The second pass: every draft against its model, its sources and its sinks; what passes becomes a `Job`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wanrun import rules
from wanrun.spec.chains import Chains
from wanrun.spec.demands import WORDS, Demands
from wanrun.spec.expand import tell_of
from wanrun.spec.kinds import Kinds
from wanrun.spec.media import MediaMaker
from wanrun.spec.nodes import ListNode, MapNode, ScalarNode
from wanrun.spec.words import did_you_mean, id_fault, shown
from wanrun.types import NO_OPTIONS, Job, Retries

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from wanrun.catalog import Catalog
    from wanrun.spec.expand import Draft
    from wanrun.spec.nodes import Node
    from wanrun.spec.report import Report
    from wanrun.spec.sinks import SinkMaker
    from wanrun.types import MediaRef, SinkRef

DEFAULT_PROVIDER = "default"


class Shop:
    """What every spec of one call is checked against: models, kinds and providers, compiled once."""

    def __init__(self, catalog: Catalog, providers: Collection[str]) -> None:
        self.catalog, self.providers = catalog, providers
        self.sources = Kinds("source", catalog.sources, catalog.off)
        self.sinks = Kinds("sink", catalog.sinks, catalog.off)
        self.chains = Chains()
        self._demands: dict[str, Demands] = {}

    def demands(self, model: str) -> Demands:
        """Return the demands of a model that the catalog has."""
        if model not in self._demands:
            self._demands[model] = Demands(self.catalog.models[model])
        return self._demands[model]


class JobMaker:
    """Turns the drafts of one spec into jobs."""

    def __init__(self, shop: Shop, report: Report, *, name: str, path: Path, sinks: SinkMaker) -> None:
        self._shop, self._report, self._name, self._path = shop, report, name, path
        self._media = MediaMaker(shop.sources, report, path.parent, name)
        self._sinks = sinks
        self._tagged: dict[int, tuple[Node, bool]] = {}  # the node is kept, so that its id stays its own

    def make(self, draft: Draft) -> Job | None:
        """Return the job, or None when something is wrong with it; that is reported."""
        demands = self._demands(draft)
        provider = self._provider(draft)
        media = self._media.refs(draft, demands) if demands else None
        self._shop.chains.note(f"{self._name}/{draft.id}", media or (), tell_of(draft, "media", self._report))
        sinks = self._sinks.refs(draft)
        if not self._tags(draft) or demands is None or not self._words(draft, demands) or draft.broken or not draft.id:
            return None
        if provider is None or media is None or sinks is None:
            return None
        return self._job(draft, demands.model.name, provider, media, sinks)

    def _job(
        self, draft: Draft, model: str, provider: str, media: tuple[MediaRef, ...], sinks: tuple[SinkRef, ...]
    ) -> Job:
        parameters = draft.fields.get("parameters")
        return Job(
            spec=self._name,
            id=draft.id,
            spec_path=self._path,
            position=self._report.position(draft.node),
            model=model,
            provider=provider,
            prompt=_text(draft.fields.get("prompt")),
            negative_prompt=_text(draft.fields.get("negative_prompt")),
            media=media,
            parameters=parameters.plain() if isinstance(parameters, MapNode) else NO_OPTIONS,
            sinks=sinks,
            retries=_retries(draft.fields.get("retries")),
            tags=_tags(draft.fields.get("tags")),
            case=str(draft.combination.case),
        )

    def _demands(self, draft: Draft) -> Demands | None:
        if "model" in draft.broken:
            return None
        node, models = draft.fields.get("model"), self._shop.catalog.models
        if node is None:
            words = f"this job names no model; known: {', '.join(models)}"
            self._report.add(draft.node, rules.MODEL_MISSING(words))
            return None
        if (name := _text(node)) in models:
            return self._shop.demands(str(name))
        tell_of(draft, "model", self._report)(node, rules.UNKNOWN_MODEL(_unknown("model", node, models)))
        return None

    def _provider(self, draft: Draft) -> str | None:
        node, providers = draft.fields.get("provider"), self._shop.providers
        if node is None:
            if DEFAULT_PROVIDER in providers:
                return DEFAULT_PROVIDER
            words = f"this job names no provider; known: {', '.join(providers)}"
            self._report.add(draft.node, rules.PROVIDER_MISSING(words))
        elif (name := _text(node)) in providers:
            return name
        else:
            words = _unknown("provider", node, providers)
            tell_of(draft, "provider", self._report)(node, rules.UNKNOWN_PROVIDER(words))
        return None

    def _tags(self, draft: Draft) -> bool:
        node = draft.fields.get("tags")
        if not isinstance(node, ListNode):
            return True
        if id(node) not in self._tagged:
            tell = tell_of(draft, "tags", self._report)
            faults = [(item, fault) for item in node.items if (fault := id_fault(str(item.plain())))]
            for item, fault in faults:
                tell(item, rules.TAG_UNFIT(f"the tag {shown(item.plain())} cannot be used: {fault}"))
            if "tags" in draft.made:
                return not faults
            self._tagged[id(node)] = node, not faults
        return self._tagged[id(node)][1]

    def _words(self, draft: Draft, demands: Demands) -> bool:
        fine = [demands.check_required(draft.fields, draft.broken, draft.node, self._report.add)]
        for field in WORDS:
            if (node := draft.fields.get(field)) is not None:
                if draft.combination.cells and field in draft.made:
                    node = draft.fields[field] = demands.fit(field, node)
                once = field not in draft.made
                fine.append(demands.check_field(field, node, tell_of(draft, field, self._report), once=once))
        return all(fine) and demands.check_whole(draft.fields, draft.node, self._report.add)


def _retries(node: Node | None) -> Retries:
    count = node.get("service_fault") if isinstance(node, MapNode) else None
    written = count.plain() if count is not None else None
    return Retries(service_fault=written) if isinstance(written, int) else Retries()


def _tags(node: Node | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(item.plain()) for item in node.items)) if isinstance(node, ListNode) else ()


def _text(node: Node | None) -> str | None:
    return node.value if isinstance(node, ScalarNode) and isinstance(node.value, str) else None


def _unknown(what: str, node: Node, known: Collection[str]) -> str:
    value = node.plain()
    return f"there is no {what} {shown(value)}{did_you_mean(str(value), known, 'known')}"
