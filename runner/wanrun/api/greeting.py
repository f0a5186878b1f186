"""The part of a check-up that concerns one provider: where it is, its key, one list call, and the clocks."""

from __future__ import annotations

import os
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from wanrun.api.calling import blocking, caller_of, described
from wanrun.api.findings import Finding, fine, note, problem, warning
from wanrun.errors import ExitCode, JobRefused, KeyRefused, ServiceError, WanrunError
from wanrun.services import account_of, endpoint_of
from wanrun.settings import BASE_URL_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wanrun.api.calling import Caller
    from wanrun.project import Project
    from wanrun.settings import Provider
    from wanrun.types import JSON

SKEW_SECONDS = 30  #: between this machine's clock and the service's, from which links and stamps are misjudged
_PLACES = ("base_url", "region", "workspace")


def provider_findings(name: str, project: Project, account: str | None) -> Iterator[Finding]:
    """Look at one provider as far as each step lets the next one happen; `account` is whose the ledger is."""
    about = f"provider {name}"
    try:
        provider = project.settings.providers[described(name, project)]
        yield _values(provider, project)
        if project.setup.emulator is None:
            yield _place(provider, project)
        about = _about("key", provider)
        yield _key(provider, project)
        about = _about("service", provider)
        yield from blocking(lambda: _greet(project, provider, account))
    except WanrunError as exc:
        yield problem(about, str(exc), exit_code=exc.exit_code)


def _place(provider: Provider, project: Project) -> Finding:
    url, origin = endpoint_of(provider).base_url, _origin_of_place(provider, project)
    return fine(f"provider {provider.name}", f"base URL {url} ({origin})", base_url=url, origin=origin)


def _origin_of_place(provider: Provider, project: Project) -> str:
    """Say what decided about the base URL."""
    if project.setup.base_url:
        return "from --base-url"
    written = project.settings.written.get(provider.name, {})
    given = [f"{name} {written[name]}" if name != "base_url" else name for name in _PLACES if name in written]
    if given:
        return f"{', '.join(given)} in {project.settings.file}"
    return f"from {BASE_URL_VARIABLE}" if provider.base_url else "region singapore, by default"


def _values(provider: Provider, project: Project) -> Finding:
    """Say what holds, and whether a person has written it."""
    written = project.settings.written.get(provider.name, {})
    file: list[str] = []
    default: list[str] = []
    for name, value, own in _flat(provider, written):
        (file if own else default).append(f"{name} {value}")
    parts = [f"from {project.settings.file}: {', '.join(file)}"] if file else []
    parts += [f"by default: {', '.join(default)}"] if default else []
    facts: dict[str, JSON] = {
        name: {"value": value, "from": str(project.settings.file) if own else "default"}
        for name, value, own in _flat(provider, written)
    }
    return fine(f"provider {provider.name}", "; ".join(parts), settings=facts)


def _flat(provider: Provider, written: Any) -> list[tuple[str, Any, bool]]:
    """Return every setting that says how a provider is used: its name, its value, and whether the file has it."""
    values = {name: value for name, value in asdict(provider).items() if name not in ("name", *_PLACES)}
    limits = values.pop("limits")
    found = [(name, value, name in written) for name, value in values.items()]
    return found + [(f"limits.{name}", value, name in written.get("limits", {})) for name, value in limits.items()]


def _key(provider: Provider, project: Project) -> Finding:
    """Say that there is a key, never what it is; raises `SettingsError` when there is none."""
    about = _about("key", provider)
    if project.setup.emulator is not None:
        return fine(about, "none needed with --emulator")
    environ = os.environ if project.setup.environ is None else project.setup.environ
    length = len(provider.api_key(environ).reveal())
    words = f"{provider.api_key_env} is set, {length} characters"
    return fine(about, words, variable=provider.api_key_env, characters=length)


async def _greet(project: Project, provider: Provider, account: str | None) -> list[Finding]:
    """Make one list call, without patience: a person waits for the answer."""
    async with caller_of(project, provider.name, lambda _: None) as caller:
        before = time.time()
        found = [await _call(caller)]
        middle = (before + time.time()) / 2
    answered = account_of(caller.client)
    if answered is not None and account is not None and answered != account:
        words = "another service answers than the one that the ledger belongs to"
        found.append(problem("ledger", words, advice="use another ledger (--ledger), or look at the base URL"))
    return [*found, *_clock(caller, middle)]


async def _call(caller: Caller) -> Finding:
    provider, url = caller.lane.provider, caller.client.endpoint.base_url
    about = _about("service", provider)
    try:
        page = await caller.client.list_tasks(page_size=1)
    except KeyRefused as exc:
        advice = f"key, region and workspace belong together: look at {provider.api_key_env} and the base URL {url}"
        return problem(about, f"the key is refused: {exc}", advice=advice, exit_code=ExitCode.STOPPED_BY_SERVICE)
    except JobRefused as exc:
        return problem(about, f"the list call is refused: {exc}", advice=f"look at the base URL {url}")
    except ServiceError as exc:
        advice = f"look at the network, the proxy and the base URL {url}"
        return problem(about, str(exc), advice=advice, exit_code=ExitCode.UNFINISHED)
    return fine(about, f"the key is accepted; {page.total} tasks in the last 24 h", tasks=page.total)


def _clock(caller: Caller, at: float) -> list[Finding]:
    """Compare the clocks, as well as an answer that names whole seconds allows."""
    date, about = caller.client.service_date, _about("clock", caller.lane.provider)
    if caller.client.identity is None:
        return []
    if date is None:
        return [note(about, "the service did not say its time", skew_seconds=None)]
    skew = round(at - (date + 0.5))
    if abs(skew) <= SKEW_SECONDS:
        return [fine(about, f"within {SKEW_SECONDS} s of the service's", skew_seconds=skew)]
    words = f"this machine is {abs(skew)} s {'ahead of' if skew > 0 else 'behind'} the service"
    return [warning(about, words, advice="set this machine's clock (NTP)", skew_seconds=skew)]


def _about(what: str, provider: Provider) -> str:
    return what if provider.name == "default" else f"{what} of {provider.name}"
