"""A plan as a promise: what `plan --out` records, and how a run finds out that something has changed since.

Nothing in a plan file is carried out: a run plans anew and compares, so a file that is forged or old can only make it
refuse.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import asdict, dataclass, fields, is_dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wanrun.changes import changes, facts_of_job
from wanrun.errors import SettingsError
from wanrun.ledger import AttemptState
from wanrun.ledger.backup import check_not_ledger, whole_file
from wanrun.money import Money
from wanrun.selection import Selection
from wanrun.text import one_line, without_queries

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from wanrun.batch import Batch
    from wanrun.forecast import Forecast
    from wanrun.ledger import Attempt, Ledger
    from wanrun.plan import PlannedJob
    from wanrun.project import Project
    from wanrun.types import JSON

PLAN_VERSION = 1
MAX_BYTES = 512 * 1024 * 1024  #: of a plan file; what is larger is none
SHOWN = 20  #: differences that a refusal names


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan file, read."""

    file: Path
    specs: tuple[Path, ...]  #: from the working directory, if they are below it
    selection: Selection
    retry_failed: bool
    max_cost: Money | None  #: what the run may submit
    promise: Mapping[str, Any]


def promise_of(
    forecast: Forecast,
    batch: Batch,
    project: Project,
    ledger: Ledger,
    *,
    selection: Selection,
    retry_failed: bool,
    max_cost: Money | None,
) -> dict[str, JSON]:
    """Return everything that decides what a run would do; equal promises are equal runs."""
    return {
        "specs": {project.recorded(spec.path.resolve()): _digest(spec.path) for spec in batch.specs},
        "selection": {
            **_as_json(asdict(selection)),
            "retry_failed": retry_failed,
            "max_cost": _amount(max_cost),
        },
        "ledger": {"path": project.recorded(project.ledger_path), "account": ledger.account},
        "settings": _settings(project),
        "prices": {
            f"{rate.provider}, {rate.price.model.name}": _as_json(
                [rate.price.region, rate.price.as_of, rate.price.currency, dict(rate.price.per_second)]
            )
            for rate in forecast.rates
        },
        "obstacles": [f"{each.what}: {each.key}" for each in forecast.obstacles],
        "jobs": {job.address: _job(job.planned) for job in forecast.jobs},
    }


def _job(planned: PlannedJob) -> dict[str, JSON]:
    job, entry = planned.job, planned.entry
    attempt = entry.attempt if entry is not None else None
    return {
        "state": planned.state.value,
        "action": planned.action.value,
        "attempt": f"{attempt.id}: {_state_of(attempt)}" if attempt is not None else None,
        "fingerprint": planned.fingerprint,
        "provider": job.provider,
        "retries": _as_json(asdict(job.retries)),
        "places": [f"{each.sink.name}: {each.recorded} ({each.digest[:16]})" for each in planned.destinations],
        "cost": _amount(planned.cost),
        "facts": facts_of_job(job, planned.identities),
    }


def _amount(money: Money | None) -> str | None:
    return None if money is None else f"{money.plain} {money.currency}"


def _state_of(attempt: Attempt) -> str:
    """Return an attempt's state; the first thing that a run does is to call one that a dead run left unsure."""
    return (AttemptState.UNSURE if attempt.state is AttemptState.INTENDED else attempt.state).value


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as exc:
        raise SettingsError(f"{path}: {exc.strerror}; it was there a moment ago") from exc


def _settings(project: Project) -> dict[str, JSON]:
    """Return the settings that hold, as one flat table; where the project is does not matter."""
    settings = project.settings
    kept = {each.name: getattr(settings, each.name) for each in fields(settings) if each.name not in _NO_SETTINGS}
    found: dict[str, JSON] = {}
    _flatten("", json.loads(json.dumps(kept, default=partial(_plain, project))), found)
    return found


_NO_SETTINGS = ("root", "file", "written")


def _plain(project: Project, value: object) -> object:
    if isinstance(value, Path):
        return project.recorded(value)
    if is_dataclass(value) and not isinstance(value, (Money, type)):
        return {each.name: getattr(value, each.name) for each in fields(value)}
    return str(value)


def _flatten(name: str, value: Any, found: dict[str, JSON]) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            _flatten(f"{name}.{key}" if name else key, inner, found)
    else:
        found[name] = without_queries(value) if isinstance(value, str) else value


def _as_json(value: Any) -> Any:
    return json.loads(json.dumps(value, default=str))


# Writing and reading


def write_plan(path: Path, promise: Mapping[str, JSON], *, ledger: Path, now: float) -> None:
    """Write a plan file, whole or not at all and for the user alone (0600), since prompts stand in it.

    Raises `SettingsError` for a place that cannot be, or where there is anything but a plan; `LedgerError` for a disk
    that cannot be used.
    """
    _check_place(path, ledger)
    made_at = datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds")
    plan = {"plan_version": PLAN_VERSION, "made_by": f"wanrun {version('wanrun')}", "made_at": made_at}
    with whole_file(path, replace=True) as part, part.open("w", encoding="utf-8") as file:
        json.dump({**plan, "promise": promise}, file, indent=1)
        file.write("\n")


def _check_place(path: Path, ledger: Path) -> None:
    """Raise `SettingsError` for a place that a plan must not take."""
    try:
        check_not_ledger(ledger, path)
        if not path.parent.is_dir():
            raise SettingsError(f"{path.parent}: no such folder")
        if path.exists() and not _gives_way(path):
            raise SettingsError(f"{path} is there already, and is no plan; name another file")
    except SettingsError as exc:
        raise SettingsError(f"{exc} (given by --out)") from None
    except OSError as exc:
        raise SettingsError(f"{path}: {exc.strerror} (given by --out)") from exc


def _gives_way(path: Path) -> bool:
    """Say whether what is at a place is a plan, whole or not, or a file without content."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        start = file.read(_START_BYTES)
    return not start or _START.match(start) is not None


_START_BYTES = 1024
_START = re.compile(rb'\s*{\s*"plan_version"\s*:')


def read_plan(path: Path, project: Project) -> Planned:
    """Read a plan file; raises `SettingsError` for one that cannot be read or is none."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        plan = json.loads(data)
    except OSError as exc:
        raise SettingsError(f"{path}: {exc.strerror} (given by --plan)") from exc
    except (ValueError, RecursionError) as exc:
        raise SettingsError(f"{path}: this is no plan; make one with wanrun plan --out FILE") from exc
    number = plan.get("plan_version") if isinstance(plan, dict) else None
    if number != PLAN_VERSION:
        what = "this is no plan" if number is None else "it was made by another version of wanrun"
        raise SettingsError(f"{path}: {what}; make one with wanrun plan --out FILE")
    try:
        return _planned(path, plan["promise"], project)
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise SettingsError(f"{path}: the plan is damaged; make it anew") from exc


def _planned(path: Path, promise: Mapping[str, Any], project: Project) -> Planned:
    for part in ("specs", "selection", "ledger", "settings", "prices", "jobs"):
        dict.items(promise[part])
    for job in promise["jobs"].values():
        dict.items(job["facts"])
    selection, retry_failed, max_cost = _selected(promise["selection"])
    if not isinstance(promise.get("obstacles", []), list):
        raise TypeError("obstacles")
    if any(b"\0" in os.fsencode(spec) for spec in promise["specs"]):
        raise ValueError("specs")
    specs = tuple(_from_here(project.settings.root / spec) for spec in promise["specs"])
    return Planned(path, specs, selection, retry_failed, max_cost, promise)


def _selected(written: Mapping[str, Any]) -> tuple[Selection, bool, Money | None]:
    """Return a selection as it was written, whether failed jobs are planned anew, and the most that the run may submit.

    Raises for what is written in another way.
    """
    chosen = dict(written)
    for name in ("only", "exclude", "tag", "again"):
        if not isinstance(chosen[name], list) or not all(isinstance(each, str) for each in chosen[name]):
            raise ValueError(name)
        chosen[name] = tuple(chosen[name])
    retry_failed, most, limit = chosen.pop("retry_failed"), chosen.pop("max_cost", None), chosen["limit"]
    if not isinstance(retry_failed, bool) or not isinstance(chosen["only_changed"], bool):
        raise ValueError("a choice")
    if limit is not None and (type(limit) is not int or limit < 1):
        raise ValueError("limit")
    return Selection(**chosen), retry_failed, None if most is None else Money.parse(most)


def _from_here(path: Path) -> Path:
    """Return a path as a person in this folder would write it."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


# Comparing


def keep_promise(planned: Planned, now: Mapping[str, JSON]) -> None:
    """Raise `SettingsError`, naming what has changed, unless a plan of now promises the same."""
    found = list(_differences(planned.promise, json.loads(json.dumps(now))))
    if not found:
        return
    lines = [f"  {one_line(line)}" for line in found[:SHOWN]]
    lines += [f"  and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
    head = f"{planned.file}: something has changed since this plan was made; nothing was submitted. Plan anew"
    raise SettingsError("\n".join([f"{head}:", *lines]))


def _differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    jobs = list(_job_differences(then["jobs"], now["jobs"]))
    for path in dict.fromkeys([*then["specs"], *now["specs"]]):
        if path not in now["specs"]:
            yield f"{path} was planned, and is not part of this run"
        elif path not in then["specs"]:
            yield f"{path} is part of this run, and was not planned"
        elif then["specs"][path] != now["specs"][path]:
            yield f"{path} was edited"
    yield from jobs
    for part in ("selection", "ledger", "settings", "prices"):
        yield from _table_differences(part, then[part], now[part])
    for obstacle in now["obstacles"]:
        if obstacle not in then.get("obstacles", ()):
            yield f"it would be stopped now by {obstacle}"


def _table_differences(part: str, then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for key in dict.fromkeys([*then, *now]):
        if then.get(key) != now.get(key):
            yield f"{part}: {key} was {_shown(then.get(key))}, and is {_shown(now.get(key))}"


def _job_differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for address in dict.fromkeys([*then, *now]):
        if address not in now:
            yield f"{address} was planned, and is no job of these specs now"
        elif address not in then:
            yield f"{address} is a job now, and was not planned"
        elif then[address] != now[address]:
            yield from (f"{address}: {words}" for words in _one_job(then[address], now[address]))


def _one_job(then: Mapping[str, Any], now: Mapping[str, Any]) -> Sequence[str]:
    if then.get("fingerprint") != now["fingerprint"]:
        return [str(each) for each in changes(then["facts"], now["facts"])] or ["its input is another one"]
    words = []
    if (then.get("state"), then.get("action")) != (now["state"], now["action"]):
        words.append(f"was {then.get('state')} ({then.get('action')}), and is {now['state']} ({now['action']})")
    elif then.get("attempt") != now["attempt"]:
        words.append(f"its attempt was {_shown(then.get('attempt'))}, and is {_shown(now['attempt'])}")
    for key in ("provider", "retries", "places", "cost"):
        if then.get(key) != now[key]:
            words.append(f"{key} was {_shown(then.get(key))}, and is {_shown(now[key])}")
    return words


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "nothing"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)
