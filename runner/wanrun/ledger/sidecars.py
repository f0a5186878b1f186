"""Reading the sidecars that the `folder` sink writes beside results: what one file says, and the problems with it.

A sidecar is a stranger's file until it is checked: every value that goes into a ledger has its type and form. What
older versions did not write yet (account, the spec's path, the sink) may be missing.
"""

from __future__ import annotations

import json
import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any

from wanrun.types import Usage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

SUFFIX = ".json"
ENDING = f".mp4{SUFFIX}"  #: of a sidecar's name: the result's own, and this
MAX_BYTES = 256 * 1024  #: of a sidecar; what is larger is none of ours
MADE_BY = "wanrun"
RESCUED = "rescue_version"  #: marks the sidecar of a rescued result, which belongs to no job
PASSED_OVER = frozenset({".git", ".wanrun"})  #: folders that are only looked into when they are named

_SHA256 = re.compile(r"[0-9a-f]{64}")
_FINGERPRINT = re.compile(r"[0-9]{1,3}:[0-9a-f]{64}")
_TASK_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}")
_ACCOUNT = re.compile(r"service|emulator:[A-Za-z0-9_.:-]{1,128}")


class BadSidecar(ValueError):
    """A file that should be a sidecar is none, or says something impossible."""


class Rescued(ValueError):
    """The sidecar of a rescued result: nobody knows which job asked for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sidecar:
    """What one sidecar says of one delivered result."""

    path: Path  #: of the sidecar, absolute
    spec: str
    job: str
    provider: str
    model: str
    prompt: str | None
    fingerprint: str
    task_id: str
    usage: Usage | None
    sha256: str
    bytes: int
    account: str | None  #: None: an older version did not say
    spec_path: Path | None  #: absolute
    sink: str | None
    kind: str | None
    options: Mapping[str, Any]
    words: Mapping[str, Any]  #: of the job, as far as they are told: model, prompts, parameters; for people

    @property
    def result(self) -> Path:
        """The file that it stands beside."""
        return self.path.with_name(self.path.name.removesuffix(SUFFIX))

    @property
    def address(self) -> str:
        """The job's."""
        return f"{self.spec}/{self.job}"


def sidecar_files(folders: Iterable[Path]) -> Iterator[Path]:
    """Yield every file below these folders that is named like a sidecar, once; links to folders are not followed.

    Raises OSError for a folder that cannot be read: what is not seen would be paid for again.
    """
    seen = set()
    for folder in folders:
        for path in _files(folder.absolute()):
            if path not in seen:
                seen.add(path)
                yield path


def _files(folder: Path) -> Iterator[Path]:
    def fail(exc: OSError) -> None:
        raise exc

    for root, folders, names in os.walk(folder, onerror=fail):
        folders[:] = sorted(name for name in folders if name not in PASSED_OVER)
        yield from (Path(os.path.normpath(root), name) for name in sorted(names) if name.endswith(ENDING))


def read_sidecar(path: Path) -> Sidecar:
    """Read one sidecar; raises `BadSidecar` for one that is damaged or none, `Rescued`, and OSError."""
    facts = facts_of(path)
    if facts.get("made_by") != MADE_BY:
        raise BadSidecar("wanrun did not write it")
    if RESCUED in facts:
        raise Rescued
    version = facts.get("sidecar_version")
    if version != 1:
        raise BadSidecar(f"it is of version {version!a}, which this wanrun does not know")
    made = _sidecar(path, facts)
    if facts.get("address") != made.address:
        raise BadSidecar("its address is not that of its spec and job")
    return made


def facts_of(path: Path) -> Mapping[str, Any]:
    """Return the JSON object in a file; raises `BadSidecar` where there is none, OSError."""
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise BadSidecar("it is too large for a sidecar")
    try:
        facts = json.loads(content)
    except (ValueError, RecursionError):
        raise BadSidecar("it is no JSON") from None
    if not isinstance(facts, dict):
        raise BadSidecar("it is no JSON object")
    return facts


def _sidecar(path: Path, facts: Mapping[str, Any]) -> Sidecar:
    sink = facts.get("sink")
    sink = sink if isinstance(sink, dict) and isinstance(sink.get("options"), dict) else {}
    return Sidecar(
        path=path,
        spec=_text(facts, "spec"),
        job=_text(facts, "job"),
        provider=_text(facts, "provider"),
        model=_text(facts, "model"),
        prompt=None if facts.get("prompt") is None else _text(facts, "prompt"),
        fingerprint=_text(facts, "fingerprint", _FINGERPRINT),
        task_id=_text(facts, "task_id", _TASK_ID),
        usage=usage_of(facts.get("usage")),
        sha256=_text(facts, "sha256", _SHA256),
        bytes=_bytes(facts.get("bytes")),
        account=None if facts.get("account") is None else _text(facts, "account", _ACCOUNT),
        spec_path=_spec_path(path, facts),
        sink=_text(sink, "name") if sink else None,
        kind=_text(sink, "kind") if sink else None,
        options=sink.get("options", {}),
        words={key: facts[key] for key, kinds in _WORDS.items() if key in facts and isinstance(facts[key], kinds)},
    )


_WORDS: Mapping[str, Any] = {
    "model": str,
    "prompt": (str, NoneType),
    "negative_prompt": (str, NoneType),
    "parameters": dict,
}


def _text(facts: Mapping[str, Any], key: str, form: re.Pattern[str] | None = None) -> str:
    value = facts.get(key)
    if not isinstance(value, str) or not value or (form and not form.fullmatch(value)):
        raise BadSidecar(f'its "{key}" is missing or is none')
    try:
        value.encode()
    except UnicodeEncodeError:
        raise BadSidecar(f'its "{key}" is not text that can be recorded') from None
    return value


def _bytes(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 1 << 50:
        raise BadSidecar('its "bytes" is missing or is none')
    return value


def usage_of(value: object) -> Usage | None:
    """Return a usage that was written as JSON; raises `BadSidecar` for what is none."""
    if value is None:
        return None
    if not isinstance(value, dict) or not set(value) <= set(Usage.__slots__) or "billed_seconds" not in value:
        raise BadSidecar('its "usage" is none')
    numbers = [number for number in value.values() if number is not None]
    if value["billed_seconds"] is None or not all(map(_is_number, numbers)):
        raise BadSidecar('its "usage" is none')
    return Usage(**value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and 0 <= value < 1e9


def _spec_path(path: Path, facts: Mapping[str, Any]) -> Path | None:
    if facts.get("spec_path") is None:
        return None
    way = _text(facts, "spec_path")
    if "\0" in way:
        raise BadSidecar('its "spec_path" is none')
    return Path(os.path.normpath(path.parent / way))
