"""The services that a run talks to: one for each provider that its open jobs name, or the embedded emulator for all."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from wanrun.client import Endpoint, endpoint_for
from wanrun.errors import SettingsError
from wanrun.places import DEFAULT_REGION
from wanrun.types import Secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterable

    from wanrun.client import Client
    from wanrun.emulator import Faults
    from wanrun.project import EmulatorOptions, Project
    from wanrun.settings import Provider

EMULATOR_KEY = Secret("sk-emulator")


@dataclass(frozen=True, slots=True)
class Service:
    """One provider, where it is, and the key for it."""

    provider: Provider
    endpoint: Endpoint
    key: Secret


class Services:
    """What a run needs to know of its services before it announces anything; `started` then gives them."""

    def __init__(self, names: Iterable[str], project: Project) -> None:
        """Look up every provider; raises `SettingsError` for one that is not described, misplaced or has no key."""
        self._project = project
        self._providers = [_provider(name, project) for name in sorted(set(names))]
        self._emulator = project.setup.emulator
        self._faults: Faults | None = None
        self._services: list[Service] = []
        if self._emulator is None:
            environ = os.environ if project.setup.environ is None else project.setup.environ
            self._services = [Service(each, endpoint_of(each), each.api_key(environ)) for each in self._providers]
        elif self._emulator.faults is not None:
            from wanrun.emulator import load_faults  # here, since a run of the real service has no use for it

            self._faults = load_faults(self._emulator.faults)

    @asynccontextmanager
    async def started(self) -> AsyncIterator[list[Service]]:
        """Give the services, with the embedded emulator serving meanwhile if there is to be one."""
        if self._emulator is None:
            yield self._services
            return
        async with trio.open_nursery() as nursery:
            endpoint = endpoint_for(base_url=await nursery.start(self._emulate(self._emulator)))
            yield [Service(provider, endpoint, EMULATOR_KEY) for provider in self._providers]
            nursery.cancel_scope.cancel()

    def _emulate(self, options: EmulatorOptions) -> partial[Coroutine[Any, Any, None]]:
        from wanrun.emulator import run_emulator

        return partial(
            run_emulator,
            folder=self._project.ledger_path.parent / "account",
            speed=options.speed,
            edit=options.edit,
            faults=self._faults,
            models=list(self._project.catalog.models.values()),
            log=lambda _url: None,
        )


def _provider(name: str, project: Project) -> Provider:
    if name not in project.settings.providers:
        raise SettingsError(f'tasks are in flight at the provider "{name}", which wanrun.toml no longer describes')
    return project.settings.providers[name]


def endpoint_of(provider: Provider) -> Endpoint:
    """Return where a provider's calls go; raises `SettingsError` for a place that cannot be."""
    region = provider.region or DEFAULT_REGION
    return endpoint_for(region=region, workspace=provider.workspace, base_url=provider.base_url)


def account_of(client: Client) -> str | None:
    """Say whose ledger this would be, by the latest answer; None before the first."""
    identity = client.identity
    if identity is None:
        return None
    return f"emulator:{identity.emulator}" if identity.emulator else "service"
