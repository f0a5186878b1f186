"""Rescue: every finished result of the account that is not on disk yet, whichever program asked for it.

What the ledger waits for goes into the artifact store, as if a run had fetched it; everything else becomes a file in a
folder, and no job gets a task by this.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from wanrun.api.calling import blocking, callers, described
from wanrun.api.rescue_work import Rescuing
from wanrun.api.rescued import RescueFolder
from wanrun.engine.stop import Reason
from wanrun.errors import ExitCode, LedgerBusy, LedgerError
from wanrun.ledger import FLYING, Ledger, LedgerLock
from wanrun.project import Setup, make_private, open_project

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wanrun.api.rescue_finds import RescuedTask, RescueReport
    from wanrun.events import Event
    from wanrun.project import Project

FOLDER = "rescued"  #: beside the ledger


def rescue(
    setup: Setup | None = None,
    *,
    into: Path | None = None,
    provider: str | None = None,
    everything: bool = False,
    observe: Callable[[Event], None] = lambda _: None,
    heard: Callable[[RescuedTask], None] = lambda _: None,
) -> RescueReport:
    """Bring home every finished result of the last 24 hours that is not on disk yet, of all providers or of one.

    Results that the ledger waits for go into the artifact store and are recorded as fetched; others become files in a
    folder, `into` or `rescued` beside the ledger. `everything` puts those into the folder too that the artifact store
    has. `heard` is told of each task when it is done, `observe` when a call has to wait. What does not work is in the
    report. Blocking. Raises `SettingsError`, `LedgerBusy` while a run uses the ledger, and `LedgerError`.
    """
    project = open_project(setup or Setup())
    chosen = [described(provider, project)] if provider else list(project.settings.written) or ["default"]
    folder = RescueFolder((into or project.ledger_path.parent / FOLDER).absolute(), private=into is None)

    async def rescuing(names: list[str], ledger: Ledger | None) -> RescueReport:
        async with callers(project, names, observe) as made:
            return await Rescuing(project, made, ledger, folder, heard).carry_out(everything=everything)

    with ExitStack() as stack:
        ledger = _ledger(project, stack)
        waiting = _waiting(ledger) if provider is None else set()
        names = sorted({*chosen, *(waiting & set(project.settings.providers))})
        stack.enter_context(folder)
        report = blocking(lambda: rescuing(names, ledger))
        return replace(report, troubles=(*report.troubles, *map(_unknown, sorted(waiting - set(names)))))


def _ledger(project: Project, stack: ExitStack) -> Ledger | None:
    """Open and hold the ledger, if there is one; none is made."""
    if not project.ledger_path.is_file():
        return None
    try:
        stack.enter_context(LedgerLock(project.ledger_path))
        make_private(project.artifacts)
        return stack.enter_context(Ledger.open(project.ledger_path, now=time.time))
    except LedgerBusy as exc:
        words = "nothing is lost: the run brings its own results home, and this can be run when it is over"
        raise LedgerBusy(f"{exc}; {words}") from exc
    except LedgerError as exc:
        exc.args = (f"{exc}. Without a ledger, once it is moved away, everything can be rescued as files",)
        raise


def _waiting(ledger: Ledger | None) -> set[str]:
    """Return the providers at which the ledger has tasks in flight."""
    entries = ledger.entries() if ledger is not None else []
    return {entry.provider for entry in entries if entry.attempt is not None and entry.attempt.state in FLYING}


def _unknown(provider: str) -> Reason:
    words = f'tasks are in flight at the provider "{provider}", which wanrun.toml no longer describes'
    return Reason(words, ExitCode.UNFINISHED)
