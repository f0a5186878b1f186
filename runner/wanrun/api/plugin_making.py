"""Starting a plugin: a package with a source and a sink that passes its own tests, for an author to change."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wanrun.api.new_files import write_new
from wanrun.errors import SettingsError
from wanrun.registry import load_catalog

if TYPE_CHECKING:
    from os import PathLike

PREFIX = "wanrun-"  #: of the package's name, as with plugins of pytest or datasette
MAX_CHARACTERS = 40
TEMPLATE = Path(__file__).with_name("plugin_template")

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_SKIPPED = frozenset({"__pycache__"})
_RENAMED = {"dot-gitignore": ".gitignore"}  # a file of that name would count for this repository


@dataclass(frozen=True, slots=True)
class StartedPlugin:
    """What was written."""

    name: str  #: of the kinds that it offers
    package: str
    folder: Path
    files: tuple[Path, ...]  #: from the folder, in order


def new_plugin(name: str, folder: str | PathLike[str] | None = None) -> StartedPlugin:
    """Write the package of a plugin that offers a source and a sink of a name, into `wanrun-NAME` unless told where.

    Its own tests pass as it is. Nothing is written over: raises `SettingsError` for a folder that is there, a name that
    cannot be one or is taken, and whatever keeps a file from being written.
    """
    if fault := _fault(name):
        raise SettingsError(f'a plugin cannot be called "{name[:80]}": {fault}')
    target = Path(folder) if folder is not None else Path(PREFIX + name)
    if os.path.lexists(target):
        raise SettingsError(
            f"{target} is there already; move it away, or give a folder: wanrun new-plugin {name} FOLDER"
        )
    words = {"plug-name": name, "plug_name": name.replace("-", "_"), "PlugName": _class_name(name)}
    files = []
    for source in sorted(TEMPLATE.rglob("*")):
        inner = source.relative_to(TEMPLATE)
        if source.is_file() and not _SKIPPED & set(inner.parts):
            named = inner.with_name(_RENAMED.get(inner.name, inner.name))
            files.append(Path(_with(words, named.as_posix())))
            write_new(target / files[-1], _with(words, source.read_text(encoding="utf-8")))
    return StartedPlugin(name, PREFIX + name, target, tuple(files))


def _fault(name: str) -> str | None:
    """Say why a plugin cannot have a name, or None."""
    if name.startswith((PREFIX, PREFIX.replace("-", "_"))):
        return f"the package gets {PREFIX} in front by itself; write {name[len(PREFIX) :] or 'shelf'}"
    if not _NAME.fullmatch(name):
        better = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-0123456789")
        hint = f"; write {better}" if _NAME.fullmatch(better) else ", such as shelf"
        return f"use a-z and 0-9, a letter first, with single - between words{hint}"
    if len(name) > MAX_CHARACTERS:
        return f"it has more than {MAX_CHARACTERS} characters"
    catalog = load_catalog()
    for sort, kinds in (("source", catalog.sources), ("sink", catalog.sinks)):
        if name in kinds:
            return f"there is a {sort} of that name already; wanrun plugins shows all"
    return None


def _class_name(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("-"))


def _with(words: dict[str, str], text: str) -> str:
    for word, own in words.items():
        text = text.replace(word, own)
    return text
