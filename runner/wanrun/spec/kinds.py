"""One-key mappings, `{file: {path: a.png}}`: the key is a kind that a plugin offers, its value that kind's options.

Also the short form of a media value, a bare text that says its kind by how it starts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wanrun import rules
from wanrun.spec.nodes import Entry, MapNode, Mark, Node, Placed, ScalarNode, map_of
from wanrun.spec.sealing import sealed, strays, takes_secrets, written_out
from wanrun.spec.sentences import Checker, dotted
from wanrun.spec.template import MISPLACED, has_template
from wanrun.spec.words import did_you_mean, shown
from wanrun.types import HIDDEN, SecretTemplate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from wanrun.hookspecs import SinkKind, SourceKind
    from wanrun.rules import Sentence
    from wanrun.types import JSON

    Tell = Callable[[Placed, Sentence], None]

PASSED_ON = ("data:", "ark_asset_", "oss://dashscope-instant/")  #: what the service understands as it stands

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


@dataclass(frozen=True, slots=True)
class Chosen:
    """A kind and its options."""

    kind: str
    options: MapNode
    at: Placed


class Kinds:
    """All kinds of one sort (`source` or `sink`), with their options' schemas compiled at first use."""

    def __init__(
        self, sort: str, kinds: Mapping[str, SourceKind] | Mapping[str, SinkKind], off: Mapping[str, str]
    ) -> None:
        self.sort = sort
        self._kinds = kinds
        self._off = off  # plugins that are not imported, and why; what they offer is not known
        self._checkers: dict[str, Checker] = {}
        self._takes_secrets: dict[str, bool] = {}
        self.written_out: set[str] = set()  #: secrets that stand in the specs themselves, which nothing may repeat

    def choose(self, node: MapNode, label: str, tell: Tell) -> Chosen | None:
        """Return the kind that a mapping names, or tell why it names none; options are not checked yet."""
        keys = list(node.entries)
        if len(keys) != 1:
            held = f"has {len(keys)} keys" if keys else "is empty"
            words = f"{label} {held}; give one key, the kind of {self.sort}: {self._installed()}"
            tell(node, rules.NOT_ONE_KIND(words))
            return None
        kind = keys[0]
        entry = node.entries[kind]
        if kind not in self._kinds:
            tell(entry.key, self._unknown(kind))
            return None
        return self._with_options(kind, entry, f"{label}.{kind}", tell)

    def bare(self, kind: str, node: ScalarNode, tell: Tell) -> Chosen | None:
        """Return a kind whose short option is a bare text, or tell why there is none."""
        if kind not in self._kinds:
            tell(node, self._unknown(kind))
            return None
        return self._short(kind, node, node, kind, tell)

    def fitted(self, chosen: Chosen) -> Chosen:
        """Return a kind in whose options the cells of a CSV table have the types that the kind's schema wants."""
        options = self._checker(chosen.kind).fit(chosen.options)
        assert isinstance(options, MapNode)
        return Chosen(chosen.kind, options, chosen.at)

    def check(self, chosen: Chosen, label: str, tell: Tell, *, templates: bool = False) -> bool:
        """Check the options by the kind's own schema and say whether nothing is wrong."""
        schema, name = self._kinds[chosen.kind].options, dotted(label)
        if self._seals(chosen.kind):
            self.written_out.update(written_out(chosen.options, schema))
        faults = list(self._checker(chosen.kind).faults(chosen.options, name, templates=templates))
        for at, message, _ in faults:
            tell(at, message)
        stray = list(strays(chosen.options, schema, templates=templates))
        for node, path in stray:
            tell(node, rules.SECRET_MISPLACED(f"{MISPLACED}; {name(path)} does not"))
        return not faults and not stray

    def plain(self, chosen: Chosen) -> Mapping[str, JSON]:
        """Return checked options as a plugin gets them: texts where a secret belongs are sealed."""
        schema = self._kinds[chosen.kind].options
        options = sealed(chosen.options, schema) if self._seals(chosen.kind) else chosen.options
        assert isinstance(options, MapNode)
        return options.plain()

    def main_option(self, chosen: Chosen) -> Placed:
        """Return where the option stands that says the most: the one that a bare text would give, if it is there."""
        short = self._kinds[chosen.kind].short
        return (chosen.options.get(short) if short else None) or chosen.options

    def _seals(self, kind: str) -> bool:
        """Say whether a secret may stand anywhere in a kind's options."""
        if kind not in self._takes_secrets:
            self._takes_secrets[kind] = takes_secrets(self._kinds[kind].options)
        return self._takes_secrets[kind]

    def _checker(self, kind: str) -> Checker:
        if kind not in self._checkers:
            self._checkers[kind] = Checker(self._kinds[kind].options)
        return self._checkers[kind]

    def _with_options(self, kind: str, entry: Entry, label: str, tell: Tell) -> Chosen | None:
        if isinstance(entry.node, MapNode):
            return Chosen(kind, entry.node, entry.key)
        if isinstance(entry.node, ScalarNode) and isinstance(entry.node.value, str):
            return self._short(kind, entry.node, entry.key, label, tell)
        give = "text, or its options as a mapping" if self._kinds[kind].short else "its options as a mapping"
        words = f"{label} is {shown(entry.node.plain())}; give {give}"
        tell(entry.node, rules.OPTIONS_NOT_MAPPING(words))
        return None

    def _short(self, kind: str, node: ScalarNode, at: Placed, label: str, tell: Tell) -> Chosen | None:
        short = self._kinds[kind].short
        if short is None:
            what = HIDDEN if self._seals(kind) else shown(node.value)
            words = f"{label} is {what}; give its options as a mapping, as it has no short form"
            tell(node, rules.NO_SHORT_FORM(words))
            return None
        return Chosen(kind, map_of({short: Entry(Mark(node.line, node.column), node)}, node), at)

    def _unknown(self, kind: str) -> Sentence:
        if kind in self._off:  # most plugins are called as what they offer
            words = f"the {self.sort} {shown(kind)} cannot be used: the plugin {kind} is {self._off[kind]}"
            return rules.UNKNOWN_KIND(f"{words}; in use: {self._installed()}")
        guess = did_you_mean(kind, self._kinds, "")
        near = guess if guess.endswith("?") else ";"
        if self._off:
            others = "; ".join(f"{name} is {why}" for name, why in self._off.items())
            words = f"no plugin in use offers the {self.sort} {shown(kind)}{near} in use: {self._installed()}; {others}"
            return rules.UNKNOWN_KIND(words)
        words = f"no plugin offers the {self.sort} {shown(kind)}{near} installed: {self._installed()}"
        return rules.UNKNOWN_KIND(words)

    def _installed(self) -> str:
        return ", ".join(self._kinds) or "none"


def media_value(node: Node, label: str, sources: Kinds, tell: Tell, *, templates: bool = False) -> Chosen | None:
    """Return the source that a media value names, in short or long form, or tell what is wrong with it.

    A short form with a template in it says its kind only when that is filled in: while there are `templates`, it
    gives None, without a word.
    """
    if isinstance(node, MapNode):
        return sources.choose(node, label, tell)
    if not isinstance(node, ScalarNode) or not isinstance(node.value, str):
        words = f"{label} is {shown(node.plain())}; give a link, a path, or one key, the kind of source"
        tell(node, rules.WRONG_TYPE(words))
        return None
    if templates and has_template(node.value):
        return None
    if isinstance(node.value, SecretTemplate):
        tell(node, rules.SECRET_MISPLACED(f"{MISPLACED}; a link or a path does not"))
        return None
    if not node.value:
        words = f"{label} is empty; give a link, a path, or one key, the kind of source"
        tell(node, rules.MEDIA_EMPTY(words))
        return None
    if fault := _no_short_form(node.value, label):
        tell(node, fault)
        return None
    return sources.bare(_short_kind(node.value), node, tell)


def _short_kind(text: str) -> str:
    if text.startswith(PASSED_ON):
        return "url"
    return "http" if text.lower().startswith(("http://", "https://")) else "file"


def _no_short_form(text: str, label: str) -> Sentence | None:
    """Say why a text is no short form, or None: links and paths are, other schemes need their options."""
    scheme = found.group(1).lower() if (found := _SCHEME.match(text)) else ""
    if scheme == "oss" and not text.startswith(PASSED_ON):
        words = (
            f"{label} is {shown(text)}, which needs a signature; write {{oss: {{region: ..., bucket: ..., key: ...}}}}"
        )
        return rules.OSS_LINK(words)
    if scheme and scheme not in ("http", "https", "file", "oss"):
        words = f"{label} is {shown(text)}; give an http:// or https:// link, a path, or one key, the kind of source"
        return rules.UNKNOWN_SCHEME(words)
    return None
