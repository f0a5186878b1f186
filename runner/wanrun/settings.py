"""The operator's side: `wanrun.toml` at the project root, the environment and the command line, never a spec.

A key that is not enforced is refused, so that nobody relies on a limit that nothing keeps.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import tomllib
from dataclasses import dataclass, field, fields, replace
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wanrun.errors import SettingsError
from wanrun.money import GIVE_AMOUNT, Money
from wanrun.places import DEFAULT_REGION, REGION_IDS, WORKSPACE_RULE, is_workspace
from wanrun.redaction import hide
from wanrun.types import Secret

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


FILE_NAME = "wanrun.toml"
STATE_FOLDER = ".wanrun"
PRICE_REGION = DEFAULT_REGION  #: whose prices stand in where the region is not known
BASE_URL_VARIABLE = "DASHSCOPE_HTTP_BASE_URL"  #: the official SDK's own
API_KEY_VARIABLE = "DASHSCOPE_API_KEY"

_HOST = re.compile(r"(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)*|\[?[0-9a-f:]+\]?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one provider may be asked for, at most; below the service's own limits, which other programs share."""

    creates_per_second: float = 5  #: the service's own limit
    tasks_in_flight: int = 10  #: five run at once; a few more, so that the service is never idle
    queries_per_second: float = 2  #: of the account's 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """One account and region of the service, with its limits."""

    name: str = "default"
    region: str | None = None
    workspace: str | None = None
    base_url: str | None = None
    api_key_env: str = API_KEY_VARIABLE
    poll_seconds: float = 15  #: how long a running task waits between looks, at most
    patience_seconds: float = 120  #: how long a call is made again while the service throttles or does not answer
    settle_seconds: float = 60  #: after a create without an answer, until its task must be in the account's list
    scan_gap_seconds: float = 30  #: between two readings of the whole list while an attempt is unsure
    link_networks: tuple[str, ...] = ()  #: networks that are not public, and to which links may lead all the same
    limits: Limits = field(default_factory=Limits)

    @property
    def price_region(self) -> str:
        """The region whose prices hold; at a base URL of one's own that cannot be known, and it is the dearest."""
        return PRICE_REGION if self.base_url or not self.region else self.region

    def api_key(self, environ: Mapping[str, str]) -> Secret:
        """Return the key; raises `SettingsError` when its variable is not set."""
        key = environ.get(self.api_key_env, "").strip()
        if not key:
            raise SettingsError(f"no API key: set {self.api_key_env} (or try it out with --emulator)")
        if not key.isascii() or not key.isprintable() or " " in key:
            raise SettingsError(f"the API key in {self.api_key_env} has characters that no key has; copy it again")
        hide(key)
        return Secret(key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The table `[budget]`: what all runs together may spend, and from where on a person is asked first."""

    max_cost: Money | None = None  #: over the life of the ledger
    confirm_above: Money | None = None  #: of what one run may submit


@dataclass(frozen=True, slots=True, kw_only=True)
class _Secrets:
    """The table `[secrets]`."""

    folder: str = ""  #: of files, one a secret; relative to the project root


@dataclass(frozen=True, slots=True, kw_only=True)
class Allow:
    """The table `[allow]`: what specs may use. A list that is given is closed; None: whatever is installed."""

    secrets: tuple[str, ...] | None = None  #: their names
    hosts: tuple[str, ...] | None = None  #: of links in options of sources and sinks; `*.example.com` for those below
    kinds: tuple[str, ...] | None = None  #: of sources and sinks
    plugins: tuple[str, ...] | None = None  #: by the names of their entry points; no other one is even imported


@dataclass(frozen=True, slots=True, kw_only=True)
class KindTable:
    """A table that is named by a kind: `[staging.KIND]` or `[ledger_store.KIND]`."""

    kind: str
    options: Mapping[str, Any]  #: as they stand there; whoever builds the kind checks them


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that the operator decides."""

    root: Path  #: the project root, absolute: `wanrun.toml` and the ledger live here
    providers: Mapping[str, Provider]
    budget: Budget = field(default_factory=Budget)
    allow: Allow = field(default_factory=Allow)
    staging: KindTable | None = None  #: a kind of source; None: local files go through the service's temporary store
    ledger_store: KindTable | None = None  #: where the ledger travels through; None: files only
    secrets_folder: Path | None = None  #: where secrets are mounted as files; None: they are in the environment
    file: Path | None = None  #: where they were read; None: there is no such file
    written: Mapping[str, Any] = field(default_factory=dict)  #: its table of providers, as it stands there

    @property
    def state_folder(self) -> Path:
        """Where wanrun keeps its ledger and artifacts."""
        return self.root / STATE_FOLDER


def project_root(start: Path) -> Path:
    """Return the nearest folder from `start` upwards with `wanrun.toml`, `.wanrun` or `.git`, else `start`."""
    start = start.resolve()
    for folder in (start, *start.parents):
        if any((folder / mark).exists() for mark in (FILE_NAME, STATE_FOLDER, ".git")):
            return folder
    return start


def load_settings(
    *,
    start: Path | None = None,
    config: Path | None = None,
    base_url: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Read the settings that hold for the folder `start`; `config` names another file, `base_url` outranks all.

    Raises `SettingsError` naming the file and the key.
    """
    environ = os.environ if environ is None else environ
    root = project_root(start or Path.cwd())
    path = config or root / FILE_NAME
    if config is not None and not config.is_file():
        raise SettingsError(f"{config}: no such file (given by --config)")
    data = _read(path) if path.exists() else None
    providers = _providers(data, path) if data is not None else {}
    providers.setdefault("default", Provider())
    asked = {name: _with_base_url(provider, base_url, environ) for name, provider in providers.items()}
    written = (data or {}).get("providers", {})
    folder = _secrets_folder(data or {}, path)
    return Settings(
        root=root,
        providers=asked,
        budget=_budget(data or {}, path),
        allow=_allow(data or {}, path),
        staging=_kind_table("staging", "source", data or {}, path),
        ledger_store=_kind_table("ledger_store", "ledger store", data or {}, path),
        secrets_folder=root / folder if folder else None,
        file=None if data is None else path,
        written=written,
    )


def _with_base_url(provider: Provider, flag: str | None, environ: Mapping[str, str]) -> Provider:
    own = provider.base_url or provider.region or provider.workspace
    if flag:
        return replace(provider, base_url=flag, workspace=None)
    if not own and (variable := environ.get(BASE_URL_VARIABLE, "").strip()):
        return replace(provider, base_url=variable)
    return provider


def _read(path: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise SettingsError(f"{path}: not valid TOML: {exc}") from exc
    except OSError as exc:
        raise SettingsError(f"{path}: {exc.strerror}") from exc


def _providers(data: Mapping[str, Any], path: Path) -> dict[str, Provider]:
    _known(data, ["providers", "secrets", "budget", "staging", "ledger_store", "allow"], where="", path=path)
    tables = data.get("providers", {})
    if not isinstance(tables, dict):
        raise SettingsError(f"{path}: providers is not a table; write [providers.default]")
    for key in [item.name for item in fields(Provider) if item.name in tables and item.name != "name"]:
        if not isinstance(tables[key], dict):
            words = f"providers.{key} is not a provider's table; write {key} in [providers.default]"
            raise SettingsError(f"{path}: {words}")
    return {name: _provider(name, table, path) for name, table in tables.items()}


def _secrets_folder(data: Mapping[str, Any], path: Path) -> str | None:
    """Return the folder of mounted secrets as it is written."""
    folder: str | None = _values(_Secrets, data.get("secrets", {}), where="secrets", path=path).get("folder")
    return folder


def _budget(data: Mapping[str, Any], path: Path) -> Budget:
    values = _values(Budget, data.get("budget", {}), where="budget", path=path)
    return Budget(**{key: Money.parse(value) for key, value in values.items()})


def _kind_table(name: str, sort: str, data: Mapping[str, Any], path: Path) -> KindTable | None:
    if name not in data:
        return None
    table = data[name]
    kinds = list(table) if isinstance(table, dict) else []
    if len(kinds) != 1 or not isinstance(table[kinds[0]], dict):
        raise SettingsError(f"{path}: {name} has one table, named by a kind of {sort}; write [{name}.oss]")
    return KindTable(kind=kinds[0], options=table[kinds[0]])


def _allow(data: Mapping[str, Any], path: Path) -> Allow:
    values = _values(Allow, data.get("allow", {}), where="allow", path=path)
    for host in values.get("hosts", ()):
        if not _HOST.fullmatch(host):
            words = 'give the name of a host alone, in lower case, such as "example.com", or "*.example.com"'
            raise SettingsError(f"{path}: allow.hosts has {_shown(host)}; {words}")
    return Allow(**{key: tuple(value) for key, value in values.items()})


def _provider(name: str, table: object, path: Path) -> Provider:
    where = f"providers.{name}"
    values = _values(Provider, table, where=where, path=path, leave=("name",))
    if "limits" in values:
        limits = _values(Limits, values["limits"], where=f"{where}.limits", path=path)
        values["limits"] = Limits(**limits)
    values["link_networks"] = tuple(values.get("link_networks", ()))
    _check_place(values, where=where, path=path)
    if "base_url" in values and ("region" in values or "workspace" in values):
        raise SettingsError(f"{path}: {where} has both base_url and region or workspace; give one of the two")
    return Provider(name=name, **values)


def _check_place(values: Mapping[str, Any], *, where: str, path: Path) -> None:
    if "region" in values and values["region"] not in REGION_IDS:
        raise SettingsError(f"{path}: {where}.region is {_shown(values['region'])}; give {' or '.join(REGION_IDS)}")
    if "workspace" in values and not is_workspace(values["workspace"]):
        raise SettingsError(f"{path}: {where}.workspace is {_shown(values['workspace'])}; give {WORKSPACE_RULE}")


def _values(kind: type, table: object, *, where: str, path: Path, leave: Collection[str] = ()) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise SettingsError(f"{path}: {where} is not a table; write [{where}]")
    allowed = {item.name: str(item.type) for item in fields(kind) if item.name not in leave}
    _known(table, allowed, where=f"{where}.", path=path)
    for key, value in table.items():
        if message := _wrong(allowed[key], value):
            raise SettingsError(f"{path}: {where}.{key} is {_shown(value)}; give {message}")
    return dict(table)


def _known(table: Mapping[str, Any], allowed: Collection[str], *, where: str, path: Path) -> None:
    for key in table:
        if key not in allowed:
            near = difflib.get_close_matches(key, allowed, n=1)
            hint = f'did you mean "{near[0]}"?' if near else f"known here: {', '.join(sorted(allowed))}"
            raise SettingsError(f'{path}: unknown key "{where}{key}"; {hint}')


def _wrong(kind: str, value: object) -> str | None:
    """Say what should be given instead of `value`; None when it is right."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind == "float":
        return None if number and 0 < value < 1e6 else "a number above 0, below 1000000"  # type: ignore[operator]
    if kind == "int":
        whole = number and isinstance(value, int) and 0 < value <= 10_000
        return None if whole else "a whole number from 1 to 10000"
    if kind == "Limits":
        return None if isinstance(value, dict) else "a table"
    if kind.startswith("Money"):
        return None if Money.is_written(value) else GIVE_AMOUNT
    if kind == "tuple[str, ...] | None":
        texts = isinstance(value, list) and all(isinstance(item, str) and item for item in value)
        return None if texts else "a list of names in quotes, which may be empty"
    if kind == "tuple[str, ...]":
        return None if isinstance(value, list) and all(map(_is_network, value)) else 'a list such as ["198.18.0.0/15"]'
    return None if isinstance(value, str) and value else "a text in quotes"


def _is_network(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(ip_network(value))
    except ValueError:
        return False


def _shown(value: object) -> str:
    """Return a value of a TOML file much as it is written there."""
    return json.dumps(value, ensure_ascii=False, default=str)
