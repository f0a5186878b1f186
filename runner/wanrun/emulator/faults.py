"""Scripted faults: which calls are hit, and what happens to them.

A script is YAML or JSON:

    seed: 7                        # of `probability`; 0 without it
    faults:
      - on: create                 # a call or a list of them; or `any`
        nth: [2, 5]                # the 2nd and the 5th such call; also one number
        do: {status: 429, code: Throttling.RateQuota, message: Slow down., retry_after: 2}
      - on: [query, list]
        every: 10                  # every 10th
        between: [60, 120]         # seconds since the emulator started
        do: {reset: before}
      - on: download
        probability: 0.1
        times: 3                   # at most three times
        prompt: clay               # only for tasks whose prompt contains this
        do: {cut_after_bytes: 1000}

Conditions narrow each other down; without any, every call is hit. What `do` may hold is said in `Effect`.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from wanrun.emulator.calls import Kind
from wanrun.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from jsonschema import ValidationError

ANY = "any"


@dataclass(slots=True)
class Effect:
    """What happens to one call; several faults that hit the same call are laid over each other."""

    latency_seconds: float = 0.0  #: the call waits this long before it is looked at
    status: int | None = None  #: answered with this HTTP status and not carried out
    code: str = "InternalError"  #: error code of that answer
    message: str = "Internal server error."  #: and its message
    retry_after: float | None = None  #: and its `Retry-After`, in seconds
    lose_reply: bool = False  #: carried out, but the answer never comes
    reset: str = ""  #: the connection breaks: `connect`, `before` or `after` the call was carried out
    garbage: bool = False  #: carried out, but answered with 200 and a body that is no JSON
    bytes_per_second: float | None = None  #: the answer's body drips
    cut_after_bytes: int | None = None  #: the answer's body ends here, the connection with it
    corrupt: bool = False  #: the answer's body has the right length and a wrong byte
    lag_seconds: float = 0.0  #: list: tasks younger than this are missing
    link_seconds: float | None = None  #: create: how long the link to the result will work
    unknown_after_seconds: float | None = None  #: create: from then on the task is UNKNOWN
    fail: Mapping[str, str] = field(default_factory=dict)  #: create: code and message with which the task will fail


_EFFECTS: dict[str, Any] = {
    "latency_seconds": {"type": "number", "minimum": 0},
    "status": {"type": "integer", "minimum": 400, "maximum": 599},
    "code": {"type": "string"},
    "message": {"type": "string"},
    "retry_after": {"type": "number", "minimum": 0},
    "lose_reply": {"type": "boolean"},
    "reset": {"enum": ["connect", "before", "after"]},
    "garbage": {"type": "boolean"},
    "bytes_per_second": {"type": "number", "exclusiveMinimum": 0},
    "cut_after_bytes": {"type": "integer", "minimum": 0},
    "corrupt": {"type": "boolean"},
    "lag_seconds": {"type": "number", "minimum": 0},
    "link_seconds": {"type": "number", "minimum": 0},
    "unknown_after_seconds": {"type": "number", "minimum": 0},
    "fail": {
        "type": "object",
        "required": ["code"],
        "additionalProperties": False,
        "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
    },
}
_ONLY_FOR = {
    "lag_seconds": {Kind.LIST},
    "link_seconds": {Kind.CREATE},
    "unknown_after_seconds": {Kind.CREATE},
    "fail": {Kind.CREATE},
}
_CALLS: dict[str, Any] = {"enum": [ANY, *(kind.value for kind in Kind if kind is not Kind.OTHER)]}
_COUNT = {"type": "integer", "minimum": 1}
_FAULT: dict[str, Any] = {
    "type": "object",
    "required": ["on", "do"],
    "additionalProperties": False,
    "properties": {
        "on": {"anyOf": [_CALLS, {"type": "array", "items": _CALLS, "minItems": 1}]},
        "nth": {"anyOf": [_COUNT, {"type": "array", "items": _COUNT, "minItems": 1}]},
        "every": _COUNT,
        "probability": {"type": "number", "minimum": 0, "maximum": 1},
        "between": {"type": "array", "items": {"type": "number", "minimum": 0}, "minItems": 2, "maxItems": 2},
        "times": _COUNT,
        "prompt": {"type": "string", "minLength": 1},
        "do": {"type": "object", "minProperties": 1, "additionalProperties": False, "properties": _EFFECTS},
    },
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["faults"],
    "additionalProperties": False,
    "properties": {"seed": {"type": "integer"}, "faults": {"type": "array", "items": _FAULT}},
}


@dataclass(slots=True)
class _Fault:
    """One entry of a script, with how often it was asked and how often it struck."""

    kinds: frozenset[Kind]
    do: Mapping[str, Any]
    nth: frozenset[int] = frozenset()
    every: int = 1
    probability: float = 1.0
    between: tuple[float, float] | None = None
    times: int | None = None
    prompt: str = ""
    asked: Counter[Kind] = field(default_factory=Counter)
    struck: int = 0

    def strikes(self, kind: Kind, *, prompt: str, at_seconds: float, chance: random.Random) -> bool:
        """Count a call and say whether it is hit; `nth` and `every` count the calls that meet the other conditions."""
        if kind not in self.kinds or self.prompt not in prompt or not self._in_time(at_seconds):
            return False
        self.asked[kind] += 1
        number = self.asked.total()
        if (self.nth and number not in self.nth) or number % self.every or self.struck == self.times:
            return False
        if chance.random() >= self.probability:
            return False
        self.struck += 1
        return True

    def _in_time(self, at_seconds: float) -> bool:
        return self.between is None or self.between[0] <= at_seconds < self.between[1]


class Faults:
    """A fault script at work; it counts the calls that it is asked about."""

    def __init__(self, script: Mapping[str, Any] | None = None, *, name: str = "faults") -> None:
        """Take a script that was parsed already; raises `SettingsError` where it says something it may not say."""
        script = {"faults": []} if script is None else script
        _check(script, name)
        self._chance = random.Random(script.get("seed", 0))  # noqa: S311  # repeatable on purpose
        self._faults = [_fault(entry) for entry in script["faults"]]

    def strike(self, kind: Kind, *, prompt: str = "", at_seconds: float = 0.0) -> Effect:
        """Return what happens to a call; an `Effect` as it was made when nothing does."""
        effect = Effect()
        for fault in self._faults:
            if fault.strikes(kind, prompt=prompt, at_seconds=at_seconds, chance=self._chance):
                for name, value in fault.do.items():
                    setattr(effect, name, value)
        return effect


def load_faults(path: Path) -> Faults:
    """Read a fault script from a YAML or JSON file; raises `SettingsError` with what is wrong and where."""
    try:
        script = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506  # it is a SafeLoader
    except OSError as exc:
        raise SettingsError(f"{path}: cannot be read: {exc.strerror}") from exc
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as exc:
        raise SettingsError(f"{path}: is no YAML: {' '.join(str(exc).split())}") from exc
    return Faults({} if script is None else script, name=str(path))


class _Loader(yaml.SafeLoader):
    """Reads `on` as a word, by YAML 1.2; of the 1.1 booleans only true and false remain."""


_Loader.yaml_implicit_resolvers = {
    first: [each for each in resolvers if first in "tTfF" or each[0] != "tag:yaml.org,2002:bool"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _fault(entry: Mapping[str, Any]) -> _Fault:
    on, nth = entry["on"], entry.get("nth", [])
    names = [on] if isinstance(on, str) else on
    rest = {name: entry[name] for name in ("every", "probability", "times", "prompt") if name in entry}
    return _Fault(
        kinds=frozenset(Kind) if ANY in names else frozenset(map(Kind, names)),
        do=entry["do"],
        nth=frozenset([nth] if isinstance(nth, int) else nth),
        between=tuple(entry["between"]) if "between" in entry else None,
        **rest,
    )


def _check(script: object, name: str) -> None:
    error = best_match(Draft202012Validator(SCHEMA).iter_errors(script))
    if error is not None:
        raise SettingsError(f"{name}: {_place(error.absolute_path)}{_problem(error)}")
    assert isinstance(script, dict)
    for problem in _misplaced(script["faults"]):
        raise SettingsError(f"{name}: {problem}")


def _misplaced(entries: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Say which effects are asked of calls that cannot have them."""
    for number, entry in enumerate(entries):
        kinds = _fault(entry).kinds
        for effect in entry["do"]:
            allowed = _ONLY_FOR.get(effect, kinds)
            if not kinds <= allowed:
                yield f"faults[{number}].do.{effect} is for {', '.join(sorted(allowed))} only; narrow `on` to that"


def _place(path: Iterable[str | int]) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return f"{text.removeprefix('.')}: " if text else ""


def _problem(error: ValidationError) -> str:
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        allowed = sorted(error.schema["properties"]) if isinstance(error.schema, dict) else []
        strange = ", ".join(f'"{key}"' for key in error.instance if key not in allowed)
        return f"unknown key {strange}; allowed: {', '.join(allowed)}"
    return error.message


assert {item.name for item in fields(Effect)} == set(_EFFECTS)
