"""Starting a project: a first spec, for a folder of clips if there is one, and settings if there are none."""

from __future__ import annotations

import glob
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from wanrun.api.first_spec import MODEL, SETTINGS, Aside, first_spec, spec_of_clips
from wanrun.api.looking import load
from wanrun.api.new_files import write_new
from wanrun.errors import SettingsError, WanrunError
from wanrun.fitting import recipe_for
from wanrun.fitting.advice import conversion, missing_options
from wanrun.inputs import faults_of
from wanrun.media import ProbeError, probe
from wanrun.project import Setup, check_name, open_project
from wanrun.settings import FILE_NAME
from wanrun.spec.words import id_fault, slug
from wanrun.types import Fitting

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from wanrun.models import Model

MOST_CLIPS = 10_000  #: of one folder; more is another folder than was meant
_VIDEO_SUFFIXES = frozenset({".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".wmv", ".3gp"})
_STYLE = "clay"  #: the one that the spec starts with


@dataclass(frozen=True, slots=True)
class Started:
    """What was written."""

    spec: Path
    settings: Path | None  #: None: there are settings already
    jobs: int
    asides: tuple[Aside, ...] = ()  #: clips that are not among the jobs


def init(
    spec: str | PathLike[str] = "edits.yaml",
    *,
    clips: str | PathLike[str] | None = None,
    setup: Setup | None = None,
) -> Started:
    """Write a first spec, with a job for each clip of a folder if one is given, and settings where there are none.

    What is written is valid as it is. Nothing is written over: raises `SettingsError` for a file that is there, a
    folder without a clip that can be used, and whatever keeps a file from being written.
    """
    target, setup = Path(spec), setup or Setup()
    if target.suffix not in (".yaml", ".yml"):
        raise SettingsError(f"{target}: give the spec a name that ends with .yaml")
    if fault := id_fault(target.stem):
        better = slug(target.stem) or "edits"
        raise SettingsError(f"{target}: a spec is called like its file, and {fault}; write {better}{target.suffix}")
    if os.path.lexists(target):
        raise SettingsError(f"{target} is there already; give the new spec another name: wanrun init NAME.yaml")
    check_name(target.absolute())
    project = open_project(setup)
    text, asides = first_spec(str(target)), tuple[Aside, ...]()
    if clips is not None:
        found = _look(Path(clips), target.absolute().parent, project.catalog.models[MODEL])
        text, asides = found.text(str(target)), tuple(found.asides)
    write_new(target, text)
    try:
        jobs = len(load([target], setup).jobs)
    except WanrunError:
        target.unlink()
        raise
    settings = project.settings.root / FILE_NAME
    if project.settings.file is not None or os.path.lexists(settings):
        return Started(target, None, jobs, asides)
    write_new(settings, SETTINGS)
    return Started(target, settings, jobs, asides)


@dataclass(slots=True)
class _Found:
    """The clips of a folder; paths are from the spec's folder."""

    folder: str
    base: Path  #: the spec's folder
    fitting: list[str] = field(default_factory=list)  #: taken as they are
    mendable: list[Aside] = field(default_factory=list)  #: taken once something is made of them
    hopeless: list[Aside] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)  #: of those that fit, folded
    ids_of_misfits: set[str] = field(default_factory=set)

    @property
    def asides(self) -> Sequence[Aside]:
        """Return what is not among the jobs: where no clip fits as it is, those that can be mended are the jobs."""
        return [*self.mendable, *self.hopeless] if self.fitting else self.hopeless

    def text(self, name: str) -> str:
        """Return the spec."""
        clips = self.fitting or [each.path for each in self.mendable]
        pattern = _pattern(clips, self.folder, self.base)
        return spec_of_clips(
            name, folder=self.folder, clips=clips, pattern=pattern, fit=not self.fitting, asides=self.asides
        )


def _look(folder: Path, base: Path, model: Model) -> _Found:
    """Look at every file of a folder that is a video, or is called like one; raises `SettingsError`."""
    try:
        paths = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    except OSError as exc:
        raise SettingsError(f"{folder}: {exc.strerror or exc}; give a folder of clips") from exc
    if len(paths) > MOST_CLIPS:
        raise SettingsError(f"{folder} holds {len(paths):,} files; give a folder of clips, at most {MOST_CLIPS:,}")
    found = _Found(_way(folder, base), base)
    for path in paths:
        _sort(path, _way(path, base), model, found)
    if not found.fitting and not found.mendable:
        said = "".join(f"\n{aside.why}" for aside in found.hopeless)
        raise SettingsError(f"{folder} holds no clip that {model.name} takes, or that can be made to fit{said}")
    return found


def _sort(path: Path, name: str, model: Model, found: _Found) -> None:
    """Put one file where it belongs; what is no video is passed over."""
    limits = model.media["video"]
    try:
        facts = probe(path)
    except ProbeError as exc:
        if path.suffix.lower() in _VIDEO_SUFFIXES:
            mend = conversion(path, str(exc), limits)
            found.hopeless.append(Aside(_shown(name), f"{_shown(name)} {exc}" + (f"; {mend}" if mend else "")))
        return
    if facts.kind != "video":
        return
    faults = faults_of(facts, "video", model)
    if fault := _name_fault(name, found.ids_of_misfits if faults else found.ids):
        found.hopeless.append(Aside(_shown(name), f"{_shown(name)}: {fault}"))
        return
    if not faults:
        found.fitting.append(name)
        return
    recipe = recipe_for(facts, limits, Fitting(fit=True))
    why = f"{name} {', '.join(dict.fromkeys(fault.partition(';')[0] for fault in faults))}"
    if left := faults_of(recipe.made(facts), "video", model):
        found.hopeless.append(Aside(name, f"{name} {'; '.join(left)}"))
    else:
        options = missing_options(recipe, Fitting())
        found.mendable.append(Aside(name, f"{why}; with {options} it is {recipe}", slug(name), options))


def _name_fault(name: str, ids: set[str]) -> str | None:
    """Say why no job can be named after a file, or None; notes the id among those that are taken."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return "its name is not UTF-8; rename it"
    own = slug(name)
    if not own:
        return "its name has no letter or digit to make an id of; rename it"
    if fault := id_fault(f"{_STYLE}-{own}"):
        return f"no id can be made of its name, since {fault}; rename it"
    if own.casefold() in ids:
        return f'its job would be called "{own}" like that of another clip; rename one of them'
    ids.add(own.casefold())
    return None


def _pattern(clips: Sequence[str], folder: str, base: Path) -> str | None:
    """Return the glob that finds these clips and nothing else, where there is one."""
    suffixes = {Path(clip).suffix for clip in clips}
    if len(suffixes) != 1 or glob.escape(folder) != folder or "${{" in folder:
        return None
    pattern = f"{folder}/*{suffixes.pop()}" if folder != "." else f"*{suffixes.pop()}"
    there = glob.glob(pattern, root_dir=base)  # noqa: PTH207  # as the matrix of a spec looks
    return pattern if sorted(path.replace(os.sep, "/") for path in there) == sorted(clips) else None


def _way(path: Path, base: Path) -> str:
    """Return how a spec in a folder names a file."""
    try:
        return Path(os.path.relpath(path.absolute(), base)).as_posix()
    except ValueError:  # another drive
        return path.absolute().as_posix()


def _shown(name: str) -> str:
    """Return a name as a text file can hold it."""
    return name.encode("utf-8", "replace").decode()
