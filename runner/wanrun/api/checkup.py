"""A check-up: what this installation and project are, and what would keep a run from working; nothing is changed."""

from __future__ import annotations

import platform
import sqlite3
import time
from collections import Counter
from dataclasses import asdict
from importlib import import_module, metadata
from typing import TYPE_CHECKING

from wanrun.api.findings import Checkup, Finding, fine, note, problem, warning
from wanrun.api.greeting import provider_findings
from wanrun.api.standing import standings
from wanrun.api.stored import ledger_store_standing
from wanrun.errors import LedgerError, PluginError, SettingsError, WanrunError
from wanrun.ledger import Ledger
from wanrun.ledger.store import account_words
from wanrun.project import Setup, open_project
from wanrun.ready import check_stage
from wanrun.registry import InstalledPlugin, installed_plugins, load_catalog
from wanrun.settings import FILE_NAME, STATE_FOLDER, load_settings
from wanrun.stages import stage_of
from wanrun.types import State

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from wanrun.api.standing import JobStanding
    from wanrun.catalog import Catalog
    from wanrun.ledger.lending import Claim, Lent
    from wanrun.project import Project
    from wanrun.settings import Allow

NAMES_SHOWN = 5
#: Module of an extra -> what it is for, and what installs it.
EXTRAS = {
    "av": ("PyAV", "the emulator cannot edit", "emulator"),
    "h11": ("h11", "there is no emulator", "emulator"),
}


def doctor(setup: Setup | None = None, *, provider: str | None = None) -> Checkup:
    """Look at installation, plugins, settings, ledger, and with one list call each at the providers.

    Looks at one `provider`, or at all that the settings describe. Nothing is raised for what is found wrong: it is in
    the findings. Blocking.
    """
    setup = setup or Setup()
    found = _machine()
    try:
        allow = load_settings(start=setup.folder, config=setup.config, environ=setup.environ).allow
        project = open_project(setup, catalog=_catalog(allow, setup.without_plugins))
    except SettingsError as exc:
        return Checkup((*found, *map(_plugin, installed_plugins()), problem("settings", str(exc))))
    plugins = installed_plugins(allow.plugins, setup.without_plugins)
    found += map(_plugin, plugins)
    found += [_root(project), _settings(project), *_allowed(allow, plugins), *_staging(project)]
    findings, account = _ledger(project)
    found += [*findings, *_ledger_store(project)]
    for name in _providers(project, provider):
        found += provider_findings(name, project, account)
    return Checkup(tuple(found))


def _machine() -> list[Finding]:
    python = f"{platform.python_implementation()} {platform.python_version()} on {platform.system()}"
    return [
        fine("python", python, version=platform.python_version()),
        fine("sqlite", sqlite3.sqlite_version, version=sqlite3.sqlite_version),
        *(_extra(module) for module in EXTRAS),
    ]


def _extra(module: str) -> Finding:
    name, without, extra = EXTRAS[module]
    try:
        import_module(module)
        version = metadata.version(module)
    except ModuleNotFoundError:
        advice = f'pip install "wanrun[{extra}]"'
        return note(name, f"not installed: {without}", advice=advice, installed=False)
    except Exception as exc:  # the boundary to compiled code
        return warning(name, f"cannot be imported: {exc}", advice="install it anew", installed=False)
    return fine(name, version, version=version, installed=True)


def _plugin(plugin: InstalledPlugin) -> Finding:
    about = f"plugin {plugin.name}"
    package = f"{plugin.package} {plugin.version}".strip()
    if plugin.off is not None:
        words = f"{package}: {plugin.off}; it is not imported"
        return note(about, words, package=plugin.package, version=plugin.version, allowed=plugin.allowed)
    if plugin.problem is not None:
        return problem(about, f"{package}: {plugin.problem}", advice=f"mend or uninstall {plugin.package}")
    return fine(about, f"{package}: {plugin.offers()}", package=plugin.package, version=plugin.version)


def _catalog(allow: Allow, without: Sequence[str]) -> Catalog:
    """Return what is installed and allowed; where that cannot be used, which is a finding, what the core has."""
    try:
        return load_catalog(only=allow.plugins, without=without)
    except PluginError:
        return load_catalog(entry_points=False)


def _root(project: Project) -> Finding:
    root = project.settings.root
    marks = [mark for mark in (FILE_NAME, STATE_FOLDER, ".git") if (root / mark).exists()]
    why = f"it has {marks[0]}" if marks else "the working directory"
    return fine("project root", f"{root} ({why})", path=str(root))


def _settings(project: Project) -> Finding:
    path = project.settings.file
    if path is None:
        return fine("settings", f"no {FILE_NAME}; defaults and the environment hold", file=None)
    return fine("settings", str(path), file=str(path), providers=list(project.settings.written))


def _allowed(allow: Allow, plugins: Sequence[InstalledPlugin]) -> Iterator[Finding]:
    """Say what specs may use, and which names in the lists are nothing's, since such a one may be misspelt."""
    lists = {name: each for name, each in asdict(allow).items() if each is not None}
    if not lists:
        return
    words = "; ".join(f"{name} {', '.join(each) or 'none'}" for name, each in lists.items())
    yield fine("allow", f"specs may use only: {words}", **{name: list(each) for name, each in lists.items()})
    names = [each.name for each in plugins]
    kinds = [kind for each in plugins for kind in (*each.sources, *each.sinks)]
    yield from _nobodys("plugins", allow.plugins, names, "are not installed")
    yield from _nobodys("kinds", allow.kinds, kinds, "no allowed plugin offers")


def _staging(project: Project) -> list[Finding]:
    """Say where local files go, if that is a store of one's own, and what is wrong with it."""
    table = project.settings.staging
    if table is None:
        return []
    try:
        check_stage(project)
        stage = stage_of(project)
    except WanrunError as exc:
        return [problem("staging", str(exc), exit_code=exc.exit_code, kind=table.kind)]
    where = f"a store of one's own, [staging.{table.kind}]" if stage else "the emulator's own store"
    return [fine("staging", f"local files go through {where}", kind=table.kind)]


def _nobodys(what: str, given: Sequence[str] | None, known: Sequence[str], why: str) -> Iterator[Finding]:
    if nobodys := [name for name in given or () if name not in known]:
        advice = f"there are {', '.join(sorted(set(known)))}"
        yield note("allow", f"[allow] has {what} that {why}: {', '.join(nobodys)}", advice=advice)


def _ledger(project: Project) -> tuple[list[Finding], str | None]:
    """Look at the ledger; returns whose it is too."""
    path = project.ledger_path
    if not path.is_file():
        return [fine("ledger", f"{path}: none yet, the first run makes it", path=str(path), account=None)], None
    try:
        with Ledger.open(path, now=time.time) as ledger:
            damage, account, jobs = ledger.damage(), ledger.account, standings(ledger.entries())
            lent, claim, hindrance = ledger.lent, ledger.claim, ledger.hindrance()
    except LedgerError as exc:
        return [problem("ledger", str(exc), exit_code=exc.exit_code, path=str(path))], None
    if damage:
        advice = "move it away, then take the last good copy, or wanrun ledger rebuild; it knows what was paid for"
        return [problem("ledger", f"{path} is damaged: {damage[0]}", advice=advice, path=str(path))], account
    owner = f"belongs to {account_words(account)}" if account else "has not met its service yet"
    counts = Counter(job.state.value for job in jobs)
    listed = ", ".join(f"{count} {state}" for state, count in counts.items()) or "no jobs"
    whole = fine("ledger", f"{path} {owner}; sound; {listed}", path=str(path), account=account, jobs=dict(counts))
    return [whole, *_lent(path, lent, claim, hindrance), *_unsettled(jobs)], account


def _lent(path: Path, lent: Lent | None, claim: Claim | None, hindrance: LedgerError | None) -> Iterator[Finding]:
    """Say that no run would use the ledger, since somebody else goes on with it, or may do so."""
    if lent is None or hindrance is None:
        return
    if lent.is_free and claim is None:
        yield note("ledger", str(hindrance), path=str(path), lent_to=None)
    else:
        yield problem("ledger", str(hindrance), exit_code=hindrance.exit_code, path=str(path), lent_to=lent.to or None)


def _ledger_store(project: Project) -> Iterator[Finding]:
    """Look what is in the ledger store, if there is one; at the emulator nothing leaves this machine."""
    if not project.uses_ledger_store:
        return
    try:
        found = ledger_store_standing(project)
    except WanrunError as exc:
        yield problem("ledger store", str(exc), exit_code=exc.exit_code)
        return
    assert found is not None  # the settings name one
    newest = f"generation {found.generation}" if found.generation else "no ledger yet"
    lent = f", {found.lent.words()}" if found.lent is not None else ""
    yield fine(
        "ledger store",
        f"{found.place}: {newest}{lent}",
        store=found.place,
        generation=found.generation,
        lent_to=found.lent.to if found.lent is not None else None,
    )


def _unsettled(jobs: Sequence[JobStanding]) -> list[Finding]:
    """Name the jobs that wait for a person's decision."""
    names = [job.address for job in jobs if job.state is State.HELD]
    if not names:
        return []
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    words = f"{len(names)} held: {', '.join(names[:NAMES_SHOWN])}{more}"
    return [warning("jobs", words, advice="wanrun status, with the same options, says what to do", held=list(names))]


def _providers(project: Project, asked: str | None) -> list[str]:
    """Return the providers to look at: the one asked for, else those described, else the default one."""
    return [asked] if asked is not None else list(project.settings.written) or ["default"]
