"""The `notify` of a spec: which of its sinks hear of which events, instead of receiving files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wanrun.notices import NoticeName
from wanrun.spec.nodes import ListNode, MapNode, ScalarNode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wanrun.spec.nodes import Node
    from wanrun.spec.sinks import SinkMaker
    from wanrun.types import SinkRef


@dataclass(frozen=True, slots=True)
class Subscription:
    """One sink that hears of events, and of which; options filled in."""

    sink: SinkRef
    names: frozenset[NoticeName]


def told_sinks(notify: Node | None) -> frozenset[str]:
    """Return the names of the sinks that a spec's `notify` names, known or not."""
    return frozenset(str(to.value) for _, to in _items(notify))


def subscriptions(notify: Node | None, sinks: SinkMaker) -> tuple[Subscription, ...]:
    """Return who hears of what; what is wrong with it is reported, and left out."""
    found = [(item, sinks.told(to)) for item, to in _items(notify)]
    return tuple(Subscription(sink, _names(item)) for item, sink in found if sink is not None)


def _items(notify: Node | None) -> Iterator[tuple[MapNode, ScalarNode]]:
    """Yield the items that name a sink, each with the name; the first pass reports the others."""
    for item in notify.items if isinstance(notify, ListNode) else ():
        to = item.get("to") if isinstance(item, MapNode) else None
        if isinstance(item, MapNode) and isinstance(to, ScalarNode) and isinstance(to.value, str):
            yield item, to


def _names(item: MapNode) -> frozenset[NoticeName]:
    events = item.get("events")
    nodes = events.items if isinstance(events, ListNode) else ()
    written = {node.value for node in nodes if isinstance(node, ScalarNode)}  # what else is there is reported already
    return frozenset(name for name in NoticeName if name.value in written)
