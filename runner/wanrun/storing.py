"""The ledger store that `[ledger_store]` names, through which the ledger travels from machine to machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wanrun.errors import SettingsError
from wanrun.settings import FILE_NAME
from wanrun.spec.sentences import option_faults

if TYPE_CHECKING:
    from wanrun.hookspecs import LedgerStore
    from wanrun.project import Project


def ledger_store_of(project: Project) -> LedgerStore:
    """Return the ledger store that the settings name; raises `SettingsError` where they name none, or a bad one."""
    settings, table = project.settings, project.settings.ledger_store
    if project.setup.emulator is not None:
        raise SettingsError("the ledger of an emulator does not go through the ledger store; leave out --emulator")
    if table is None:
        raise SettingsError(
            f"{settings.file or settings.root / FILE_NAME} names no ledger store; write a table such as "
            "[ledger_store.oss] there, with region and bucket"
        )
    kind = project.catalog.ledger_stores.get(table.kind)
    if kind is None:
        known = ", ".join(project.catalog.ledger_stores) or "none"
        off = [f"{name} is {why}" for name, why in project.catalog.off.items()]
        words = f"no plugin offers the ledger store {table.kind}; installed: {known}"
        raise SettingsError("; ".join([f"{settings.file}: {words}", *off]))
    if faults := option_faults(kind.options, table.options, f"ledger_store.{table.kind}"):
        raise SettingsError("\n".join(f"{settings.file}: {fault}" for fault in faults))
    return kind.build(table.options)
