"""The first pass: the document as written, by the spec's schema and each kind's own; templates are left out.

It says which fields are wrong, so that the second pass does not complain of them again.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any

from wanrun import rules
from wanrun.models import schemas_folder
from wanrun.spec.kinds import media_value
from wanrun.spec.nodes import Entry, ListNode, MapNode, Node, ScalarNode
from wanrun.spec.scalars import lines_of
from wanrun.spec.sentences import Checker, dotted
from wanrun.spec.words import nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wanrun.spec.kinds import Kinds
    from wanrun.spec.report import Report
    from wanrun.spec.sentences import Naming
    from wanrun.types import JSON

#: The fields of a job, first those that say which jobs an entry makes, and so are no defaults.
OWN_FIELDS = ("id", "matrix", "table")
FIELDS = (
    *OWN_FIELDS, "model", "provider", "retries", "prompt", "negative_prompt", "media", "parameters", "sinks", "tags",
)  # fmt: skip
SHARED = ("retries",)  #: fields that may stand at the top of a spec too, below `defaults` for every job

#: The fields of each job that are wrong, by its number, and under -1 those of `defaults`; "" stands for the whole.
Broken = dict[int, set[str]]

_VERSION = re.compile(r"""(["']?)version\1\s*:\s*1\s*(#.*)?""")

_CUT_SHORT = rules.TEXT_CUT(
    'a " #" starts a comment, so this text ends there; put quotes around the text, or the comment on a line of its own'
)


@cache
def core_schema() -> dict[str, JSON]:
    """Return the schema of the spec language, without what plugins add to it."""
    schema: dict[str, JSON] = json.loads((schemas_folder() / "spec.schema.json").read_text(encoding="utf-8"))
    return schema


@cache
def _core() -> Checker:
    schema = core_schema()
    return Checker(_inlined(schema, schema["$defs"]))


@cache
def _base() -> Checker:
    definitions: Any = core_schema()["$defs"]
    return Checker(_inlined(definitions["base"], definitions))


def _inlined(value: Any, definitions: Any) -> Any:
    """Return a schema with its definitions in place of references to them, which take long to look up."""
    if isinstance(value, list):
        return [_inlined(item, definitions) for item in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        return _inlined(definitions[value["$ref"].rpartition("/")[2]], definitions)
    return {key: _inlined(item, definitions) for key, item in value.items() if key != "$defs"}


def _core_keys(definition: str = "") -> dict[str, JSON]:
    """Return the schemas of the keys at the top of a spec, or of what one of the definitions is about."""
    schema: Any = core_schema()
    found: dict[str, JSON] = (schema["$defs"][definition] if definition else schema)["properties"]
    return found


def is_ours(text: str, root: Node | None) -> bool:
    """Say whether a file says of itself that it is a spec or a base; without a tree, its lines tell."""
    known = set(_core_keys()) - {"version"}
    if root is None:
        lines = lines_of(text)
        return any(map(_VERSION.fullmatch, lines)) and any(line.partition(":")[0] in known for line in lines)
    version = root.get("version") if isinstance(root, MapNode) else None
    if not isinstance(root, MapNode) or version is None or type(version.plain()) is not int or version.plain() != 1:
        return False
    keys = {key for key, _ in root.own()}
    return keys == {"version"} or not keys.isdisjoint(known)


def is_base(root: MapNode) -> bool:
    """Say whether a file is one for specs to extend: it shares something, and has nothing that only specs have."""
    of_specs, of_bases = _core_keys(), _core_keys("base")
    meant = {key if key in of_specs else nearest(key, of_specs) for key, _ in root.own()}
    return bool(meant & (of_bases.keys() - {"version"})) and not meant & (of_specs.keys() - of_bases.keys())


def check_structure(root: MapNode, report: Report, sources: Kinds) -> Broken:
    """Report everything that is wrong with the form of a spec; return which fields not to look at again."""
    return _check(root, report, sources, _core(), _named)


def check_base(root: MapNode, report: Report, sources: Kinds) -> set[str]:
    """Report everything that is wrong with the form of a base; return the fields of its defaults that are wrong."""
    broken = _check(root, report, sources, _base(), lambda path: _named(path) if path else "the base")
    return broken.get(-1, set())


def _check(root: MapNode, report: Report, sources: Kinds, schema: Checker, name: Naming) -> Broken:
    broken: Broken = {}
    for at, message, path in list(schema.faults(root, name, templates=True)):
        report.add(at, message)
        _note(broken, path)
    for number, job in _job_maps(root):
        _check_texts(job, report)
        fields = broken.setdefault(number, set())
        if (
            number < 0 or "matrix" in job or "table" in job or "media" in fields
        ):  # else the second pass sees the media, and surely
            _check_media(job, report, sources, fields)
    return broken


def _named(path: Sequence[str | int]) -> str:
    """Name a value as its writer sees it: from the job it stands in."""
    if not path:
        return "the spec"
    if path[0] == "jobs" and len(path) > 1:
        return dotted(str(path[2]))(path[3:]) if len(path) > 2 else "this job"
    return dotted(str(path[0]))(path[1:])


def _note(broken: Broken, path: Sequence[str | int]) -> None:
    """Remember the field that a fault lies in; of an unknown key, the field that it was meant to be."""
    number, rest = (int(path[1]), path[2:]) if path[:1] == ("jobs",) and len(path) > 1 else (-1, path[1:])
    if path and path[0] in SHARED:
        broken.setdefault(number, set()).add(str(path[0]))
    elif number >= 0 or path[:1] == ("defaults",):
        field = str(rest[0]) if rest else ""
        broken.setdefault(number, set()).update({field, nearest(field, FIELDS) or field})


def _job_maps(root: MapNode) -> list[tuple[int, MapNode]]:
    """Return `defaults` as number -1 and every job, where they are mappings."""
    jobs = root.get("jobs")
    nodes = [(-1, root.get("defaults")), *enumerate(jobs.items if isinstance(jobs, ListNode) else [])]
    return [(number, node) for number, node in nodes if isinstance(node, MapNode)]


def _own(node: Node | None) -> list[tuple[str, Entry]]:
    return list(node.own()) if isinstance(node, MapNode) else []


def _check_texts(job: MapNode, report: Report) -> None:
    for key in ("prompt", "negative_prompt"):
        node = job.get(key)
        if isinstance(node, ScalarNode) and node.cut:
            report.add(node, _CUT_SHORT)


def _check_media(job: MapNode, report: Report, sources: Kinds, broken: set[str]) -> None:
    media = job.get("media")
    for item in media.items if isinstance(media, ListNode) else []:
        for media_type, entry in _own(item):
            if isinstance(entry.node, ListNode) or not isinstance(entry.node.plain(), str | dict):
                continue  # the schema has said so
            before = len(report)
            chosen = media_value(entry.node, media_type, sources, report.add, templates=True)
            if chosen:
                sources.check(chosen, f"{media_type}.{chosen.kind}", report.add, templates=True)
            if len(report) > before:
                broken.add("media")
