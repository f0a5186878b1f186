"""A workbench for one kind of a plugin: specs that use it are read by wanrun itself, and objects built as in a run."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import TYPE_CHECKING

import yaml

from wanrun.registry import load_catalog
from wanrun.spec import load
from wanrun.testing import standins
from wanrun.types import Delivery, Secret, Usage
from wanrun.vault import Vault, templates_in

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import ModuleType

    from wanrun.catalog import Catalog
    from wanrun.hookspecs import SinkKind, SourceKind
    from wanrun.spec import Loaded
    from wanrun.types import JSON, Artifact, Job, MediaRef, Problem, SinkRef

    Options = Mapping[str, JSON]

SPEC = "conformance.yaml"
SINK = "kept"  #: what the specs call the sink that is tested
MODEL = "wan2.7-videoedit"
MISSPELT = "x"  #: what makes another name of an option's


@dataclass(frozen=True)
class Bench:
    """A kind of a plugin, a folder for its specs, and the values of the secrets that they name."""

    plugin: ModuleType
    kind: str
    folder: Path
    secrets: Mapping[str, str] = field(default_factory=dict)

    # What is built

    def catalog(self) -> Catalog:
        """Return a catalog that has built nothing yet, as a new run has it."""
        return load_catalog(plugins=[self.plugin, standins], entry_points=False)

    # Jobs that have its sink

    def job(self, options: Options, job_id: str = "first") -> Job:
        """Return a job whose result goes to a sink with these options, which may have templates."""
        return _only_job(load_text(self, _sink_spec(self, options, job_id)))

    def delivery(
        self, options: Options, artifact: Artifact, job_id: str = "first", *, may_replace: Sequence[Artifact] = ()
    ) -> Delivery:
        """Return an artifact on its way to a sink with these options, secrets with their values."""
        job = self.job(options, job_id)
        return Delivery(
            artifact=artifact,
            sink=self.opened(job.sinks[0]),
            job=job,
            fingerprint="1:" + sha256(job_id.encode()).hexdigest(),
            task_id=f"task-of-{job_id}",
            usage=Usage(billed_seconds=10.0, input_seconds=5.0, output_seconds=5.0, resolution=720),
            may_replace=frozenset(each.sha256 for each in may_replace),
            account="service",
        )

    def sink_problems(self, options: Options) -> tuple[str, Sequence[Problem]]:
        """Return a spec with such a sink, and what wanrun has against it."""
        text = _sink_spec(self, options, "first")
        return text, _loaded(self, text).problems

    # Jobs that have its source

    def reference(self, options: Options, media: str) -> MediaRef:
        """Return what a job has as one of its media, secrets not known yet."""
        job = _only_job(load_text(self, _source_spec(self, options, media)))
        return next(ref for ref in job.media if ref.kind == self.kind)

    def source_problems(self, options: Options, media: str) -> tuple[str, Sequence[Problem]]:
        """Return a spec with such a medium, and what wanrun has against it."""
        text = _source_spec(self, options, media)
        return text, _loaded(self, text).problems

    # Sinks that hear of events

    def destination(self, options: Options) -> SinkRef:
        """Return a sink that hears of events, secrets with their values."""
        return self.opened(load_text(self, _notify_spec(self, options)).specs[0].notify[0].sink)

    def notify_problems(self, options: Options) -> tuple[str, Sequence[Problem]]:
        """Return a spec with such a sink, and what wanrun has against it."""
        text = _notify_spec(self, options)
        return text, _loaded(self, text).problems

    # Secrets

    def opened(self, sink: SinkRef) -> SinkRef:
        """Return a sink with the values of its secrets."""
        return replace(sink, options=self._opened(sink.options))

    def opened_medium(self, ref: MediaRef) -> MediaRef:
        """Return a medium with the values of its secrets."""
        return replace(ref, options=self._opened(ref.options))

    def _opened(self, options: Options) -> Options:
        names = {name for template in templates_in(options) for name in template.names}
        return Vault({name: canary(name) for name in names} | dict(self.secrets)).opened(options)


def canary(name: str) -> str:
    """Return the value of a secret that a test gives none: one that is found wherever it is shown."""
    return f"canary-{sha256(name.encode()).hexdigest()[:24]}"


def values_of(options: Options) -> list[str]:
    """Return the values of the secrets in options."""
    return [each.reveal() for each in _secrets_in(list(options.values()))]


def misspelt(kind: SourceKind | SinkKind, options: Options) -> tuple[str, Options]:
    """Return a name that no option of a kind has, and options with it: one of theirs if there is one."""
    known = kind.options.get("properties")
    names = list(known) if isinstance(known, dict) else []
    word = next((name for name in options if name in names), next(iter(names), "option")) + MISSPELT
    while word in names:
        word += MISSPELT
    return word, {**options, word: options.get(word.rstrip(MISSPELT), "anything")}


def position_in(text: str, key: str) -> tuple[int, int]:
    """Return the line and column of a key in a spec."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip().startswith(f"{key}:"):
            return number, line.index(key) + 1
    raise ValueError(f"there is no {key}")


def said(problems: Sequence[Problem]) -> str:
    """Return problems as lines."""
    return "\n".join(map(str, problems))


def load_text(bench: Bench, text: str) -> Loaded:
    """Return what a spec asks for, which must be in order."""
    loaded = _loaded(bench, text)
    assert not loaded.problems, f"wanrun refuses the options of the test:\n{said(loaded.problems)}"
    return loaded


def _loaded(bench: Bench, text: str) -> Loaded:
    path = bench.folder / SPEC
    path.write_text(text, encoding="utf-8")
    return load([path], catalog=bench.catalog())


def _only_job(loaded: Loaded) -> Job:
    (job,) = loaded.jobs
    return job


def _sink_spec(bench: Bench, options: Options, job_id: str) -> str:
    return _dumped(sinks={SINK: {bench.kind: dict(options)}}, sink=SINK, job_id=job_id, media=[_given("video")])


def _source_spec(bench: Bench, options: Options, media: str) -> str:
    own: JSON = {media: {bench.kind: dict(options)}}
    return _dumped(sinks=_nowhere(), sink="nowhere", media=[own] if media == "video" else [_given("video"), own])


def _notify_spec(bench: Bench, options: Options) -> str:
    sinks: JSON = {**_nowhere(), SINK: {bench.kind: dict(options)}}
    notify: JSON = [{"to": SINK, "events": ["run_finished", "job_failed"]}]
    return _dumped(sinks=sinks, sink="nowhere", media=[_given("video")], notify=notify)


def _dumped(*, sinks: JSON, sink: str, media: JSON, job_id: str = "first", notify: JSON = None) -> str:
    spec: dict[str, JSON] = {"version": 1, "name": "conformance", "sinks": sinks}
    if notify is not None:
        spec["notify"] = notify
    spec["jobs"] = [{"id": job_id, "model": MODEL, "prompt": "Make it night", "media": media, "sinks": [sink]}]
    return yaml.safe_dump(spec, sort_keys=False, allow_unicode=True, width=1_000_000)


def _given(media: str) -> JSON:
    return {media: {standins.GIVEN: {"name": media}}}


def _nowhere() -> dict[str, JSON]:
    return {"nowhere": {standins.NOWHERE: {}}}


def _secrets_in(value: JSON) -> list[Secret]:
    if isinstance(value, Secret):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [found for item in value for found in _secrets_in(item)] if isinstance(value, list) else []
