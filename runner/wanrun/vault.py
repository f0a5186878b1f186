"""Where the values of secrets come from: the environment, or a folder of mounted files, one a secret.

Nothing is looked up before a run needs it, and what is looked up is at once known to `redaction`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wanrun import rules
from wanrun.errors import SettingsError, SpecError
from wanrun.redaction import hide
from wanrun.types import Problem, Secret, SecretTemplate

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from pathlib import Path

    from wanrun.types import JSON

MAX_BYTES = 64 * 1024  #: of one secret


@dataclass(frozen=True, slots=True)
class Vault:
    """Looks up the secrets that specs name, each time anew, since a mounted file may be replaced meanwhile."""

    environ: Mapping[str, str]
    folder: Path | None = None  #: when set, the environment is not looked into
    keys: Collection[str] = ()  #: variables that hold API keys, which go to the service and nowhere else

    def opened(self, options: Mapping[str, JSON]) -> Mapping[str, JSON]:
        """Return options with the values of their secrets; raises `SettingsError` for one that cannot be had."""
        return {name: self._open(value) for name, value in options.items()}

    def check(self, options: Iterable[Mapping[str, JSON]]) -> None:
        """Look up every secret once; raises `SpecError` with all that cannot be had, where specs name them."""
        templates = {(template.position, template) for each in options for template in templates_in(each)}
        if problems := [problem for _, template in templates for problem in self._faults(template)]:
            raise SpecError(sorted(problems))

    def _faults(self, template: SecretTemplate) -> Iterator[Problem]:
        try:
            self._value(template)
        except SettingsError as exc:
            assert template.position is not None  # it names a secret, so a spec's template was filled in
            yield Problem(template.position, str(exc), rules.SECRET_UNAVAILABLE.id)

    def _open(self, value: JSON) -> JSON:
        if isinstance(value, SecretTemplate):
            return Secret(self._value(value))
        if isinstance(value, dict):
            return {key: self._open(item) for key, item in value.items()}
        return [self._open(item) for item in value] if isinstance(value, list) else value

    def _value(self, template: SecretTemplate) -> str:
        made = "".join(part if isinstance(part, str) else self._look_up(part.name) for part in template.parts)
        hide(made)
        return made

    def _look_up(self, name: str) -> str:
        if name in self.keys:
            raise SettingsError(f"{name} is an API key, which goes to the service only; give the secret another name")
        value = self.environ.get(name, "") if self.folder is None else _read(self.folder / name)
        where = f"the file {self.folder / name}" if self.folder else f"the environment variable {name}"
        if not value.strip():
            raise SettingsError(f"there is no secret {name}: {where} is missing or empty")
        if "\ufffd" in value.encode("utf-8", "surrogatepass").decode("utf-8", "replace"):
            raise SettingsError(f"{where} is not UTF-8 text; the secret cannot be used")
        hide(value)
        return value


def _read(path: Path) -> str:
    """Return the text of a mounted secret without the line break at its end; empty when there is no such file."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise SettingsError(f"{path} has more than {MAX_BYTES // 1024} KiB; no secret is that long")
        return data.decode("utf-8", "surrogateescape").removesuffix("\n").removesuffix("\r")
    except FileNotFoundError:
        return ""
    except OSError as exc:
        raise SettingsError(f"{path}: {exc.strerror}; the secret cannot be read") from exc


def templates_in(value: Mapping[str, JSON] | JSON) -> Iterator[SecretTemplate]:
    """Yield what stands for secrets in options, at whatever depth."""
    if isinstance(value, SecretTemplate):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from templates_in(item)
    elif value is not None and not isinstance(value, bool | int | float | str):
        for item in value.values():
            yield from templates_in(item)
