"""Where a command works: the settings, the plugins, and the folder that holds the ledger and the artifacts."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from wanrun.errors import LedgerError, SettingsError
from wanrun.fitting import FOLDER_NAME
from wanrun.money import price_of
from wanrun.registry import load_catalog
from wanrun.rehearsal import rehearsed
from wanrun.settings import API_KEY_VARIABLE, PRICE_REGION, Settings, load_settings
from wanrun.types import Sandbox
from wanrun.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wanrun.catalog import Catalog
    from wanrun.money import Price


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulatorOptions:
    """How the embedded emulator behaves."""

    speed: float = 60  #: shortens queueing and processing, which last minutes at the service
    edit: Literal["auto", "none"] = "auto"  #: none: one ready video for every task
    faults: Path | None = None
    deliver: bool = False  #: let sinks that reach beyond this machine deliver for real


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What the caller says about where and against what to work; everything may be left out."""

    folder: Path | None = None  #: where the search for the project root starts; default the working directory
    config: Path | None = None  #: instead of `wanrun.toml` at the project root
    base_url: str | None = None
    ledger: Path | None = None
    require_ledger: bool = False  #: refuse to go on without a ledger, which a run would begin anew
    emulator: EmulatorOptions | None = None  #: None: the service itself
    without_plugins: tuple[str, ...] = ()  #: installed plugins, by name, that are not even imported
    environ: Mapping[str, str] | None = None  #: default the process's own


@dataclass(frozen=True, slots=True)
class Project:
    """A setup, resolved."""

    setup: Setup
    settings: Settings
    ledger_path: Path
    catalog: Catalog = field(repr=False)

    @property
    def artifacts(self) -> Path:
        """The artifact store: beside the ledger."""
        return self.ledger_path.parent / "artifacts"

    @property
    def fitted(self) -> Path:
        """Where what is made of local files is kept, for the service and the emulator alike."""
        return self.settings.state_folder / FOLDER_NAME

    @property
    def uses_ledger_store(self) -> bool:
        """Whether the ledger goes through a ledger store; what an emulator made stays on this machine."""
        return self.settings.ledger_store is not None and self.setup.emulator is None

    @property
    def vault(self) -> Vault:
        """Where the secrets are that specs name; nothing is looked up yet."""
        keys = {API_KEY_VARIABLE, *(provider.api_key_env for provider in self.settings.providers.values())}
        environ = os.environ if self.setup.environ is None else self.setup.environ
        return Vault(environ, self.settings.secrets_folder, keys)

    def price(self, provider: str, model: str) -> Price | None:
        """Return what a model costs at a provider; None where no model file says it.

        At the emulator, which costs nothing, it is what the service would take.
        """
        known = self.settings.providers.get(provider)
        region = PRICE_REGION if known is None or self.setup.emulator is not None else known.price_region
        return price_of(self.catalog.models[model], region) if model in self.catalog.models else None

    def sandbox(self, spec_folder: Path) -> Sandbox | None:
        """Return where `folder` sinks of a spec write instead of their own places; None against the service itself.

        The folders of the specs are mirrored there, so that places that differ stay different.
        """
        if self.setup.emulator is None:
            return None
        root = Path(os.path.normpath(self.ledger_path.parent / "delivered"))
        return Sandbox(root, root / self.recorded(spec_folder).lstrip("/"))

    def recorded(self, path: Path) -> str:
        """Return how the ledger names a file: below the project root where possible, so that a checkout may move."""
        return str(path.relative_to(self.settings.root)) if path.is_relative_to(self.settings.root) else str(path)


def open_project(setup: Setup, *, catalog: Catalog | None = None) -> Project:
    """Resolve a setup; raises `SettingsError` or `PluginError`."""
    settings = load_settings(start=setup.folder, config=setup.config, base_url=setup.base_url, environ=setup.environ)
    check_name(settings.root)
    catalog = catalog or load_catalog(only=settings.allow.plugins, without=setup.without_plugins)
    if setup.emulator is not None and not setup.emulator.deliver:
        catalog = rehearsed(catalog)
    path = _ledger_path(setup, settings)
    if setup.require_ledger and not (path.is_file() and path.stat().st_size):
        raise SettingsError(
            f"there is no ledger at {path}, and one is required: without it every job looks new and is paid for again. "
            "Bring it back (wanrun ledger import FILE), make it anew from sidecars (wanrun ledger rebuild), or, if "
            "nothing has ever run, begin one: wanrun ledger new"
        )
    return Project(setup, settings, path, catalog)


def _ledger_path(setup: Setup, settings: Settings) -> Path:
    if setup.ledger is not None:
        return setup.ledger.resolve()  # one file has one lock, whatever links lead to it
    folder = settings.state_folder
    return (folder / "emulator" if setup.emulator else folder) / "ledger.db"


def make_private(folder: Path) -> None:
    """Make a folder of wanrun's own state, with its parents (0700); raises `LedgerError` naming it."""
    try:
        _make(folder)
    except OSError as exc:
        raise LedgerError.of(folder, exc) from exc


def _make(folder: Path) -> None:
    """Make a folder that is not there, each with its name on disk: what is in it is only as safe as that."""
    if folder.is_dir():
        return
    if not folder.parent.exists():
        _make(folder.parent)
    folder.mkdir(exist_ok=True, mode=0o700)
    if os.name == "posix" and os.access(folder.parent, os.R_OK):
        descriptor = os.open(folder.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def check_name(path: Path) -> None:
    """Refuse a path whose name is not UTF-8: the ledger could not record it. Raises `SettingsError`."""
    try:
        str(path).encode()
    except UnicodeEncodeError as exc:
        raise SettingsError(f"{str(path)!a}: its name is not UTF-8; rename it or a folder above it") from exc
