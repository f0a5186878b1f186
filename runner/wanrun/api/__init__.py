"""wanrun from Python: what the command line calls, and nothing deeper.

    from wanrun import api

    plan = api.plan(["specs/spring.yaml"])
    outcome = api.run(["specs/spring.yaml"], api.Setup(emulator=api.EmulatorOptions()))

Everything raises `wanrun.WanrunError` for what the caller can mend. The names below are imported when first used, so
that checking specs does not wait for what only a run needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wanrun.api.about import InstalledKind, kinds, plugins, schema
    from wanrun.api.account import STATUSES, ListedTask, TaskFacts, cancel_task, task, tasks
    from wanrun.api.accounting import Spendings, spending
    from wanrun.api.adopting import adopt
    from wanrun.api.cancelling import Cancellation, cancel
    from wanrun.api.carrying import (
        Exported,
        Imported,
        MissingResult,
        Reclaimed,
        export_ledger,
        import_ledger,
        new_ledger,
        reclaim_ledger,
    )
    from wanrun.api.checkup import doctor
    from wanrun.api.cleaning import Cleaning, Leftover, LeftoverSort, clean
    from wanrun.api.downloading import Downloaded, download
    from wanrun.api.emulating import emulate
    from wanrun.api.findings import Checkup, Finding, Verdict
    from wanrun.api.ledgers import Backup, back_up_ledger, check_ledger, rebuild_ledger
    from wanrun.api.looking import forecast, load, plan
    from wanrun.api.plugin_making import StartedPlugin, new_plugin
    from wanrun.api.rescue_finds import Fate, RescuedTask, RescueReport
    from wanrun.api.rescuing import rescue
    from wanrun.api.running import run, run_async
    from wanrun.api.standing import Decision, JobStanding, SinkLink, resolve, status
    from wanrun.api.starting import Started, init
    from wanrun.api.stored import GivenBack, give_back_ledger, take_ledger
    from wanrun.batch import Batch
    from wanrun.consent import Question
    from wanrun.forecast import Forecast, JobForecast
    from wanrun.ledger import Spent
    from wanrun.ledger.rebuild import Rebuilt
    from wanrun.money import Money
    from wanrun.outcome import JobOutcome, Outcome
    from wanrun.plan import Plan, PlannedJob
    from wanrun.project import EmulatorOptions, Setup
    from wanrun.registry import InstalledPlugin
    from wanrun.selection import Selection

__all__ = [
    "STATUSES",
    "Backup",
    "Batch",
    "Cancellation",
    "Checkup",
    "Cleaning",
    "Decision",
    "Downloaded",
    "EmulatorOptions",
    "Exported",
    "Fate",
    "Finding",
    "Forecast",
    "GivenBack",
    "Imported",
    "InstalledKind",
    "InstalledPlugin",
    "JobForecast",
    "JobOutcome",
    "JobStanding",
    "Leftover",
    "LeftoverSort",
    "ListedTask",
    "MissingResult",
    "Money",
    "Outcome",
    "Plan",
    "PlannedJob",
    "Question",
    "Rebuilt",
    "Reclaimed",
    "RescueReport",
    "RescuedTask",
    "Selection",
    "Setup",
    "SinkLink",
    "Spendings",
    "Spent",
    "Started",
    "StartedPlugin",
    "TaskFacts",
    "Verdict",
    "adopt",
    "back_up_ledger",
    "cancel",
    "cancel_task",
    "check_ledger",
    "clean",
    "doctor",
    "download",
    "emulate",
    "export_ledger",
    "forecast",
    "give_back_ledger",
    "import_ledger",
    "init",
    "kinds",
    "load",
    "new_ledger",
    "new_plugin",
    "plan",
    "plugins",
    "rebuild_ledger",
    "reclaim_ledger",
    "rescue",
    "resolve",
    "run",
    "run_async",
    "schema",
    "spending",
    "status",
    "take_ledger",
    "task",
    "tasks",
]

_HOMES = {
    "wanrun.api.about": ("InstalledKind", "kinds", "plugins", "schema"),
    "wanrun.api.account": ("STATUSES", "ListedTask", "TaskFacts", "cancel_task", "task", "tasks"),
    "wanrun.api.accounting": ("Spendings", "spending"),
    "wanrun.api.adopting": ("adopt",),
    "wanrun.api.cancelling": ("Cancellation", "cancel"),
    "wanrun.api.carrying": (
        "Exported",
        "Imported",
        "MissingResult",
        "Reclaimed",
        "export_ledger",
        "import_ledger",
        "new_ledger",
        "reclaim_ledger",
    ),
    "wanrun.api.checkup": ("doctor",),
    "wanrun.api.cleaning": ("Cleaning", "Leftover", "LeftoverSort", "clean"),
    "wanrun.api.downloading": ("Downloaded", "download"),
    "wanrun.api.emulating": ("emulate",),
    "wanrun.api.findings": ("Checkup", "Finding", "Verdict"),
    "wanrun.api.ledgers": ("Backup", "back_up_ledger", "check_ledger", "rebuild_ledger"),
    "wanrun.api.looking": ("forecast", "load", "plan"),
    "wanrun.api.plugin_making": ("StartedPlugin", "new_plugin"),
    "wanrun.api.rescue_finds": ("Fate", "RescueReport", "RescuedTask"),
    "wanrun.api.rescuing": ("rescue",),
    "wanrun.api.running": ("run", "run_async"),
    "wanrun.api.standing": ("Decision", "JobStanding", "SinkLink", "resolve", "status"),
    "wanrun.api.starting": ("Started", "init"),
    "wanrun.api.stored": ("GivenBack", "give_back_ledger", "take_ledger"),
    "wanrun.batch": ("Batch",),
    "wanrun.ledger.rebuild": ("Rebuilt",),
    "wanrun.consent": ("Question",),
    "wanrun.forecast": ("Forecast", "JobForecast"),
    "wanrun.ledger": ("Spent",),
    "wanrun.money": ("Money",),
    "wanrun.outcome": ("JobOutcome", "Outcome"),
    "wanrun.plan": ("Plan", "PlannedJob"),
    "wanrun.project": ("EmulatorOptions", "Setup"),
    "wanrun.registry": ("InstalledPlugin",),
    "wanrun.selection": ("Selection",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)
