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
    from wanrun.api.cancelling import Cancellation, cancel
    from wanrun.api.checkup import doctor
    from wanrun.api.downloading import Downloaded, download
    from wanrun.api.emulating import emulate
    from wanrun.api.findings import Checkup, Finding, Verdict
    from wanrun.api.looking import load, plan
    from wanrun.api.running import run, run_async
    from wanrun.api.standing import Decision, JobStanding, resolve, status
    from wanrun.batch import Batch
    from wanrun.outcome import JobOutcome, Outcome
    from wanrun.plan import Plan, PlannedJob
    from wanrun.project import EmulatorOptions, Setup
    from wanrun.registry import InstalledPlugin

__all__ = [
    "STATUSES",
    "Batch",
    "Cancellation",
    "Checkup",
    "Decision",
    "Downloaded",
    "EmulatorOptions",
    "Finding",
    "InstalledKind",
    "InstalledPlugin",
    "JobOutcome",
    "JobStanding",
    "ListedTask",
    "Outcome",
    "Plan",
    "PlannedJob",
    "Setup",
    "TaskFacts",
    "Verdict",
    "cancel",
    "cancel_task",
    "doctor",
    "download",
    "emulate",
    "kinds",
    "load",
    "plan",
    "plugins",
    "resolve",
    "run",
    "run_async",
    "schema",
    "status",
    "task",
    "tasks",
]

_HOMES = {
    "wanrun.api.about": ("InstalledKind", "kinds", "plugins", "schema"),
    "wanrun.api.account": ("STATUSES", "ListedTask", "TaskFacts", "cancel_task", "task", "tasks"),
    "wanrun.api.cancelling": ("Cancellation", "cancel"),
    "wanrun.api.checkup": ("doctor",),
    "wanrun.api.downloading": ("Downloaded", "download"),
    "wanrun.api.emulating": ("emulate",),
    "wanrun.api.findings": ("Checkup", "Finding", "Verdict"),
    "wanrun.api.looking": ("load", "plan"),
    "wanrun.api.running": ("run", "run_async"),
    "wanrun.api.standing": ("Decision", "JobStanding", "resolve", "status"),
    "wanrun.batch": ("Batch",),
    "wanrun.outcome": ("JobOutcome", "Outcome"),
    "wanrun.plan": ("Plan", "PlannedJob"),
    "wanrun.project": ("EmulatorOptions", "Setup"),
    "wanrun.registry": ("InstalledPlugin",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)
