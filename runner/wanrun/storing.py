"""The ledger store that `[ledger_store]` names, through which the ledger travels from machine to machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wanrun.errors import SettingsError
from wanrun.settings import FILE_NAME
from wanrun.spec.nodes import Mark, node_of
from wanrun.spec.sentences import Checker, dotted

if TYPE_CHECKING:
    from wanrun.hookspecs import LedgerStore
    from wanrun.project import Project


def ledger_store_of(project: Project) -> LedgerStore:
    """Return the ledger store that the settings name; raises `SettingsError` where they name none, or a bad one."""
    settings, table = project.settings, project.settings.ledger_store
    if table is None:
        raise SettingsError(
            f"{settings.file or settings.root / FILE_NAME} names no ledger store; write a table such as "
            "[ledger_store.oss] there, with region and bucket"
        )
    kind = project.catalog.ledger_stores.get(table.kind)
    if kind is None:
        known = ", ".join(project.catalog.ledger_stores) or "none"
        raise SettingsError(f"{settings.file}: no plugin offers the ledger store {table.kind}; installed: {known}")
    name = f"ledger_store.{table.kind}"
    faults = Checker(kind.options).faults(node_of(dict(table.options), Mark(1, 1)), dotted(name))
    if found := [f"{settings.file}: {message}" for _, message, _ in faults]:
        raise SettingsError("\n".join(found))
    return kind.build(table.options)
