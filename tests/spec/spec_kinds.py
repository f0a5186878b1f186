"""A catalog of small kinds of the tests' own, which say no more than specs can see of a kind."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from wanrun.catalog import Catalog
from wanrun.chains import CHAIN, KIND
from wanrun.errors import SinkError
from wanrun.hookspecs import SinkKind, SourceKind
from wanrun.models import Model, shipped_models
from wanrun_plugins.file import OPTIONS as FILE_OPTIONS

if TYPE_CHECKING:
    from wanrun.types import Job, SinkRef

_FILE: Any = FILE_OPTIONS["properties"]
FIT = {name: _FILE[name] for name in ("trim", "fit")}  #: as the real kind has them
TEXT = {"type": "string", "minLength": 1, "description": "A text.", "examples": ["x"]}


def options(*required: str, **properties: Any) -> dict[str, Any]:
    """Return the schema of a mapping of options."""
    return {"type": "object", "additionalProperties": False, "required": list(required), "properties": properties}


class Folder:
    """A sink that only knows places, by the rules of the real one."""

    def place(self, sink: SinkRef, job: Job) -> str:
        """Return the path below the spec's folder."""
        name = str(sink.options.get("name", f"{job.id}.mp4"))
        if ".." in Path(name).parts:
            raise SinkError(f"{name}: the name leads out of the folder")
        return (Path(str(sink.options.get("path", "out"))) / name).as_posix()

    async def deliver(self, delivery: Any, ctx: Any) -> Any:
        """Fail: loading a spec may not deliver."""
        raise AssertionError("a sink was called")


class Pager:
    """A sink that only hears of events."""

    async def notify(self, notice: Any, ctx: Any) -> None:
        """Fail: loading a spec may not notify."""
        raise AssertionError("a sink was called")


def no_source() -> Any:
    """Fail: loading a spec may not build a source."""
    raise AssertionError("a source was built")


def build_catalog(**models: Model) -> Catalog:
    """Return a catalog of kinds that have short forms, one that has none, and the shipped models."""
    sources = {
        "camera": SourceKind(options=options("number", number={"type": "integer", "minimum": 0}), build=no_source),
        "file": SourceKind(options=options("path", path=TEXT, **FIT), build=no_source, short="path"),
        "http": SourceKind(options=options("url", url=TEXT, key=TEXT), build=no_source, short="url"),
        KIND: CHAIN,
        "url": SourceKind(options=options("url", url=TEXT), build=no_source, short="url"),
    }
    folder: Any = Folder
    sinks = {
        "folder": SinkKind(options=options(path=TEXT, name=TEXT), build=folder, short="path", local=True),
        "pager": SinkKind(options=options("number", number=TEXT), build=Pager, short="number"),
    }
    return Catalog(sources, sinks, {model.name: model for model in shipped_models()} | models)
