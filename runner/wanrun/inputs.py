"""Checks the local media of jobs against the limits of their models, before anything is sent or paid for."""

from __future__ import annotations

import os
from base64 import b64decode
from binascii import Error as Base64Error
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from wanrun import rules
from wanrun.chains import KIND
from wanrun.errors import PluginError, SourceError
from wanrun.fingerprint import media_key
from wanrun.fitting import Unfit, fitting_of, recipe_for
from wanrun.fitting.advice import Wish, advice_for, conversion
from wanrun.fitting.recipe import TOLERANCE_SECONDS
from wanrun.media import ProbeError, probe, probe_picture
from wanrun.rules import rule_of
from wanrun.types import Fitted, Fitting, MediaRef, Position, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from wanrun.catalog import Catalog
    from wanrun.media import MediaFacts
    from wanrun.models import MediaLimits, Model
    from wanrun.rules import Sentence
    from wanrun.types import Job

MEBIBYTE = 1024 * 1024  #: what the service calls MB
INLINE_BYTES = 10 * MEBIBYTE  #: of `data:` URLs in one create body; a file that is more is uploaded


@dataclass(frozen=True, slots=True)
class InputReport:
    """What is wrong with the local media of some jobs, and what could not be or need not be decided here."""

    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    facts: Mapping[str, MediaFacts] = field(default_factory=dict, compare=False)  #: of what is here, by `media_key`
    fitted: Mapping[tuple[str, str], Fitted] = field(default_factory=dict, compare=False)  #: by `media_key` and model
    made_seconds: Mapping[str, float] = field(default_factory=dict, compare=False)  #: of what is made, by `media_key`

    @property
    def seconds(self) -> Mapping[str, float]:
        """How long local videos are, by `media_key`."""
        return {key: facts.seconds for key, facts in self.facts.items() if facts.seconds is not None}


def check_inputs(jobs: Iterable[Job], catalog: Catalog) -> InputReport:
    """Look at every local file and `data:` URL of the jobs, each once however many jobs share it.

    No network and no secrets. What the service might take is not refused.
    """
    jobs, files = list(jobs), _Files()
    problems = list(_too_much_inline(jobs))
    notes: list[str] = []
    known: dict[str, MediaFacts] = {}
    fitted: dict[tuple[str, str], Fitted] = {}
    made: dict[str, float] = {}
    for use in _uses(jobs, catalog):
        found, key = _check(use, catalog, files, known), media_key(use.ref)
        problems += found.told(use)
        notes += found.hints
        if found.fitted is not None:
            fitted[key, use.model.name] = found.fitted
            made[key] = max(made.get(key, 0.0), found.made_seconds or 0.0)  # two models may have two lengths made
    return InputReport(tuple(sorted(problems)), tuple(notes), known, fitted, made)


def faults_of(facts: MediaFacts, type_: str, model: Model) -> list[str]:
    """Return how a file exceeds what a model takes as a media type; each text fits behind the file's name."""
    at = Position(Path(), 1, 1)
    return list(_problems(_Use(MediaRef(type_, "", {}, Path(), at), model, model.media[type_]), facts))


@dataclass(slots=True)
class _Use:
    """One reference that jobs share; `ref` is the first of them."""

    ref: MediaRef
    model: Model
    limits: MediaLimits
    jobs: dict[str, float] = field(default_factory=dict)  #: address -> seconds that the job asks for, 0 for all


@dataclass(slots=True)
class _Found:
    """What is wrong with one reference, what is only odd, what would mend it, and what is made of it."""

    problems: list[Sentence] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)
    advice: str = ""
    fitted: Fitted | None = None
    made_seconds: float | None = None

    def told(self, use: _Use) -> list[Problem]:
        """Return the problems with the number of jobs that share them, and behind the last one what would mend it."""
        more = _more(len(use.jobs), use.ref.case)
        told: list[Problem] = []
        for each in sorted(self.problems):  # as they are shown
            mend = f"; {self.advice}" if self.advice and len(told) == len(self.problems) - 1 else ""
            words = _line(f"{each}{more}{mend}")
            told.append(Problem(use.ref.position, words, rule_of(each).id, related=use.ref.related))
        return told


class _Files:
    """Facts of files, each read once."""

    def __init__(self) -> None:
        self._facts: dict[Path, MediaFacts | ProbeError] = {}

    def facts(self, path: Path) -> MediaFacts:
        """Return what a file is; raises `ProbeError`."""
        if path not in self._facts:
            try:
                self._facts[path] = probe(path)
            except ProbeError as exc:
                self._facts[path] = exc
        facts = self._facts[path]
        if isinstance(facts, ProbeError):
            raise facts
        return facts


def _uses(jobs: Iterable[Job], catalog: Catalog) -> list[_Use]:
    """Group the references of all jobs; what the spec's own check refuses (unknown kinds, models) is left out."""
    uses: dict[tuple[object, ...], _Use] = {}
    for job in jobs:
        model = catalog.models.get(job.model)
        for ref in job.media:
            limits = model.media.get(ref.type) if model else None
            if model is None or limits is None or ref.kind not in catalog.sources:
                continue
            if ref.kind == KIND:  # a chain: looked at when it is made
                continue
            key = (media_key(ref), ref.type, model.name)
            uses.setdefault(key, _Use(ref, model, limits)).jobs[job.address] = _asked_seconds(job)
    return list(uses.values())


def _asked_seconds(job: Job) -> float:
    asked = job.parameters.get("duration")
    return asked if isinstance(asked, int | float) else 0


def _too_much_inline(jobs: Iterable[Job]) -> Iterator[Problem]:
    """Yield the jobs whose `data:` URLs do not fit into one create; files are uploaded instead, and these cannot be."""
    told = set()
    for job in jobs:
        inline = [ref for ref in job.media if data_url(ref)]
        size = sum(len(data_url(ref)) for ref in inline)
        if size > INLINE_BYTES and inline[0].position not in told:
            told.add(inline[0].position)
            words = f"{size / MEBIBYTE:.1f} MB of data: URLs, and one request takes {INLINE_BYTES // MEBIBYTE} MB"
            message = f"{job.address} has {words}; save a picture and write its path"
            yield Problem(inline[0].position, message, rules.DATA_URLS.id)


def data_url(ref: MediaRef) -> str:
    """Return the `data:` URL that a spec holds as a medium; empty for any other."""
    url = ref.options.get("url")
    return url if isinstance(url, str) and url.startswith("data:") else ""


def _check(use: _Use, catalog: Catalog, files: _Files, known: dict[str, MediaFacts]) -> _Found:
    """Look at one reference, as it is or as it is to be made; notes what it is."""
    source = catalog.source(use.ref.kind)
    try:
        path, fitting = source.locate(use.ref), fitting_of(source, use.ref) or Fitting()
        if path is None:
            return _Found(list(_inline_problems(use, source.identify(use.ref).bytes, known)))
    except (SourceError, PluginError) as exc:
        return _Found([rules.SOURCE_REFUSED(str(exc))])
    name = named(path, use.ref.folder)
    try:
        facts = files.facts(path)
        recipe = recipe_for(facts, use.limits, fitting)
    except ProbeError as exc:
        words = f"{name} {exc}; {use.model.name} takes {_listed(use.limits.formats)}"
        return _Found([rules.MEDIA_UNREADABLE(words)], advice=conversion(path, str(exc), use.limits))
    except Unfit as exc:
        return _Found([rules.TRIM_UNFIT(f"{name} {exc}")])
    known[media_key(use.ref)] = facts
    made, called = recipe.made(facts), name if recipe.is_empty else f"{name}, {recipe},"
    found = _Found([text.rule(f"{called} {text}") for text in _problems(use, made)], list(_oddities(use, made, name)))
    if found.problems:
        can_fit, is_shared = _can_fit(use, catalog), bool(use.ref.case)
        wish = Wish(path, facts, use.limits, fitting, can_fit=can_fit, is_shared=is_shared)
        found.advice = advice_for(wish, is_right=lambda facts: not any(_problems(use, facts)))
    elif not recipe.is_empty:
        found.fitted, found.made_seconds = Fitted(use.ref.type, name, str(recipe)), made.seconds
    return found


def _can_fit(use: _Use, catalog: Catalog) -> bool:
    """Say whether the kind of source has an option that makes a file fit."""
    properties = catalog.sources[use.ref.kind].options.get("properties")
    return isinstance(properties, dict) and "fit" in properties


def named(path: Path, folder: Path) -> str:
    """Return a path as the spec could write it."""
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else os.fspath(path)


def _inline_problems(use: _Use, size: int | None, known: dict[str, MediaFacts]) -> Iterator[Sentence]:
    """Yield what is wrong with bytes that stand in the spec; a source without a file knows a size only of those."""
    if size is None:
        return
    if not use.limits.data_url:
        yield rules.DATA_URL(f"{use.model.name} takes no data: URL as {use.ref.type}; write a path or a link")
        return
    try:
        facts = probe_picture(b64decode(data_url(use.ref).partition(",")[2]))
    except (ProbeError, Base64Error) as exc:
        yield rules.MEDIA_UNREADABLE(f"this data: URL {exc}; {use.model.name} takes {_listed(use.limits.formats)}")
        return
    known[media_key(use.ref)] = facts
    yield from (text.rule(f"this data: URL {text}") for text in _problems(use, facts))


def _problems(use: _Use, facts: MediaFacts) -> Iterator[Sentence]:
    """Yield how a file exceeds the limits; each text fits behind the file's name."""
    limits, model = use.limits, use.model.name
    if facts.format not in limits.formats:
        yield rules.MEDIA_FORMAT(f"is {facts.format}; {model} takes {_listed(limits.formats)} as {use.ref.type}")
        return
    if facts.bytes > limits.max_bytes:
        yield rules.MEDIA_BYTES(f"has {_megabytes(facts.bytes)}; {_most_bytes(use)}")
    if facts.alpha and not limits.alpha:
        yield rules.MEDIA_ALPHA(f"has an alpha channel; {model} takes images without one")
    yield from _size_problems(use, facts)
    yield from _length_problems(use, facts)


def _size_problems(use: _Use, facts: MediaFacts) -> Iterator[Sentence]:
    if facts.width is None or facts.height is None:
        return
    limits, size = use.limits, f"is {facts.width} x {facts.height} pixels"
    short, long = sorted((facts.width, facts.height))
    if short < limits.min_side or long > limits.max_side:
        yield rules.MEDIA_PIXELS(f"{size}; {use.model.name} takes sides of {limits.min_side} to {limits.max_side}")
    if long > limits.max_aspect * short:
        words = f"{size}, {long / short:.1f} to 1; {use.model.name} takes up to {limits.max_aspect:g} to 1"
        yield rules.MEDIA_ASPECT(words)


def _length_problems(use: _Use, facts: MediaFacts) -> Iterator[Sentence]:
    least, most = use.limits.min_seconds, use.limits.max_seconds
    if facts.seconds is None or least is None or most is None:
        return
    if not least - TOLERANCE_SECONDS <= facts.seconds <= most + TOLERANCE_SECONDS:
        yield rules.MEDIA_SECONDS(f"is {facts.seconds:.1f} s long; {_length(use)}")


def _oddities(use: _Use, facts: MediaFacts, name: str) -> Iterator[str]:
    """Yield what the service takes, though it cannot give what is asked, and what only the service can tell."""
    if facts.seconds is None:
        if None not in (use.limits.min_seconds, use.limits.max_seconds):
            yield f"{name}: its index does not say how long it is; {_length(use)}, which the service will check"
        return
    long = {job: asked for job, asked in use.jobs.items() if asked > facts.seconds + TOLERANCE_SECONDS}
    for job, asked in list(long.items())[:1]:
        text = f"{job}: parameters.duration asks for {asked:g} s, and {name} is {facts.seconds:.1f} s long"
        yield text + _more(len(long))


def _length(use: _Use) -> str:
    return f"{use.model.name} takes {use.limits.min_seconds:g} to {use.limits.max_seconds:g} s"


def _line(message: str) -> str:
    """Return a message as one line, whatever the names of files hold."""
    return " ".join(message.splitlines())


def _more(jobs: int, case: str = "") -> str:
    """Return the end of a message about the first of some jobs, which a combination or row may tell apart."""
    more = f"and {jobs - 1} more job{'s' if jobs > 2 else ''}" if jobs > 1 else ""
    words = "; ".join(filter(None, [case, more]))
    return f" ({words})" if words else ""


def _most_bytes(use: _Use) -> str:
    return f"{use.model.name} takes at most {_megabytes(use.limits.max_bytes)}"


def _megabytes(size: int) -> str:
    return f"{size / MEBIBYTE:.4g} MB"


def _listed(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last
