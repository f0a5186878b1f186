"""Where local files go on their way to the service: through its temporary store, or one's own, as `[staging]` says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wanrun.errors import SettingsError
from wanrun.guards import GuardedSource
from wanrun.spec.sentences import option_faults
from wanrun.types import Staging

if TYPE_CHECKING:
    from pathlib import Path

    from wanrun.project import Project


@dataclass(frozen=True, slots=True)
class Stage:
    """A store of one's own."""

    kind: str
    source: GuardedSource
    options: Any

    def file(self, path: Path, *, key: str, mime: str) -> Staging:
        """Return a file as the source takes it to be put there."""
        return Staging(path=path, key=key, mime=mime, options=self.options)


def stage_of(project: Project) -> Stage | None:
    """Return the store that the settings name, None for the service's own; neither network nor secrets are needed.

    With `--emulator` nothing leaves this machine, so there is none. Raises `SettingsError` for a bad table, and
    `MissingExtra`.
    """
    table = project.settings.staging
    if table is None:
        return None
    schema = kind.staging if (kind := project.catalog.sources.get(table.kind)) is not None else None
    if schema is None:
        able = [name for name, each in project.catalog.sources.items() if each.staging is not None]
        words = f"staging.{table.kind} is no kind of source that keeps files; installed: {', '.join(able) or 'none'}"
        off = "".join(f"; {name} is {why}" for name, why in project.catalog.off.items())
        raise SettingsError(f"{project.settings.file}: {words}{off}")
    if faults := option_faults(schema, table.options, f"staging.{table.kind}"):
        raise SettingsError("\n".join(f"{project.settings.file}: {fault}" for fault in faults))
    if project.setup.emulator is not None and not project.setup.emulator.deliver:
        return None
    source = project.catalog.source(table.kind)
    return Stage(table.kind, source, table.options) if isinstance(source, GuardedSource) else None
