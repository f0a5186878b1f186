"""Templates: `${{ a.b }}`, a dotted look-up in a closed set of names, and nothing else; `$${{` stands for `${{`."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, TypeAlias

from wanrun import rules
from wanrun.spec.nodes import Entry, ListNode, Node, ScalarNode, list_of, map_of, node_of
from wanrun.spec.words import did_you_mean, nearest, quoted, shown, slug
from wanrun.types import Related, SecretName, SecretTemplate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from wanrun.rules import Sentence
    from wanrun.types import JSON, Position

MAX_VALUES = 3_000_000  #: that the templates of one spec make
MAX_CHARACTERS = 100_000  #: of a text that templates make, so that a few lines cannot fill the memory

ROOTS = ("vars", "matrix", "row", "job", "spec", "secret")
OF_JOBS = {"matrix": "matrix", "row": "table"}  #: roots that only some jobs offer, and the key that makes them
#: What the options of sources and sinks may name besides; whether an option takes a secret is for its kind to say.
SECRETS: Mapping[str, Any] = {"secret": {}}
MISPLACED = "a secret may stand only in an option that takes one"

PARTS: Mapping[str, Callable[[str], str]] = {
    "name": lambda text: PurePosixPath(text).name,
    "stem": lambda text: PurePosixPath(text).stem,
    "suffix": lambda text: PurePosixPath(text).suffix,
    "slug": slug,
}

#: What a look-up finds where the value itself was wrong: that was reported, and what depends on it stays silent.
BROKEN: Any = object()
LATER: Any = object()  #: a var that is defined further down

Scope: TypeAlias = "Mapping[str, Any]"


class Columns(dict[str, Any]):
    """What a row of a table offers to templates, and where its columns are named."""

    def __init__(self, values: Any, where: str, header: Position | None = None) -> None:
        super().__init__(values)
        self.where, self.header = where, header  # in words, and as a place if it is a single one


_TEMPLATE = re.compile(r"\$(\$\{\{)|\$\{\{(.*?)\}\}|(\$\{\{)", re.DOTALL)
_NAMES = re.compile(r"\s*([A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*)*)\s*", re.ASCII)
_PLAINLY = re.compile(r"[A-Za-z_][\w-]{0,29}", re.ASCII)  #: API keys are longer


def named_plainly(name: str) -> bool:
    """Say whether messages may repeat the name of a column, of any file that is called a table: it is no secret."""
    return _PLAINLY.fullmatch(name) is not None


class TemplateError(Exception):
    """A template cannot be filled in; caught inside this package. No sentence: the cause is reported already."""

    def __init__(self, sentence: Sentence | None, index: int = 0, related: tuple[Related, ...] = ()) -> None:
        super().__init__(sentence or "")
        self.sentence, self.index = sentence, index  # index: which `${{` of the text, from 0
        self.related = related  # places that the sentence names


class TooMuch(Exception):
    """The templates of one spec make more than `MAX_VALUES` values; caught inside this package."""


@dataclass(frozen=True, slots=True)
class Lookup:
    """One template of a text."""

    names: tuple[str, ...]
    index: int

    def __str__(self) -> str:
        return ".".join(self.names)


def has_template(text: str) -> bool:
    """Say whether a text holds a template, well-formed or not; `$${{` is none."""
    return any(not found.group(1) for found in _TEMPLATE.finditer(text))


def lookups(text: str) -> list[Lookup]:
    """Return the templates of a text; raises `TemplateError` for one that is not well-formed."""
    return [part for part in _compile(text) if isinstance(part, Lookup)]


@lru_cache(maxsize=4096)
def _compile(text: str) -> tuple[str | Lookup, ...]:
    parts: list[str | Lookup] = []
    end = 0
    for index, found in enumerate(_TEMPLATE.finditer(text)):
        parts += [text[end : found.start()], _part(found, index)]
        end = found.end()
    parts.append(text[end:])
    return tuple(part for part in parts if part != "")


def _part(found: re.Match[str], index: int) -> str | Lookup:
    escaped, inside, unclosed = found.groups()
    if escaped:
        return "${{"
    if unclosed:
        words = '"${{" without "}}"; to write these characters themselves: $${{'
        raise TemplateError(rules.TEMPLATE_UNCLOSED(words), index)
    if not (names := _NAMES.fullmatch(inside)):
        written = shown(f"${{{{{inside}}}}}")
        words = f"{written} is no template; one holds dotted names only, such as ${{{{ vars.name }}}}"
        raise TemplateError(rules.TEMPLATE_FORM(words), index)
    return Lookup(tuple(names.group(1).split(".")), index)


def fill(text: str, scope: Scope) -> JSON:
    """Return a text with its templates filled in; one that is a single whole template keeps its value's type.

    Raises `TemplateError` for a name that the scope does not hold.
    """
    parts = _compile(text)
    if len(parts) == 1 and isinstance(parts[0], Lookup):
        return look_up(parts[0], scope)
    texts = [part if isinstance(part, str) else _as_text(part, scope) for part in parts]
    if sum(map(len, texts)) > MAX_CHARACTERS:
        raise TemplateError(rules.TEMPLATE_TOO_LONG(f"this makes a text of more than {MAX_CHARACTERS:,} characters"))
    if any(isinstance(text, SecretTemplate) for text in texts):
        return SecretTemplate(each for text in texts for each in getattr(text, "parts", (text,)))
    return "".join(texts)


def _as_text(lookup: Lookup, scope: Scope) -> str:
    value = look_up(lookup, scope)
    if isinstance(value, str):
        return value
    if type(value) is int:
        return str(value)
    if value is None or isinstance(value, dict | list):
        words = f"{lookup} is {shown(value)}, which cannot stand inside a text"
        raise TemplateError(rules.TEMPLATE_NOT_TEXT(words), lookup.index)
    return json.dumps(value)


def look_up(lookup: Lookup, scope: Scope) -> JSON:
    """Return what a template names; raises `TemplateError` for a name that the scope does not hold."""
    root, *names = lookup.names
    if root not in scope:
        raise TemplateError(_unknown_root(root, scope), lookup.index)
    value, path = scope[root], root
    if root == "secret" and names:
        return _secret(names, lookup.index)
    if not names:
        words = f"{root} is a group of names; write ${{{{ {root}.NAME }}}}"
        raise TemplateError(rules.TEMPLATE_GROUP(words), lookup.index)
    for name in names:
        value = _step(value, path, name, lookup.index)
        path = f"{path}.{name}"
    if value is BROKEN:
        raise TemplateError(None, lookup.index)
    return value  # type: ignore[no-any-return]  # scopes hold JSON or BROKEN, and BROKEN ends here


def _secret(names: list[str], index: int) -> SecretTemplate:
    if len(names) > 1:
        words = f"secret.{'.'.join(names)} is not defined; a secret has no parts"
        raise TemplateError(rules.SECRET_PARTS(words), index)
    return SecretTemplate([SecretName(names[0])])


def _step(value: Any, path: str, name: str, index: int) -> Any:
    if isinstance(value, dict):
        if name not in value:
            where = f" in {value.where}" if isinstance(value, Columns) else ""
            words = f"{path}.{name} is not defined{where}{_known(path, name, value)}"
            raise TemplateError(rules.TEMPLATE_UNDEFINED(words), index, _header(value))
        found = value[name]
        if found is LATER:
            words = f"{path}.{name} is defined further down; a var can refer only to those above it"
            raise TemplateError(rules.VAR_LATER(words), index)
        return found
    if value is BROKEN:
        raise TemplateError(None, index)
    if not isinstance(value, str):
        raise TemplateError(rules.TEMPLATE_PART(f"{path} is {shown(value)}, which has no part {name}"), index)
    if name not in PARTS:
        words = f"{path} is a text; its parts are {quoted(PARTS, 'and')}, not {shown(name)}"
        raise TemplateError(rules.TEMPLATE_PART(words), index)
    if not (part := PARTS[name](value)) and name == "slug":
        words = f"{path} is {shown(value)}, which has no letter or digit to make a slug of"
        raise TemplateError(rules.SLUG_EMPTY(words), index)
    return part


def _header(value: Mapping[str, Any]) -> tuple[Related, ...]:
    header = value.header if isinstance(value, Columns) else None
    return (Related(header, "the columns are named here"),) if header else ()


def _known(path: str, name: str, value: Mapping[str, Any]) -> str:
    """Return the end of a sentence about an unknown name: the nearest one, else those that there are."""
    names = [key for key in value if named_plainly(key)] if path.partition(".")[0] == "row" else list(value)
    if near := nearest(name, names):
        return f'; did you mean "{path}.{near}"?'
    listed = did_you_mean("", [f"{path}.{key}" for key in names], "known")
    hidden = len(value) - len(names)
    return f"{listed}; names that do not look like one: {hidden}" if hidden else listed


def _unknown_root(root: str, scope: Scope) -> Sentence:
    if root == "secret":
        return rules.SECRET_MISPLACED(f"{MISPLACED}, of a source or sink")
    if root in OF_JOBS and "job" in scope:
        return rules.TEMPLATE_NOT_HERE(f"{root} cannot be used here, as the job has no {OF_JOBS[root]}")
    if root in ROOTS:
        return rules.TEMPLATE_NOT_HERE(f"{root} cannot be used here; known here: {', '.join(scope)}")
    return rules.TEMPLATE_UNDEFINED(f"{root} is not defined{did_you_mean(root, scope, 'known here')}")


class Filler:
    """Fills in the templates of whole nodes, and counts what they make, so that a small file cannot become a large one.

    What cannot be filled in goes to `fault`, once for each text; raises `TooMuch` when `left` values are used up.
    """

    def __init__(
        self,
        fault: Callable[[ScalarNode, TemplateError], None],
        *,
        scalars_only: bool = False,
        position: Callable[[ScalarNode], Position] | None = None,
    ) -> None:
        self._fault, self._scalars_only, self._position = fault, scalars_only, position
        self.left = MAX_VALUES

    def fill(self, node: Node, scope: Scope) -> Node | None:
        """Return a node with every template below it filled in; itself where there is none; None after a fault."""
        if not node.templated:
            return node
        if isinstance(node, ScalarNode):
            return self._scalar(node, scope)
        if isinstance(node, ListNode):
            items = [made for item in node.items if (made := self.fill(item, scope)) is not None]
            return list_of(items, node) if len(items) == len(node.items) else None
        entries: dict[str, Entry] = {}
        for key, entry in node.entries.items():
            if not entry.node.templated:
                entries[key] = entry
            elif (value := self.fill(entry.node, scope)) is not None:
                entries[key] = Entry(entry.key, value)
        return map_of(entries, node) if len(entries) == len(node.entries) else None

    def _scalar(self, node: ScalarNode, scope: Scope) -> Node | None:
        try:
            written = str(node.value)
            value = fill(written, scope)
            if self._scalars_only and isinstance(value, dict | list):
                words = f"this is {shown(value)}; a var can take only a text or number from another"
                raise TemplateError(rules.VAR_NOT_TEXT(words))
        except TemplateError as exc:
            self._fault(node, exc)
            return None
        self._count(value)
        if isinstance(value, SecretTemplate) and self._position:
            value = SecretTemplate(value.parts, self._position(node))
        if isinstance(value, str):
            return ScalarNode(value, node.line, node.column, made_of=written)
        return node_of(value, node, written)

    def _count(self, value: JSON) -> None:
        self.left -= 1
        if self.left < 0:
            raise TooMuch
        children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        for child in children:
            self._count(child)


def faults_of(text: str, scope: Scope) -> Iterator[TemplateError]:
    """Yield what is wrong with each template of a text, as far as a scope can tell."""
    try:
        found = lookups(text)
    except TemplateError as exc:
        yield exc
        return
    for lookup in found:
        try:
            look_up(lookup, scope)
        except TemplateError as exc:
            yield exc
