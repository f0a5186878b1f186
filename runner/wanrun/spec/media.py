"""The media of a job: each item's media type by the model, its source by the installed kinds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wanrun import rules
from wanrun.chains import FORMAT, KIND
from wanrun.spec.cases import located, related_of
from wanrun.spec.expand import tell_of
from wanrun.spec.kinds import media_value
from wanrun.spec.nodes import ListNode, MapNode
from wanrun.spec.words import either
from wanrun.types import MediaRef

if TYPE_CHECKING:
    from pathlib import Path

    from wanrun.spec.demands import Demands
    from wanrun.spec.expand import Draft
    from wanrun.spec.kinds import Kinds, Tell
    from wanrun.spec.nodes import Entry, Node
    from wanrun.spec.report import Report

Refs = tuple[MediaRef, ...]


class MediaMaker:
    """Turns the media of one spec's drafts into references."""

    def __init__(self, sources: Kinds, report: Report, folder: Path, spec: str) -> None:
        self._sources, self._report, self._folder, self._spec = sources, report, folder, spec
        self._fixed: dict[tuple[int, str], tuple[Node, Refs | None]] = {}  # the node is kept: its id stays its own

    def refs(self, draft: Draft, demands: Demands) -> Refs | None:
        """Return the references of a job, or None when something is wrong with them; that is reported."""
        if "media" in draft.broken:
            return None
        node = draft.fields.get("media")
        if node is None or "media" in draft.made:
            return self._refs(node, draft, demands)
        key = id(node), demands.model.name
        if key not in self._fixed:
            self._fixed[key] = node, self._refs(node, draft, demands)
        return self._fixed[key][1]

    def _refs(self, node: Node | None, draft: Draft, demands: Demands) -> Refs | None:
        tell = tell_of(draft, "media", self._report)
        items = [self._typed(item, demands) for item in (node.items if isinstance(node, ListNode) else [])]
        typed = [item for item in items if item]
        refs = [ref for media_type, entry in typed if (ref := self._ref(media_type, entry, draft, demands, tell))]
        if len(typed) < len(items):  # one of them may have been meant for what would be missing
            return None
        places = [(media_type, entry.key) for media_type, entry in typed]
        fine = demands.check_counts(places, draft.node, self._report.add)
        return tuple(refs) if fine and len(refs) == len(items) else None

    def _typed(self, item: Node, demands: Demands) -> tuple[str, Entry] | None:
        """Return the one media type of an item and its value."""
        own = list(item.own()) if isinstance(item, MapNode) else []
        if len(own) != 1:
            held = f"{len(own)} keys" if own else "none"
            types = either(demands.model.media)
            words = f"a media item has one key, its media type ({types}); this one has {held}"
            self._report.add(item, rules.NOT_ONE_MEDIA_TYPE(words))
            return None
        return own[0] if demands.media_limits(own[0][0], own[0][1].key, self._report.add) else None

    def _ref(self, media_type: str, entry: Entry, draft: Draft, demands: Demands, tell: Tell) -> MediaRef | None:
        chosen = media_value(entry.node, media_type, self._sources, tell)
        if chosen and draft.combination.cells:
            chosen = self._sources.fitted(chosen)
        if not chosen or not self._sources.check(chosen, f"{media_type}.{chosen.kind}", tell):
            return None
        main = self._sources.main_option(chosen)
        at = self._report.position(main)
        options = self._sources.plain(chosen)
        if chosen.kind == KIND:
            if not demands.takes(FORMAT, media_type):
                words = f"the result of a job is a video; {demands.model.name} takes none as {media_type}"
                tell(chosen.at, rules.CHAIN_UNFIT(words))
                return None
            options = {"id": self._address(str(options["id"]))}
        folder = origin.folder if (origin := self._report.origin(chosen.options)) else self._folder
        case = located(draft.combination.case, getattr(main, "made_of", "")) if "media" in draft.made else ""
        return MediaRef(media_type, chosen.kind, options, folder, at, str(case), related_of(case))

    def _address(self, job: str) -> str:
        """Return the address of a job that a chain names: one without a spec is of this one."""
        return job if "/" in job else f"{self._spec}/{job}"
