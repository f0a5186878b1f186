"""Whether what is to be submitted can be prepared and delivered here, as far as plugins know without the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wanrun import rules
from wanrun.errors import PluginError, SettingsError, SpecError, WanrunError
from wanrun.fingerprint import digest
from wanrun.guards import GuardedSink, GuardedSource
from wanrun.stages import stage_of
from wanrun.types import Action, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from wanrun.plan import Plan, PlannedJob
    from wanrun.project import Project
    from wanrun.types import JSON


def check_ready(plan: Plan, project: Project) -> None:
    """Raise `SpecError` for sources and sinks of jobs to be submitted that lack what they need, such as a key.

    What is there to be fetched or delivered only is not asked about: its delivery says what it lacks. Raises
    `SettingsError` for a store of one's own that is needed and lacks something, and `PluginError`.
    """
    to_submit = [planned for planned in plan.jobs if planned.action is Action.SUBMIT]
    if problems := sorted(set(_lacking(to_submit, project))):
        raise SpecError(problems)
    if any(_uploads(planned) for planned in to_submit):
        check_stage(project)


def check_stage(project: Project) -> None:
    """Raise `SettingsError` when the store that the settings name lacks what it needs; otherwise as `stage_of`."""
    stage, table = stage_of(project), project.settings.staging
    if stage is None or table is None:
        return
    if (lack := _lack(lambda: stage.source.check(stage.options))) is not None:
        raise SettingsError(f"{project.settings.file}: staging.{table.kind}: {lack}")


def _lacking(to_submit: list[PlannedJob], project: Project) -> Iterator[Problem]:
    """Yield what the jobs' sources and sinks lack, each kind asked once for the same options."""
    catalog, vault = project.catalog, project.vault
    asked: dict[str, str | None] = {}

    def lack(part: GuardedSource | GuardedSink, kind: str, options: Mapping[str, JSON]) -> str | None:
        key = digest({"sort": type(part).__name__, "kind": kind, "options": dict(options)})
        if key not in asked:
            asked[key] = _lack(lambda: part.check(vault.opened(options)))
        return asked[key]

    for job in (planned.job for planned in to_submit):
        for ref in job.media:
            source = catalog.source(ref.kind)
            if isinstance(source, GuardedSource) and source.checks and (words := lack(source, ref.kind, ref.options)):
                yield Problem(ref.position, words, rules.NOT_READY.id)
        for sink in job.sinks:
            made = catalog.sink(sink.kind)
            if isinstance(made, GuardedSink) and made.checks and (words := lack(made, sink.kind, sink.options)):
                yield Problem(sink.position, f"sinks.{sink.name}: {words}", rules.NOT_READY.id)


def _lack(check: Callable[[], None]) -> str | None:
    """Return what a check has to say; a plugin's own mistake is none of it."""
    try:
        check()
    except PluginError:
        raise
    except WanrunError as exc:
        return str(exc)
    return None


def _uploads(planned: PlannedJob) -> bool:
    """Say whether a job has a clip of this machine, which never goes into the request itself."""
    return any((each.mime or "").startswith("video/") and "sha256:" in each.key for each in planned.identities)
