"""Calls to one account outside of a run: each waits its turn, and is made again while the service is away."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, TypeVar

import trio

from wanrun.client import Client
from wanrun.engine.patience import patiently
from wanrun.engine.work import Lane
from wanrun.engine.world import World
from wanrun.errors import SettingsError, plain_errors
from wanrun.events import Event, EventName
from wanrun.services import Services

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

    from wanrun.project import Project
    from wanrun.types import JSON

T = TypeVar("T")


@dataclass(frozen=True)
class Caller:
    """One provider's account: its calls, and who hears of it when one has to wait."""

    lane: Lane
    observe: Callable[[Event], None]
    world: World

    @property
    def client(self) -> Client:
        """The account's client."""
        return self.lane.client

    def emit(self, name: EventName, /, **data: JSON) -> None:
        """Tell whoever listens what is waited for."""
        self.observe(Event(name, self.world.now(), "", None, data))

    async def ask(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make one call, in its turn, and again until the provider's patience is over; raises `ServiceError`."""
        return await patiently(call, work=self, lane=self.lane, limiter=self.lane.queries, what="queries")


@asynccontextmanager
async def callers(
    project: Project, names: Iterable[str], observe: Callable[[Event], None]
) -> AsyncIterator[dict[str, Caller]]:
    """Give a caller for each provider, with the embedded emulator serving meanwhile if there is to be one.

    Raises `SettingsError` for a provider that is not described or has no key.
    """
    world = World()
    services = Services([described(name, project) for name in names], project)
    async with AsyncExitStack() as stack:
        made = {}
        for service in await stack.enter_async_context(services.started()):
            networks = service.provider.link_networks
            client = await stack.enter_async_context(Client(service.endpoint, service.key, link_networks=networks))
            made[service.provider.name] = Caller(Lane(service.provider, client), observe, world)
        yield made


@asynccontextmanager
async def caller_of(project: Project, name: str, observe: Callable[[Event], None]) -> AsyncIterator[Caller]:
    """Give the caller of one provider."""
    async with callers(project, [name], observe) as made:
        yield made[name]


def described(name: str, project: Project) -> str:
    """Return the name of a provider; raises `SettingsError` for one that the settings do not describe."""
    known = list(project.settings.providers)
    if name in known:
        return name
    near = get_close_matches(name, known, n=1)
    hint = f'did you mean "{near[0]}"?' if near else f"there {'are' if len(known) > 1 else 'is'} {', '.join(known)}"
    raise SettingsError(f'wanrun.toml describes no provider "{name}"; {hint}')


def blocking(call: Callable[[], Awaitable[T]]) -> T:
    """Make calls from outside of trio, and let their errors out as they are; Ctrl-C is a plain KeyboardInterrupt."""
    try:
        with plain_errors():
            return trio.run(call)
    except BaseExceptionGroup as group:
        if group.subgroup(KeyboardInterrupt) is None:
            raise
        raise KeyboardInterrupt from group
